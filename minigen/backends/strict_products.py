"""Products on the strict backend, as the CUDA backend makes them: not by ``xp.matmul``; and its
sums, which are the CUDA backend's own.

The CUDA backend multiplies through its own handle of cuBLAS, because CuPy's functions refuse to be
captured in a graph (``cublas.py``). So the strict backend has kernels for these as well; in a
capture they are written down where ``xp.matmul`` raises.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends import cublas
from minigen.backends.base import Array
from minigen.backends.strict_array import StrictArray, raw
from minigen.backends.strict_graph import compute, write


def product(b: Any, x: Array, other: Array, out: Array | None = None, *, add: bool = False) -> Any:
    """``x · other``; equals ``product`` in ``ops/product.py``."""
    if out is None:
        return StrictArray(np.asarray(compute(_multiplied, raw(x), raw(other))))
    write(_multiply_into, raw(out), raw(x), raw(other), add)
    return out


def _multiplied(x: np.ndarray, other: np.ndarray) -> np.ndarray:
    return _in_float32(x, other).astype(np.result_type(x, other), copy=False)


def _in_float32(x: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The product; that of halves is added up in float32, as cuBLAS is told to."""
    if x.dtype == other.dtype == np.float16:
        return np.matmul(x.astype(np.float32), other.astype(np.float32))
    return np.matmul(x, other)


def _multiply_into(out: np.ndarray, x: np.ndarray, other: np.ndarray, add: bool) -> None:
    found = _in_float32(x, other)
    out[...] = out + found if add else found


KERNELS = (product, cublas.sum_rows, cublas.sum_columns, cublas.wide_sum, cublas.dots)
"""As the backend registers them, by their names."""
