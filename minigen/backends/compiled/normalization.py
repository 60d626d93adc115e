"""Layer norm and batch norm."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.support import loops, loops_for, without_gaps

GROUPS = 16
"""Sums over all rows are made of this many sums over neighbours, whatever computes them; between
the loops these are float64."""


def normalize_rows(b: Any, x: Array, weight: Array, bias: Array, *, eps: float) -> Any:
    """With weight and bias; equals ``normalize_rows`` in ``ops/normalization.py``."""
    if weight is None or bias is None or not without_gaps(x, weight, bias):
        return NotImplemented
    out = b.xp.empty_like(x)
    mean, inverse = b.xp.empty(x.shape[0], x.dtype), b.xp.empty(x.shape[0], x.dtype)
    b.run(loops_for(x).normalize_rows, out, mean, inverse, x, weight, bias, x.dtype.type(eps))
    return out, mean, inverse


def normalize_rows_backward(
    b: Any, g: Array, x: Array, mean: Array, inverse: Array, weight: Array
) -> Any:
    """The way back; equals ``normalize_rows_backward`` in ``ops/normalization.py``."""
    if weight is None or not without_gaps(g, x, mean, inverse, weight):
        return NotImplemented
    rows, columns = g.shape
    grad = b.xp.empty_like(g)
    size = -(-rows // GROUPS)
    sums = b.xp.empty((-(-rows // size), 2, columns))
    by_weight, by_bias = b.xp.empty(columns, g.dtype), b.xp.empty(columns, g.dtype)
    b.run(loops_for(g).normalize_rows_backward, grad, sums, g, x, mean, inverse, weight, size)
    b.run(loops().add_groups, by_weight, by_bias, sums)
    return grad, by_weight, by_bias


def normalize_channels(b: Any, x: Array, weight: Array, bias: Array, *, eps: float) -> Any:
    """With weight and bias; equals ``normalize_channels`` in ``ops/batch_norm.py``."""
    if weight is None or bias is None or not without_gaps(x, weight, bias):
        return NotImplemented
    (rows, columns), number, run = x.shape, x.dtype.type, loops_for(x)
    size = -(-rows // GROUPS)
    sums = b.xp.empty((-(-rows // size), columns))
    mean, variance, inverse, slope = [b.xp.empty(columns, x.dtype) for _ in range(4)]
    out = b.xp.empty_like(x)
    b.run(run.channel_sums, sums, x, size)
    b.run(loops().add_groups_to, mean, sums, 1 / rows)
    b.run(run.channel_squares, sums, x, mean, size)
    b.run(loops().add_groups_to, variance, sums, 1 / rows)
    b.run(loops().channel_slopes, inverse, slope, variance, weight, number(eps), number(1))
    b.run(run.scale_channels, out, x, mean, slope, bias)
    return out, mean, variance, inverse


def normalize_channels_backward(
    b: Any, g: Array, x: Array, mean: Array, inverse: Array, weight: Array
) -> Any:
    """The way back; equals ``normalize_channels_backward`` in ``ops/batch_norm.py``."""
    if weight is None or not without_gaps(g, x, mean, inverse, weight):
        return NotImplemented
    (rows, columns), run = x.shape, loops_for(x)
    size = -(-rows // GROUPS)
    sums = b.xp.empty((-(-rows // size), 2, columns))
    by_weight, by_bias = b.xp.empty(columns, g.dtype), b.xp.empty(columns, g.dtype)
    slopes, grad = b.xp.empty((3, columns), x.dtype), b.xp.empty_like(x)
    b.run(run.channel_products, sums, g, x, mean, size)
    b.run(loops().add_groups, by_weight, by_bias, sums)
    b.run(
        loops().channel_slopes_backward,
        *(slopes, by_weight, by_bias, inverse, weight, x.dtype.type(1 / rows)),
    )
    b.run(run.normalize_channels_backward, grad, g, x, mean, slopes)
    return grad, by_weight, by_bias


KERNELS = (
    normalize_rows,
    normalize_rows_backward,
    normalize_channels,
    normalize_channels_backward,
)
"""As the backend registers them, by their names."""
