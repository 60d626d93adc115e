"""The CPU backend: NumPy as it is, with compiled kernels where Numba is, and MKL where it is."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
from typing import Any

import numpy as np

from minigen.backends import compiled, numpy_kernels
from minigen.backends.base import Array, Backend, MemoryFigures
from minigen.backends.compiled import mkl, products


class NumpyStream:
    """Random numbers from NumPy's PCG64, drawn directly in the dtype asked for."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Standard normal draws."""
        return self._generator.standard_normal(shape, dtype=np.dtype(dtype).type)

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Uniform draws from [0, 1)."""
        return self._generator.random(shape, dtype=np.dtype(dtype).type)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers (int64) drawn uniformly from [low, high)."""
        return self._generator.integers(low, high, shape, dtype=np.int64)

    def permutation(self, n: int) -> Array:
        """The integers 0 … n-1 (int64) in random order."""
        return self._generator.permutation(n).astype(np.int64, copy=False)

    def fill(self, kind: str, out: Array) -> None:
        """The next ``normal`` or ``uniform`` draws, written into ``out``."""
        if not out.size:
            return
        one = self._generator.standard_normal if kind == "normal" else self._generator.random
        one(out=out, dtype=out.dtype.type)

    def state(self) -> dict[str, Any]:
        """The bit generator's own state: a dictionary of names and integers."""
        return dict(self._generator.bit_generator.state)

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from where ``state()`` was taken."""
        self._generator.bit_generator.state = state


def _keep_freed_memory() -> None:
    """Ask glibc to keep large freed blocks for the next array instead of giving them back.

    A training step makes and drops the same few large arrays again and again. By default each
    comes fresh from the kernel, which zeroes it page by page: on a convolutional step that was
    a tenth of the time. On another C library, or with MINIGEN_KEEP_MEMORY=0, nothing is done.
    """
    if os.environ.get("MINIGEN_KEEP_MEMORY") == "0" or not sys.platform.startswith("linux"):
        return
    trim_threshold, mmap_threshold = -1, -3  # glibc's malloc.h
    try:
        library = ctypes.CDLL(None)
        library.mallopt(mmap_threshold, 1 << 30)
        library.mallopt(trim_threshold, 2**31 - 1)
    except (OSError, AttributeError):
        return


FEW = 16
"""So few values lose nothing that matters where they are added one after the other."""


def scatter_add(target: Array, index: Any, values: Any) -> None:
    """``target[index] += values`` where repeated indices add up, in float64 if they are many.

    ``numpy.add.at`` adds one value after the other to what lies there, in float32 with half a unit
    lost each time. Here the values are sorted by their place, and each run is added up.
    """
    if isinstance(index, tuple) and len(index) == 1:
        index = index[0]
    if target.dtype.kind != "f":
        np.add.at(target, index, values)
        return
    if isinstance(index, np.ndarray) and index.dtype.kind in "iu" and target.ndim:
        places = np.arange(len(target))[index]  # of rows, which are added whole
        shape, width = (*index.shape, *target.shape[1:]), math.prod(target.shape[1:])
    else:
        places, width = np.arange(target.size).reshape(target.shape)[index], 1
        shape = places.shape
    if places.size <= FEW or not width:
        np.add.at(target, index, values)
        return
    rows = target.reshape(-1, width)
    added = np.broadcast_to(values, shape).reshape(places.size, width)
    order = np.argsort(places, axis=None, kind="stable")
    places = places.reshape(-1)[order]
    starts = np.flatnonzero(np.diff(places, prepend=places[0] - 1))
    rows[places[starts]] += np.add.reduceat(added[order], starts, axis=0, dtype=np.float64)
    if not np.shares_memory(rows, target):  # the target has gaps, and its rows are a copy
        target[...] = rows.reshape(target.shape)


class NumpyBackend(Backend):
    """NumPy arrays in host memory."""

    name = "numpy"
    xp = np
    array_type = np.ndarray

    def __init__(self) -> None:
        super().__init__()
        _keep_freed_memory()
        self.kernels = dict(numpy_kernels.KERNELS)
        if compiled.available():
            self.kernels |= compiled.KERNELS
        if mkl.available():
            self.kernels |= {kernel.__name__: kernel for kernel in products.KERNELS}

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        """``numpy.asarray``: no copy when ``value`` is already such an array."""
        return np.asarray(value, dtype=dtype)

    def to_host(self, array: Array) -> np.ndarray:
        """The array itself."""
        return array

    def generator(self, seed: int) -> NumpyStream:
        """A PCG64 stream."""
        return NumpyStream(seed)

    def scatter_add(self, target: Array, index: Any, values: Array) -> None:
        """See the function of this name."""
        scatter_add(target, index, values)

    def give_back_memory(self) -> None:
        """Ask glibc for it; see ``_keep_freed_memory``. What was freed lies in pieces of the sizes
        that were asked for: of no use to whoever comes next with other sizes.
        """
        with contextlib.suppress(OSError, TypeError, AttributeError):  # another C library; Windows
            ctypes.CDLL(None).malloc_trim(0)

    def memory(self) -> MemoryFigures:
        """Resident memory of this process: now (Linux) and at its peak."""
        import resource  # not on Windows, and needed nowhere else

        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        try:
            with open("/proc/self/statm") as statm:
                used = int(statm.read().split()[1]) * resource.getpagesize()
        except OSError:
            used = peak
        return MemoryFigures(used, peak)
