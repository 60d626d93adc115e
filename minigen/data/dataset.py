"""What a data set is: one array of samples, and what is known about them.

Samples stay in the type in which they were published (MNIST: uint8, 39 MB for 50,000 images; as
float64 it would be 314 MB).  A batch is converted when it is taken, see `minigen.data.batches`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError, unknown_name

SPLITS = ("train", "val", "test")
"""Fit on `train`, choose on `val`; `test` speaks the last word and nobody tunes on it."""

WHOLE = "all"
"""Every sample of a file of one's own, in the order of the file: to be scored, not split."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a data set, held in memory and read-only.

    name:        how the user called it, such as ``"mnist"``.
    split:       ``"train"``, ``"val"`` or ``"test"``; ``"all"`` for the whole of one's own file.
    data:        (N, *sample_shape), N ≥ 1.  Images are (N, C, H, W).
    labels:      (N,) int64, or None where there are none.
    kind:        what a sample is: ``"image"``, or ``"rows"`` of numbers without spatial order; a
                 ``"text"`` has its characters as samples, code points uint32 in their order;
                 ``"audio"`` has clips of different lengths, which lie one after the other in
                 `data`, amplitudes int16.
    value_range: (low, high), the values between which samples lie by definition (not the extremes
                 that happen to occur): batches map them to [0, 1].  None where there is no such
                 range; batches then hold the numbers as they are.
    lengths:     for audio (N,) int64, how many of the numbers in `data` belong to each clip.
    rate:        for audio, amplitudes per second.
    """

    name: str
    split: str
    data: npt.NDArray[Any]
    labels: npt.NDArray[np.int64] | None
    kind: str
    value_range: tuple[float, float] | None
    lengths: npt.NDArray[np.int64] | None = None
    rate: int | None = None

    def __post_init__(self) -> None:
        if self.split not in (*SPLITS, WHOLE):
            raise unknown_name("split", self.split, SPLITS)
        if self.data.ndim == 0 or len(self.data) == 0:
            raise UserError(
                f"data must have at least one sample, got shape {self.data.shape} "
                f"for split {self.split!r} of {self.name}"
            )
        if self.lengths is not None and (self.lengths < 1).any() | (
            self.lengths.sum() != len(self.data)
        ):
            raise UserError(
                f"lengths must be >= 1 with the sum {len(self.data)}, the length of the data of "
                f"{self.name}, got the sum {self.lengths.sum()}"
            )
        if self.labels is not None and self.labels.shape != (len(self),):
            raise UserError(
                f"labels must have shape ({len(self)},), one for each sample of {self.name}, "
                f"got {self.labels.shape}"
            )
        # A view, so that write protection does not reach back to the caller's array.
        object.__setattr__(self, "data", _read_only(self.data))
        if self.labels is not None:
            object.__setattr__(self, "labels", _read_only(self.labels.astype(np.int64)))

    def __len__(self) -> int:
        return len(self.data) if self.lengths is None else len(self.lengths)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) for images, (D,) for rows."""
        return self.data.shape[1:]

    @property
    def levels(self) -> int | None:
        """Number of values that a pixel can take (MNIST 256, digits 17), None if continuous."""
        if self.value_range is None or not np.issubdtype(self.data.dtype, np.integer):
            return None
        low, high = self.value_range
        return int(high - low) + 1

    def clips(self) -> list[npt.NDArray[Any]]:
        """The clips of an audio data set, each (T,); of any other, all of it as one."""
        if self.lengths is None:
            return [self.data]
        return np.split(self.data, np.cumsum(self.lengths)[:-1])

    def select(self, rows: slice | npt.NDArray[Any], split: str | None = None) -> Dataset:
        """Return the data set of these rows, under another split's name if one is given."""
        labels = None if self.labels is None else self.labels[rows]
        if self.lengths is not None:
            clips, chosen = self.clips(), np.arange(len(self))[rows]
            data = np.concatenate([clips[i] for i in chosen])
            return replace(
                self,
                data=data,
                labels=labels,
                lengths=self.lengths[rows],
                split=split or self.split,
            )
        return replace(self, data=self.data[rows], labels=labels, split=split or self.split)


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
