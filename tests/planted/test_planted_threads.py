"""Mistakes that mix threads or lose a state to an interrupt: a named check notices each."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from suite import Plant, assert_caught, changed, each_of, module_of, replace, test_of

import minigen as mg
from minigen import backends, thread_state
from minigen.autograd import writes
from minigen.backends import strict_graph
from minigen.capture import captured
from minigen.capture.recorder import Recorder
from minigen.capture.watching import Watching
from minigen.ops import random


def apart(check: Callable[[], None]) -> Callable[[], None]:
    """The check, so that a state which a mistake leaves behind ends with it."""

    def run() -> None:
        try:
            contextvars.copy_context().run(check)
        finally:
            mg.use("numpy")

    return run


def of_state(name: str) -> Callable[[], None]:
    return apart(test_of("test_thread_state.py", name))


def of_threads(name: str) -> Callable[[], None]:
    return apart(test_of("capture/test_threads.py", name))


def interrupted_write() -> None:
    module = module_of("capture/test_interrupts.py")
    module.test_a_write_that_is_interrupted_is_known_to_graphs_that_need_the_memory(module._copying)


class SharedRecordings:
    """All threads replay in the same memory."""

    def __init__(self) -> None:
        self.signatures: dict[Any, Any] = {}


class Nowhere:
    """A context that keeps nothing."""

    @staticmethod
    def run(function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


PLANTS = [
    Plant(
        "a state outlives the call that it was for, when that is interrupted",
        replace(thread_state, "copy_context", Nowhere),
        of_state("test_within_ends_with_the_call_whatever_happens_in_it"),
    ),
    Plant(
        "a block on another backend is every thread's",
        replace(backends.use, "__enter__", lambda self: backends.active.backend),
        of_state("test_a_block_on_another_backend_is_this_threads_alone"),
    ),
    Plant(
        "all threads draw from one default generator",
        replace(random, "_default", SimpleNamespace(generator=mg.Generator(0))),
        of_state("test_the_default_generator_is_each_threads_own"),
    ),
    Plant(
        "tensors keep the arrays that a recorded step sees",
        replace(Recorder, "plain", lambda self, array: array),
        of_threads("test_a_model_that_is_recorded_shows_another_thread_ordinary_arrays"),
    ),
    Plant(
        "threads share their recordings",
        replace(captured, "_OfThread", SharedRecordings),
        of_threads("test_a_result_stays_while_another_thread_calls_the_same_captured_step"),
    ),
    Plant(
        "what any thread computes goes into the graph that one of them captures",
        replace(strict_graph, "_stream", SimpleNamespace(graph=None)),
        of_threads("test_a_thread_computes_while_another_one_captures_a_graph"),
    ),
    Plant(
        "a tensor that the step touches is not watched",
        changed(Watching, "notice", lambda original, self, tensor: None),
        test_of("capture/test_capture.py", "test_a_parameter_in_another_array_is_recorded_anew"),
    ),
    Plant(
        "a write is noted behind it only",
        replace(writes, "note_write", writes.place_of),
        apart(interrupted_write),
    ),
]


@each_of(PLANTS)
def test_a_planted_mistake_is_caught_by_a_named_check(plant):
    assert_caught(plant, mg.CaptureError)
