"""Optimizers and moving averages, one pass each."""

from __future__ import annotations

import math
from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.support import in_memory_order, loops, loops_for


def adam_step(
    b: Any,
    value: Array,
    grad: Array,
    first: Array,
    second: Array,
    largest: Array | None = None,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
) -> Any:
    """A step of Adam or AdamW; equals ``adam_step`` in ``optim/adam.py``. Not amsgrad's."""
    flat = in_memory_order(value, grad, first, second)
    if flat is None or loops() is None or largest is not None:
        return NotImplemented
    k = math.sqrt((1 - betas[1]) / (1 - betas[1] ** step))
    numbers = (
        *betas,
        lr * (1 - betas[0]) / ((1 - betas[0] ** step) * k),
        eps / k,
        0.0 if decoupled else weight_decay,
        1 - lr * weight_decay if decoupled else 1.0,
    )
    b.run(loops_for(value).adam_step, *flat, *[value.dtype.type(number) for number in numbers])
    return None


def average_step(b: Any, average: Array, value: Array, *, decay: float) -> Any:
    """A step of a moving average; equals ``average_step`` in ``optim/ema.py``."""
    flat = in_memory_order(average, value)
    if flat is None or loops() is None:
        return NotImplemented
    dtype = average.dtype.type
    b.run(loops_for(value).average_step, *flat, dtype(decay), dtype(1 - decay))
    return None


KERNELS = (
    adam_step,
    average_step,
)
"""As the backend registers them, by their names."""
