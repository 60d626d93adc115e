"""Windows of sounds for training: cuts of one length from clips of many, each with its past.

A model that predicts a sample from the R samples before it needs, to learn T samples of a clip,
those T and R more in front. Where the clip begins too late for that, `precede` puts silence there:
then a cut is predicted exactly as in the whole clip, wherever it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.stream import EpochStream, check_integer

__all__ = ["IGNORED", "ClipBatches", "precede"]

IGNORED = -100
"""The target of a place behind the end of a clip; `mg.cross_entropy` counts it nothing."""

Array = npt.NDArray[Any]


def precede(clip: Array, count: int, silence: int) -> Array:
    """(T,) → (count + T,) int64: the clip after `count` samples of silence."""
    return np.concatenate([np.full(count, silence), clip.astype(np.int64)])


class ClipBatches(EpochStream[tuple[Array, Array, Array | None]]):
    """An endless iterator over windows of clips, whose place can be saved.

    >>> levels, targets, labels = next(ClipBatches(clips, labels, past=1025, window=2048, ...))
    >>> levels.shape, targets.shape, labels.shape            # all int64
    ((4, 3072), (4, 2048), (4,))

    A window is `window` samples to be predicted, `targets`, and the past to predict them from:
    `levels[:, j : j + past]` are the samples just before `targets[:, j]`. A clip of T samples has
    ⌈T/window⌉ windows at equal distances, the first at its beginning and the last at its end; they
    overlap rather than leave a gap, and a clip shorter than one window is filled up with `IGNORED`.
    An epoch takes every window once in random order, a function of (seed, epoch); what would not
    fill a batch is left out.

    clips:  the sounds as levels, each (T,) integers.
    labels: one for each clip; None where there are none, and then the batches have None.

    Raises UserError for sizes < 1 or a seed < 0.
    """

    def __init__(
        self,
        clips: Sequence[Array],
        labels: Array | None,
        *,
        past: int,
        window: int,
        batch_size: int,
        silence: int,
        seed: int,
    ) -> None:
        self.past = check_integer("past", past, 1)
        self.window = check_integer("window", window, 1)
        wanted = check_integer("batch_size", batch_size, 1)
        self.seed = check_integer("seed", seed, 0)
        self.silence = silence
        self._clips = [precede(clip, past, silence) for clip in clips]
        self._labels = None if labels is None else np.asarray(labels, dtype=np.int64)
        self._windows = np.array(
            [(i, start) for i, clip in enumerate(clips) for start in _starts(len(clip), window)]
        )  # (windows, 2): which clip, and its first sample to be predicted
        self.batch_size = min(wanted, len(self._windows))
        self.batches_per_epoch = len(self._windows) // self.batch_size
        self._begin(0)

    def _identity(self) -> dict[str, Any]:
        sizes = {"past": self.past, "window": self.window, "batch_size": self.batch_size}
        return {"windows": len(self._windows), **sizes}

    def _start_epoch(self, epoch: int) -> None:
        self._order = self._generator(epoch).permutation(len(self._windows))

    def _take(self, number: int, rows: slice) -> tuple[Array, Array, Array | None]:
        chosen = self._windows[self._order[rows]]
        levels = np.full((len(chosen), self.past - 1 + self.window), self.silence, dtype=np.int64)
        targets = np.full((len(chosen), self.window), IGNORED, dtype=np.int64)
        for row, (which, start) in enumerate(chosen):
            clip = self._clips[which]  # its sample t is at past + t
            before = clip[start : start + self.past - 1 + self.window]
            after = clip[start + self.past : start + self.past + self.window]
            levels[row, : len(before)] = before
            targets[row, : len(after)] = after
        labels = None if self._labels is None else self._labels[chosen[:, 0]]
        return levels, targets, labels


def _starts(length: int, window: int) -> list[int]:
    """Where the windows of a clip begin: ⌈length/window⌉ of them, none behind its end."""
    count = -(-length // window)
    last = max(length - window, 0)
    return [round(i * last / max(count - 1, 1)) for i in range(count)]
