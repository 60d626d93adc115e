"""An endless stream of batches, epoch after epoch, whose place is saved as three small integers.

What an epoch is, a subclass says: the order of its samples or windows is drawn in `_start_epoch`
from a generator keyed by (seed, epoch), and `_take` makes a batch of some of them. So a stream that
is resumed in the middle of an epoch goes on bit for bit as if it had never stopped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, Self, TypeVar

import numpy as np

from minigen.errors import UserError
from minigen.numeric import is_integer

__all__ = ["EpochStream", "check_integer"]

B = TypeVar("B")


class EpochStream(ABC, Generic[B]):
    """The place in the data: seed, epoch, and number of the next batch in it.

    A subclass sets `seed`, `batch_size` and `batches_per_epoch`, then calls `_begin(0)`.
    """

    seed: int
    batch_size: int
    batches_per_epoch: int

    @property
    def epoch(self) -> int:
        """Epoch of the batch that comes next, from 0."""
        return self._epoch + (self._batch == self.batches_per_epoch)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> B:
        if self._batch == self.batches_per_epoch:
            self._begin(self._epoch + 1)
        number = self._batch
        self._batch += 1
        return self._take(number, slice(number * self.batch_size, (number + 1) * self.batch_size))

    def state(self) -> dict[str, Any]:
        """Return where the stream stands, as a dict that JSON can hold."""
        return {"seed": self.seed, "epoch": self._epoch, "batch": self._batch, **self._identity()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where the stream that gave `state` stood, with its seed.

        The data and the options have to be the same, or the batches could not be: a difference
        raises UserError and leaves this stream as it was.
        """
        expected = {"seed", "epoch", "batch", *self._identity()}
        if not isinstance(state, dict) or set(state) != expected:
            got = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
            raise UserError(f"state must be a dict with keys {sorted(expected)}, got {got}")
        for key, here in self._identity().items():
            if state[key] != here:
                raise UserError(
                    f"state must come from a stream with the same {key}: "
                    f"it was saved with {state[key]!r}, this stream has {here!r}"
                )
        seed = check_integer("state['seed']", state["seed"], 0)
        epoch = check_integer("state['epoch']", state["epoch"], 0)
        batch = check_integer("state['batch']", state["batch"], 0)
        if batch > self.batches_per_epoch:
            raise UserError(f"state['batch'] must be <= {self.batches_per_epoch}, got {batch}")
        self.seed = seed
        self._begin(epoch, batch)

    def _begin(self, epoch: int, batch: int = 0) -> None:
        self._epoch, self._batch = epoch, batch
        self._start_epoch(epoch)

    def _generator(self, *key: int) -> np.random.Generator:
        """Random numbers that are a function of (seed, *key) alone."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    @abstractmethod
    def _identity(self) -> dict[str, Any]:
        """What a saved state must agree in: the data, the sizes, the options."""

    @abstractmethod
    def _start_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch, from `_generator(epoch, ...)`."""

    @abstractmethod
    def _take(self, number: int, rows: slice) -> B:
        """Batch `number` of the epoch: `rows` of its order."""


def check_integer(argument: str, value: Any, least: int) -> int:
    """`value` as an int; UserError, naming the argument, unless it is an integer >= `least`."""
    if not is_integer(value) or value < least:
        raise UserError(f"{argument} must be an integer >= {least}, got {value!r}")
    return int(value)
