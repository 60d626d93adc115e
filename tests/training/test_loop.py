"""The loop, on a model of three numbers: what is written when, and that stopping costs nothing."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_checks import StopAt

from minigen.errors import UserError
from minigen.training import Loop, MetricsLog, Observer, Rhythm, StopRequest, checkpoint


class Counting:
    """Batches 0.0, 1.0, 2.0, … ."""

    def __init__(self) -> None:
        self.at = 0

    def __iter__(self) -> "Counting":
        return self

    def __next__(self) -> float:
        self.at += 1
        return float(self.at - 1)

    def state(self) -> dict[str, Any]:
        return {"at": self.at}

    def load_state(self, state: dict[str, Any]) -> None:
        self.at = state["at"]


class Walk:
    """A model whose weight walks randomly: every step depends on all of its state."""

    def __init__(self, nan_at: int | None = None) -> None:
        self.weight = np.zeros(3, np.float32)
        self.random = np.random.default_rng(5)
        self.nan_at = nan_at
        self.count = 0

    def step(self, batch: float) -> dict[str, Any]:
        self.count += 1
        self.weight += self.random.normal(size=3).astype(np.float32) + np.float32(batch)
        loss = np.float32("nan") if self.count == self.nan_at else self.weight.sum()
        return {"loss_nats": loss}

    def state(self) -> dict[str, Any]:
        state = self.random.bit_generator.state
        return {"weight": self.weight.copy(), "random": state, "count": self.count}

    def load_state(self, state: dict[str, Any]) -> None:
        self.weight = state["weight"].copy()
        self.random.bit_generator.state = state["random"]
        self.count = state["count"]


def make(folder: Path, steps: int = 23, trainee: Any = None, **rhythm: Any) -> Loop:
    trainee = trainee or Walk()
    rhythm = {"evaluate_every": 7, "log_every": 5, **rhythm}
    return Loop(
        trainee,
        Counting(),
        lambda: {"val_nats": float(trainee.weight[0])},
        Rhythm(steps=steps, **rhythm),
        MetricsLog(folder / "metrics.jsonl"),
        folder / "checkpoint.safetensors",
    )


def test_the_log_has_a_line_at_each_beat_and_the_train_line_is_the_mean_since_the_last(
    tmp_path: Path,
) -> None:
    loop = make(tmp_path, steps=12)
    values = []
    step = loop.trainee.step
    loop.trainee.step = lambda batch: (numbers := step(batch), values.append(numbers))[0]  # type: ignore[method-assign]
    assert loop.run()
    records = MetricsLog(tmp_path / "metrics.jsonl").records()
    beats = [(r["step"], r["split"]) for r in records]
    assert beats == [(5, "train"), (7, "val"), (10, "train"), (12, "train"), (12, "val")]
    losses = [float(v["loss_nats"]) for v in values]
    assert records[2]["loss_nats"] == pytest.approx(np.mean(losses[5:10]))
    assert records[3]["loss_nats"] == pytest.approx(np.mean(losses[10:12]))


def test_a_judges_sign_is_logged_when_it_begins_and_again_only_after_it_was_gone(
    tmp_path: Path,
) -> None:
    heard: list[int] = []

    class Listener(Observer):
        def judged(self, step: int, sentence: str) -> None:
            heard.append(step)

    def judge(records: Any) -> dict[str, str]:
        step = max((r["step"] for r in records if r["split"] == "val"), default=0)
        return {"ill": f"ill at {step}"} if step in (6, 9, 15) else {}

    loop = make(tmp_path, steps=18, evaluate_every=3)
    loop.judge = judge
    loop.run(Listener())
    told = [r for r in loop.log.records() if r["split"] == "verdict"]
    assert told == [
        {"step": step, "split": "verdict", "sign": "ill", "text": f"ill at {step}"}
        for step in (6, 15)
    ]
    assert heard == [6, 15]


@pytest.mark.parametrize("stop_at", [1, 5, 7, 13, 22])
def test_stopped_and_resumed_equals_never_stopped_in_every_bit(
    tmp_path: Path, stop_at: int
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    reference = make(whole)
    assert reference.run()

    stop = StopRequest()
    first = make(parts)
    assert not first.run(StopAt(stop_at, stop), stop)
    assert first.steps_done == stop_at
    second = make(parts)
    second.load_state(checkpoint.load(second.path))
    assert second.steps_done == stop_at
    assert second.run()
    np.testing.assert_array_equal(second.trainee.weight, reference.trainee.weight)  # type: ignore[attr-defined]
    assert (parts / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_a_run_killed_past_its_checkpoint_drops_the_later_lines_and_repeats_them(
    tmp_path: Path,
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    make(whole).run()

    stop = StopRequest()
    first = make(killed)
    first.run(StopAt(9, stop), stop)
    state_of_step_9 = checkpoint.load(first.path)
    stop.signal = None
    first.run(StopAt(16, stop), stop)  # and here the power fails, before a checkpoint:
    log = killed / "metrics.jsonl"
    assert max(record["step"] for record in MetricsLog(log).records()) == 15
    log.write_text(log.read_text() + '{"step": 16, "spl')

    second = make(killed)
    second.load_state(state_of_step_9)
    second.run()
    assert log.read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_a_nan_stops_the_run_with_its_step_and_keeps_the_last_good_checkpoint(
    tmp_path: Path,
) -> None:
    loop = make(tmp_path, trainee=Walk(nan_at=13), save_seconds=0.0, log_every=5)
    with pytest.raises(UserError, match="loss_nats became nan at step 13") as caught:
        loop.run()
    assert "\n" not in str(caught.value)
    state = checkpoint.load(loop.path)
    assert state["loop"]["step"] == 12
    assert np.isfinite(state["recipe"]["weight"]).all()
    records = MetricsLog(tmp_path / "metrics.jsonl").records()
    assert [r["step"] for r in records] == [5, 7, 10]


def test_a_nan_between_two_saves_never_reaches_the_checkpoint(tmp_path: Path) -> None:
    loop = make(tmp_path, trainee=Walk(nan_at=3), steps=4, log_every=100)
    with pytest.raises(UserError, match="step 3"):
        loop.run()
    assert not loop.path.exists()


def test_an_infinite_metric_of_the_evaluation_stops_the_run(tmp_path: Path) -> None:
    loop = make(tmp_path, steps=8)
    loop.evaluate = lambda: {"val_nats": float("inf")}
    with pytest.raises(UserError, match="val_nats became inf at step 7 of the evaluation"):
        loop.run()


def test_a_log_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    loop = make(tmp_path)
    loop.log.path.mkdir()
    with pytest.raises(UserError, match=r"cannot read .*metrics\.jsonl: Is a directory"):
        loop.run()


def test_a_full_disk_under_the_log_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot write .*metrics\.jsonl: No space left on device"):
        MetricsLog(path).append(1, "train", {"loss": 0.5})


def test_a_line_that_is_no_json_in_the_middle_of_a_log_is_named_by_its_number(
    tmp_path: Path,
) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "split": "val"}\nrubbish\n{"step": 2, "split": "val"}\n')
    with pytest.raises(UserError, match="line 2"):
        MetricsLog(path).records()


def test_the_log_of_one_seed_is_the_same_file_twice(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make(tmp_path / name).run()
        contents.append((tmp_path / name / "metrics.jsonl").read_text())
    assert contents[0] == contents[1]
    assert all(isinstance(json.loads(line)["step"], int) for line in contents[0].splitlines())


def test_a_signal_sets_the_flag_and_a_second_one_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
