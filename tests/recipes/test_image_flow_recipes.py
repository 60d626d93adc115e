"""The recipes of RealNVP for images and of Glow on a few steps: oracles, resume, refusals."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigen as mg
from minigen.backends.strict import count_transfers
from minigen.cli import main
from minigen.data import load
from minigen.errors import UserError
from minigen.metrics.baselines import histogram_bits
from minigen.recipes import find
from minigen.recipes.run import Run
from minigen.training import Observer, StopRequest, checkpoint

KINDS = pytest.mark.parametrize("kind", ["glow", "realnvp"])
SMALL: dict[str, Any] = {"evaluate_every": 4, "batch_size": 16, "warmup": 2}
SIZES: dict[str, dict[str, Any]] = {
    "glow": {"flow_steps": (1, 1), "hidden": (4, 4)},
    "realnvp": {"couplings": 2, "hidden": (4, 4, 4)},
}


class StopAt(Observer):
    def __init__(self, step: int, stop: StopRequest) -> None:
        self.at, self.stop = step, stop

    def stepped(self, step: int) -> None:
        if step == self.at:
            self.stop.signal = signal.SIGINT


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Forty pictures of 8×8 pixels: as small as a data set can be and still have three splits."""
    path = tmp_path_factory.mktemp("data") / "pictures.npy"
    values = np.random.default_rng(0).uniform(size=(40, 8, 8)) ** 3 * 256
    np.save(path, values.astype(np.uint8))
    return str(path)


def make(kind: str, out: Path, data: str, steps: int = 6, **options: Any) -> Run:
    options = {**SMALL, **SIZES[kind], **options}
    return Run.create(kind, data=data, out=out, steps=steps, options=options, seed=4)


@KINDS
def test_train_leaves_pictures_the_headline_and_the_line_to_cross(
    kind: str, pictures: str, tmp_path: Path
) -> None:
    run = make(kind, tmp_path / "run", pictures)
    summary = run.train()
    assert summary is not None
    assert {path.name for path in (tmp_path / "run").glob("*.png")} == {
        "loss.png", "samples.png", "samples-cold.png", "interpolation.png",
    }  # fmt: skip
    assert set(summary["metrics"]) == {
        "nll_bits", "prior_bits", "log_det_bits", "inverse_error",
    }  # fmt: skip
    metrics = summary["metrics"]
    assert metrics["inverse_error"] < 1e-4
    terms = metrics["prior_bits"] - metrics["log_det_bits"] + 8
    assert metrics["nll_bits"] == pytest.approx(terms, abs=1e-4)
    (line,) = summary["oracles"]
    assert line["label"] == "independent pixels"
    assert line["value"] == histogram_bits(load(pictures), load(pictures, "val"))
    opened = Run.open(tmp_path / "run")
    assert opened.sample(3).shape == (3, 1, 8, 8)
    np.testing.assert_array_equal(opened.sample(3), run.sample(3))
    assert opened.evaluate(split="val")["metrics"] == metrics


def test_realnvp_on_the_command_line_takes_the_model_that_suits_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings = ["couplings=2", "hidden=4,4,4", "evaluate_every=2"]
    command = ["train", "realnvp", "--data", "digits", "--out", str(folder), "--steps", "2"]
    assert main([*command, "--set", *settings]) == 0
    saved = json.loads((folder / "config.json").read_text())
    assert saved["model"] == "realnvp-images"
    assert saved["facts"] == {"shape": [1, 8, 8], "levels": 17}
    assert main(["sample", str(folder), "--n", "4", "--out", str(tmp_path / "s.npy")]) == 0
    images = np.load(tmp_path / "s.npy")
    assert images.shape == (4, 1, 8, 8)
    np.testing.assert_allclose(images * 16, np.round(images * 16), atol=1e-5)
    assert find("realnvp").for_data("moons", None) is find("realnvp")
    assert find("realnvp").for_data(None, None) is find("realnvp")
    assert find("realnvp").for_data("digits", None) is find("realnvp-images")


@KINDS
@pytest.mark.parametrize("pixels", ["logit", "histogram"])
def test_a_resumed_run_is_bit_equal_to_one_never_stopped(
    kind: str, pixels: str, pictures: str, tmp_path: Path
) -> None:
    whole, folder, stop = tmp_path / "whole", tmp_path / "stopped", StopRequest()
    make(kind, whole, pictures, pixels=pixels).train()
    assert make(kind, folder, pictures, pixels=pixels).train(StopAt(3, stop), stop) is None
    Run.resume(folder).train()
    expected, got = (
        checkpoint.separate(checkpoint.load(f / "checkpoint.safetensors"))[0]
        for f in (whole, folder)
    )
    assert set(expected) == set(got)
    assert ("recipe/model/pixels.share" in expected) == (pixels == "histogram")
    for name, array in expected.items():
        assert array.tobytes() == got[name].tobytes(), name
    for name in ("metrics.jsonl", "samples.png"):
        assert (whole / name).read_bytes() == (folder / name).read_bytes(), name


@KINDS
def test_a_training_step_brings_nothing_to_the_host_before_the_log_asks(
    kind: str, pictures: str, tmp_path: Path
) -> None:
    with mg.use("strict"):
        run = make(kind, tmp_path / "run", pictures)
        batches = run.recipe.batches(run.data("train"))
        with count_transfers() as count:
            for _ in range(2):
                run.recipe.step(next(batches))
        assert count.total == 0, count
        assert run.recipe.sample(2, 0).shape == (2, 1, 8, 8)


def test_under_0_95_bits_on_mnist_is_too_good_to_be_true() -> None:
    class Data:
        name = "mnist"

    kind = find("glow")
    recipe = kind(kind.Config(**SIZES["glow"]), {"shape": [1, 8, 8], "levels": 256}, 0)
    (leak,) = recipe.oracles(Data())
    assert leak.objection({"nll_bits": 0.949}) is not None
    assert leak.objection({"nll_bits": 0.951}) is None


def test_temperature_is_an_option_of_sampling(pictures: str, tmp_path: Path) -> None:
    run = make("glow", tmp_path / "run", pictures, temperature=0.0)
    run.recipe.batches(run.data("train"))
    frozen = run.sample(3)
    np.testing.assert_array_equal(frozen[0], frozen[2])


@pytest.mark.parametrize(
    ("kind", "array", "message"),
    [
        ("glow", np.zeros((20, 5)), r"glow needs images of whole grey values, and own has rows"),
        ("glow", np.zeros((20, 8, 8)), r"own has image of shape \(N, 1, 8, 8\)"),
        ("glow", np.zeros((20, 7, 7), np.uint8), "7×7 cannot be squeezed into halves"),
        ("glow", np.zeros((20, 6, 6), np.uint8), "scales must be at most 1 for images of 6×6"),
        ("realnvp", np.zeros((20, 9, 8), np.uint8), "9×8 cannot be squeezed into halves"),
    ],
)
def test_what_cannot_be_modelled_is_refused_in_one_line(
    tmp_path: Path, kind: str, array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "own.npy", array)
    with pytest.raises(UserError, match=message) as caught:
        make(kind, tmp_path / "run", str(tmp_path / "own.npy"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_images_of_another_size_are_refused_by_eval(pictures: str, tmp_path: Path) -> None:
    make("glow", tmp_path / "run", pictures, steps=1).train()
    with pytest.raises(UserError, match="built for data with levels 256, got 17"):
        Run.open(tmp_path / "run").evaluate(data="digits")
