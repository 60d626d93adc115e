"""Products on the strict backend, as the CUDA backend makes them: not by ``xp.matmul``.

The CUDA backend multiplies through its own handle of cuBLAS, because CuPy's functions refuse to be
captured in a graph (``cublas.py``). So the strict backend has kernels for these as well; in a
capture they are written down where ``xp.matmul`` raises.
"""

from __future__ import annotations

from typing import Any

import numpy as np

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
    return np.matmul(x, other)


def _multiply_into(out: np.ndarray, x: np.ndarray, other: np.ndarray, add: bool) -> None:
    if add:
        out += np.matmul(x, other)
    else:
        np.matmul(x, other, out=out)


def sum_rows(b: Any, x: Array, out: Array | None = None, *, add: bool = False) -> Any:
    """``Σₙ x[n]`` of (N, C), as a product with ones; equals ``sum_rows`` in ``ops/product.py``."""
    return product(b, b.xp.ones(x.shape[0], dtype=x.dtype), x, out, add=add)


def dots(b: Any, x: Array, other: Array, axis: int) -> Any:
    """``Σ x·y`` along one axis; equals ``dots`` in ``ops/product.py``."""
    return StrictArray(compute(_dots, raw(x), raw(other), axis))


def _dots(x: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
    return np.einsum("rc,rc->c" if axis == 0 else "rc,rc->r", x, other)


KERNELS = (product, sum_rows, dots)
"""As the backend registers them, by their names."""
