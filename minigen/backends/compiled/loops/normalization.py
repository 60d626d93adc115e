"""Layer norm by rows, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, summing
from minigen.backends.compiled.loops.summation import FEW, PIECE, move_over, row_sum


@summing
def squares_about(mean: Any, row: Array) -> Any:
    """Σ (row - mean)², in float64."""
    wide = 0.0
    for first in range(0, row.size, PIECE):
        piece, some = row[first : first + PIECE], mean - mean
        for c in range(piece.size):
            some += (piece[c] - mean) * (piece[c] - mean)
        wide += some
    return wide


@summing
def normalize_rows(
    out: Array, means: Array, inverse: Array, x: Array, weight: Array, bias: Array, eps: Any
) -> None:
    """(x - mean)·inverse·weight + bias: (R, C), with inverse = 1/√(variance + eps)."""
    rows, columns = x.shape
    for r in range(rows):
        row, y = x[r], out[r]
        means[r] = row_sum(row) / columns
        mean = means[r]
        inverse[r] = 1 / np.sqrt(squares_about(mean, row) / columns + eps)
        slope = inverse[r]
        for c in range(columns):
            y[c] = (row[c] - mean) * slope * weight[c] + bias[c]


@summing
def normalize_rows_backward(
    grad: Array,
    sums: Array,
    g: Array,
    x: Array,
    means: Array,
    inverse: Array,
    weight: Array,
    size: int,
) -> None:
    """With h = g·weight and x̂ = (x - mean)·inverse: grad = (h - μ(h) - x̂·μ(h·x̂))·inverse.

    μ is the mean over a row. ``sums`` (groups, 2, C), in float64: Σ g·x̂ and Σ g over each group's
    rows, ``size`` or, at last, fewer.
    """
    rows, columns = g.shape
    by_weight, by_bias = np.zeros(columns, g.dtype), np.zeros(columns, g.dtype)
    row_sums = np.empty(2, g.dtype)
    for group in range(len(sums)):
        sums[group] = 0
        begin = group * size
        for r in range(begin, min(rows, begin + size)):
            middle, slope = means[r], inverse[r]
            mean, along = 0.0, 0.0
            for first in range(0, columns, PIECE):
                last = first + PIECE
                y, row, scale = g[r, first:last], x[r, first:last], weight[first:last]
                along_weight, along_bias = by_weight[first:last], by_bias[first:last]
                some, much = middle - middle, middle - middle
                for c in range(y.size):
                    n = (row[c] - middle) * slope
                    h = y[c] * scale[c]
                    some += h
                    much += h * n
                    along_weight[c] += y[c] * n
                    along_bias[c] += y[c]
                mean += some
                along += much
            row_sums[0], row_sums[1] = mean / columns, along / columns * slope
            level, tilt = row_sums[0], row_sums[1]
            y, row, out = g[r], x[r], grad[r]
            for c in range(columns):
                out[c] = (y[c] * weight[c] - level - (row[c] - middle) * tilt) * slope
            if (r - begin) % FEW == FEW - 1:
                move_over(sums[group, 0], by_weight)
                move_over(sums[group, 1], by_bias)
        move_over(sums[group, 0], by_weight)
        move_over(sums[group, 1], by_bias)


@compiled
def add_groups(by_weight: Array, by_bias: Array, sums: Array) -> None:
    """Both sums over all groups, added in their order: (C,) twice, (groups, 2, C) in float64."""
    for c in range(by_bias.size):
        along, level = sums[0, 0, c], sums[0, 1, c]
        for group in range(1, len(sums)):
            along += sums[group, 0, c]
            level += sums[group, 1, c]
        by_weight[c], by_bias[c] = along, level
