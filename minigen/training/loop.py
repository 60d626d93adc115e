"""The training loop: step, log, evaluate, save, and stop when asked.

The loop knows nothing about models. It needs two things from a recipe, a `step(batch)` that
changes the state and returns named numbers and a `state()` that says everything the next step
depends on, and from the data an iterator that can be saved as well. In one screen:

    while step < steps:
        numbers = trainee.step(next(batches))
        every `log_every` steps:       one "train" line, the mean over those steps
        every `evaluate_every` steps:  one "val" line, and a "verdict" line if something is wrong
        every `save_seconds`:          a checkpoint
        when asked to stop:            a checkpoint, and leave

**Bit-equal resume.** The checkpoint holds all that later steps read: networks, moments, averages,
random state, the place in the data, and the numbers of the log line that is not yet full.
`evaluate` must not draw from the training generator; then how often one looks changes nothing.

**Reading late.** A number that a step returns may still be on its way on a GPU, and asking for it
waits. So numbers are read in blocks, at a log line or before a save; a NaN is found there, blamed
on its own step, and never reaches a checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minigen.errors import UserError
from minigen.training import checkpoint
from minigen.training.log import MetricsLog
from minigen.training.signals import StopRequest

__all__ = ["Batches", "Loop", "Observer", "Rhythm", "Trainee"]

Numbers = Mapping[str, Any]


class Trainee(Protocol):
    """What the loop trains. Recipes are one; a test's three-line dummy is another."""

    def step(self, batch: Any) -> Numbers:
        """One update of all parameters; returns named numbers, floats or 0-d Tensors."""

    def state(self) -> dict[str, Any]:
        """All that the next step depends on: nested dict of arrays and JSON values."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a state that `state` returned."""


class Batches(Protocol):
    """An endless iterator over training batches whose place can be saved."""

    def __next__(self) -> Any:
        """The next batch."""

    def __iter__(self) -> Iterator[Any]:
        """Itself."""

    def state(self) -> dict[str, Any]:
        """The place in the data: epoch, position, random state."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to that place."""


class Observer:
    """Is told what happens; does nothing. The command line's progress bar overrides these."""

    def started(self, step: int, steps: int) -> None:
        """The loop begins at `step` of `steps`."""

    def stepped(self, step: int) -> None:
        """A step is done. Called every step: must be cheap."""

    def logged(self, step: int, numbers: Numbers) -> None:
        """A "train" line went to the log."""

    def evaluated(self, step: int, metrics: Numbers) -> None:
        """A "val" line went to the log."""

    def judged(self, step: int, sentence: str) -> None:
        """A "verdict" line went to the log: something has begun to look wrong."""

    def ended(self) -> None:
        """The loop is over, finished or not."""


@dataclass(frozen=True)
class Rhythm:
    """How long the run is, and how often what happens. Steps, except where the name says else."""

    steps: int
    evaluate_every: int
    log_every: int = 50
    save_seconds: float = 60.0


