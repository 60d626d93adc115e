"""Classic mistakes of image flows, planted one at a time: a named check catches each.

A check counts only if it passes on minigen as it is and fails on minigen with the mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from suite import test_of

import minigen as mg
from minigen import nn
from minigen.models import image_flow, realnvp_image
from minigen.models.glow import GlowStep
from minigen.models.image_flow import ImageFlow, MultiScale, Squeeze
from minigen.models.pixel_maps import HistogramMap, Logit

Patch = pytest.MonkeyPatch
FILE = "models/test_image_flow.py"


class Plant(NamedTuple):
    """A mistake, how to make it, and the check that must notice."""

    mistake: str
    make: Callable[[Patch], None]
    check: Callable[[], None]


def replace(owner: Any, name: str, wrong: Any) -> Callable[[Patch], None]:
    """Another attribute of a module or class."""
    return lambda patch: patch.setattr(owner, name, wrong)


def changed(owner: Any, name: str, change: Callable[..., Any]) -> Callable[[Patch], None]:
    """``change(original, *args)`` in place of ``original(*args)``."""
    original = getattr(owner, name)
    return replace(owner, name, lambda *args, **options: change(original, *args, **options))


def no_log_det(original: Callable[..., Any], *args: Any) -> Any:
    """The map as it is, its log-determinant forgotten."""
    z, log_det = original(*args)
    return z, log_det * 0


def jacobian(kind: str, pixels: str) -> Callable[[], None]:
    """The comparison with the determinant of the numeric Jacobian."""
    name = "test_log_det_is_that_of_the_numeric_jacobian_in_both_directions"
    return test_of(FILE, name, kind, pixels)


def inverse(kind: str, pixels: str) -> Callable[[], None]:
    """Inverse after forward, in float64."""
    return test_of(FILE, "test_the_inverse_gives_the_data_back", kind, pixels, "float64", 1e-9)


def log_det_of_one_pixel(original: Callable[..., Any], step: GlowStep, x: Any) -> Any:
    """H·W forgotten: the 1×1 convolution's determinant counted once for the whole image."""
    z, log_det = original(step, x)
    return z, log_det - step.mix.log_s.sum() * (x.shape[2] * x.shape[3] - 1)


def actnorm_sign(original: Callable[..., Any], layer: nn.ActNorm, x: Any) -> Any:
    """+ where − belongs, in forward and inverse alike."""
    z, log_det = original(layer, x)
    return z, -log_det


def other_order(original: Callable[..., Any], z: Any, factor: int) -> Any:
    """Columns before rows on the way back."""
    n, channels, height, width = z.shape
    turned = z.reshape(n, channels // 4, 2, 2, height, width).permute(0, 1, 3, 2, 4, 5)
    return original(turned.reshape(n, channels, height, width), factor)


def never_swapped(original: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Every coupling keeps the same half."""
    return original(*args, **{**options, "swap": False})


def without_prior(original: Callable[..., Any], flow: MultiScale, x: Any) -> Any:
    """The log-determinant of what leaves at the first scale is lost."""
    z, log_det = original(flow, x)
    return z, log_det - flow.priors[0](flow.scales[0](x)[0])[1]


def upside_down(original: Callable[..., Any], y: Any, levels: int) -> Any:
    """Values rounded to the nearest bin's edge, not to the bin they lie in."""
    return mg.clamp(mg.round(y * levels), 0, levels - 1) * (1.0 / (levels - 1))


PLANTS = [
    Plant(
        "the logit's Jacobian forgotten",
        changed(Logit, "forward", no_log_det),
        jacobian("glow", "logit"),
    ),
    Plant(
        "the logit's Jacobian without 1 − 2α",
        changed(
            Logit,
            "forward",
            lambda original, layer, y: (
                (made := original(layer, y))[0],
                made[1] - math.log1p(-2 * layer.alpha) * 16,
            ),
        ),
        jacobian("realnvp", "logit"),
    ),
    Plant(
        "the histogram map's Jacobian forgotten",
        changed(HistogramMap, "forward", no_log_det),
        test_of(FILE, "test_the_density_of_two_pixels_integrates_to_1"),
    ),
    Plant(
        "the 1×1 convolution's determinant counted once, not at every pixel",
        changed(GlowStep, "forward", log_det_of_one_pixel),
        jacobian("glow", "histogram"),
    ),
    Plant(
        "the sign of ActNorm's log-scale turned round",
        changed(nn.ActNorm, "forward", actnorm_sign),
        jacobian("realnvp", "none"),
    ),
    Plant(
        "ActNorm set to the deviation, not to one over it",
        changed(
            nn.ActNorm,
            "initialize",
            lambda original, layer, x: (
                original(layer, x),
                layer.log_scale.data.__imul__(-1.0),
            ),
        ),
        test_of(
            FILE,
            "test_the_first_batch_in_training_leaves_every_actnorm_with_mean_0_and_deviation_1",
        ),
    ),
    Plant(
        "another order of squares on the way back from a squeeze",
        changed(image_flow.mg, "pixel_shuffle", other_order),
        inverse("realnvp", "none"),
    ),
    Plant(
        "the squeeze's order turned in both directions, so that it agrees with itself",
        replace(
            Squeeze,
            "forward",
            lambda layer, x: (
                mg.pixel_unshuffle(x.permute(0, 1, 3, 2), 2),
                mg.zeros(x.shape[0], dtype=x.dtype),
            ),
        ),
        test_of(FILE, "test_a_squeeze_puts_each_square_into_four_channels_in_reading_order"),
    ),
    Plant(
        "masks never swapped",
        changed(realnvp_image.nn, "AffineCoupling", never_swapped),
        test_of(
            FILE,
            "test_every_noise_but_the_first_to_leave_depends_on_every_pixel",
            "realnvp",
        ),
    ),
    Plant(
        "the log-determinant of what is factored out lost",
        changed(MultiScale, "forward", without_prior),
        jacobian("glow", "none"),
    ),
    Plant(
        "the logarithm of 256 missing",
        replace(
            image_flow,
            "bits_per_dim",
            lambda log_prob, dims, levels: log_prob * (-1.0 / (dims * math.log(2.0))),
        ),
        test_of(FILE, "test_the_loss_is_minus_log2_p_in_bits_per_dimension", "glow", "logit"),
    ),
    Plant(
        "the logarithm of the number of values missing from the loss",
        changed(
            ImageFlow,
            "loss",
            lambda original, model, *args: (
                (made := original(model, *args))[0] - math.log2(model.levels),
                made[1],
            ),
        ),
        test_of(FILE, "test_the_loss_is_minus_log2_p_in_bits_per_dimension", "glow", "none"),
    ),
    Plant(
        "colours of the checkerboard mixed up",
        replace(realnvp_image, "by_colour", lambda channels: list(range(channels))),
        test_of(FILE, "test_halves_of_the_ordered_squeeze_are_the_colours_of_the_checkerboard"),
    ),
    Plant(
        "values rounded on the way back",
        changed(image_flow, "quantize", upside_down),
        inverse("realnvp", "logit"),
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=[plant.mistake for plant in PLANTS])
def test_a_planted_mistake_is_caught_by_a_named_check(plant: Plant) -> None:
    plant.check()
    with pytest.MonkeyPatch.context() as patch:
        plant.make(patch)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            plant.check()
    plant.check()
