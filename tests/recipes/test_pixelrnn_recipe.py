"""The PixelRNN's recipes from beginning to end, on the 8×8 digits: seconds each."""

import json
from pathlib import Path

import numpy as np
import pytest
from run_checks import assert_same_end, assert_steps_bring_nothing_to_the_host, stop_and_resume

import minigen as mg
from minigen.cli import main
from minigen.data import Dataset
from minigen.errors import UserError
from minigen.recipes import find
from minigen.recipes.run import Run

NAMES = ("row-lstm", "diagonal-bilstm")
SMALL = {"hidden": 4, "layers": 1, "first_kernel": 3, "batch_size": 16, "evaluate_every": 5}


def make(name: str, out: Path, steps: int = 10, **changes: object) -> Run:
    return Run.create(name, out=out, steps=steps, seed=0, options={**SMALL, **changes})


@pytest.fixture(scope="module", params=NAMES)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / request.param
    make(request.param, folder).train()
    return folder


def test_a_run_leaves_its_numbers_and_its_pictures(finished: Path) -> None:
    assert {"loss.png", "samples.png", "completions.png", "summary.json"} <= {
        path.name for path in finished.iterdir()
    }
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["model"] in NAMES
    assert summary["headline"] == "nll_nats"
    assert [oracle["label"] for oracle in summary["oracles"]] == ["independent pixels"]


def test_a_resumed_run_is_bit_equal_to_one_never_stopped(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stop_and_resume(make(finished.name, folder), 5)
    assert_same_end(finished, folder, "metrics.jsonl")


@pytest.mark.parametrize("name", NAMES)
def test_training_falls_below_independent_pixels(name: str, tmp_path: Path) -> None:
    options = {"hidden": 8, "batch_size": 32, "learning_rate": 2e-2, "warmup": 5}
    summary = make(name, tmp_path / "run", 120, evaluate_every=60, **options).train()
    assert summary is not None
    (oracle,) = summary["oracles"]
    assert summary["metrics"]["nll_nats"] < oracle["value"] - 1.5


def test_samples_are_black_and_white_and_completions_keep_what_is_given(finished: Path) -> None:
    recipe = Run.open(finished).recipe
    given = (np.random.default_rng(0).random((1, 8, 8)) < 0.5).astype(float)
    given[:, 4:] = np.nan
    images = recipe.sample(5, seed=1, given=given)
    assert set(np.unique(images)) <= {0.0, 1.0}
    np.testing.assert_array_equal(images[:, :, :4], np.broadcast_to(given[:, :4], (5, 1, 4, 8)))
    np.testing.assert_array_equal(recipe.sample(3, seed=1), recipe.sample(3, seed=1))


@pytest.mark.parametrize("name", NAMES)
def test_grey_pixels_are_another_head(name: str, tmp_path: Path) -> None:
    run = make(name, tmp_path / "run", steps=2, head="categorical")
    summary = run.train()
    assert summary is not None
    nats, bits = (summary["metrics"][metric] for metric in ("nll_nats", "bits_per_dim"))
    assert bits == pytest.approx(nats / np.log(2) / 64)


@pytest.mark.parametrize("name", NAMES)
def test_on_mnist_a_number_below_the_best_published_ones_is_a_leak(name: str, tmp_path) -> None:
    recipe = make(name, tmp_path / "run").recipe
    mnist = Dataset("mnist", "val", np.zeros((1, 1, 8, 8), np.uint8), None, "image", (0, 255))
    dynamic = recipe.config.with_values({"binarization": "dynamic"})
    recipe.config = dynamic
    (floor,) = recipe.oracles(mnist)
    assert floor.objection({"nll_nats": 77.9}) is not None
    assert floor.objection({"nll_nats": 78.1}) is None


@pytest.mark.parametrize("name", NAMES)
def test_the_strict_backend_trains_and_brings_nothing_to_the_host_in_a_step(
    name: str, tmp_path: Path
) -> None:
    with mg.use("strict"):
        run = make(name, tmp_path / "run", steps=2)
        assert_steps_bring_nothing_to_the_host(run)
        there = run.recipe.sample(3, seed=1)
    assert there.shape == (3, 1, 8, 8)


def test_a_diagonal_has_no_kernel_to_set_and_a_row_has() -> None:
    assert "kernel" in find("row-lstm").Config.names()
    assert "kernel" not in find("diagonal-bilstm").Config.names()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["row-lstm", "--set", "kernel=2"], "kernel must be an odd number >= 1, got 2"),
        (["diagonal-bilstm", "--set", "kernel=3"], "--set key"),
        (["diagonal-bilstm", "--set", "layers=0"], "layers"),
        (["row-lstm", "--data", "moons"], "row-lstm needs images, and moons has"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_completions_of_another_size_are_one_line(finished: Path) -> None:
    with pytest.raises(UserError, match="given must be images of shape"):
        Run.open(finished).recipe.sample(1, seed=0, given=np.zeros((1, 9, 8)))
