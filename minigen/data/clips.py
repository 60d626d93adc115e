"""Windows of sounds for training: cuts of one length from clips of many, each with its past.

A model that predicts a sample from the R samples before it needs, to learn T samples of a clip,
those T and R more in front. Where the clip begins too late for that, `precede` puts silence there:
then a cut is predicted exactly as in the whole clip, wherever it lies.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError

__all__ = ["IGNORED", "ClipBatches", "precede"]

IGNORED = -100
"""The target of a place behind the end of a clip; `mg.cross_entropy` counts it nothing."""

Array = npt.NDArray[Any]


def precede(clip: Array, count: int, silence: int) -> Array:
    """(T,) → (count + T,) int64: the clip after `count` samples of silence."""
    return np.concatenate([np.full(count, silence), clip.astype(np.int64)])


class ClipBatches:
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
        sizes = (("past", past, 1), ("window", window, 1), ("batch_size", batch_size, 1))
        for name, value, least in (*sizes, ("seed", seed, 0)):
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
                raise UserError(f"{name} must be an integer >= {least}, got {value!r}")
        self.past, self.window, self.silence = past, operator.index(window), silence
        self.seed = operator.index(seed)
        self._clips = [precede(clip, past, silence) for clip in clips]
        self._labels = None if labels is None else np.asarray(labels, dtype=np.int64)
        self._windows = np.array(
            [(i, start) for i, clip in enumerate(clips) for start in _starts(len(clip), window)]
        )  # (windows, 2): which clip, and its first sample to be predicted
        self.batch_size = min(operator.index(batch_size), len(self._windows))
        self.batches_per_epoch = len(self._windows) // self.batch_size
        self._batch = 0
        self._start_epoch(0)

    def __iter__(self) -> ClipBatches:
        return self

    def __next__(self) -> tuple[Array, Array, Array | None]:
        if self._batch == self.batches_per_epoch:
            self._start_epoch(self._epoch + 1)
            self._batch = 0
        first = self._batch * self.batch_size
        chosen = self._windows[self._order[first : first + self.batch_size]]
        self._batch += 1
        levels = np.full((len(chosen), self.past - 1 + self.window), self.silence, dtype=np.int64)
        targets = np.full((len(chosen), self.window), IGNORED, dtype=np.int64)
        for row, (number, start) in enumerate(chosen):
            clip = self._clips[number]  # its sample t is at past + t
            before = clip[start : start + self.past - 1 + self.window]
            after = clip[start + self.past : start + self.past + self.window]
            levels[row, : len(before)] = before
            targets[row, : len(after)] = after
        labels = None if self._labels is None else self._labels[chosen[:, 0]]
        return levels, targets, labels

    def state(self) -> dict[str, Any]:
        """Return where the stream stands, as a dict that JSON can hold."""
        return {"seed": self.seed, "epoch": self._epoch, "batch": self._batch, **self._identity()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; UserError if those were other clips or other sizes."""
        expected = {"seed", "epoch", "batch", *self._identity()}
        if not isinstance(state, dict) or set(state) != expected:
            raise UserError(f"state must be a dict with keys {sorted(expected)}")
        for key, here in self._identity().items():
            if state[key] != here:
                raise UserError(
                    f"state must come from a stream with the same {key}: "
                    f"it was saved with {state[key]!r}, this stream has {here!r}"
                )
        self.seed = int(state["seed"])
        self._start_epoch(int(state["epoch"]))
        self._batch = int(state["batch"])

    def _identity(self) -> dict[str, Any]:
        sizes = {"past": self.past, "window": self.window, "batch_size": self.batch_size}
        return {"windows": len(self._windows), **sizes}

    def _start_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))
        self._order = random.permutation(len(self._windows))


def _starts(length: int, window: int) -> list[int]:
    """Where the windows of a clip begin: ⌈length/window⌉ of them, none behind its end."""
    count = -(-length // window)
    last = max(length - window, 0)
    return [round(i * last / max(count - 1, 1)) for i in range(count)]
