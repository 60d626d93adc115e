"""Batch norm of rows (R, C), one column for each channel, and the way back.

Sums over rows are made of groups of ``size`` neighbours (the last may be shorter), which can be
computed apart, and added up in their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, contracted


@compiled
def channel_sums(sums: Array, x: Array, size: int, zero: Any) -> None:
    """``sums`` (groups, C): Σ x over each group's rows."""
    for group in range(len(sums)):
        total = sums[group]
        total[:] = zero
        for r in range(group * size, min(len(x), (group + 1) * size)):
            row = x[r]
            for c in range(row.size):
                total[c] += row[c]


@contracted
def channel_squares(sums: Array, x: Array, mean: Array, size: int, zero: Any) -> None:
    """``sums`` (groups, C): Σ (x - mean)² over each group's rows."""
    for group in range(len(sums)):
        total = sums[group]
        total[:] = zero
        for r in range(group * size, min(len(x), (group + 1) * size)):
            row = x[r]
            for c in range(row.size):
                centred = row[c] - mean[c]
                total[c] += centred * centred


@compiled
def add_groups_to(out: Array, sums: Array, share: Any) -> None:
    """``out = share · Σ sums[k]``, added in their order: (C,), (groups, C)."""
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
def channel_products(sums: Array, g: Array, x: Array, mean: Array, size: int, zero: Any) -> None:
    """``sums`` (groups, 2, C): Σ g·(x - mean) and Σ g over each group's rows."""
    for group in range(len(sums)):
        along, level = sums[group, 0], sums[group, 1]
        along[:] = zero
        level[:] = zero
        for r in range(group * size, min(len(x), (group + 1) * size)):
            y, row = g[r], x[r]
            for c in range(row.size):
                along[c] += y[c] * (row[c] - mean[c])
                level[c] += y[c]


@compiled
def channel_slopes_backward(
    slopes: Array, sums: Array, inverse: Array, weight: Array, share: Any
) -> None:
    """Of g, of x - mean, and what is taken away: (3, C). Σ g·(x - mean) becomes Σ g·x̂."""
    for c in range(inverse.size):
        sums[0, 0, c] *= inverse[c]
        slope = weight[c] * inverse[c]
        slopes[0, c] = slope
        slopes[1, c] = slope * inverse[c] * sums[0, 0, c] * share
        slopes[2, c] = slope * sums[0, 1, c] * share


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
