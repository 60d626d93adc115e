"""The recipes of the PixelCNNs on a few steps: metrics, resume, pictures, completion, refusals."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_checks import assert_same_end, assert_steps_bring_nothing_to_the_host, stop_and_resume

import minigen as mg
from minigen.cli import main
from minigen.data import load
from minigen.errors import UserError
from minigen.recipes import find
from minigen.recipes.run import Run

NAMES = ("pixelcnn", "gated-pixelcnn")
BOTH = pytest.mark.parametrize("name", NAMES)
SMALL = {
    "hidden": 4, "blocks": 1, "first_kernel": 3, "batch_size": 16, "evaluate_every": 3, "warmup": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixty coloured images, 3×4×4, with three labels."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "colours.npz"
    x = rng.integers(0, 256, (60, 3, 4, 4)).astype(np.uint8)
    np.savez(path, data=x, labels=np.arange(60) % 3)
    return str(path)


def make(name: str, out: Path, steps: int = 5, data: str = "digits", **options: Any) -> Run:
    values = {**SMALL, **options}
    return Run.create(name, data=data, out=out, steps=steps, options=values, seed=3)


@pytest.fixture(scope="module", params=NAMES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One short run of each by the command line, shared by the tests that look at it."""
    folder = tmp_path_factory.mktemp("runs") / request.param
    settings = [f"{key}={value}" for key, value in SMALL.items()]
    arguments = ["train", request.param, "--out", str(folder), "--steps", "4"]
    assert main([*arguments, "--set", *settings]) == 0
    return folder


def test_train_leaves_pictures_the_headline_and_its_oracle(trained: Path) -> None:
    assert {path.name for path in trained.glob("*.png")} == {
        "loss.png", "samples.png", "completions.png",
    }  # fmt: skip
    summary = json.loads((trained / "summary.json").read_text())
    assert summary["headline"] == "nll_nats"
    assert set(summary["metrics"]) == {"nll_nats"}
    assert 0 < summary["metrics"]["nll_nats"] < 64 * math.log(2) * 1.2
    (oracle,) = summary["oracles"]
    assert oracle["label"] == "independent pixels"


def test_eval_and_sample_work_on_the_run(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["eval", str(trained), "--split", "test"]) == 0
    result = json.loads(capsys.readouterr().out)
    run = Run.open(trained)
    scores = run.recipe.score(load("digits", "test"))
    assert result["metrics"]["nll_nats"] == pytest.approx(-scores.mean())
    png, npy = tmp_path / "s.png", tmp_path / "s.npy"
    assert main(["sample", str(trained), "--n", "5", "--out", str(npy)]) == 0
    assert main(["sample", str(trained), "--n", "5", "--out", str(png)]) == 0
    drawn = np.load(npy)
    assert drawn.shape == (5, 1, 8, 8)
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    np.testing.assert_array_equal(drawn, run.sample(5, seed=0))


@BOTH
@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_resumed_run_is_bit_equal_to_one_never_stopped(
    name: str, tmp_path: Path, stop_at: int
) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "stopped"
    make(name, whole, binarization="dynamic").train()
    stop_and_resume(make(name, folder, binarization="dynamic"), stop_at)
    assert_same_end(whole, folder, "metrics.jsonl", "samples.png", "completions.png")


@BOTH
@pytest.mark.parametrize("head", ["categorical", "logistic-mixture"])
def test_coloured_images_with_256_values_give_bits_per_dim(
    name: str, head: str, images: str, tmp_path: Path
) -> None:
    run = make(name, tmp_path / "run", steps=2, data=images, hidden=6, head=head, components=2)
    assert run.recipe.facts["values"] == 256
    summary = run.train()
    assert summary is not None
    metrics = summary["metrics"]
    assert metrics["bits_per_dim"] == pytest.approx(metrics["nll_nats"] / math.log(2) / 48)
    drawn = run.sample(2)
    assert drawn.shape == (2, 3, 4, 4)
    assert len(np.unique(drawn)) > 8


