"""What the compiled kernels share: the loops, and which arrays they can take."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled import mkl, threads

SMALL = 4096
"""Arrays with fewer elements are left to NumPy."""

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def large(x: Array) -> bool:
    """Whether a pass over ``x`` costs more than a call."""
    return x.size >= max(SMALL, 1)


@functools.cache
def loops() -> Any:
    """The module of loops, or None where Numba is installed but cannot be imported."""
    try:
        return importlib.import_module("minigen.backends.compiled.loops")
    except ImportError as error:  # Numba refuses a NumPy that is newer than itself
        warnings.warn(f"minigen runs without Numba: {error}", RuntimeWarning, stacklevel=2)
        return None


TOGETHER = 1 << 18
"""Arrays with fewer elements are not worth waking a second thread for."""


def _with_threads(most: int | None) -> Any:
    """The loops in up to so many of GNU OpenMP's threads, or None where Numba lacks OpenMP."""
    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError:
        return None
    numba = importlib.import_module("numba")
    numba.config.THREADING_LAYER = "omp"
    module = importlib.import_module("minigen.backends.compiled.loops.together")
    allowed = numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(min(most or allowed, allowed))
    return module


@functools.cache
def _together() -> Any:
    """The loops in several threads, or None where they would be no gain; see ``loops``."""
    if loops() is None or not mkl.available():
        return None
    if not mkl.mkl().shares_pool or mkl.mkl().threads < 2:
        return None
    return _with_threads(mkl.mkl().threads)


def loops_for(x: Array) -> Any:
    """The loops that suit an array of this size: in one thread or in several.

    A loop that has no version for several threads is the same in both.
    """
    if x.size < TOGETHER or threads.process.forked:
        return loops()
    return _together() or loops()


@functools.cache
def _pooled() -> Any:
    """The loops in as many threads as allowed, also beside another BLAS; None without OpenMP."""
    if _together() is not None or threads.limit() == 1:
        return _together()
    return _with_threads(threads.limit())


def pooled() -> Any:
    """The loops for work that is worth threads of its own: the products of convolution."""
    return loops() if threads.process.forked else _pooled() or loops()


def in_memory_order(*arrays: Any, dtypes: Sequence[np.dtype] = FLOATS) -> list[Array] | None:
    """The arrays as one-dimensional views, elements as they lie in memory; None if they differ.

    They must be arrays of one shape, one dtype (of ``dtypes``) and one order of dimensions in
    memory, and their elements must lie without gaps.
    """
    one = arrays[0]
    if any(not isinstance(x, np.ndarray) for x in arrays) or not large(one):
        return None
    if one.dtype not in dtypes:
        return None
    for other in arrays[1:]:
        if other.shape != one.shape or other.dtype != one.dtype:
            return None
        if other.strides != one.strides and _steps(other) != _steps(one):
            return None
    if one.flags.c_contiguous:
        return [x.reshape(-1) for x in arrays]
    order = sorted(range(one.ndim), key=lambda d: -one.strides[d])
    if not one.transpose(order).flags.c_contiguous:
        return None
    return [x.transpose(order).reshape(-1) for x in arrays]


def _steps(x: Array) -> list[int]:
    """The strides that matter: those of dimensions longer than 1."""
    return [stride for n, stride in zip(x.shape, x.strides) if n > 1]


def new_like(b: Any, *arrays: Any, dtypes: Sequence[np.dtype] = FLOATS) -> Any:
    """(loops, a new array like the first, all flat with the new one first); None: leave it."""
    flat = in_memory_order(*arrays, dtypes=dtypes)
    if flat is None or loops() is None:
        return None
    out = b.xp.empty_like(arrays[0])
    return loops_for(out), out, [out.ravel("K"), *flat]


def without_gaps(first: Array, *others: Array, dtypes: Sequence[np.dtype] = FLOATS) -> bool:
    """Whether all are arrays without gaps, of one dtype among ``dtypes``, and large enough."""
    dtype = first.dtype
    if not large(first) or dtype not in dtypes or not first.flags.c_contiguous:
        return False
    for x in others:
        if x.dtype != dtype or not x.flags.c_contiguous:
            return False
    return loops() is not None
