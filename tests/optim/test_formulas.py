"""Optimizers against their formulas, written out in NumPy."""

from __future__ import annotations

import numpy as np

import minigen as mg
from minigen import nn


def after_steps(optimizer_class, steps: int = 5, **options) -> tuple[np.ndarray, list[np.ndarray]]:
    """A parameter after ``steps`` steps with known gradients, and the gradients."""
    rng = np.random.default_rng(0)
    p = nn.Parameter(mg.tensor(np.array([1.0, -2.0, 0.5])))
    gradients = [rng.normal(size=3) for _ in range(steps)]
    optimizer = optimizer_class([p], **options)
    for g in gradients:
        p.grad = mg.tensor(g)
        optimizer.step()
    return p.numpy(), gradients


def adam_by_hand(gradients, lr: float, decay: float, decoupled: bool) -> np.ndarray:
    p, m, v = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    for t, g in enumerate(gradients, start=1):
        if decoupled:
            p = p - lr * decay * p
        else:
            g = g + decay * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p = p - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p


def test_adam_adds_weight_decay_to_the_gradient():
    p, gradients = after_steps(mg.optim.Adam, lr=0.1, weight_decay=0.3)
    np.testing.assert_allclose(p, adam_by_hand(gradients, 0.1, 0.3, decoupled=False), rtol=1e-10)


def test_adamw_shrinks_the_parameter_apart_from_the_gradient():
    p, gradients = after_steps(mg.optim.AdamW, lr=0.1, weight_decay=0.3)
    np.testing.assert_allclose(p, adam_by_hand(gradients, 0.1, 0.3, decoupled=True), rtol=1e-10)


def test_momentum_remembers_the_gradients():
    p, gradients = after_steps(mg.optim.SGD, lr=0.1, momentum=0.9)
    expected, velocity = np.array([1.0, -2.0, 0.5]), np.zeros(3)
    for g in gradients:
        velocity = 0.9 * velocity + g
        expected = expected - 0.1 * velocity
    np.testing.assert_allclose(p, expected, rtol=1e-10)
