"""Softmax and cross-entropy, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import summing
from minigen.backends.compiled.loops.scalars import ONE, exp_of_negative
from minigen.backends.compiled.loops.summation import row_sum

ZERO = np.float32(0)


@summing
def mean_cross_entropy(
    loss: Array, grad: Array, each: Array, x: Array, target: Array, ignored: Any
) -> None:
    """Mean of -ln softmax(x)[target] and its gradient in float32: (1,), (N, C), scratch (N,).

    A target that is no class makes the loss NaN.
    """
    rows, classes = x.shape
    counted = 0
    for r in range(rows):
        counted += target[r] != ignored
    share = ONE / np.float32(counted)
    for r in range(rows):
        row, y, chosen = x[r], grad[r], target[r]
        each[r] = ZERO
        if chosen == ignored:
            for c in range(classes):
                y[c] = ZERO
            continue
        top = row[0]
        for c in range(classes):
            top = row[c] if row[c] > top else top
        for c in range(classes):
            y[c] = exp_of_negative(row[c] - top)
        total = np.float32(row_sum(y))
        part = share / total
        for c in range(classes):
            y[c] *= part
        if 0 <= chosen < classes:
            each[r] = np.log(total) - (row[chosen] - top)
            y[chosen] -= share
        else:
            each[r] = np.float32(np.nan)
    loss[0] = row_sum(each) / counted
