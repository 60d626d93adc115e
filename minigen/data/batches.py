"""Mini-batches: an endless shuffled stream that can be resumed, and one plain pass to evaluate.

Every random number of the stream is a function of (seed, epoch, batch): the order of epoch e comes
from one generator keyed by (seed, e), the Bernoulli draws of its batch b from another keyed by
(seed, e, b).  So the whole state is three small integers, and a stream that is resumed in
the middle of an epoch goes on bit for bit as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minigen.data.binarize import binarize, check_binarization, draw_bernoulli, to_unit_interval
from minigen.data.dataset import Dataset
from minigen.data.stream import EpochStream, check_integer
from minigen.errors import UserError


class Batch(NamedTuple):
    """Samples, ready for a model, and their labels."""

    x: npt.NDArray[Any]
    """(B, *sample_shape) float32; where the data set has a value range, mapped to [0, 1].  Integers
    without a range (tokens, say) keep their type."""
    labels: npt.NDArray[np.int64] | None
    """(B,) int64, or None where the data set has none."""


class Batches(EpochStream[Batch]):
    """An endless iterator over shuffled batches of a data set.

    >>> batches = Batches(load("digits"), batch_size=128, seed=0, binarization="dynamic")
    >>> x, labels = next(batches)  # (128, 1, 8, 8) float32, (128,) int64

    Each epoch takes every sample once, in a new order.  The last batch of an epoch is smaller when
    the sizes do not divide; `drop_last=True` leaves it out, for steps that need one fixed shape.
    A data set smaller than a batch makes one batch of all its samples.

    binarization: one of `minigen.data.BINARIZATIONS`, see `minigen.data.binarize`.

    Raises UserError for batch_size < 1, seed < 0, an unknown binarization, and a `drop_last` that
    would leave nothing.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        seed: int,
        binarization: str = "none",
        drop_last: bool = False,
    ) -> None:
        self.batch_size = check_integer("batch_size", batch_size, 1)
        self.seed = check_integer("seed", seed, 0)
        self.binarization = binarization
        self.drop_last = bool(drop_last)
        self.dataset = binarize(dataset, binarization)
        full, rest = divmod(len(dataset), self.batch_size)
        self.batches_per_epoch = full if self.drop_last or rest == 0 else full + 1
        if self.batches_per_epoch == 0:
            raise UserError(
                f"batch_size must be at most {len(dataset)}, the number of samples in "
                f"{dataset.name} ({dataset.split}), when drop_last=True, got {batch_size}"
            )
        self._begin(0)

    def _identity(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset.name,
            "split": self.dataset.split,
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "binarization": self.binarization,
            "drop_last": self.drop_last,
        }

    def _start_epoch(self, epoch: int) -> None:
        # Stream 0 of an epoch shuffles, stream 1 + b draws the pixels of batch b.
        self._order = self._generator(epoch, 0).permutation(len(self.dataset))

    def _take(self, number: int, rows: slice) -> Batch:
        dynamic = self.binarization == "dynamic"
        noise = self._generator(self._epoch, 1 + number) if dynamic else None
        return _batch_of(self.dataset, self._order[rows], noise)


class BatchGroups:
    """Takes `count` batches at a time from a stream: for a step that needs several.

    A critic that learns five times for each step of the generator learns on five batches. The place
    in the data is the stream's.
    """

    def __init__(self, batches: Batches, count: int) -> None:
        self.batches = batches
        self.count = check_integer("count", count, 1)

    def __iter__(self) -> BatchGroups:
        return self

    def __next__(self) -> list[Batch]:
        return [next(self.batches) for _ in range(self.count)]

    def state(self) -> dict[str, Any]:
        """Return the stream's place, which is enough: groups do not overlap."""
        return self.batches.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on at that place."""
        self.batches.load_state(state)


def eval_batches(
    dataset: Dataset, batch_size: int, *, binarization: str = "none", seed: int = 0
) -> Iterator[Batch]:
    """Yield the whole data set once, in order, with the last batch as small as it comes.

    With ``dynamic`` the Bernoulli draws come from `seed` alone: evaluating twice gives the same
    number, and so does another batch size.  The arguments are checked at the call.
    """
    size = check_integer("batch_size", batch_size, 1)
    generator = np.random.default_rng(check_integer("seed", seed, 0))
    check_binarization(dataset, binarization)

    def batches() -> Iterator[Batch]:
        fixed = binarize(dataset, binarization)
        noise = generator if binarization == "dynamic" else None
        for start in range(0, len(fixed), size):
            yield _batch_of(fixed, slice(start, start + size), noise)

    return batches()


def _batch_of(
    dataset: Dataset, rows: slice | npt.NDArray[np.int64], noise: np.random.Generator | None
) -> Batch:
    labels = None if dataset.labels is None else dataset.labels[rows].copy()
    raw = dataset.data[rows]
    if dataset.value_range is not None:
        x = to_unit_interval(raw, dataset.value_range)
        return Batch(x if noise is None else draw_bernoulli(x, noise), labels)
    if np.issubdtype(raw.dtype, np.integer):
        return Batch(raw.copy(), labels)
    return Batch(raw.astype(np.float32, order="C"), labels)
