"""Layer norm."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.support import loops, loops_for, without_gaps

GROUPS = 16
"""Sums over all rows are made of this many sums over neighbours, whatever computes them."""


def normalize_rows(b: Any, x: Array, weight: Array, bias: Array, *, eps: float) -> Any:
    """With weight and bias; equals ``normalize_rows`` in ``ops/normalization.py``."""
    if weight is None or bias is None or not without_gaps(x, weight, bias):
        return NotImplemented
    out, normed = b.xp.empty_like(x), b.xp.empty_like(x)
    inverse = b.xp.empty(x.shape[0], x.dtype)
    numbers = x.dtype.type(eps), x.dtype.type(1 / x.shape[1])
    b.run(loops_for(x).normalize_rows, out, normed, inverse, x, weight, bias, *numbers)
    return out, normed, inverse


def normalize_rows_backward(b: Any, g: Array, normed: Array, inverse: Array, weight: Array) -> Any:
    """The way back; equals ``normalize_rows_backward`` in ``ops/normalization.py``."""
    if weight is None or not without_gaps(g, normed, inverse, weight):
        return NotImplemented
    rows, columns = g.shape
    grad = b.xp.empty_like(g)
    size = -(-rows // GROUPS)
    sums = b.xp.empty((-(-rows // size), 2, columns), g.dtype)
    numbers = size, g.dtype.type(1 / columns), g.dtype.type(0)
    b.run(loops_for(g).normalize_rows_backward, grad, sums, g, normed, inverse, weight, *numbers)
    b.run(loops().add_groups, sums)
    return grad, sums[0, 0], sums[0, 1]


KERNELS = (
    normalize_rows,
    normalize_rows_backward,
)
"""As the backend registers them, by their names."""
