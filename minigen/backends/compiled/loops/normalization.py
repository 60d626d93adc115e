"""Layer norm by rows, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, summing


@summing
def normalize_rows(
    out: Array,
    means: Array,
    inverse: Array,
    x: Array,
    weight: Array,
    bias: Array,
    eps: Any,
    share: Any,
) -> None:
    """(x - mean)·inverse·weight + bias: (R, C), with inverse = 1/√(variance + eps), share = 1/C."""
    rows, columns = x.shape
    for r in range(rows):
        row, y = x[r], out[r]
        mean = row[0] - row[0]
        variance = eps - eps
        for c in range(columns):
            mean += row[c]
        mean *= share
        for c in range(columns):
            variance += (row[c] - mean) * (row[c] - mean)
        slope = share / (share * np.sqrt(variance * share + eps))
        means[r], inverse[r] = mean, slope
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
    share: Any,
    zero: Any,
) -> None:
    """With h = g·weight and x̂ = (x - mean)·inverse: grad = (h - μ(h) - x̂·μ(h·x̂))·inverse.

    ``share`` = 1/C; μ is the mean over a row. ``sums`` (groups, 2, C): Σ g·x̂ and Σ g over each
    group's rows, ``size`` or, at last, fewer.
    """
    rows, columns = g.shape
    for group in range(len(sums)):
        by_weight, by_bias = sums[group, 0], sums[group, 1]
        for c in range(columns):
            by_weight[c] = zero
            by_bias[c] = zero
        for r in range(group * size, min(rows, (group + 1) * size)):
            y, row, out = g[r], x[r], grad[r]
            middle, slope = means[r], inverse[r]
            mean, along = zero, zero
            for c in range(columns):
                n = (row[c] - middle) * slope
                h = y[c] * weight[c]
                mean += h
                along += h * n
                by_weight[c] += y[c] * n
                by_bias[c] += y[c]
            mean *= share
            along *= share * slope
            for c in range(columns):
                out[c] = (y[c] * weight[c] - mean - (row[c] - middle) * along) * slope


@compiled
def add_groups(sums: Array) -> None:
    """Add all (groups, 2, C) to the first, in their order."""
    for group in range(1, len(sums)):
        for which in range(2):
            for c in range(sums.shape[2]):
                sums[0, which, c] += sums[group, which, c]
