"""Layer norm by rows, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, summing


@summing
def normalize_rows(
    out: Array,
    normed: Array,
    inverse: Array,
    x: Array,
    weight: Array,
    bias: Array,
    eps: Any,
    share: Any,
) -> None:
    """normed = (x - mean)/√(variance + eps), out = normed·weight + bias: (R, C); share = 1/C."""
    rows, columns = x.shape
    for r in range(rows):
        row, n, y = x[r], normed[r], out[r]
        mean = row[0] - row[0]
        variance = eps - eps
        for c in range(columns):
            mean += row[c]
        mean *= share
        for c in range(columns):
            n[c] = row[c] - mean
            variance += n[c] * n[c]
        slope = share / (share * np.sqrt(variance * share + eps))
        inverse[r] = slope
        for c in range(columns):
            n[c] *= slope
            y[c] = n[c] * weight[c] + bias[c]


@summing
def normalize_rows_backward(
    grad: Array,
    sums: Array,
    g: Array,
    normed: Array,
    inverse: Array,
    weight: Array,
    size: int,
    share: Any,
    zero: Any,
) -> None:
    """With h = g·weight: grad = (h - mean(h) - normed·mean(h·normed))·inverse; share = 1/C.

    ``sums`` (groups, 2, C): Σ g·normed and Σ g over each group's rows, ``size`` or, at last, fewer.
    """
    rows, columns = g.shape
    for group in range(len(sums)):
        by_weight, by_bias = sums[group, 0], sums[group, 1]
        for c in range(columns):
            by_weight[c] = zero
            by_bias[c] = zero
        for r in range(group * size, min(rows, (group + 1) * size)):
            y, n, out = g[r], normed[r], grad[r]
            mean, along = zero, zero
            for c in range(columns):
                h = y[c] * weight[c]
                mean += h
                along += h * n[c]
                by_weight[c] += y[c] * n[c]
                by_bias[c] += y[c]
            mean *= share
            along *= share
            slope = inverse[r]
            for c in range(columns):
                out[c] = (y[c] * weight[c] - mean - n[c] * along) * slope


@compiled
def add_groups(sums: Array) -> None:
    """Add all (groups, 2, C) to the first, in their order."""
    for group in range(1, len(sums)):
        for which in range(2):
            for c in range(sums.shape[2]):
                sums[0, which, c] += sums[group, which, c]
