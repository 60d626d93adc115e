"""The formula of every optimizer and schedule, written in NumPy.

An optimizer's is ``formula(p, g, memory, **options)``: a parameter, its gradient, and what was kept
of earlier steps of this parameter (empty at first; the formula writes into it); it returns the new
parameter. Options and their defaults are PyTorch's. A schedule's is ``formula(t, **options)``: the
factor of the learning rate after t steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Memory = dict[str, Any]


def sgd(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> np.ndarray:
    g = g + weight_decay * p
    if momentum:
        if "velocity" in memory:
            memory["velocity"] = momentum * memory["velocity"] + (1 - dampening) * g
        else:
            memory["velocity"] = g
        g = g + momentum * memory["velocity"] if nesterov else memory["velocity"]
    return p - lr * g


def adam(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> np.ndarray:
    """Adam; weight decay is part of the gradient."""
    g = g + weight_decay * p
    t = memory["t"] = memory.get("t", 0) + 1
    m = memory["m"] = betas[0] * memory.get("m", 0) + (1 - betas[0]) * g
    v = memory["v"] = betas[1] * memory.get("v", 0) + (1 - betas[1]) * g**2
    m, v = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
    return p - lr * m / (np.sqrt(v) + eps)


def adamw(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> np.ndarray:
    """Adam; weight decay shrinks the parameter by itself."""
    return adam(p - lr * weight_decay * p, g, memory, lr, betas, eps)


def rmsprop(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> np.ndarray:
    g = g + weight_decay * p
    square = memory["square"] = alpha * memory.get("square", 0) + (1 - alpha) * g**2
    if centered:
        mean = memory["mean"] = alpha * memory.get("mean", 0) + (1 - alpha) * g
        square = square - mean**2
    step = g / (np.sqrt(square) + eps)
    if momentum:
        step = memory["velocity"] = momentum * memory.get("velocity", 0) + step
    return p - lr * step


OPTIMIZERS: dict[str, Callable[..., np.ndarray]] = {
    "SGD": sgd,
    "Adam": adam,
    "AdamW": adamw,
    "RMSprop": rmsprop,
}

SCHEDULES: dict[str, Callable[..., float]] = {
    "ConstantLR": lambda t, factor, total_iters: factor if t < total_iters else 1.0,
    "StepLR": lambda t, step_size, gamma: gamma ** (t // step_size),
    "LinearLR": lambda t, start_factor, end_factor, total_iters: np.interp(
        t, [0, total_iters], [start_factor, end_factor]
    ),
    "CosineWithWarmup": lambda t, warmup_steps, total_steps, final_factor: (
        (t + 1) / warmup_steps
        if t < warmup_steps
        else final_factor
        + (1 - final_factor)
        * (1 + np.cos(np.pi * np.interp(t, [warmup_steps, total_steps], [0, 1])))
        / 2
    ),
}
