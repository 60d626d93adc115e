"""`score` of every recipe: log-likelihoods that average to the headline, or one clear line."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigen.data import load
from minigen.errors import UserError
from minigen.recipes import RECIPES, find
from minigen.recipes.base import Recipe
from minigen.recipes.run import Run

PIXELS: dict[str, Any] = {"hidden": 4, "first_kernel": 3}
IMAGES: dict[str, dict[str, Any]] = {
    "pixelcnn": {**PIXELS, "blocks": 1},
    "gated-pixelcnn": {**PIXELS, "blocks": 1},
    "row-lstm": PIXELS,
    "diagonal-bilstm": PIXELS,
    "glow": {"flow_steps": (1, 1), "hidden": (4, 4)},
    "realnvp-images": {"couplings": 2, "hidden": (4, 4, 4)},
}
ELSEWHERE = {"vae", "realnvp", "gpt", "wavenet"}  # tested beside their recipes
WITHOUT = {"lenet", "gan", "dcgan", "wgan-gp", "stylegan"}  # no likelihood


def test_every_recipe_scores_or_is_known_to_have_no_likelihood() -> None:
    scoring = {name for name in RECIPES if find(name).score is not Recipe.score}
    assert scoring >= {*IMAGES, *ELSEWHERE}
    assert not scoring & WITHOUT
    for name in scoring:
        assert find(name).score_name.endswith("_nats")
        assert "(N,)" in str(find(name).score.__doc__) or name == "gpt"  # which has lines


@pytest.mark.parametrize("name", IMAGES)
def test_scores_of_images_average_to_the_headline_and_know_their_place(
    name: str, tmp_path: Path
) -> None:
    options = {**IMAGES[name], "evaluate_every": 1, "batch_size": 8}
    run = Run.create(name, data="digits", out=tmp_path / "run", steps=1, options=options)
    batches = run.recipe.batches(run.data("train"))
    run.recipe.step(next(batches))
    scores = run.score(split="test")
    assert scores.shape == (len(run.data("test")),)
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(scores, run.score(split="test"))
    metrics = run.evaluate(split="test")["metrics"]
    if "nll_bits" in metrics:
        expected = metrics["nll_bits"] * math.log(2) * 64
    else:
        expected = metrics["nll_nats"]
    assert -scores.mean() == pytest.approx(expected, rel=1e-5)
    first = load("digits", "test").select(slice(0, 3))
    np.testing.assert_allclose(run.recipe.score(first), scores[:3], rtol=1e-5, atol=1e-4)


def test_a_model_without_a_likelihood_says_so_in_one_line(tmp_path: Path) -> None:
    run = Run.create("gan", out=tmp_path / "run", steps=1)
    with pytest.raises(UserError, match="gan gives no likelihoods: it cannot score"):
        run.score()
