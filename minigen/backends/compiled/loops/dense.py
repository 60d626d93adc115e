"""Bias and activation of a dense layer, forward and back: (N, O), (O,)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, contracted
from minigen.backends.compiled.loops.scalars import sigmoid_of, tanh_of
from minigen.backends.compiled.loops.summation import FEW, hand_over, move_over


@compiled
def add_bias(rows: Array, bias: Array) -> None:
    """``rows += bias``: (n, C), (C,)."""
    count, channels = rows.shape
    for i in range(count):
        for c in range(channels):
            rows[i, c] += bias[c]


@compiled
def bias_and_rectify(z: Array, bias: Array, low: Any) -> None:
    """``z ← z + bias``, then times ``low`` where that is not positive; NaN stays."""
    zero = low - low
    for n in range(z.shape[0]):
        row = z[n]
        for k in range(row.size):
            y = row[k] + bias[k]
            if low == zero:
                row[k] = zero if y <= zero else y
            else:
                row[k] = low * y if y <= zero else y


@contracted
def bias_and_tanh(z: Array, bias: Array) -> None:
    """``z ← tanh(z + bias)`` in float32."""
    for n in range(z.shape[0]):
        row = z[n]
        for k in range(row.size):
            row[k] = tanh_of(row[k] + bias[k])


@contracted
def bias_and_sigmoid(z: Array, bias: Array) -> None:
    """``z ← 1/(1 + e^-(z + bias))`` in float32."""
    for n in range(z.shape[0]):
        row = z[n]
        for k in range(row.size):
            row[k] = sigmoid_of(row[k] + bias[k])


@compiled
def gate_and_sum(g: Array, y: Array, g_z: Array, total: Array, add: bool, low: Any) -> None:
    """``g_z = g`` where y > 0, ``low · g`` elsewhere; ``total`` = or += its sum over rows.

    With low = 0 the 0 is chosen, as a product makes NaN of an infinity.
    """
    zero = low - low
    some, wide = np.zeros(total.size, g.dtype), np.zeros(total.size)
    for n in range(g.shape[0]):
        row_g, row_y, row = g[n], y[n], g_z[n]
        for k in range(row.size):
            if low == zero:
                through = zero if row_y[k] <= zero else row_g[k]
            else:
                through = row_g[k] if row_y[k] > zero else low * row_g[k]
            row[k] = through
            some[k] += through
        if n % FEW == FEW - 1:
            move_over(wide, some)
    move_over(wide, some)
    hand_over(total, wide, add)


@compiled
def tanh_and_sum(g: Array, y: Array, g_z: Array, total: Array, add: bool, one: Any) -> None:
    """``g_z = g·(1 - y²)``; ``total`` = or += its sum over rows."""
    some, wide = np.zeros(total.size, g.dtype), np.zeros(total.size)
    for n in range(g.shape[0]):
        row_g, row_y, row = g[n], y[n], g_z[n]
        for k in range(row.size):
            through = row_g[k] * (one - row_y[k] * row_y[k])
            row[k] = through
            some[k] += through
        if n % FEW == FEW - 1:
            move_over(wide, some)
    move_over(wide, some)
    hand_over(total, wide, add)


@compiled
def sigmoid_and_sum(g: Array, y: Array, g_z: Array, total: Array, add: bool, one: Any) -> None:
    """``g_z = g·y(1 - y)``; ``total`` = or += its sum over rows."""
    some, wide = np.zeros(total.size, g.dtype), np.zeros(total.size)
    for n in range(g.shape[0]):
        row_g, row_y, row = g[n], y[n], g_z[n]
        for k in range(row.size):
            through = row_g[k] * (row_y[k] * (one - row_y[k]))
            row[k] = through
            some[k] += through
        if n % FEW == FEW - 1:
            move_over(wide, some)
    move_over(wide, some)
    hand_over(total, wide, add)
