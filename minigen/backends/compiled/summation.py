"""Sums over rows, and over neighbouring dimensions of an array without gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.support import FLOATS, large, loops, without_gaps


def sum_rows(b: Any, x: Array, out: Array | None = None, *, add: bool = False) -> Any:
    """``Σₙ x[n]`` of (N, C); equals ``sum_rows`` in ``ops/summation.py``."""
    if not isinstance(x, np.ndarray) or x.ndim != 2 or not without_gaps(x):
        return NotImplemented
    if out is None:
        out = b.xp.empty(x.shape[1], dtype=x.dtype)
    elif not isinstance(out, np.ndarray) or out.dtype != x.dtype or not out.flags.c_contiguous:
        return NotImplemented
    b.run(loops().sum_rows, x, out, add)
    return out


def wide_sum(b: Any, x: Array, axis: int | Sequence[int] | None, keepdims: bool) -> Any:
    """``Σ x`` over ``axis`` in float64, of float32; equals ``wide_sum`` in ``ops/summation.py``.

    The dimensions are taken as they lie in memory. The last run of them that is to be summed is
    summed by the loop, (A, R, C) -> (A, C), and what is left over, a small array, by NumPy.
    """
    if not isinstance(x, np.ndarray) or x.dtype != FLOATS[0] or not large(x) or loops() is None:
        return NotImplemented
    order = sorted(range(x.ndim), key=lambda d: -x.strides[d])
    y = x if x.flags.c_contiguous else x.transpose(order)
    if not y.flags.c_contiguous:
        return NotImplemented
    if y is x:
        order = list(range(x.ndim))
    given = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    summed = {d % x.ndim for d in given}
    last = stop = max((p for p, d in enumerate(order) if d in summed), default=-1) + 1
    while last and order[last - 1] in summed:
        last -= 1
    shape = (math.prod(y.shape[:last]), math.prod(y.shape[last:stop]), math.prod(y.shape[stop:]))
    out = b.xp.empty((shape[0], shape[2]))
    b.run(loops().sum_middle, out, y.reshape(shape))
    left = [1 if last <= p < stop else n for p, n in enumerate(y.shape)]
    out = out.reshape(left).transpose([order.index(d) for d in range(x.ndim)])
    rest = tuple([d for d in summed if out.shape[d] > 1])
    if rest:
        out = out.sum(axis=rest, keepdims=True)
    return out if keepdims else out.reshape([n for d, n in enumerate(out.shape) if d not in summed])


KERNELS = (sum_rows, wide_sum)
"""As the backend registers them, by their names."""
