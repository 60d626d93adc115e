"""A run from beginning to end, on a small real VAE: what it leaves, resumes, and refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_checks import (
    arrays_of,
    assert_same_end,
    assert_steps_bring_nothing_to_the_host,
    train_until,
)

import minigen as mg
from minigen.errors import UserError
from minigen.recipes import RECIPES, find
from minigen.recipes.base import Oracle, Recipe
from minigen.recipes.run import Run
from minigen.training import checkpoint

SMALL = {"latent": 2, "hidden": (16,), "evaluate_every": 10, "iw_samples": 2, "warmup": 5}


def make(out: Path, steps: int = 24, **changes: Any) -> Run:
    return Run.create("vae", out=out, steps=steps, options={**SMALL, **changes}, seed=4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One finished run, shared by the tests that only look at it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    make(folder).train()
    return folder


def test_a_finished_run_leaves_everything_that_the_contract_names(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "config.json", "metrics.jsonl", "summary.json", "checkpoint.safetensors",
        "checkpoint.json", "loss.png", "samples.png", "reconstructions.png",
        "interpolation.png", "manifold.png", "latent.png",
    }  # fmt: skip
    summary = json.loads((finished / "summary.json").read_text())
    assert {"model", "data", "split", "headline", "metrics", "seconds"} <= set(summary)
    assert summary["headline"] == "nelbo_nats"
    assert set(summary["metrics"]) == {
        "nelbo_nats", "reconstruction_nats", "kl_nats", "iw_nll_nats",
    }  # fmt: skip
    assert summary["oracles"][0]["label"] == "independent pixels"
    config = json.loads((finished / "config.json").read_text())
    assert config["options"]["latent"] == 2
    assert config["facts"] == {"shape": [1, 8, 8]}


def test_the_manifold_is_drawn_for_two_latents_only(tmp_path: Path) -> None:
    make(tmp_path / "run", steps=1, latent=3).train()
    assert not (tmp_path / "run" / "manifold.png").exists()
    assert (tmp_path / "run" / "interpolation.png").exists()


def test_the_log_names_the_oracles_first(finished: Path) -> None:
    first = json.loads((finished / "metrics.jsonl").read_text().splitlines()[0])
    assert first["split"] == "oracle"
    assert first["label"] == "independent pixels"
    assert 15 < first["value"] < 40


@pytest.mark.parametrize("stop_at", [1, 10, 17])
def test_a_resumed_run_is_bit_equal_to_one_never_stopped(
    finished: Path, tmp_path: Path, stop_at: int
) -> None:
    folder = tmp_path / "run"
    train_until(make(folder), stop_at)
    assert not (folder / "summary.json").exists()
    resumed = Run.resume(folder)
    assert resumed.steps_done == stop_at
    assert resumed.train() is not None
    assert_same_end(finished, folder, "metrics.jsonl", "samples.png", "loss.png")
    one, two = (
        checkpoint.load(f / "checkpoint.safetensors")["recipe"]["random"]
        for f in (finished, folder)
    )
    assert checkpoint.separate(one)[1] == checkpoint.separate(two)[1]


def test_another_seed_gives_other_weights(finished: Path, tmp_path: Path) -> None:
    Run.create("vae", out=tmp_path / "run", steps=1, options=SMALL, seed=5).train()
    make(tmp_path / "same", steps=1).train()
    name = "recipe/model/mean.weight"
    assert not np.array_equal(arrays_of(tmp_path / "run")[name], arrays_of(tmp_path / "same")[name])


def test_how_often_one_looks_does_not_change_the_weights(finished: Path, tmp_path: Path) -> None:
    make(tmp_path / "run", evaluate_every=3).train()
    for name, array in arrays_of(finished).items():
        np.testing.assert_array_equal(array, arrays_of(tmp_path / "run")[name], err_msg=name)


def test_scores_of_the_vae_are_its_importance_weighted_bound_and_agree_with_the_headline(
    finished: Path,
) -> None:
    run = Run.open(finished)
    scores = run.score(split="test")
    assert scores.shape == (len(run.data("test")),)
    assert run.recipe.score_name == "iw_bound_nats"
    nats = run.evaluate(split="test")["metrics"]["iw_nll_nats"]
    assert -scores.mean() == pytest.approx(nats, rel=1e-6)
    np.testing.assert_array_equal(scores, run.score(split="test"))
    assert scores.max() < 0


def test_a_model_without_a_likelihood_says_so_and_a_score_that_is_no_number_is_named(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.open(finished)
    monkeypatch.setattr(run.recipe, "score", lambda data: np.array([0.0, np.nan]))
    with pytest.raises(UserError, match=r"iw_bound_nats is nan for sample 1 of digits \(val\)"):
        run.score()
    monkeypatch.undo()
    monkeypatch.setattr(type(run.recipe), "score", Recipe.score)
    with pytest.raises(UserError, match="vae gives no likelihoods: it cannot score"):
        run.score()


def test_an_opened_run_evaluates_and_samples_as_the_trained_one_did(finished: Path) -> None:
    run = Run.open(finished)
    summary = json.loads((finished / "summary.json").read_text())
    assert run.evaluate(split="val")["metrics"] == summary["metrics"]
    images = run.sample(5, seed=1)
    assert images.shape == (5, 1, 8, 8)
    np.testing.assert_array_equal(images, Run.open(finished).sample(5, seed=1))


def test_the_bound_is_the_sum_of_its_terms_and_above_the_importance_weighted_one(
    finished: Path,
) -> None:
    metrics = Run.open(finished).evaluate(split="test")["metrics"]
    total = metrics["reconstruction_nats"] + metrics["kl_nats"]
    assert metrics["nelbo_nats"] == pytest.approx(total, rel=1e-5)
    assert metrics["iw_nll_nats"] <= metrics["nelbo_nats"] + 0.05


def test_more_steps_prolong_a_finished_run(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    run = Run.resume(folder, steps=30)
    run.train()
    assert Run.open(folder).steps_done == Run.open(folder).steps == 30
    with pytest.raises(UserError, match="steps must be >= 30"):
        Run.resume(folder, steps=7)


def test_a_metric_that_is_too_good_is_called_suspicious(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = Oracle("nelbo_nats", "a leak", 1000.0, suspicious="below")
    run = Run.open(finished)
    monkeypatch.setattr(type(run.recipe), "oracles", lambda self, data, train=None: [oracle])
    (sentence,) = run.evaluate()["suspicious"]
    assert "too good to be true" in sentence
    assert oracle.objection({"nelbo_nats": 1001.0}) is None
    assert Oracle("modes", "all", 8, suspicious="above").objection({"modes": 9}) is not None


def test_mnist_under_dynamic_binarization_has_the_floor_and_other_data_have_not() -> None:
    recipe = find("vae")
    config = recipe.Config()
    vae = recipe(config, {"shape": [1, 8, 8]}, 0)

    class Named:
        name = "mnist"

    floors = [oracle for oracle in vae.oracles(Named()) if oracle.suspicious == "below"]
    assert {(oracle.metric, oracle.value) for oracle in floors} == {
        ("nelbo_nats", 85.0), ("iw_nll_nats", 85.0),
    }  # fmt: skip
    Named.name = "digits"
    assert vae.oracles(Named()) == []


def test_a_diverging_run_ends_in_one_line_and_keeps_what_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(UserError, match=r"became (nan|inf) at step \d+ of training") as caught:
        make(folder, steps=500, learning_rate=1e30, warmup=0).train()
    assert "\n" not in str(caught.value)
    assert Run.open(folder).steps_done == 0
    assert (folder / "metrics.jsonl").exists()
    assert not (folder / "summary.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "vea"}, r"model must be one of .*did you mean 'vae'\?"),
        ({"data": "mnits"}, "mnits"),
        ({"data": "three.npy"}, "split 'val' of .* must not be empty"),
        ({"budget": "shrot"}, r"budget must be one of short, long.*did you mean 'short'\?"),
        ({"steps": 0}, "steps must be a whole number >= 1, got 0"),
        ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
        ({"options": {"latent": 0}}, "latent must be a whole number >= 1, got 0"),
    ],
)
def test_bad_arguments_are_one_line_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict, message: str
) -> None:
    np.save(tmp_path / "three.npy", np.zeros((3, 4, 4), np.uint8))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        Run.create(**{"model": "vae", "out": tmp_path / "run", **arguments})
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["three.npy"]


def test_a_folder_in_use_is_never_written_to(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds a run: choose another --out"):
        make(finished)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        make(tmp_path)
    with pytest.raises(UserError, match="must be a folder"):
        make(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="cannot write to folder"):
        make(tmp_path / "notes.txt" / "run")


def test_without_out_the_first_free_name_under_runs_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [Run.create("vae", options=SMALL).folder for _ in range(3)]
    assert [str(f) for f in folders] == ["runs/vae", "runs/vae-2", "runs/vae-3"]


def test_a_run_stopped_before_its_first_checkpoint_begins_anew(
    finished: Path, tmp_path: Path
) -> None:
    folder = make(tmp_path / "run").folder  # and here the power fails
    with pytest.raises(UserError, match="no checkpoint at"):
        Run.open(folder)
    Run.resume(folder).train()
    assert (folder / "metrics.jsonl").read_bytes() == (finished / "metrics.jsonl").read_bytes()


def test_a_lost_checkpoint_is_an_error_and_not_a_reason_to_begin_anew(
    finished: Path, tmp_path: Path
) -> None:
    folder = copy(finished, tmp_path)
    (folder / "checkpoint.safetensors").unlink()
    with pytest.raises(UserError, match="no checkpoint at"):
        Run.resume(folder)


def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_a_folder_that_is_no_run_is_named(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run at .*nowhere"):
        Run.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"is no run: it has no config\.json"):
        Run.open(tmp_path)
    folder = copy(finished, tmp_path)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        Run.open(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="must have the keys"):
        Run.open(folder)


def test_the_checkpoint_of_another_model_is_told_from_a_damaged_one(
    finished: Path, tmp_path: Path
) -> None:
    folder = copy(finished, tmp_path)
    make(tmp_path / "other", steps=1, latent=3).train()
    shutil.copy(tmp_path / "other" / "checkpoint.safetensors", folder)
    with pytest.raises(UserError, match=r"checkpoint\.safetensors does not fit this run") as caught:
        Run.open(folder)
    assert "\n" not in str(caught.value)
    path = folder / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        Run.open(folder)
    checkpoint.save(path, {"weights": np.ones(3)})
    with pytest.raises(UserError, match="is not a checkpoint of a run"):
        Run.open(folder)
    path.unlink()
    with pytest.raises(UserError, match="no checkpoint at"):
        Run.open(folder)


def test_data_of_another_shape_are_refused_by_eval(finished: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "wide.npz", train=np.zeros((9, 1, 8, 9), np.uint8))
    with pytest.raises(UserError, match=r"shape \[1, 8, 8\], got \[1, 8, 9\]"):
        Run.open(finished).evaluate(data=str(tmp_path / "wide.npz"), split="train")


@pytest.mark.parametrize("count", [10, 51])
def test_a_few_images_of_ones_own_are_enough_for_a_run(tmp_path: Path, count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 6, 5), dtype=np.uint8)
    np.save(tmp_path / "own.npy", images)
    Run.create(
        "vae", data=str(tmp_path / "own.npy"), out=tmp_path / "run", steps=3, options=SMALL
    ).train()
    assert Run.open(tmp_path / "run").sample(4).shape == (4, 3, 6, 5)


def test_every_entry_of_the_table_leads_to_a_recipe_that_is_named_so() -> None:
    for name in RECIPES:
        recipe = find(name)
        assert recipe.name == name
        for budget in recipe.budgets:
            for data in ("digits", "mnist", recipe.default_data):
                assert recipe.Config(**recipe.preset(budget, data)).steps >= 1


def test_a_run_trained_on_another_backend_is_evaluated_on_this_one(
    finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with mg.use("strict"):
        make(folder).train()
        there = Run.open(folder).evaluate()["metrics"]
    assert json.loads((folder / "config.json").read_text())["backend"] == "strict"
    here = Run.open(folder).evaluate()["metrics"]
    # The noise of an evaluation comes from the backend's own stream: near, not equal.
    assert here["kl_nats"] == pytest.approx(there["kl_nats"], rel=1e-4)
    assert here["nelbo_nats"] == pytest.approx(there["nelbo_nats"], rel=0.02)


def test_a_training_step_brings_nothing_to_the_host_before_the_log_asks(tmp_path: Path) -> None:
    with mg.use("strict"):
        run = make(tmp_path / "run")
        assert_steps_bring_nothing_to_the_host(run, steps=3)
