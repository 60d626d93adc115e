"""Turns, rounds, tuning and ratios."""

import dataclasses

import pytest

from benchmarks.contenders import (
    CONTENDERS,
    FLOOR,
    Contender,
    thread_numbers,
    torch_compile_settings,
    torch_settings,
)
from benchmarks.harness import QUICK, best_setting, measure, take_turns, turn_length
from benchmarks.process import WorkerError, WorkerProcess
from benchmarks.workloads import workload_from

FAST = dataclasses.replace(QUICK, rounds=2, turn=0.01, warm_up=0.0, rest=0.0, tuning_turn=0.01)
ABSENT = Contender("absent", "minigen", "a_library_that_nobody_has", CONTENDERS["minigen"].settings)


def quiet(line):
    del line


def test_a_turn_counts_three_steps_at_least_and_discards_a_fifth():
    assert turn_length(step_seconds=10.0, turn_seconds=0.1) == (3, 1)
    assert turn_length(step_seconds=0.01, turn_seconds=0.4) == (40, 8)
    assert turn_length(step_seconds=0.0, turn_seconds=1.0) == (2000, 400)


def test_each_round_begins_with_another_contender():
    order = []

    class Fake:
        def __init__(self, name):
            self.name = name

        def take(self):
            order.append(self.name)

    take_turns([Fake("A"), Fake("B"), Fake("C")], rounds=3, rest=0.0)
    assert "".join(order) == "ABCBCACAB"


def test_every_contender_is_measured_beside_the_floor_and_the_absent_one_is_named():
    measured = measure("operation:repeats=50", [CONTENDERS["minigen"], ABSENT], FAST, quiet)
    results = measured["results"]
    assert results["absent"] == {
        "missing": "a_library_that_nobody_has is not installed (pip install '.[bench]')"
    }
    ours, floor = results["minigen"], results[FLOOR.name]
    assert ours["lower_quartile"] <= ours["median"] <= ours["upper_quartile"]
    assert len(ours["round_medians"]) == FAST.rounds
    assert floor["to_floor"]["median"] == 1
    # A recorded op cannot be faster than the product inside it, whatever the machine is doing.
    assert ours["fastest"] > floor["fastest"]
    assert ours["to_floor"]["median"] > 1
    assert ours["above_floor"]["median"] > 0


def test_a_contender_without_the_workload_sits_it_out():
    sits_out = dataclasses.replace(CONTENDERS["minigen"], name="other", side="no_such_side")
    measured = measure("operation:repeats=5", [sits_out], FAST, quiet)
    assert measured["results"]["other"] == {"missing": "does not take part in this workload"}


def test_a_contender_that_fails_is_named_with_its_error(monkeypatch):
    monkeypatch.setattr("benchmarks.harness.FLOOR", dataclasses.replace(FLOOR, name="fails"))
    measured = measure("operation:repeats=5", [], FAST, quiet)
    assert measured["results"]["fails"]["missing"].startswith(
        "fails on operation:repeats=5: KeyError"
    )


def test_the_best_of_all_settings_is_chosen():
    slow_or_fast = [{"repeats": 1}, {"repeats": 2}]
    setting, trials = best_setting("operation:repeats=5", FLOOR, slow_or_fast, FAST)
    assert setting == trials[0]["setting"]
    assert trials[0]["seconds"] <= trials[1]["seconds"]


def test_a_dead_worker_is_one_line():
    with WorkerProcess("nobody") as worker:
        worker.process.kill()
        worker.process.wait()
        with pytest.raises(WorkerError, match="nobody: the process ended with status -9"):
            worker.ask("memory")


def test_pytorch_tries_layouts_for_images_and_optimizers_for_training_only(monkeypatch):
    monkeypatch.setattr("benchmarks.contenders.threads", lambda: 2)
    assert torch_settings(workload_from("operation")) == [
        {"threads": threads, "adam": None, "channels_last": False} for threads in (2, 1)
    ]
    assert len(torch_settings(workload_from("vae"))) == 4
    assert len(torch_settings(workload_from("pixelcnn"))) == 8


def test_torch_compile_tries_fewer_calls_for_small_steps(monkeypatch):
    monkeypatch.setattr("benchmarks.contenders.threads", lambda: 2)
    small = torch_compile_settings(workload_from("realnvp"))
    assert [(one["threads"], one["adam"]) for one in small] == [
        (2, "fused"),
        (2, "compiled"),
        (1, "fused"),
        (1, "compiled"),
    ]
    assert len(torch_compile_settings(workload_from("gpt"))) == 1
    assert len(torch_compile_settings(workload_from("dcgan"))) == 2


def test_a_contender_may_take_over_anothers_best_setting(monkeypatch):
    settings = lambda workload: [{"repeats": 1}, {"repeats": 2}]
    tuned = Contender("tuned", "floor", "numpy", settings)
    follower = Contender("follower", "floor", "numpy", settings, tuned_as="tuned")
    tried = {}

    def best(specification, contender, settings, effort):
        tried[contender.name] = settings
        return settings[-1], []

    class Nobody:
        """Stands for a worker process that has this contender."""

        version, blas, value, memory = "1", None, None, {}

        def __init__(self, stack, specification, contender, setting, warm_up, turn):
            self.setting, self.rounds, self.times = setting, [[1.0]], [1.0]

        def take(self):
            pass

    monkeypatch.setattr("benchmarks.harness.best_setting", best)
    monkeypatch.setattr("benchmarks.harness.Turns", Nobody)
    monkeypatch.setattr("benchmarks.harness.CONTENDERS", {"tuned": tuned, "follower": follower})
    measure("operation:repeats=5", [tuned, follower], FAST, quiet)
    assert tried["follower"] == [{"repeats": 2}]


@pytest.mark.parametrize(("allowed", "expected"), [(1, [1]), (2, [2, 1]), (16, [16, 2, 1])])
def test_pytorch_tries_all_threads_and_one(allowed, expected, monkeypatch):
    monkeypatch.setattr("benchmarks.contenders.threads", lambda: allowed)
    assert thread_numbers() == expected
