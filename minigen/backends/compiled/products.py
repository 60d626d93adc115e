"""Matrix products by MKL; see ``mkl.py`` for when."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled import threads
from minigen.backends.compiled.mkl import PLAIN, mkl, orientation
from minigen.backends.compiled.support import FLOATS

SMALL = 1 << 18
"""Products with fewer multiplications are left to NumPy, whose library does them in one thread."""


def product(b: Any, x: Array, other: Array, out: Array | None = None, *, add: bool = False) -> Any:
    """``x · other`` in float32 and float64; equals ``product`` in ``ops/product.py``."""
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
    if n * m * k * math.prod(batch) < max(SMALL, 1):
        return NotImplemented
    if not orientation(x)[0] or not orientation(other)[0]:
        return NotImplemented
    if out is None:
        out = b.xp.empty((*batch, n, m), dtype=x.dtype)
    elif not _takes(out, (*batch, n, m), x.dtype):
        return NotImplemented
    library = mkl()
    b.run(library.multiply_each if batch else library.multiply, out, x, other, add)
    return out


def _takes(out: Any, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether MKL can write into ``out``: rows without gaps."""
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype:
        return False
    return orientation(out)[0] == PLAIN


KERNELS = (product,)
"""As the backend registers them, by their names."""
