"""The protocol of the worker process."""

import io
import json

import numpy as np
import pytest

from benchmarks.memory import resident_mib
from benchmarks.worker import Worker, checked_value, serve, timed
from benchmarks.workload import Step

BUILD = {"do": "build", "key": "k", "workload": "operation:repeats=5", "setting": {}}


def answers_to(*commands):
    answers = io.StringIO()
    serve(io.StringIO("".join(json.dumps(command) + "\n" for command in commands)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_a_turn_returns_the_counted_steps_only():
    answers = answers_to(
        {**BUILD, "contender": "floor"}, {"do": "turn", "key": "k", "steps": 4, "discard": 3}
    )
    assert len(answers[1]["times"]) == 4
    assert all(seconds > 0 for seconds in answers[1]["times"])


def test_an_error_is_one_line_and_the_worker_goes_on():
    answers = answers_to({**BUILD, "workload": "nothing", "contender": "floor"}, {"do": "memory"})
    assert answers[0]["error"].startswith("ValueError: workload must be one of")
    assert "\n" not in answers[0]["error"]
    assert "process_mib" in answers[1]


@pytest.mark.skipif(resident_mib() is None, reason="the system does not say what is resident")
def test_memory_of_a_step_is_counted_above_what_a_rehearsal_leaves() -> None:
    worker = Worker()
    worker.do_rehearse("vae:batch=8,pixels=20,hidden=16", "minigen", {})
    assert worker.steps == {}

    def sum_of_64_mib() -> np.float64:
        return np.ones(8 << 20).sum()

    worker.steps["k"] = Step(sum_of_64_mib)
    worker.do_turn("k", steps=2, discard=0)
    memory = worker.do_memory()
    assert 60 < memory["step_mib"] < 80
    assert memory["process_mib"] > memory["step_mib"]


def test_nothing_is_answered_after_quit():
    assert answers_to({"do": "quit"}, {"do": "memory"}) == []


def test_a_dropped_step_cannot_take_a_turn():
    answers = answers_to(
        {**BUILD, "contender": "floor"},
        {"do": "drop", "key": "k"},
        {"do": "turn", "key": "k", "steps": 1, "discard": 0},
    )
    assert answers[2]["error"].startswith("KeyError")


def test_preparation_is_not_on_the_clock(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    seconds, value = timed(Step(run=lambda x: x + 1, prepare=lambda: next(clock) * 0 + 41))
    assert (seconds, value) == (1, 42)


def test_warming_up_takes_at_least_three_steps():
    runs = []
    worker = Worker()
    worker.steps["k"] = Step(run=lambda: runs.append(1))
    assert worker.do_warm_up("k", seconds=0.0)["seconds"] >= 0
    assert len(runs) == 3


def test_a_loss_that_is_not_finite_is_an_error():
    class Loss:
        def item(self):
            return float("nan")

    worker = Worker()
    worker.steps["k"] = Step(run=Loss)
    assert checked_value(None) is None
    with pytest.raises(ValueError, match="loss must stay finite, got nan"):
        worker.do_turn("k", 1, 0)
