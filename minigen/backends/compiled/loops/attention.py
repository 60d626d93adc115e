"""The softmax of attention and its way back; weights lie keys first, see ``ops/attention.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import contracted
from minigen.backends.compiled.loops.scalars import LEAST, exp_of_negative
from minigen.backends.compiled.loops.summation import FEW, hand_over, move_over

ZERO = np.float32(0)
LOWEST = np.float32(-np.inf)


@contracted
def softmax_over_keys(w: Array, top: Array, total: Array, scale: Any, is_causal: Any) -> None:
    """e^(scale·(w - top))/total over the keys in float32, in place: (M, S, T), scratch (M, T).

    Causal: of key s only the queries t >= s are computed, from the multiple of 16 below s on.
    A query whose scores are all -inf sees nothing: its weights are 0.
    Loops run over slices from 0: indices that could be negative would not go side by side.
    """
    count, keys, queries = w.shape
    wide = np.zeros(queries)
    for m in range(count):
        for t in range(queries):
            top[m, t] = LOWEST
            total[m, t] = ZERO
        for s in range(keys):
            start, before = (s // 16 * 16, s % 16) if is_causal else (0, 0)
            row, high = w[m, s, start:], top[m, start:]
            for t in range(min(before, row.size)):
                row[t] = LOWEST
            for t in range(row.size):
                high[t] = row[t] if row[t] > high[t] else high[t]
        for t in range(queries):
            top[m, t] = ZERO if top[m, t] == LOWEST else top[m, t]
        for s in range(keys):
            start = s // 16 * 16 if is_causal else 0
            row, high, sums = w[m, s, start:], top[m, start:], total[m, start:]
            for t in range(row.size):
                x = (row[t] - high[t]) * scale
                e = exp_of_negative(LEAST if x < LEAST else x)
                e = ZERO if x < LEAST else e
                row[t] = e
                sums[t] += e
            if s % FEW == FEW - 1:
                move_over(wide[start:], sums)
        move_over(wide, total[m])
        for t in range(queries):
            total[m, t] = 1 / (1.0 if wide[t] == 0 else wide[t])
            wide[t] = 0
        for s in range(keys):
            start = s // 16 * 16 if is_causal else 0
            row, sums = w[m, s, start:], total[m, start:]
            w[m, s, :start] = ZERO
            for t in range(row.size):
                row[t] *= sums[t]


@contracted
def softmax_over_keys_backward(
    g: Array, w: Array, total: Array, scale: Any, zero: Any, is_causal: Any
) -> None:
    """``g ← scale·w∘(g - Σₛ w∘g)`` in place: (M, S, T), scratch (M, T)."""
    count, keys, queries = g.shape
    wide = np.zeros(queries)
    for m in range(count):
        for t in range(queries):
            total[m, t] = zero
        for s in range(keys):
            start = s // 16 * 16 if is_causal else 0
            row, weights, sums = g[m, s, start:], w[m, s, start:], total[m, start:]
            for t in range(row.size):
                row[t] *= weights[t]
                sums[t] += row[t]
            if s % FEW == FEW - 1:
                move_over(wide[start:], sums)
        hand_over(total[m], wide, True)
        wide[:] = 0
        for s in range(keys):
            start = s // 16 * 16 if is_causal else 0
            row, weights, sums = g[m, s, start:], w[m, s, start:], total[m, start:]
            g[m, s, :start] = zero
            for t in range(row.size):
                row[t] = scale * (row[t] - weights[t] * sums[t])
