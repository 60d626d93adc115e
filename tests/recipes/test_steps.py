"""A step of every recipe with one model goes down the loss of its model, and down nothing else.

(What the adversarial recipes go down is put together in their steps; `models/model_specs.py` checks
it there.) The loss is written once more here, and its gradient compared with the one that the step
leaves on the parameters. Lengths to which gradients are cut are put out of reach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigen as mg
from minigen.data import Batch
from minigen.data.tokenizer import tokenizer_for
from minigen.recipes import RECIPES, find

ADVERSARIAL = ("gan", "dcgan", "wgan-gp", "stylegan", "cyclegan")
FAR = 1e6

rng = np.random.default_rng(0)
IMAGES = Batch(
    rng.integers(0, 2, (5, 1, 4, 4)).astype(np.float32), rng.integers(0, 3, 5).astype(np.int64)
)
LARGE = Batch(rng.random((5, 1, 14, 14), np.float32), IMAGES.labels)
ROWS = Batch(rng.normal(size=(5, 3)).astype(np.float32), None)
TEXT = tuple(rng.integers(0, 256, (2, 3, 4)))


class Run(NamedTuple):
    """Options and facts of a recipe, a batch, and its loss on the batch."""

    options: dict[str, Any]
    facts: dict[str, Any]
    batch: Any
    loss: Callable[[Any, Any], mg.Tensor]


def raster(recipe: Any, batch: Batch) -> mg.Tensor:
    labels = mg.tensor(batch.labels) if recipe.model.classes else None
    return -recipe.model.log_prob(mg.tensor(batch.x), labels).mean()


def vae(recipe: Any, batch: Batch) -> mg.Tensor:
    _, terms = recipe.model.loss(mg.tensor(batch.x), recipe.random)
    return terms["reconstruction"] + 0.5 * terms["kl"]


def blurred(recipe: Any, batch: Batch) -> mg.Tensor:
    x = mg.tensor(batch.x)
    return -recipe.model.log_prob(x + 0.3 * recipe.random.normal(x.shape)).mean()


def pixels(recipe: Any, batch: Batch) -> mg.Tensor:
    y = recipe.model.dequantize(mg.tensor(batch.x), recipe.random)
    return -recipe.model.log_prob(y).mean() / (16 * np.log(2)) + 1.0  # log₂ of two levels


def sound(recipe: Any, batch: Any) -> mg.Tensor:
    levels, targets, labels = batch
    logits = recipe.model(mg.tensor(levels), mg.tensor(labels))
    return mg.cross_entropy(logits.reshape(-1, 256), mg.tensor(targets).reshape(-1))


def text(recipe: Any, batch: Any) -> mg.Tensor:
    logits = recipe.model(mg.tensor(batch[0]))
    return mg.cross_entropy(logits.reshape(-1, 256), mg.tensor(batch[1]).reshape(-1))


IMAGE = {"shape": [1, 4, 4]}
RASTER: dict[str, Any] = {"hidden": 2, "first_kernel": 3, "clip": FAR}
FLOW: dict[str, Any] = {"max_grad_norm": FAR}
RUNS = {
    "vae": Run({"hidden": (4,), "latent": 2, "kl_weight": 0.5}, IMAGE, IMAGES, vae),
    "lenet": Run(
        {},
        {"shape": [1, 14, 14], "classes": 3},
        LARGE,
        lambda recipe, batch: mg.cross_entropy(
            recipe.model(mg.tensor(batch.x)), mg.tensor(batch.labels)
        ),
    ),
    "gpt": Run(
        {"context": 4, "layers": 1, "heads": 1, "width": 4, "dropout": 0.0, "clip": FAR},
        {"tokenizer": tokenizer_for("bytes", "a text", 256).describe(), "start": "\n"},
        TEXT,
        text,
    ),
    "wavenet": Run(
        {"channels": 2, "skip": 16, "doublings": 2, "clip": FAR},
        {"rate": 8000, "labels": 3},
        (rng.integers(0, 256, (2, 7)), rng.integers(0, 256, (2, 3)), np.array([0, 2])),
        sound,
    ),
    "pixelcnn": Run({**RASTER, "blocks": 1, "kernel": 3}, IMAGE, IMAGES, raster),
    "gated-pixelcnn": Run(
        {**RASTER, "blocks": 1, "kernel": 3, "conditional": True},
        {**IMAGE, "classes": 3},
        IMAGES,
        raster,
    ),
    "row-lstm": Run(RASTER, IMAGE, IMAGES, raster),
    "diagonal-bilstm": Run(RASTER, IMAGE, IMAGES, raster),
    "realnvp": Run(
        {**FLOW, "couplings": 2, "hidden": (4,), "noise": 0.3}, {"features": 3}, ROWS, blurred
    ),
    "realnvp-images": Run({**FLOW, "hidden": (2, 2)}, {**IMAGE, "levels": 2}, IMAGES, pixels),
    "glow": Run(
        {**FLOW, "hidden": (2,), "flow_steps": (2,)}, {**IMAGE, "levels": 2}, IMAGES, pixels
    ),
}


def test_every_recipe_is_here_or_adversarial():
    assert {*RUNS, *ADVERSARIAL} == set(RECIPES)


@pytest.mark.parametrize("name", RUNS)
def test_a_step_goes_down_the_gradient_of_the_loss(name):
    run, kind = RUNS[name], find(name)
    recipe: Any = kind(kind.Config(**run.options), run.facts, seed=0)
    recipe.model.train()
    with mg.no_grad():
        run.loss(recipe, run.batch)  # layers that look at their first batch have seen it
        for parameter in recipe.model.parameters():  # nothing hides behind a zero
            noise = 0.1 * rng.standard_normal(parameter.shape)
            parameter.copy_(mg.tensor(noise.astype(np.float32)) + parameter.detach())
    from_the_start = {"seed": 0, "streams": {}}
    recipe.random.load_state(from_the_start)
    named = dict(recipe.model.named_parameters())
    loss = run.loss(recipe, run.batch)
    wanted = mg.grad(loss, list(named.values()))
    value, wanted = loss.item(), [g.numpy().copy() for g in wanted]

    recipe.random.load_state(from_the_start)
    numbers = recipe.step(run.batch)
    for (label, parameter), gradient in zip(named.items(), wanted):
        scale = max(1.0, float(np.abs(gradient).max()))
        np.testing.assert_allclose(
            parameter.grad.numpy(), gradient, rtol=1e-4, atol=1e-5 * scale, err_msg=label
        )
        assert np.abs(gradient).max() > 0, f"{label} learns nothing"
    shown = next(iter(numbers.values())).item()
    if name != "vae":  # which shows the bound, whatever the weight of its second term
        assert shown == pytest.approx(value, rel=1e-5)
