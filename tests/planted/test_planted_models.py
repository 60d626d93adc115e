"""Mistakes in the loss of every model, planted one at a time: its description notices each.

A factor, a missing term, something detached, a pixel too many. The check that must notice is one of
those of `models/test_every_model.py`, on a few draws of the entry's description.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from suite import Patch, Plant, assert_caught, changed, each_of, module_of, replace

import minigen as mg
from minigen import nn
from minigen.metrics.lenet import LeNet
from minigen.models import (
    adversarial,
    gated_pixelcnn,
    glow,
    gpt,
    image_flow,
    path_length,
    pixel_heads,
    pixelcnn,
    pixelrnn,
    raster,
    realnvp,
    vae,
    wavenet,
)
from minigen.recipes import RECIPES
from minigen.recipes import adversarial as game
from minigen.recipes import cyclegan as cyclegan_recipe
from minigen.recipes import stylegan as stylegan_recipe

VALUE = "values_are_those_of_the_formula"
GRADIENT = "gradients_are_right"
VOLUME = "volume_and_way_back_are_right"
SIGHT = "sight_is_right"


def of(entry: str, variant: str, check: str) -> Callable[[], None]:
    """A check of the entry's description, on three draws (twelve of who sees whom)."""

    def run() -> None:
        every = module_of("models/test_every_model.py")
        (spec,) = [spec for spec in every.SPECS if spec.name == entry]
        assert variant in spec.variants
        times = (12 if check == SIGHT else 3) / spec.examples
        every.draw_and_run(spec, variant, getattr(every, check), times)

    run.entry = entry  # type: ignore[attr-defined]
    return run


def detached(owner: Any, name: str) -> Callable[[Patch], None]:
    """What a function returns, off the tape but for a term worth 0."""
    return changed(owner, name, lambda original, *args, **options: cut(original(*args, **options)))


