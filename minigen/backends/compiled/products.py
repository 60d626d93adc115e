"""Matrix products by MKL; see ``mkl.py`` for when."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled import threads
from minigen.backends.compiled.mkl import PLAIN, layout, mkl, orientation
from minigen.backends.compiled.support import FLOATS

SMALL = 1 << 18
"""Products with no more multiplications are NumPy's, whose library does them in one thread."""

ROWS_SMALL = 8192
"""Sums over rows of no more elements are left to NumPy, for the same reason."""


def product(b: Any, x: Array, other: Array, out: Array | None = None, *, add: bool = False) -> Any:
    """``x · other`` in float32 and float64; equals ``product`` in ``ops/product.py``."""
    if x.size * other.shape[-1] <= SMALL:
        return NotImplemented
    if (
        not isinstance(x, np.ndarray)
        or not isinstance(other, np.ndarray)
        or x.ndim < 2
        or other.ndim < 2
        or x.dtype != other.dtype
        or x.dtype not in FLOATS
        or threads.process.forked
    ):
        return NotImplemented
    n, k = x.shape[-2:]
    m = other.shape[-1]
    batch = x.shape[:-2]
    if batch != other.shape[:-2] or other.shape[-2] != k:
        return NotImplemented
    (_, order_x, order_other, *_), _ = layout(x, other)
    if not order_x or not order_other:
        return NotImplemented
    if out is None:
        out = b.xp.empty((*batch, n, m), dtype=x.dtype)
    elif not _takes(out, (*batch, n, m), x.dtype):
        return NotImplemented
    library = mkl()
    b.run(library.multiply_each if batch else library.multiply, out, x, other, add)
    return out


def sum_rows(b: Any, x: Array, out: Array | None = None, *, add: bool = False) -> Any:
    """``Σₙ x[n]`` of (N, C); equals ``sum_rows`` in ``ops/product.py``."""
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.size <= ROWS_SMALL:
        return NotImplemented
    if x.dtype not in FLOATS or not orientation(x)[0] or threads.process.forked:
        return NotImplemented
    if out is None:
        out = b.xp.empty(x.shape[1], dtype=x.dtype)
    elif not isinstance(out, np.ndarray) or out.dtype != x.dtype or not out.flags.c_contiguous:
        return NotImplemented
    ones = b.xp.ones((1, x.shape[0]), dtype=x.dtype)
    b.run(mkl().multiply, out.reshape(1, -1), ones, x, add)
    return out


def _takes(out: Any, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether MKL can write into ``out``: rows without gaps."""
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype:
        return False
    return orientation(out)[0] == PLAIN


KERNELS = (product, sum_rows)
"""As the backend registers them, by their names."""
