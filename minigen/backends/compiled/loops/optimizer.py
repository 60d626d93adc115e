"""A step of Adam and of a moving average."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled


@compiled
def adam_step(
    p: Array,
    grad: Array,
    first: Array,
    second: Array,
    beta1: Any,
    beta2: Any,
    scale: Any,
    small: Any,
    decay: Any,
    shrink: Any,
) -> None:
    """``M ← β₁M + g, V ← β₂V + g², p ← shrink·p - scale · M/(√V + small)``, g = grad + decay·p."""
    for i in range(p.size):
        g = grad[i] + decay * p[i]
        m = beta1 * first[i] + g
        v = beta2 * second[i] + g * g
        first[i] = m
        second[i] = v
        p[i] = shrink * p[i] - scale * (m / (np.sqrt(v) + small))


@compiled
def average_step(average: Array, value: Array, decay: Any, rest: Any) -> None:
    """``average ← decay·average + rest·value``."""
    for i in range(average.size):
        average[i] = decay * average[i] + rest * value[i]
