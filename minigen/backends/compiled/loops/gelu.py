"""GELU and its slope."""

from __future__ import annotations

import math

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import contracted
from minigen.backends.compiled.loops.scalars import ONE, sigmoid_of

LINEAR = np.float32(2 * math.sqrt(2 / math.pi))
CUBIC = np.float32(0.044715 * 2 * math.sqrt(2 / math.pi))
THREE = np.float32(3)
LARGE = np.float32(1e4)
"""What is taken for x² if it is larger: the square of what ``ops/gelu.py`` calls so."""


@contracted
def gelu_by_tanh(out: Array, x: Array) -> None:
    """xΦ in float32: Φ = ½(1 + tanh ½v) = σ(v), v = 2u."""
    for i in range(x.size):
        q = x[i] * x[i]
        q = LARGE if q > LARGE else q
        out[i] = x[i] * sigmoid_of(x[i] * (LINEAR + CUBIC * q))


@contracted
def gelu_by_tanh_backward(out: Array, g: Array, x: Array) -> None:
    """g(Φ + xΦ') in float32, Φ' = Φ(1 - Φ)v'."""
    for i in range(x.size):
        q = x[i] * x[i]
        q = LARGE if q > LARGE else q
        phi = sigmoid_of(x[i] * (LINEAR + CUBIC * q))
        out[i] = g[i] * (phi + x[i] * (phi * (ONE - phi)) * (LINEAR + THREE * CUBIC * q))