def test_grey_digits_have_seventeen_values(tmp_path: Path) -> None:
    run = make("pixelcnn", tmp_path / "run", head="categorical")
    assert run.recipe.facts["values"] == 17
    assert run.recipe.model.out.out_channels == 17  # type: ignore[attr-defined]


def test_a_conditional_model_knows_the_classes_and_draws_the_one_asked_for(
    images: str, tmp_path: Path
) -> None:
    run = make("gated-pixelcnn", tmp_path / "run", data=images, hidden=6, conditional=True)
    assert run.recipe.facts["classes"] == 3
    assert run.train() is not None
    recipe: Any = run.recipe
    np.testing.assert_array_equal(
        recipe.sample(3, 0, labels=2), recipe.sample(3, 0, labels=[2, 2, 2])
    )
    with pytest.raises(UserError, match="labels must be from 0 to 2, got 3"):
        recipe.sample(3, 0, labels=3)


def test_a_run_completes_what_is_given(trained: Path) -> None:
    recipe: Any = Run.open(trained).recipe
    given = np.full((1, 8, 8), np.nan)
    given[:, :4] = 1.0
    drawn = recipe.sample(3, 0, given=given)
    assert (drawn[:, :, :4] == 1).all()
    with pytest.raises(UserError, match="given must be images of shape"):
        recipe.sample(3, 0, given=np.zeros((8, 8)))


@BOTH
def test_under_78_nats_on_mnist_is_too_good(name: str) -> None:
    recipe = find(name)(find(name).Config(), {"shape": [1, 28, 28]}, 0)
    digits = load("digits", "val")
    assert recipe.oracles(digits) == []
    object.__setattr__(digits, "name", "mnist")
    (floor,) = recipe.oracles(digits)
    assert floor.objection({"nll_nats": 77.9}) is not None
    assert floor.objection({"nll_nats": 78.1}) is None


@BOTH
def test_during_training_a_part_of_the_split_is_measured_and_at_the_end_all(
    name: str, tmp_path: Path
) -> None:
    run = make(name, tmp_path / "run", quick_images=7)
    val = run.data("val")
    quick, whole = (run.recipe.evaluate(val, thorough=thorough) for thorough in (False, True))
    scores = run.recipe.score(val)
    assert quick["nll_nats"] == pytest.approx(-scores[:7].mean())
    assert whole["nll_nats"] == pytest.approx(-scores.mean())


@BOTH
def test_a_few_steps_learn(name: str, tmp_path: Path) -> None:
    run = make(name, tmp_path / "run", steps=60, hidden=8, batch_size=32, learning_rate=5e-3)
    val, batches = run.data("val"), run.recipe.batches(run.data("train"))
    before = run.recipe.evaluate(val, thorough=True)["nll_nats"]
    for _ in range(60):
        run.recipe.step(next(batches))
    assert run.recipe.evaluate(val, thorough=True)["nll_nats"] < before - 8


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("moons", {}, "pixelcnn needs images, and moons has"),
        ("digits", {"head": "gauss"}, "head must be bernoulli or categorical"),
        ("digits", {"kernel": 2}, "cannot build pixelcnn: kernel must be an odd number >= 1"),
        ("colours", {"hidden": 4}, "hidden must be a multiple of the 3 colours, got 4"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line(
    data: str, options: dict[str, Any], message: str, images: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        make("pixelcnn", tmp_path / "run", data=images if data == "colours" else data, **options)
    assert not (tmp_path / "run").exists()


def test_images_of_another_size_are_refused_by_eval(
    trained: Path, images: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", str(trained), "--data", images]) == 2
    error = capsys.readouterr().err
    assert "built for data with shape [1, 8, 8], got [3, 4, 4]" in error
    assert error.count("\n") == 1


@BOTH
def test_a_training_step_brings_nothing_to_the_host_before_the_log_asks(
    name: str, tmp_path: Path
) -> None:
    with mg.use("strict"):
        run = make(name, tmp_path / "run")
        assert_steps_bring_nothing_to_the_host(run, steps=2)
