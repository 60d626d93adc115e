"""Who wrote into memory that a graph still needs?

A node keeps arrays from the forward pass for its gradient rule. If somebody overwrites one
of them before the backward pass, the gradient would be silently wrong. So every write that
minigen itself makes (``x[...] = v``, ``x.copy_``, an optimizer's step) is noted here with a
number from the same clock that numbers the nodes; a backward pass that meets a node *older*
than the last write looks whether one of its arrays was hit.

The common case costs one integer comparison per node, and views and slices are covered,
because memory ranges are compared and not objects. Writes are filed under the array that owns the
memory and go with it, so that none is forgotten while it matters.

All threads share the memory and these notes of it. No lock guards them (an interrupt may keep one
from being released): each change is a single operation on a dictionary, which no thread sees half.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigen.backends import active

clock = itertools.count(1).__next__
"""The next tick; nodes and writes share one order of time."""

Extents = dict[tuple[int, int], int]
"""(first byte, last byte) → time of the last write to just these."""

_MOST = 4096
"""Different stretches of one memory that are told apart; beyond that it counts as one."""

_written: dict[int, tuple[Any, Extents]] = {}  # id of the owner -> (weak reference, its writes)
_foreign: Extents = {}  # memory that no array owns: another library's, a file's


_latest: dict[int, int] = {0: 0}  # thread -> the time of its last write


def latest() -> int:
    """The time of the last write."""
    return max(_latest.values())


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


def _owner(array: Any) -> Any:
    """The object at the end of the chain of views below ``array``."""
    array = getattr(array, "_array", array)  # inside the strict backend's wrapper
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array


def _extents(array: Any, new: bool) -> Extents | None:
    """The writes filed for the memory of ``array``; None if there is none and none is wanted."""
    owner = _owner(array)
    if isinstance(owner, np.ndarray):
        if not owner.flags.owndata:
            return _foreign
    elif not isinstance(owner, active.backend.array_type):
        return _foreign
    key = id(owner)
    found = _written.get(key)
    if found is None or found[0]() is not owner:
        if not new:
            return None
        gone = weakref.ref(owner, lambda _: _written.pop(key, None))
        entry: tuple[Any, Extents] = (gone, {})
        found = _written.setdefault(key, entry)  # another thread may have been quicker
        if found[0]() is not owner:
            found = _written[key] = entry
    return found[1]


Place = tuple[Extents, tuple[int, int]]
"""Where writes to a stretch of memory are filed, and its first and last byte."""


def place_of(array: Any) -> Place:
    """The place of ``array``, valid for as long as its memory lives."""
    extents = _extents(array, new=True)
    assert extents is not None
    return extents, extent(array)


def note_write(array: Any) -> Place:
    """Say that the memory of ``array`` is about to be overwritten; returns its place.

    Call it *before* the write: an interrupt may come between the two, and a write that nobody knows
    of would be the worse of the two mistakes. Where another thread may compute with the memory
    meanwhile, ``note_places`` says it once more behind it.
    """
    recorder = active.recorder
    if recorder is not None:
        recorder.note(array)
    place = place_of(array)
    note_places([place])
    return place


def note_places(places: Iterable[Place]) -> None:
    """Say the same of memory whose places are known."""
    thread = threading.get_ident()
    for extents, stretch in places:
        extents[stretch] = _latest[thread] = clock()
        if len(extents) > _MOST:
            _merge(extents)


def _merge(extents: Extents) -> None:
    """One stretch, written at the latest time, in place of very many; it covers them all."""
    known = list(extents)
    whole = min(low for low, _ in known), max(high for _, high in known)
    extents[whole] = clock()
    for stretch in known:
        if stretch != whole:
            extents.pop(stretch, None)
    extents[whole] = clock()  # for what another thread has noted meanwhile and lost by that


def check(op: str, time: int, arrays: Iterable[Any]) -> None:
    """Raise if any of ``arrays``, kept by ``op`` at ``time``, was written since."""
    for array in arrays:
        if not hasattr(array, "strides"):
            continue
        own = _extents(array, new=False)
        if not own and not _foreign:
            continue
        low, high = extent(array)
        for (start, end), when in [*(own or {}).items(), *_foreign.items()]:
            if when > time and low < end and start < high:
                raise RuntimeError(
                    f"backward of {op}: an array of shape {tuple(array.shape)} that its gradient "
                    f"needs was overwritten in place after {op} ran; write into a copy, use "
                    f"mg.where/mg.scatter, or call backward() before the write"
                )
