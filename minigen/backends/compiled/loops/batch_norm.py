"""Batch norm of rows (R, C), one column for each channel, and the way back.

Sums over rows are made of groups of ``size`` neighbours (the last may be shorter), which can be
computed apart, and added up in their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, contracted
from minigen.backends.compiled.loops.summation import FEW, add_rows, move_over


@compiled
def channel_sums(sums: Array, x: Array, size: int) -> None:
    """``sums`` (groups, C), float64: Σ x over each group's rows."""
    for group in range(len(sums)):
        sums[group] = 0
        add_rows(sums[group], x[group * size : min(len(x), (group + 1) * size)])


@contracted
def channel_squares(sums: Array, x: Array, mean: Array, size: int) -> None:
    """``sums`` (groups, C), float64: Σ (x - mean)² over each group's rows."""
    some = np.zeros(mean.size, x.dtype)
    for group in range(len(sums)):
        sums[group] = 0
        first = group * size
        for r in range(first, min(len(x), first + size)):
            row = x[r]
            for c in range(row.size):
                centred = row[c] - mean[c]
                some[c] += centred * centred
            if (r - first) % FEW == FEW - 1:
                move_over(sums[group], some)
        move_over(sums[group], some)


@compiled
def add_groups_to(out: Array, sums: Array, share: Any) -> None:
    """``out = share · Σ sums[k]``, added in their order: (C,), (groups, C) in float64."""
    for c in range(out.size):
        total = sums[0, c]
        for group in range(1, len(sums)):
            total += sums[group, c]
        out[c] = total * share


@compiled
def channel_slopes(
    inverse: Array, slope: Array, variance: Array, weight: Array, eps: Any, one: Any
) -> None:
    """inverse = 1/√(variance + eps), slope = inverse · weight: (C,)."""
    for c in range(slope.size):
        inverse[c] = one / np.sqrt(variance[c] + eps)
        slope[c] = inverse[c] * weight[c]


@contracted
def scale_channels(out: Array, x: Array, mean: Array, slope: Array, bias: Array) -> None:
    """out = (x - mean) · slope + bias."""
    for r in range(len(x)):
        row, y = x[r], out[r]
        for c in range(row.size):
            y[c] = (row[c] - mean[c]) * slope[c] + bias[c]


@contracted
def channel_products(sums: Array, g: Array, x: Array, mean: Array, size: int) -> None:
    """``sums`` (groups, 2, C), float64: Σ g·(x - mean) and Σ g over each group's rows."""
    along, level = np.zeros(mean.size, x.dtype), np.zeros(mean.size, x.dtype)
    for group in range(len(sums)):
        sums[group] = 0
        first = group * size
        for r in range(first, min(len(x), first + size)):
            y, row = g[r], x[r]
            for c in range(row.size):
                along[c] += y[c] * (row[c] - mean[c])
                level[c] += y[c]
            if (r - first) % FEW == FEW - 1:
                move_over(sums[group, 0], along)
                move_over(sums[group, 1], level)
        move_over(sums[group, 0], along)
        move_over(sums[group, 1], level)


@compiled
def channel_slopes_backward(
    slopes: Array, by_weight: Array, by_bias: Array, inverse: Array, weight: Array, share: Any
) -> None:
    """Of g, of x - mean, and what is taken away: (3, C). Σ g·(x - mean) becomes Σ g·x̂."""
    for c in range(inverse.size):
        by_weight[c] *= inverse[c]
        slope = weight[c] * inverse[c]
        slopes[0, c] = slope
        slopes[1, c] = slope * inverse[c] * by_weight[c] * share
        slopes[2, c] = slope * by_bias[c] * share


@contracted
def normalize_channels_backward(
    grad: Array, g: Array, x: Array, mean: Array, slopes: Array
) -> None:
    """grad = g · slopes[0] - (x - mean) · slopes[1] - slopes[2]."""
    slope, along, level = slopes[0], slopes[1], slopes[2]
    for r in range(len(x)):
        y, row, out = g[r], x[r], grad[r]
        for c in range(row.size):
            out[c] = y[c] * slope[c] - (row[c] - mean[c]) * along[c] - level[c]
