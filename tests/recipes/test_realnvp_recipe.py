"""RealNVP's recipe on a few steps: oracles, resume, pictures, the command line, and refusals."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_checks import (
    arrays_of,
    assert_same_end,
    assert_steps_bring_nothing_to_the_host,
    stop_and_resume,
)

import minigen as mg
from minigen.cli import main
from minigen.data import load
from minigen.errors import UserError
from minigen.metrics.entropy import entropy
from minigen.recipes import find
from minigen.recipes.run import Run

SMALL = {"couplings": 2, "hidden": (8,), "evaluate_every": 10, "batch_size": 64, "warmup": 2}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Thirty rows of three columns: as small as a table can be and still have three splits."""
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, np.random.default_rng(0).normal(5, 3, size=(30, 3)))
    return str(path)


def make(out: Path, data: str, steps: int = 12, **options: Any) -> Run:
    return Run.create(
        "realnvp", data=data, out=out, steps=steps, options={**SMALL, **options}, seed=4
    )


@pytest.fixture(scope="module")
def moons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One short run on the moons by the command line, shared by the tests that look at it."""
    folder = tmp_path_factory.mktemp("runs") / "moons"
    settings = ["couplings=2", "hidden=8", "evaluate_every=10", "warmup=2"]
    assert (
        main(["train", "realnvp", "--out", str(folder), "--steps", "12", "--set", *settings]) == 0
    )
    return folder


def test_train_leaves_the_pictures_of_the_plane_and_the_headline(moons: Path) -> None:
    assert {path.name for path in moons.glob("*.png")} == {
        "loss.png", "density.png", "samples.png", "warp.png",
    }  # fmt: skip
    summary = json.loads((moons / "summary.json").read_text())
    assert summary["data"] == "moons"
    assert summary["headline"] == "nll_nats"
    assert set(summary["metrics"]) == {
        "nll_nats", "prior_nats", "log_det_nats", "inverse_error", "density_integral",
    }  # fmt: skip
    assert summary["metrics"]["density_integral"] == pytest.approx(1, abs=0.01)
    assert summary["metrics"]["inverse_error"] < 1e-5
    assert json.loads((moons / "config.json").read_text())["facts"] == {"features": 2}


def test_eval_and_sample_work_on_the_run(
    moons: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["eval", str(moons), "--split", "test"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["nll_nats"] == pytest.approx(metrics["prior_nats"] - metrics["log_det_nats"])
    png, npy = tmp_path / "s.png", tmp_path / "s.npy"
    assert main(["sample", str(moons), "--n", "5", "--out", str(npy)]) == 0
    assert main(["sample", str(moons), "--n", "5", "--out", str(png)]) == 0
    assert np.load(npy).shape == (5, 2)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert main(["sample", str(moons), "--out", str(tmp_path / "s.txt")]) == 2


@pytest.mark.parametrize("data", ["moons", "eight-gaussians"])
def test_under_the_entropy_by_more_than_3_hundredths_is_too_good(data: str) -> None:
    recipe = find("realnvp")(find("realnvp").Config(), {"features": 2}, 0)
    oracles = {oracle.label: oracle for oracle in recipe.oracles(load(data, "val"))}
    assert oracles["entropy of the density"].value == entropy(data)
    leak = oracles["below: a leak"]
    assert leak.objection({"nll_nats": entropy(data) - 0.031}) is not None
    assert leak.objection({"nll_nats": entropy(data) - 0.029}) is None


def test_the_gaussian_line_needs_training_rows_and_more_of_them_than_columns() -> None:
    recipe = find("realnvp")(find("realnvp").Config(), {"features": 13}, 0)
    train, val = load("wine"), load("wine", "val")
    assert [o.label for o in recipe.oracles(val, train)] == ["full-covariance Gaussian"]
    assert recipe.oracles(val) == []
    assert recipe.oracles(val, train.select(slice(0, 13))) == []


@pytest.mark.parametrize("stop_at", [1, 10])
def test_a_resumed_run_is_bit_equal_to_one_never_stopped(
    rows: str, tmp_path: Path, stop_at: int
) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "stopped"
    make(whole, rows, noise=0.1).train()
    stop_and_resume(make(folder, rows, noise=0.1), stop_at)
    assert "recipe/model/flow.0.log_scale" in arrays_of(whole)
    assert_same_end(whole, folder, "metrics.jsonl", "samples.png", "loss.png")


def test_a_table_gets_histograms_and_can_be_sampled_as_a_picture(tmp_path: Path) -> None:
    run = make(tmp_path / "run", "wine", steps=2)
    summary = run.train()
    assert summary is not None
    assert {path.name for path in (tmp_path / "run").glob("*.png")} == {"loss.png", "samples.png"}
    assert "density_integral" not in summary["metrics"]
    assert run.sample(7).shape == (7, 13)
    run.write_samples(tmp_path / "s.png", 7)
    assert (tmp_path / "s.png").exists()


def test_noise_and_weight_decay_change_the_training(rows: str, tmp_path: Path) -> None:
    changes: list[dict[str, float]] = [{}, {"noise": 0.5}, {"weight_decay": 5.0}]
    weights = []
    for index, change in enumerate(changes):
        run = make(tmp_path / str(index), rows, **change)
        batches = run.recipe.batches(run.data("train"))
        for _ in range(3):
            run.recipe.step(next(batches))
        weights.append(run.recipe.model.flow[1].conditioner[0].weight.numpy())  # type: ignore[attr-defined]
    assert not np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_nice_trains_too_and_a_few_rows_of_ones_own_are_enough(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(5, 3, size=(10, 3))
    np.save(tmp_path / "own.npy", rows)
    run = make(tmp_path / "run", str(tmp_path / "own.npy"), steps=3, coupling="additive")
    assert run.train() is not None
    assert Run.open(tmp_path / "run").sample(4).shape == (4, 3)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((20, 1)), r"rows of 2 or more numbers, and own has shape \(N, 1\)"),
        (np.zeros((20, 4, 4)), r"rows of 2 or more numbers, and own has shape \(N, 1, 4, 4\)"),
        (np.arange(80, dtype=np.uint8).reshape(20, 4), "own has only 256 values"),
    ],
)
def test_data_without_a_density_are_refused_in_one_line(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "own.npy", array)
    with pytest.raises(UserError, match=message):
        make(tmp_path / "run", str(tmp_path / "own.npy"))
    assert not (tmp_path / "run").exists()


def test_scores_are_the_log_density_row_by_row_and_average_to_the_headline(moons: Path) -> None:
    run = Run.open(moons)
    scores = run.score(split="test")
    assert scores.dtype == np.float64
    assert -scores.mean() == pytest.approx(
        run.evaluate(split="test")["metrics"]["nll_nats"], rel=1e-6
    )
    rows = run.data("test").data[:7]
    with mg.no_grad():
        x = mg.tensor(rows)
        z, log_det = run.recipe.model(x)
        expected = -0.5 * (z * z).sum(dim=1) - np.log(2 * np.pi) + log_det
    np.testing.assert_allclose(scores[:7], expected.numpy(), rtol=1e-5, atol=1e-5)


def test_a_table_with_another_number_of_columns_is_refused_by_eval(moons: Path) -> None:
    with pytest.raises(UserError, match="built for data with features 2, got 13"):
        Run.open(moons).evaluate(data="wine")


def test_a_training_step_brings_nothing_to_the_host_before_the_log_asks(
    rows: str, tmp_path: Path
) -> None:
    with mg.use("strict"):
        run = make(tmp_path / "run", rows, noise=0.1)
        assert_steps_bring_nothing_to_the_host(run, steps=3)
