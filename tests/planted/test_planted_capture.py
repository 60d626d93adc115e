"""Mistakes of recording and replaying, planted one at a time: a named check notices each.

A check counts only if it passes on minigen as it is and fails on minigen with the mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from suite import Plant, assert_caught, changed, each_of, module_of, replace, test_of

import minigen as mg
from minigen.capture import program
from minigen.capture.program import Program
from minigen.capture.recorder import Recorder
from minigen.capture.recording import Recording

module_of("capture/captured_steps.py")  # its folder comes onto the path


def steps(name: str) -> Callable[[], None]:
    """Five captured steps of a model against five eager ones."""

    def run() -> None:
        module = module_of("capture/test_captured_steps.py")
        module.check(module.WORKS[name])

    return run


def behaviour(name: str, *arguments: Any) -> Callable[[], None]:
    return test_of("capture/test_capture.py", name, *arguments)


def too_early(original: Any, self: Program, kept: Any) -> list[Any]:
    """Memory is given away as soon as it is written, before it is read."""
    roots = original(self, kept)
    for root in roots:
        root.last = root.first
    return roots


def overlapping(sizes: Any, lives: Any) -> tuple[list[int], int]:
    """Every piece at the front."""
    return [0] * len(sizes), max(sizes, default=0)


def once(original: Any, self: Recorder, action: Any, args: Any) -> None:
    """The host's part is done when it is recorded and in no replay."""
    original(self, action, args)
    self.instructions.pop()


def frozen_noise(original: Any, self: Recorder, generator: Any, kind: str, args: Any) -> Any:
    """The draw of the recording is used for ever."""
    drawn = original(self, generator, kind, args)
    self.instructions.pop()
    self.ref(drawn).root.kind = "outside"
    self.ref(drawn).root.owner = np.array(drawn).view(np.ndarray)
    return drawn


def without_guards(self: Recording) -> bool:
    return True


def missed_write(original: Any, self: Recorder, function: Any, args: Any, kwargs: Any) -> Any:
    """What a call writes into an array that it was given is not written down."""
    before = len(self.instructions)
    result = original(self, function, args, kwargs)
    if kwargs.get("out") is not None and len(self.instructions) > before:
        self.instructions.pop()
    return result


def stale_inputs(self: Recording, given: list[Any]) -> Any:
    self.program.run()
    return self._results()


def without_gradients(original: Any, self: Recording, given: list[Any]) -> Any:
    self._gradients = []
    return original(self, given)


def without_notes(original: Any, self: Recording, given: list[Any]) -> Any:
    self._noted = []
    self.program.calls = [c for c in self.program.calls if "_step" not in repr(c)]
    return original(self, given)


def unpinned(original: Any, self: Program, instructions: Any, kept: Any) -> None:
    for root in kept:
        root.pinned = False
    original(self, instructions, [])


ADD_UP = "test_gradients_add_up_over_calls_without_zero_grad"
MODES = "test_training_and_evaluation_are_two_recordings"

PLANTS = [
    Plant(
        "memory is free before it is read",
        changed(Program, "_live", too_early),
        steps("vae"),
    ),
    Plant(
        "all pieces lie in one place",
        replace(program, "pack", overlapping),
        steps("realnvp"),
    ),
    Plant(
        "the optimizer steps only when it is recorded",
        changed(Recorder, "repeat", once),
        steps("vae"),
    ),
    Plant("noise is frozen", changed(Recorder, "draw", frozen_noise), steps("vae")),
    Plant(
        "a write through out= is missed", changed(Recorder, "call", missed_write), steps("dcgan")
    ),
    Plant(
        "inputs stay those of the recording",
        replace(Recording, "replay", stale_inputs),
        behaviour("test_the_first_call_runs_the_second_records_and_the_third_replays"),
    ),
    Plant("no guard is looked at", replace(Recording, "holds", without_guards), behaviour(MODES)),
    Plant(
        "gradients may be anywhere",
        replace(Recording, "holds", without_guards),
        behaviour(ADD_UP),
    ),
    Plant(
        "a moved parameter is not noticed",
        replace(Recording, "holds", without_guards),
        behaviour("test_a_parameter_in_another_array_is_recorded_anew"),
    ),
    Plant(
        "constants are not renewed",
        changed(
            Recorder,
            "constant",
            lambda original, self, value: (original(self, value), self.instructions.pop())[0],
        ),
        behaviour("test_constants_that_the_step_writes_into_are_fresh_each_time"),
    ),
    Plant(
        "results are packed over",
        changed(Program, "__init__", unpinned),
        steps("gan"),
    ),
    Plant(
        "a replay's writes are not noted",
        changed(Recording, "replay", without_notes),
        behaviour("test_a_write_of_a_replay_is_seen_by_graphs_that_still_need_the_memory"),
    ),
    Plant(
        "a value read on the host goes through",
        replace(Recorder, "to_host", lambda self, array: np.asarray(array)),
        behaviour(
            "test_a_value_read_on_the_host_is_an_error_that_names_the_line",
            lambda: lambda y: y.sum().numpy(),
        ),
    ),
    Plant(
        "the rate of the recording is used for ever",
        changed(
            mg.optim.Optimizer,
            "_step",
            lambda original, self, flat, run, group: original(
                self, flat, run, self.__dict__.setdefault("rates", dict(group))
            ),
        ),
        behaviour("test_a_new_learning_rate_takes_effect_and_counts_go_on"),
    ),
]


@each_of(PLANTS)
def test_a_planted_mistake_is_caught_by_a_named_check(plant):
    assert_caught(plant, RuntimeWarning)  # what lies in wrong memory may overflow
