"""Activations, gates and losses, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, contracted
from minigen.backends.compiled.loops.scalars import (
    ONE,
    exp_of_negative,
    log_of_one_plus,
    sigmoid_of,
    tanh_of,
)


@compiled
def rectify(out: Array, x: Array, low: Any) -> None:
    """``out = x`` where x > 0, ``low · x`` elsewhere."""
    for i in range(out.size):
        out[i] = low * x[i] if x[i] <= 0 else x[i]


@compiled
def relu(out: Array, x: Array, zero: Any) -> None:
    """``out = max(x, 0)``; infinities need no product with 0, and NaN stays."""
    for i in range(out.size):
        out[i] = zero if x[i] <= 0 else x[i]


@compiled
def gate(out: Array, g: Array, like: Array, low: Any) -> None:
    """``out = g`` where like > 0, ``low · g`` elsewhere."""
    for i in range(out.size):
        out[i] = g[i] if like[i] > 0 else low * g[i]


@compiled
def relu_gate(out: Array, g: Array, like: Array, zero: Any) -> None:
    """``out = g``, and 0 where like ≤ 0: chosen, as a product with 0 makes NaN of an infinity."""
    for i in range(out.size):
        out[i] = zero if like[i] <= 0 else g[i]


@contracted
def sigmoid(out: Array, x: Array) -> None:
    """``out = 1/(1 + e⁻ˣ)`` in float32, from e^-|x|, which cannot overflow."""
    for i in range(out.size):
        e = exp_of_negative(-abs(x[i]))
        out[i] = (e if x[i] < 0 else ONE) / (ONE + e)


@contracted
def bce_with_logits(out: Array, x: Array, target: Array) -> None:
    """``out = max(x, 0) - x·t + ln(1 + e^-|x|)`` in float32; see the plain one."""
    zero = np.float32(0)
    for i in range(out.size):
        e = exp_of_negative(-abs(x[i]))
        factor = (ONE if x[i] >= 0 else zero) - target[i]
        out[i] = log_of_one_plus(e) + (zero if factor == 0 else x[i] * factor)


@contracted
def tanh_and_sigmoid(parts: Array) -> None:
    """tanh of the first half of each row and sigmoid of the second, in place: (M, 2C), float32."""
    count, width = parts.shape
    size = width // 2
    for m in range(count):
        row = parts[m]
        for k in range(size):
            row[k] = tanh_of(row[k])
        for k in range(size, width):
            row[k] = sigmoid_of(row[k])


@compiled
def gate_backward(g: Array, parts: Array, out: Array, one: Any) -> None:
    """g·s·(1 - t²) and g·t·s·(1 - s): (M, C), (M, 2C) → (M, 2C)."""
    count, size = g.shape
    for m in range(count):
        for k in range(size):
            t = parts[m, k]
            s = parts[m, size + k]
            through = g[m, k] * s
            out[m, k] = through * (one - t * t)
            out[m, size + k] = through * t * (one - s)
