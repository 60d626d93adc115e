"""Two data sets at once, A and B, for a model that translates between them.

Nothing pairs a sample of A with one of B: the two have their own lengths, their own order and their
own epochs, and `PairBatches` shuffles them by different seeds, so that even a data set beside
itself is unpaired. A pair's name is that of both with `SEPARATOR` between, `digits::mnist`; each
half is a name or a path that `minigen.data.load` takes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NamedTuple

from minigen.data.batches import Batch, Batches
from minigen.data.dataset import Dataset
from minigen.data.registry import load
from minigen.errors import UserError

__all__ = ["SEPARATOR", "Pair", "PairBatch", "PairBatches", "load_pair", "pair_name"]

SEPARATOR = "::"


@dataclass(frozen=True, eq=False)
class Pair:
    """One split of two data sets."""

    a: Dataset
    b: Dataset

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.a.name}{SEPARATOR}{self.b.name}"


class PairBatch(NamedTuple):
    """A batch of either, not of equal size where one of the data sets is smaller than a batch."""

    a: Batch
    b: Batch


def pair_name(a: str, b: str) -> str:
    """The name of two data sets as one; `UserError` where a half contains the separator."""
    for half in (a, b):
        if not half or SEPARATOR in half:
            raise UserError(f"data must be a name or a path without '{SEPARATOR}', got {half!r}")
    return f"{a}{SEPARATOR}{b}"


def load_pair(name: str, split: str, data_dir: str | os.PathLike[str] | None = None) -> Pair:
    """Load one split of both data sets of `A::B`; raises UserError as `minigen.data.load`."""
    halves = name.split(SEPARATOR)
    if len(halves) != 2 or not all(halves):
        raise UserError(f"data must be two data sets, A{SEPARATOR}B, got {name!r}")
    a, b = (load(half, split, data_dir) for half in halves)
    return Pair(a, b)


class PairBatches:
    """An endless iterator over shuffled batches of both, each all of one size.

    A data set smaller than a batch gives one batch of all its samples, every time.
    """

    def __init__(self, pair: Pair, batch_size: int, *, seed: int) -> None:
        self.a, self.b = (
            Batches(half, batch_size, seed=2 * seed + which, drop_last=len(half) >= batch_size)
            for which, half in enumerate((pair.a, pair.b))
        )

    def __iter__(self) -> PairBatches:
        return self

    def __next__(self) -> PairBatch:
        return PairBatch(next(self.a), next(self.b))

    def state(self) -> dict[str, Any]:
        """Return where both streams stand, as a dict that JSON can hold."""
        return {"a": self.a.state(), "b": self.b.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where the streams that gave `state` stood."""
        if not isinstance(state, dict) or set(state) != {"a", "b"}:
            raise UserError("state must be that of two streams of batches, with the keys a and b")
        self.a.load_state(state["a"])
        self.b.load_state(state["b"])