class Loop:
    """A run in progress.

    Args:
        trainee: what is trained.
        batches: where its batches come from.
        evaluate: returns named metrics; called without arguments every `rhythm.evaluate_every`
            steps and after the last one.
        rhythm: how long, how often.
        log: where the numbers go.
        path: the checkpoint file, `….safetensors`.
        judge: is shown the log after each measurement, and returns what looks wrong, sign →
            sentence. A sign that was not there at the measurement before is logged.
    """

    def __init__(
        self,
        trainee: Trainee,
        batches: Batches,
        evaluate: Callable[[], Numbers],
        rhythm: Rhythm,
        log: MetricsLog,
        path: Path,
        judge: Callable[[Sequence[Numbers]], Mapping[str, str]] | None = None,
    ) -> None:
        self.trainee = trainee
        self.batches = batches
        self.evaluate = evaluate
        self.rhythm = rhythm
        self.log = log
        self.path = path
        self.judge = judge
        self.steps_done = 0
        self.seconds = 0.0  # spent training, over all sittings
        self._read: dict[str, list[float]] = {}  # numbers of the unfinished log line, checked
        self._unread: list[tuple[int, Numbers]] = []  # the same, not yet asked for

    def run(self, observer: Observer | None = None, stop: StopRequest | None = None) -> bool:
        """Train until `rhythm.steps`; False if a stop request ended it earlier. Saved either way.

        Raises:
            UserError: one line, when a number is NaN or infinite or a file cannot be written. The
                last checkpoint stays as it was.
        """
        observer = observer or Observer()
        self.log.rewind(self.steps_done)  # lines of a run that was killed past its checkpoint
        observer.started(self.steps_done, self.rhythm.steps)
        before, started = self.seconds, time.perf_counter()
        saved = started
        try:
            # Overflow is reported below, as one line with a step, not as NumPy's warnings.
            with np.errstate(all="ignore"):
                while self.steps_done < self.rhythm.steps:
                    self._step(observer)
                    now = time.perf_counter()
                    self.seconds = before + now - started
                    if stop is not None and stop.signal is not None:
                        break
                    if now - saved > self.rhythm.save_seconds:
                        self.save()
                        saved = now
                self.save()
        finally:
            self.log.close()
            observer.ended()
        return self.steps_done >= self.rhythm.steps

    def _step(self, observer: Observer) -> None:
        numbers = self.trainee.step(next(self.batches))
        self.steps_done += 1
        self._unread.append((self.steps_done, {k: _detached(v) for k, v in numbers.items()}))
        observer.stepped(self.steps_done)
        last = self.steps_done == self.rhythm.steps
        if last or self.steps_done % self.rhythm.log_every == 0:
            means = self._mean_of_recent()
            self.log.append(self.steps_done, "train", means)
            observer.logged(self.steps_done, means)
        if last or self.steps_done % self.rhythm.evaluate_every == 0:
            self._read_numbers()
            metrics = {name: _number(value) for name, value in self.evaluate().items()}
            _must_be_finite(metrics, self.steps_done, "the evaluation")
            self.log.append(self.steps_done, "val", metrics)
            observer.evaluated(self.steps_done, metrics)
            for sign, sentence in self._news().items():
                self.log.append(self.steps_done, "verdict", {"sign": sign, "text": sentence})
                observer.judged(self.steps_done, sentence)

    def _news(self) -> dict[str, str]:
        """What the judge says now and did not say at the measurement before."""
        if self.judge is None:
            return {}
        records = self.log.records()
        found = self.judge(records)
        if not found:
            return {}
        places = [place for place, record in enumerate(records) if record["split"] == "val"]
        known = self.judge(records[: places[-2] + 1]) if len(places) > 1 else {}
        return {sign: sentence for sign, sentence in found.items() if sign not in known}

    def _read_numbers(self) -> None:
        """Bring the pending numbers to the host, and stop at the first that is not finite."""
        for step, numbers in self._unread:
            on_host = {name: _number(value) for name, value in numbers.items()}
            _must_be_finite(on_host, step, "training")
            for name, value in on_host.items():
                self._read.setdefault(name, []).append(value)
        self._unread.clear()

    def _mean_of_recent(self) -> dict[str, float]:
        self._read_numbers()
        means = {name: math.fsum(values) / len(values) for name, values in self._read.items()}
        self._read.clear()
        return means

    def save(self) -> None:
        """Write the checkpoint; only a state whose numbers were all finite gets there."""
        self._read_numbers()
        self.log.sync()
        checkpoint.save(self.path, self.state())

    def state(self) -> dict[str, Any]:
        """Everything: the trainee's state, the place in the data, the loop's own counters.

        The arrays are the live ones, not copies: write them before the next step.
        """
        return {
            "loop": {
                "step": self.steps_done,
                "seconds": round(self.seconds, 3),
                "unfinished_log_line": {name: list(v) for name, v in self._read.items()},
            },
            "data": self.batches.state(),
            "recipe": self.trainee.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        own = state["loop"]
        self.steps_done = int(own["step"])
        self.seconds = float(own["seconds"])
        self._read = {name: list(values) for name, values in own["unfinished_log_line"].items()}
        self._unread.clear()
        self.batches.load_state(state["data"])
        self.trainee.load_state(state["recipe"])


def _detached(value: Any) -> Any:
    """A Tensor without its graph, so that fifty pending numbers do not keep fifty graphs alive."""
    return value.detach() if hasattr(value, "detach") else value


def _number(value: Any) -> float:
    return float(value.item() if hasattr(value, "item") else value)


def _must_be_finite(numbers: Mapping[str, float], step: int, where: str) -> None:
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise UserError(
                f"{name} became {value} at step {step} of {where}; the run stops here. The last "
                "checkpoint is kept; try a lower learning rate, and look for NaN in the data"
            )