def cut(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(cut(part) for part in x)
    return x.detach() + 0.0 * x


def times(factor: float, owner: Any, name: str) -> Callable[[Patch], None]:
    return changed(
        owner, name, lambda original, *args, **options: factor * original(*args, **options)
    )


def other_game(name: str, **changes: Any) -> Callable[[Patch], None]:
    right = adversarial.LOSSES[name]
    parts = {"discriminator": right.discriminator, "generator": right.generator, **changes}
    wrong = adversarial.AdversarialLoss(**parts, threshold=right.threshold)
    return lambda patch: patch.setitem(adversarial.LOSSES, name, wrong)


def slope_with(change: Callable[[mg.Tensor], mg.Tensor]) -> Callable[[Patch], None]:
    return changed(adversarial, "_slope", lambda original, f, x: change(original(f, x)))


def one_place_ahead(original: Any, self: Any, tokens: Any, targets: Any, *more: Any) -> Any:
    return original(self, tokens, mg.roll(targets, 1, 0), *more)


def residual_cut(original: Any, self: Any, x: Any, condition: Any) -> Any:
    return original(self, x.detach() + 0.0 * x, condition)


def sees_itself(original: Any, self: Any, *args: Any, **options: Any) -> None:
    original(self, *args, **{**options, "mask_type": "B"})


def without_the_pixels_volume(original: Any, self: Any, y: Any) -> Any:
    z, log_det = original(self, y)
    return z, log_det - self.pixels(y)[1]


def volume_of_one_place(original: Any, self: Any, x: Any) -> Any:
    z, log_det = original(self, x)
    missing = (self.actnorm.log_scale.sum() + self.mix.log_s.sum()) * (x.shape[2] * x.shape[3] - 1)
    return z, log_det - missing


def volume_detached(original: Any, self: Any, x: Any) -> Any:
    z, log_det = original(self, x)
    return z, log_det.detach() + 0.0 * log_det


def same_sign(original: Any, self: Any, z: Any) -> Any:
    x, log_det = original(self, z)
    return x, -log_det


def no_edges(original: Any, self: Any, parameters: Any, x: Any) -> Any:
    return original(self, parameters, mg.clamp(x, 0.5 / self.values, 1 - 0.5 / self.values))


def way_back_cut(original: Any, self: Any, x: Any) -> Any:
    return original(self, x.detach() + 0.0 * x if x.node is not None else x)


def without_layers(original: Any, images: Any, styles: Any, directions: Any) -> Any:
    return original(images, styles, directions) * styles.shape[1] ** 0.5


def not_halved(real: mg.Tensor, fake: mg.Tensor) -> mg.Tensor:
    return mg.square(real - 1.0).mean() + mg.square(fake).mean()


PLANTS = [
    # a factor, a term, a sign: the formula notices
    Plant(
        "a VAE's divergence without its ½",
        times(2.0, vae, "gaussian_kl"),
        of("vae", "closed", VALUE),
    ),
    Plant(
        "the mean of logarithms for the logarithm of a mean",
        replace(mg, "logsumexp", lambda x, dim: x.mean(dim=dim) + math.log(x.shape[dim])),
        of("vae", "importance-weighted", VALUE),
    ),
    Plant(
        "a classifier's loss that is a sum",
        changed(mg, "cross_entropy", lambda original, x, y: original(x, y, reduction="sum")),
        of("lenet", "cross-entropy", VALUE),
    ),
    Plant(
        "a text's loss in bits",
        times(1 / np.log(2), gpt.GPT, "loss"),
        of("gpt", "mean", VALUE),
    ),
    Plant(
        "targets of another row",
        changed(gpt.GPT, "loss", one_place_ahead),
        of("gpt", "none", VALUE),
    ),
    Plant(
        "samples to be ignored that count",
        changed(
            wavenet.WaveNet,
            "loss",
            lambda original, self, levels, targets, *more: original(
                self, levels, mg.clamp(targets, min=0), *more
            ),
        ),
        of("wavenet", "mean", VALUE),
    ),
    Plant(
        "the likelihood of an image as a mean over its pixels",
        times(1 / 2, raster.RasterModel, "log_prob"),
        of("pixelcnn", "bernoulli", VALUE),
    ),
    Plant(
        "a mixture's edge bins without their tails",
        changed(pixel_heads.LogisticMixtureHead, "log_prob", no_edges),
        of("row-lstm", "logistic-mixture", VALUE),
    ),
    Plant(
        "a flow's prior without its constant",
        replace(realnvp, "standard_normal_log_density", lambda z: -0.5 * (z * z).sum(dim=1)),
        of("realnvp", "affine", VALUE),
    ),
    Plant(
        "the volume of the map of pixels left out",
        changed(image_flow.ImageFlow, "forward", without_the_pixels_volume),
        of("realnvp-images", "logit", VALUE),
    ),
    Plant(
        "levels that are counted in nats",
        changed(
            image_flow,
            "bits_per_dim",
            lambda original, p, dims, levels: original(p, dims, 1) + np.log(levels),
        ),
        of("glow", "none", VALUE),
    ),
    Plant(
        "a generator that aims at 0",
        other_game("lsgan", generator=lambda fake: 0.5 * mg.square(fake).mean()),
        of("gan", "lsgan", VALUE),
    ),
    Plant(
        "a discriminator that looks at fakes only",
        other_game("hinge", discriminator=lambda real, fake: mg.relu(1.0 + fake).mean()),
        of("gan", "hinge", VALUE),
    ),
    Plant(
        "R1 that is not squared",
        changed(game, "r1_penalty", lambda original, judge, real: mg.sqrt(original(judge, real))),
        of("dcgan", "r1", VALUE),
    ),
    Plant(
        "a penalty on the root of the mean square slope",
        slope_with(lambda slope: slope * (slope.shape[1] ** -0.5)),
        of("wgan-gp", "points", VALUE),
    ),
    Plant(
        "a lazy penalty at its daily weight",
        replace(stylegan_recipe.StyleGANRecipe, "r1_weight", lambda self: self.config.r1),
        of("stylegan", "r1", VALUE),
    ),
    Plant(
        "a path length that grows with the layers",
        changed(path_length, "path_lengths", without_layers),
        of("stylegan", "path-length", VALUE),
    ),
    Plant(
        "discriminators that are not slowed down by ½",
        replace(cyclegan_recipe, "discriminator_loss", not_halved),
        of("cyclegan", "discriminators", VALUE),
    ),
    # something detached: the differences notice
    Plant(
        "a code that is drawn off the tape",
        detached(vae.VAE, "reparameterize"),
        of("vae", "sampled", GRADIENT),
    ),
    Plant(
        "features that are not learned",
        detached(LeNet, "features"),
        of("lenet", "cross-entropy", GRADIENT),
    ),
    Plant(
        "embeddings that are not learned",
        detached(gpt.GPT, "embed"),
        of("gpt", "mean", GRADIENT),
    ),
    Plant(
        "layers of a WaveNet that tell the ones before nothing",
        changed(wavenet.Layer, "forward", residual_cut),
        of("wavenet", "none", GRADIENT),
    ),
    Plant(
        "residual blocks that learn alone",
        changed(
            pixelcnn.Block,
            "forward",
            lambda original, self, x: original(self, x.detach() + 0.0 * x),
        ),
        of("pixelcnn", "categorical", GRADIENT),
    ),
    Plant("gates that are not learned", detached(gated_pixelcnn, "gate"),
          of("gated-pixelcnn", "bernoulli", GRADIENT)),
    Plant("rows that learn nothing from the row above", detached(pixelrnn, "line_lstm"),
          of("row-lstm", "bernoulli", GRADIENT)),
    Plant("a second direction that learns nothing", detached(pixelrnn, "shift_down"),
          of("diagonal-bilstm", "categorical", GRADIENT)),
    Plant(
        "a log-determinant off the tape",
        changed(nn.AffineCoupling, "forward", volume_detached),
        of("realnvp", "affine", GRADIENT),
    ),
    Plant(
        "the same in a Glow step",
        changed(glow.GlowStep, "forward", volume_detached),
        of("glow", "histogram", GRADIENT),
    ),
    Plant(
        "the same of a whole flow of images",
        changed(image_flow.MultiScale, "forward", volume_detached),
        of("realnvp-images", "none", GRADIENT),
    ),
    Plant(
        "verdicts that say nothing to the generator",
        changed(
            game.AdversarialRecipe,
            "judge",
            lambda original, self, x, labels: original(self, x.detach() + 0.0 * x, labels),
        ),
        of("dcgan", "game", GRADIENT),
    ),
    Plant(
        "a penalty whose slope is off the tape",
        slope_with(lambda slope: slope.detach() + 0.0 * slope),
        of("wgan-gp", "images", GRADIENT),
    ),
    Plant(
        "R1 whose slope is off the tape",
        slope_with(lambda slope: slope.detach() + 0.0 * slope),
        of("gan", "r1", GRADIENT),
    ),
    Plant(
        "styles that are not learned",
        detached(stylegan_recipe.StyleGenerator, "spread"),
        of("stylegan", "path-length", GRADIENT),
    ),
    Plant(
        "a way back that teaches the way there nothing",
        changed(cyclegan_recipe.ResNetGenerator, "forward", way_back_cut),
        of("cyclegan", "generators", GRADIENT),
    ),
    # volumes, and who sees whom
    Plant(
        "the volume of one place for that of all",
        changed(glow.GlowStep, "forward", volume_of_one_place),
        of("glow", "none", VOLUME),
    ),
    Plant(
        "a way back whose volume has the sign of the way there",
        changed(nn.ActNorm, "inverse", same_sign),
        of("realnvp-images", "none", VOLUME),
    ),
    Plant(
        "attention without its mask",
        changed(
            mg,
            "packed_attention",
            lambda original, *args, **options: original(*args, **{**options, "is_causal": False}),
        ),
        of("gpt", "none", SIGHT),
    ),
    Plant(
        "a first layer that sees the pixel to be predicted",
        changed(nn.MaskedConv2d, "__init__", sees_itself),
        of("pixelcnn", "bernoulli", SIGHT),
    ),
    Plant(
        "a vertical stack that is not moved down",
        replace(gated_pixelcnn, "shift_down", lambda x: x),
        of("gated-pixelcnn", "categorical", SIGHT),
    ),
    Plant(
        "a second direction that is not moved down",
        replace(pixelrnn, "shift_down", lambda x: x),
        of("diagonal-bilstm", "bernoulli", SIGHT),
    ),
    Plant(
        "a dilation that is lost",
        changed(
            wavenet.Layer,
            "__init__",
            lambda original, self, channels, dilation, last: original(self, channels, 1, last),
        ),
        of("wavenet", "none", SIGHT),
    ),
]  # fmt: skip


def test_every_model_has_a_planted_mistake():
    assert {plant.check.entry for plant in PLANTS} == set(RECIPES)  # type: ignore[attr-defined]


@each_of(PLANTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_planted_mistake_in_a_models_loss_is_caught_by_a_named_check(plant: Plant) -> None:
    assert_caught(plant)
