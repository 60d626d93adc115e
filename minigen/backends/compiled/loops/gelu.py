"""GELU and its slope."""

from __future__ import annotations

import math

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, contracted
from minigen.backends.compiled.loops.scalars import ONE, sigmoid_of

LINEAR = np.float32(2 * math.sqrt(2 / math.pi))
CUBIC = np.float32(0.044715 * 2 * math.sqrt(2 / math.pi))
THREE = np.float32(3)


@contracted
def gelu_by_tanh(out: Array, slope: Array, x: Array) -> None:
    """xΦ and Φ + xΦ' in float32: Φ = ½(1 + tanh ½v) = σ(v), Φ' = Φ(1 - Φ)v', v = 2u."""
    for i in range(x.size):
        q = x[i] * x[i]
        phi = sigmoid_of(x[i] * (LINEAR + CUBIC * q))
        slope[i] = phi + x[i] * (phi * (ONE - phi)) * (LINEAR + THREE * CUBIC * q)
        out[i] = x[i] * phi


@compiled
def multiply(out: Array, x: Array, other: Array) -> None:
    """``out = x · other``."""
    for i in range(out.size):
        out[i] = x[i] * other[i]
