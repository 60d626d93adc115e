"""A run of the WaveNet from beginning to end, on sounds of a few hundred samples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_checks import assert_same_end, assert_steps_bring_nothing_to_the_host, stop_and_resume

import minigen as mg
from minigen.cli import main
from minigen.data import load, mulaw
from minigen.data.wav import read_wav, write_wav
from minigen.errors import UserError
from minigen.recipes.run import Run

SMALL = {"window": 40, "channels": 4, "skip": 6, "doublings": 3, "batch_size": 3, "warmup": 2,
         "evaluate_every": 4, "sample_seconds": 0.01}  # fmt: skip
RATE = 8000


def tone(label: int, length: int, seed: int) -> np.ndarray:
    """A tone whose pitch is the label's, with a little noise."""
    rng = np.random.default_rng(seed)
    x = 9000 * np.sin(2 * np.pi * np.arange(length) / (12 + 6 * label) + rng.uniform(0, 6))
    return (x + rng.normal(0, 200, length)).astype(np.int16)


def write_tones(folder: Path, rate: int = RATE, labels: int = 3) -> Path:
    folder.mkdir()
    for label in range(labels):
        for index in (0, 5, 10, 11, 12):
            sound = tone(label, 60 + 30 * index, seed=100 * label + index)
            write_wav(folder / f"{label}_me_{index}.wav", sound, rate)
    return folder


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("data") / "tones")


def make(sounds: Path, out: Path, steps: int = 10, **changes: Any) -> Run:
    return Run.create(
        "wavenet", data=str(sounds), out=out, steps=steps, seed=4, options={**SMALL, **changes}
    )


@pytest.fixture(scope="module")
def finished(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "wavenet"
    make(tones, folder).train()
    return folder


def test_a_run_leaves_its_numbers_its_tables_its_pictures_and_a_sound(finished: Path) -> None:
    assert {"loss.png", "spectrograms.png", "waveforms.png", "samples.wav", "summary.json"} <= {
        path.name for path in finished.iterdir()
    }
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["headline"] == "nll_nats_per_sample"
    labels = [oracle["label"] for oracle in summary["oracles"]]
    assert labels == ["table over 1 sample", "smoothed table over 2"]
    assert all(0 < oracle["value"] < np.log(256) for oracle in summary["oracles"])
    sound, rate = read_wav(finished / "samples.wav")
    assert (rate, len(sound)) == (RATE, 3 * (80 + 2000))


def test_a_resumed_run_is_bit_equal_to_one_never_stopped(
    finished: Path, tones: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    stop_and_resume(make(tones, folder), 5)
    assert_same_end(finished, folder, "metrics.jsonl", "samples.wav")


def test_training_beats_both_tables_on_tones(tones: Path, tmp_path: Path) -> None:
    run = make(tones, tmp_path / "run", steps=250, channels=8, doublings=4, learning_rate=1e-2)
    summary = run.train()
    assert summary is not None
    tables = [oracle["value"] for oracle in summary["oracles"]]
    assert summary["metrics"]["nll_nats_per_sample"] < min(tables) - 0.3


# ---------------------------------------------------------------- the number


def test_the_headline_is_the_probability_with_which_sampling_would_draw_the_clips(
    finished: Path, tones: Path
) -> None:
    recipe = Run.open(finished).recipe
    model = recipe.model.to_dtype("float64")
    val = load(tones, "val")
    past, nats, count, scores = model.receptive_field, 0.0, 0, []
    for clip, label in zip(val.clips(), val.labels):
        levels = np.concatenate([np.full(past, mulaw.SILENCE), mulaw.encode(clip)])[None]
        told = mg.tensor(np.array([label]))
        for t in range(len(clip)):
            with mg.no_grad():
                logits = model.next_logits(mg.tensor(levels[:, : past + t]), told).numpy()[0]
            nats += np.logaddexp.reduce(logits) - logits[levels[0, past + t]]
        count += len(clip)
        scores.append(-nats - sum(scores))
    np.testing.assert_allclose(recipe.score(val), scores, rtol=1e-12)
    got = recipe.evaluate(val, thorough=False)
    assert got["nll_nats_per_sample"] == pytest.approx(nats / count, rel=1e-12)
    assert got["bits_per_sample"] == pytest.approx(nats / count / np.log(2), rel=1e-12)


def test_a_step_learns_from_each_sample_what_the_whole_clip_would_teach(
    tones: Path, tmp_path: Path
) -> None:
    recipe = make(tones, tmp_path / "run").recipe
    model = recipe.model.to_dtype("float64")
    train = load(tones, "train")
    levels, targets, labels = next(recipe.batches(train))
    with mg.no_grad():
        each = model.loss(
            mg.tensor(levels), mg.tensor(targets), mg.tensor(labels), reduction="none"
        ).numpy()
        for clip, label in zip(train.clips(), train.labels):
            past = np.full(model.receptive_field, mulaw.SILENCE)
            full = np.concatenate([past, mulaw.encode(clip)]).astype(np.int64)
            expected = full[len(past) :]
            told = mg.tensor(np.array([label]))
            whole = model.loss(
                mg.tensor(full[None, :-1]), mg.tensor(expected[None]), told, "none"
            ).numpy()[0]
            for row in np.flatnonzero(labels == label):
                kept = targets[row][targets[row] >= 0]
                for start in range(len(clip) - len(kept) + 1):
                    if len(kept) and np.array_equal(kept, expected[start : start + len(kept)]):
                        found = whole[start : start + len(kept)]
                        np.testing.assert_allclose(each[row][: len(kept)], found, rtol=1e-10)
                        targets[row] = -100
                        break
    assert (targets == -100).all()  # every window was found in its clip


# ---------------------------------------------------------------- speaking


def test_samples_are_sounds_in_a_file_or_an_array(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.wav"
    assert main(["sample", str(finished), "--n", "4", "--out", str(out), "--seed", "1"]) == 0
    sound, rate = read_wav(out)
    assert (rate, len(sound)) == (RATE, 4 * (80 + 2000))
    run = Run.open(finished)
    drawn = run.sample(4, seed=1)
    assert (drawn.shape, drawn.dtype) == ((4, 80), np.int16)
    np.testing.assert_array_equal(sound[:80], drawn[0])
    assert not sound[80:2080].any()
    np.testing.assert_array_equal(run.sample(4, seed=1), drawn)
    assert (run.sample(4, seed=2) != drawn).any()
    run.write_samples(tmp_path / "x.npy", 4, 1)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), drawn)
    with pytest.raises(UserError, match=r"--out must end in .wav or .npy for wavenet"):
        run.write_samples(tmp_path / "x.png", 3)


def test_the_commands_work_without_naming_a_file(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(finished), "--n", "2"]) == 0
    assert (tmp_path / "samples.wav").exists()
    capsys.readouterr()
    assert main(["eval", str(finished), "--split", "test"]) == 0
    assert json.loads(capsys.readouterr().out)["headline"] == "nll_nats_per_sample"


