"""Who wrote into memory that a graph still needs?

A node keeps arrays from the forward pass for its gradient rule. If somebody overwrites one
of them before the backward pass, the gradient would be silently wrong. So every write that
minigen itself makes (``x[...] = v``, ``x.copy_``, an optimizer's step) is noted here with a
number from the same clock that numbers the nodes; a backward pass that meets a node *older*
than the last write looks whether one of its arrays was hit.

The common case costs one integer comparison per node, and views and slices are covered,
because memory ranges are compared and not objects.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from minigen.backends import active

clock = itertools.count(1).__next__
"""The next tick; nodes and writes share one order of time."""

_written: dict[tuple[int, int], int] = {}  # (first byte, last byte) -> time of the last write


class _Latest:
    __slots__ = ("time",)
    time: int


latest = _Latest()
latest.time = 0


def extent(array: Any) -> tuple[int, int]:
    """First and last byte address that ``array`` can touch, whatever its strides."""
    data: Any = getattr(array, "data", None)
    pointer = data.ptr if hasattr(data, "ptr") else array.__array_interface__["data"][0]
    low = high = pointer
    for size, stride in zip(array.shape, array.strides):
        if size == 0:
            return pointer, pointer
        step = (size - 1) * stride
        low, high = (low + step, high) if step < 0 else (low, high + step)
    return low, high + array.dtype.itemsize


_REMEMBERED = 4096  # writes to different places; a graph older than that many is not guarded


def note_write(array: Any) -> None:
    """Say that the memory of ``array`` has been overwritten. Call it *after* the write."""
    if active.recorder is not None:
        active.recorder.note(array)
    _note(extent(array))


def note_places(places: Iterable[tuple[int, int]]) -> None:
    """Say the same of memory whose first and last bytes are known."""
    for place in places:
        _note(place)


def _note(place: tuple[int, int]) -> None:
    _written.pop(place, None)  # so that the dictionary is in the order of the last writes
    if len(_written) >= _REMEMBERED:
        for oldest in list(itertools.islice(_written, _REMEMBERED // 2)):
            del _written[oldest]
    latest.time = _written[place] = clock()


def check(op: str, time: int, arrays: Any) -> None:
    """Raise if any of ``arrays``, kept by ``op`` at ``time``, was written since."""
    for array in arrays:
        if not hasattr(array, "strides"):
            continue
        low, high = extent(array)
        for (start, end), when in _written.items():
            if when > time and low < end and start < high:
                raise RuntimeError(
                    f"backward of {op}: an array of shape {tuple(array.shape)} that its gradient "
                    f"needs was overwritten in place after {op} ran; write into a copy, use "
                    f"mg.where/mg.scatter, or call backward() before the write"
                )
