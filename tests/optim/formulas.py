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
    maximize: bool = False,
) -> np.ndarray:
    g = (-g if maximize else g) + weight_decay * p
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
    amsgrad: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    """Adam; weight decay is part of the gradient."""
    g = (-g if maximize else g) + weight_decay * p
    t = memory["t"] = memory.get("t", 0) + 1
    m = memory["m"] = betas[0] * memory.get("m", 0) + (1 - betas[0]) * g
    v = memory["v"] = betas[1] * memory.get("v", 0) + (1 - betas[1]) * g**2
    if amsgrad:
        v = memory["largest"] = np.maximum(memory.get("largest", 0), v)
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
    amsgrad: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    """Adam; weight decay shrinks the parameter by itself."""
    p = p - lr * weight_decay * p
    return adam(p, g, memory, lr, betas, eps, amsgrad=amsgrad, maximize=maximize)


def nadam(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    g = -g if maximize else g
    if decoupled_weight_decay:
        p = p * (1 - lr * weight_decay)
    else:
        g = g + weight_decay * p
    t = memory["t"] = memory.get("t", 0) + 1
    now, then = (betas[0] * (1 - 0.96 ** (i * momentum_decay) / 2) for i in (t, t + 1))
    product = memory["product"] = memory.get("product", 1) * now
    m = memory["m"] = betas[0] * memory.get("m", 0) + (1 - betas[0]) * g
    v = memory["v"] = betas[1] * memory.get("v", 0) + (1 - betas[1]) * g**2
    ahead = then * m / (1 - product * then) + (1 - now) * g / (1 - product)
    return p - lr * ahead / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def radam(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
) -> np.ndarray:
    g = -g if maximize else g
    if decoupled_weight_decay:
        p = p * (1 - lr * weight_decay)
    else:
        g = g + weight_decay * p
    t = memory["t"] = memory.get("t", 0) + 1
    m = memory["m"] = betas[0] * memory.get("m", 0) + (1 - betas[0]) * g
    v = memory["v"] = betas[1] * memory.get("v", 0) + (1 - betas[1]) * g**2
    m = m / (1 - betas[0] ** t)
    most = 2 / (1 - betas[1]) - 1
    length = most - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
    if length <= 5:
        return p - lr * m
    r2 = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)
    return p - lr * m * np.sqrt(r2) * np.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)


def muon(
    p: np.ndarray,
    g: np.ndarray,
    memory: Memory,
    lr: float = 1e-3,
    weight_decay: float = 0.1,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    eps: float = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> np.ndarray:
    """Through the singular values, on which the iteration is a polynomial."""
    a, b, c = ns_coefficients
    rows, columns = p.shape
    if not p.size:
        return p
    m = memory["m"] = momentum * memory.get("m", 0) + (1 - momentum) * g
    m = momentum * m + (1 - momentum) * g if nesterov else m
    u, s, v = np.linalg.svd(m.astype(float), full_matrices=False)
    s = s / max(np.sqrt((s**2).sum()), eps)
    for _ in range(ns_steps):
        s = a * s + b * s**3 + c * s**5
    if adjust_lr_fn == "match_rms_adamw":
        ratio = 0.2 * max(rows, columns) ** 0.5
    else:
        ratio = max(1, rows / columns) ** 0.5
    return p * (1 - lr * weight_decay) - lr * ratio * (u * s) @ v


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
    maximize: bool = False,
) -> np.ndarray:
    g = (-g if maximize else g) + weight_decay * p
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
    "NAdam": nadam,
    "RAdam": radam,
    "RMSprop": rmsprop,
    "Muon": muon,
}

SCHEDULES: dict[str, Callable[..., float]] = {
    "ConstantLR": lambda t, factor=1 / 3, total_iters=5: factor if t < total_iters else 1.0,
    "StepLR": lambda t, step_size, gamma=0.1: gamma ** (t // step_size),
    "LinearLR": lambda t, start_factor=1 / 3, end_factor=1.0, total_iters=5: np.interp(
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
