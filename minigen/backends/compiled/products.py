"""Matrix products by MKL; see ``mkl.py`` for when."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled import threads
from minigen.backends.compiled.mkl import mkl, reads, writes
from minigen.backends.compiled.support import FLOATS, loops

SMALL = 1 << 18
"""Products with no more multiplications are NumPy's, whose library does them in one thread."""


def product(b: Any, x: Array, other: Array, out: Array | None = None, *, add: bool = False) -> Any:
    """``x · other`` in float32 and float64; equals ``product`` in ``ops/product.py``."""
    if not isinstance(x, np.ndarray) or not isinstance(other, np.ndarray):
        return NotImplemented
    if not other.ndim or x.size * other.shape[-1] <= SMALL:
        return NotImplemented
    dtype = x.dtype
    shape = _result(x.shape, x.strides, dtype, other.shape, other.strides, other.dtype)
    if shape is None or not _may_run(x, other):
        return NotImplemented
    if out is None:
        out = b.xp.empty(shape, dtype=dtype)
    elif not _takes(out, shape, dtype):
        return NotImplemented
    b.run(mkl().product_of(dtype, len(shape)), out, x, other, add)
    return out


@functools.lru_cache(maxsize=4096)
def _result(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype,
    other_shape: tuple[int, ...],
    other_strides: tuple[int, ...],
    other_dtype: np.dtype,
) -> tuple[int, ...] | None:
    """The shape of the product of two such arrays; None where MKL cannot make it."""
    if len(shape) < 2 or len(other_shape) < 2 or dtype != other_dtype or dtype not in FLOATS:
        return None
    (*batch, n, k), (*other_batch, rows, m) = shape, other_shape
    if batch != other_batch or rows != k:
        return None
    size = dtype.itemsize
    if not reads(shape, strides, size) or not reads(other_shape, other_strides, size):
        return None
    return (*batch, n, m)


def _may_run(*arrays: Array) -> bool:
    """Whether no array lies at odd addresses, this process was not forked from one with threads,
    and Numba can be imported."""
    for x in arrays:
        if not x.flags.aligned:
            return False
    return not threads.process.forked and loops() is not None


def _takes(out: Any, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether MKL can write into ``out``: rows without gaps."""
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype:
        return False
    return out.flags.behaved and writes(out)


KERNELS = (product,)
"""As the backend registers them, by their names."""
