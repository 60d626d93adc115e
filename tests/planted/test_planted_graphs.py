"""Mistakes of recording device graphs, planted one at a time: a named check notices each.

The strict backend stands for the device. A check counts only if it passes on minigen as it is and
fails on minigen with the mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from suite import Plant, assert_caught, changed, each_of, module_of, replace, test_of

import minigen as mg
from minigen.backends import cublas
from minigen.capture import graph, watching
from minigen.capture.graph import GraphRecorder, GraphRecording

module_of("capture/captured_steps.py")  # its folder comes onto the path


def on_strict(check: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        with mg.use("strict"):
            check()

    return run


def steps(name: str) -> Callable[[], None]:
    """Five captured steps of a model against five eager ones."""

    def run() -> None:
        module = module_of("capture/test_captured_steps.py")
        module.check(module.WORKS[name])

    return on_strict(run)


def behaviour(name: str, *arguments: Any) -> Callable[[], None]:
    return on_strict(test_of("capture/test_captured_graphs.py", name, *arguments))


def captured_update(self: GraphRecorder, action: Any, args: Any) -> None:
    """The optimizer's update is part of the graph: its numbers are those of the recording."""
    self.unrecorded(action, *args)


def frozen_noise(original: Any, self: GraphRecorder, *args: Any) -> Any:
    """Noise is drawn once, while the step is recorded."""
    out = original(self, *args)
    fill = self.parts.pop()
    with self.maker.aside():
        self.unrecorded(fill)
    return out


def shared_constant(self: GraphRecorder, value: Any, dtype: Any = None) -> Any:
    """The step gets the recording's own copy, and may write into it."""
    with self.maker.aside():
        brought = self.base.asarray(value, dtype)
    return brought


def stale_inputs(self: GraphRecording, given: list[Any]) -> Any:
    return self._play()


def never_played(original: Any, self: GraphRecording) -> Any:
    """The call that records gives back what it has captured, and nothing was computed."""
    parts = self._recorder.parts
    if not hasattr(self, "result"):
        self._recorder.parts = []
    try:
        return original(self)
    finally:
        self._recorder.parts = parts


def without_arrivals(original: Any, recorder: Any) -> Any:
    return [g for g in original(recorder) if g[1] != "_grad"]


def without_data(original: Any, recorder: Any) -> Any:
    return [g for g in original(recorder) if g[1] != "_data"]


def swapped_strides(original: Any, *args: Any) -> Any:
    found = original(*args)
    return None if found is None else found._replace(by_rows=not found.by_rows)


TAKEN_AWAY = "test_gradients_that_were_taken_away_start_anew_or_come_back"

PLANTS = [
    Plant(
        "noise is frozen in a training step",
        changed(GraphRecorder, "draw", frozen_noise),
        steps("vae"),
    ),
    Plant(
        "an optimizer's update is captured with the numbers of that moment",
        replace(GraphRecorder, "repeat", captured_update),
        behaviour("test_a_new_learning_rate_takes_effect_and_schedules_go_on"),
    ),
    Plant(
        "noise is frozen",
        changed(GraphRecorder, "draw", frozen_noise),
        behaviour("test_draws_are_the_streams_own_and_go_on"),
    ),
    Plant(
        "constants are not renewed",
        replace(GraphRecorder, "constant", shared_constant),
        behaviour("test_values_from_the_host_are_constants_and_fresh_each_time"),
    ),
    Plant(
        "inputs stay those of the recording",
        replace(GraphRecording, "replay", stale_inputs),
        behaviour("test_a_replay_computes_with_other_inputs"),
    ),
    Plant(
        "the recording call computes nothing",
        changed(GraphRecording, "_play", never_played),
        behaviour("test_the_recording_call_computes_once"),
    ),
    Plant(
        "state in another array is not carried on",
        replace(graph, "_write_back", lambda recorder: None),
        behaviour("test_state_that_is_given_another_array_is_carried_on"),
    ),
    Plant(
        "gradients may be anywhere",
        changed(graph, "_guards", without_arrivals),
        behaviour(TAKEN_AWAY),
    ),
    Plant(
        "a moved leaf is not noticed",
        changed(graph, "_guards", without_data),
        behaviour("test_a_leaf_in_another_array_and_another_mode_are_recorded_anew"),
    ),
    Plant(
        "gradients are not given back",
        changed(
            GraphRecording,
            "_play",
            lambda original, self: (setattr(self, "_gradients", []), original(self))[1],
        ),
        behaviour(TAKEN_AWAY),
    ),
    Plant(
        "a capture that failed leaves its gradients behind",
        replace(watching.Touched, "restore", lambda self: None),
        behaviour("test_after_a_refusal_everything_is_as_it_was_and_goes_on"),
    ),
    Plant(
        "cuBLAS is told that rows are columns",
        changed(cublas, "layout", swapped_strides),
        test_of("backends/test_cublas.py", "test_transposed_operands_are_not_copied"),
    ),
]


@each_of(PLANTS)
def test_a_planted_mistake_is_caught_by_a_named_check(plant):
    assert_caught(plant)
