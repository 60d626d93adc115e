"""Losses whose value and slope come out of one pass."""

from __future__ import annotations

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import contracted
from minigen.backends.compiled.loops.scalars import ONE, exp_of_negative, log_of_one_plus
from minigen.backends.compiled.loops.summation import row_sum

ZERO = np.float32(0)


@contracted
def cross_entropy_rows(x: Array, target: Array, total: Array, slope: Array) -> None:
    """Σ max(x, 0) - x·t + ln(1 + e^-|x|) of each row, and σ(x) - t, in float32: (N, D)."""
    count, size = x.shape
    terms = np.empty(size, dtype=np.float32)
    for n in range(count):
        logits, labels, slopes = x[n], target[n], slope[n]
        for k in range(size):
            e = exp_of_negative(-abs(logits[k]))
            factor = (ONE if logits[k] >= 0 else ZERO) - labels[k]
            terms[k] = log_of_one_plus(e) + (ZERO if factor == 0 else logits[k] * factor)
            slopes[k] = (e if logits[k] < 0 else ONE) / (ONE + e) - labels[k]
        total[n] = row_sum(terms)
