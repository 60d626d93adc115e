"""LeNet's recipe on a few steps: numbers, pictures, resume, export; and its error, by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_checks import assert_same_end, stop_and_resume, train_until

import minigen as mg
from minigen.backends.strict import count_transfers
from minigen.cli import main
from minigen.data import eval_batches, load
from minigen.data.resize import resize
from minigen.errors import UserError
from minigen.metrics.features import FILE, feature_extractor
from minigen.recipes.lenet import LeNetConfig, LeNetRecipe, export
from minigen.recipes.run import Run

SMALL = {"size": 12, "evaluate_every": 20, "batch_size": 32, "warmup": 2, "learning_rate": 0.01}


def make(out: Path, steps: int = 40, data: str = "digits", **options: Any) -> Run:
    return Run.create("lenet", data=data, out=out, steps=steps, options={**SMALL, **options})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make(tmp_path_factory.mktemp("runs") / "lenet")
    run.train()
    return run


def test_train_leaves_the_error_its_oracle_and_the_pictures(run: Run) -> None:
    assert {path.name for path in run.folder.glob("*.png")} == {"loss.png", "mistakes.png"}
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["headline"] == "error_percent"
    assert set(summary["metrics"]) == {"error_percent", "cross_entropy_nats"}
    (oracle,) = summary["oracles"]
    assert oracle["label"] == "most frequent class"
    assert summary["metrics"]["error_percent"] < oracle["value"]


def test_the_metrics_are_those_of_the_definition(run: Run) -> None:
    data = load("digits", "test").select(slice(0, 40))
    (batch,) = eval_batches(data, 40)
    with mg.no_grad():
        logits = run.recipe.model(mg.tensor(resize(data.data, 12) / np.float32(16)))
        loss = mg.cross_entropy(logits, mg.tensor(batch.labels)).item()
    metrics = run.recipe.evaluate(data, thorough=False)
    assert metrics["cross_entropy_nats"] == pytest.approx(loss, rel=1e-5)
    wrong = (logits.numpy().argmax(axis=1) != batch.labels).mean()
    assert metrics["error_percent"] == pytest.approx(100 * wrong)


def test_a_resumed_run_is_bit_equal_to_one_never_stopped(run: Run, tmp_path: Path) -> None:
    stop_and_resume(make(tmp_path / "stopped"), 7)
    assert_same_end(run.folder, tmp_path / "stopped")


def test_the_exported_network_is_an_extractor_that_labels_as_the_run_does(
    run: Run, tmp_path: Path
) -> None:
    name = export(run.folder, tmp_path / "x.safetensors")
    extractor = feature_extractor(tmp_path / "x.safetensors")
    assert extractor.name == name
    images = resize(load("digits", "test").data[:100], 12) / np.float32(16)
    with mg.no_grad():
        logits = run.recipe.model(mg.tensor(images)).numpy()
    sure = np.sort(logits, axis=1)
    clear = sure[:, -1] - sure[:, -2] > 0.05  # half precision may decide a near tie otherwise
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(extractor.labels(images)[clear], logits.argmax(axis=1)[clear])


def test_the_recipe_for_mnist_builds_the_network_inside_the_package() -> None:
    config = LeNetConfig(**LeNetRecipe.preset("short", "mnist"))
    recipe = LeNetRecipe(config, {"shape": [1, 28, 28], "classes": 10}, 0)
    shipped = feature_extractor().network.state_dict()
    built = recipe.model.state_dict()
    assert {k: v.shape for k, v in built.items()} == {k: v.shape for k, v in shipped.items()}
    assert f"seed 0, {config.steps:,} steps" in FILE.with_suffix(".md").read_text()


def test_a_training_step_makes_no_transfer_to_the_host() -> None:
    with mg.use("strict"):
        train = load("digits", "train")
        config = LeNetConfig(size=12, batch_size=8)
        recipe = LeNetRecipe(config, LeNetRecipe.describe(config, train), 0)
        batch = next(recipe.batches(train))
        with count_transfers() as count:
            recipe.step(batch)
        assert count.total == 0, count


def test_what_lenet_cannot_do_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "images.npy", np.zeros((20, 14, 14), np.uint8))
    for arguments, message in (
        (["train", "lenet", "--data", "wine"], "lenet needs images with labels, and wine has rows"),
        (["train", "lenet", "--data", str(tmp_path / "images.npy")], "images without labels"),
        (["train", "lenet", "--set", "size=11"], "H and W at least 12"),
    ):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_export_refuses_the_run_of_another_model(tmp_path: Path) -> None:
    options = {"hidden": (8,), "latent": 2, "iw_samples": 1}
    vae = Run.create("vae", out=tmp_path / "vae", steps=5, options=options)
    train_until(vae, 1)
    with pytest.raises(UserError, match="must be a run of lenet, got one of vae"):
        export(tmp_path / "vae", tmp_path / "x.safetensors")


@pytest.mark.slow
def test_training_again_reaches_the_error_that_is_stated(tmp_path: Path) -> None:
    run = Run.create("lenet", data="mnist", out=tmp_path / "lenet", seed=0)
    summary = run.train()
    assert summary is not None
    assert summary["metrics"]["error_percent"] < 1.5
    val = load("mnist", "val")
    shipped = feature_extractor().labels(val.data / np.float32(255))
    assert 100 * (shipped != val.labels).mean() == pytest.approx(1.09, abs=0.02)