def test_sounds_without_labels_and_a_single_file_train_too(tones: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "one.wav", tone(0, 1500, 0), 11025)
    run = make(tmp_path / "one.wav", tmp_path / "run", steps=2)
    assert run.recipe.facts == {"rate": 11025, "labels": 0}
    assert run.train() is not None
    assert (tmp_path / "run" / "spectrograms.png").exists()
    untold = make(tones, tmp_path / "untold", steps=1, labelled=False)
    assert untold.recipe.facts["labels"] == 0
    assert untold.train() is not None


def test_the_strict_backend_trains_speaks_and_brings_nothing_to_the_host_in_a_step(
    finished: Path, tones: Path, tmp_path: Path
) -> None:
    with mg.use("strict"):
        run = make(tones, tmp_path / "run", steps=2)
        assert_steps_bring_nothing_to_the_host(run)
        there = Run.open(finished).sample(3, seed=3)
    np.testing.assert_array_equal(there, Run.open(finished).sample(3, seed=3))


# ---------------------------------------------------------------- data that do not fit


def test_data_that_do_not_fit_are_refused_in_one_line(
    finished: Path, tmp_path: Path, capsys: Any
) -> None:
    with pytest.raises(UserError, match="wavenet needs sound, and digits has image"):
        Run.create("wavenet", data="digits", out=tmp_path / "run")
    run = Run.open(finished)
    other = write_tones(tmp_path / "fast", rate=16000)
    with pytest.raises(UserError, match=r"built for 8000 samples a second, fast .val. has 16000"):
        run.evaluate(data=str(other))
    more = write_tones(tmp_path / "more", labels=5)
    with pytest.raises(UserError, match=r"labels must lie in 0 … 2, .* got 3 in more \(test\)"):
        run.evaluate(data=str(more), split="test")
    write_wav(tmp_path / "one.wav", tone(0, 500, 0), RATE)
    with pytest.raises(UserError, match=r"one \(val\) has no labels, and the model needs them"):
        run.evaluate(data=str(tmp_path / "one.wav"))
    content = (tmp_path / "one.wav").read_bytes()
    (tmp_path / "one.wav").write_bytes(content[:-100])
    capsys.readouterr()
    out = str(tmp_path / "run")
    assert main(["train", "wavenet", "--data", str(tmp_path / "one.wav"), "--out", out]) == 2
    error = capsys.readouterr().err
    assert "is cut off: 500 samples announced, 450 there" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
