"""Optimizers against their formulas, written out in NumPy."""

from __future__ import annotations

from inspect import signature

import numpy as np
import pytest

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


def test_a_changed_beta_leaves_the_means_as_they_are():
    """What is kept is M = m/(1 - β₁) and V = v/(1 - β₂): they are scaled, the means go on."""
    rng = np.random.default_rng(3)
    p = nn.Parameter(mg.tensor(np.array([1.0, -2.0, 0.5])))
    optimizer = mg.optim.Adam([p], lr=0.1, amsgrad=True)
    expected, m, v, largest = p.numpy().copy(), np.zeros(3), np.zeros(3), np.zeros(3)
    for t, betas in enumerate([(0.9, 0.999)] * 3 + [(0.5, 0.999)] * 2 + [(0.5, 0.9)] * 3, start=1):
        optimizer.param_groups[0]["betas"] = betas
        state = optimizer.state_dict()
        optimizer.load_state_dict(state)  # in between, a checkpoint
        g = rng.normal(size=3)
        p.grad = mg.tensor(g)
        optimizer.step()
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        largest = np.maximum(largest, v)
        hats = m / (1 - betas[0] ** t), largest / (1 - betas[1] ** t)
        expected = expected - 0.1 * hats[0] / (np.sqrt(hats[1]) + 1e-8)
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-10)


def test_amsgrad_never_takes_a_longer_step_because_gradients_shrank():
    p = nn.Parameter(mg.tensor(np.zeros(1)))
    optimizer = mg.optim.Adam([p], lr=0.1, betas=(0.0, 0.5), amsgrad=True)
    moves = []
    for g in (10.0, 1.0, 1.0, 1.0, 1.0):
        before = p.item()
        p.grad = mg.tensor(np.array([g]))
        optimizer.step()
        moves.append(before - p.item())
    # v = 50, 25.5, 13.25, … of which the largest stays 50
    corrected = [50 / (1 - 0.5**t) for t in range(1, 6)]
    np.testing.assert_allclose(
        moves, [0.1 * g / c**0.5 for g, c in zip((10, 1, 1, 1, 1), corrected)]
    )


def test_going_uphill_is_going_downhill_on_the_negative():
    results = []
    for sign, maximize in ((1, True), (-1, False)):
        rng = np.random.default_rng(1)
        p = nn.Parameter(mg.tensor(np.array([1.0, -2.0])))
        optimizer = mg.optim.AdamW([p], lr=0.1, maximize=maximize)
        for _ in range(3):
            g = sign * rng.normal(size=2)
            p.grad = mg.tensor(g)
            optimizer.step()
            np.testing.assert_array_equal(p.grad.numpy(), g)  # given back as it was
        results.append(p.numpy())
    np.testing.assert_array_equal(*results)


def test_a_direction_may_change_on_the_way():
    """Momentum of the way down is kept on the way up."""
    p = nn.Parameter(mg.tensor(np.zeros(1)))
    optimizer = mg.optim.SGD([p], lr=1.0, momentum=0.5)
    p.grad = mg.tensor(np.ones(1))
    optimizer.step()
    assert p.item() == -1
    optimizer.param_groups[0]["maximize"] = True
    optimizer.step()
    assert p.item() == -1 - (0.5 - 1)


def test_a_centred_rmsprop_of_a_constant_gradient_stays_finite():
    """v - a² goes to 0, and by rounding below."""
    p = nn.Parameter(mg.zeros(64))
    optimizer = mg.optim.RMSprop([p], lr=1e-3, alpha=0.5, centered=True, eps=1e-3)
    g = np.random.default_rng(0).normal(size=64).astype(np.float32) * 100
    for _ in range(60):
        p.grad = mg.tensor(g)
        optimizer.step()
    assert np.isfinite(p.numpy()).all()


def test_radam_begins_with_momentum_alone():
    """ρ₅ < 5 < ρ₆ for β₂ = 0.999: five steps do not look at the second moment."""
    from minigen.optim.radam import rectification

    assert [rectification(0.999, t) is None for t in range(1, 8)] == [True] * 5 + [False] * 2
    p = nn.Parameter(mg.tensor(np.zeros(2)))
    optimizer = mg.optim.RAdam([p], lr=0.1)
    for t in range(1, 6):
        p.grad = mg.tensor(np.array([1.0, 100.0]))
        optimizer.step()
        np.testing.assert_allclose(p.numpy(), [-0.1 * t, -10.0 * t], rtol=1e-12)
    optimizer.step()
    assert abs(p.numpy()[1] + 50) < 1  # now it does


def test_muon_takes_steps_that_are_nearly_orthogonal():
    rng = np.random.default_rng(0)
    for shape in ((6, 6), (4, 9), (9, 4)):
        p = nn.Parameter(mg.tensor(np.zeros(shape)))
        optimizer = mg.optim.Muon([p], lr=1.0, weight_decay=0.0)
        p.grad = mg.tensor(rng.normal(size=shape) * 1e3)
        optimizer.step()
        moved = -p.numpy() / np.sqrt(max(1, shape[0] / shape[1]))
        singular = np.linalg.svd(moved, compute_uv=False)
        assert ((singular > 0.3) & (singular < 1.3)).all()
        directions = np.linalg.svd(p.grad.numpy())
        near = directions[0][:, : len(singular)] @ directions[2][: len(singular)]
        assert (near * moved).sum() / len(singular) > 0.6


@pytest.mark.parametrize(
    ("params", "options", "message"),
    [
        ([mg.ones(3)], {}, r"params\[0\] must have 2 dimensions for Muon, got shape \(3,\)"),
        ([mg.ones(2, 2)], {"ns_steps": 100}, "ns_steps must be less than 100, got 100"),
        ([mg.ones(2, 2)], {"ns_steps": -1}, "ns_steps must be an integer ≥ 0, got -1"),
        ([mg.ones(2, 2)], {"ns_coefficients": (1, 2)}, r"must be three numbers, got \(1, 2\)"),
        ([mg.ones(2, 2)], {"ns_coefficients": 3}, "must be three numbers, got 3"),
        ([mg.ones(2, 2)], {"ns_coefficients": (1, 2, None)}, r"ns_coefficients\[2\] must be a num"),
        ([mg.ones(2, 2)], {"adjust_lr_fn": "arbitrary"}, "adjust_lr_fn must be one of original, m"),
        ([mg.ones(2, 2)], {"adjust_lr_fn": []}, "adjust_lr_fn must be one of original, match"),
        ([mg.ones(2, 2)], {"momentum": -1}, "momentum must be a number ≥ 0, got -1"),
        ([mg.ones(2, 2)], {"nesterov": 1}, "nesterov must be True or False, got 1"),
    ],
)
def test_muon_names_mistakes(params, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mg.optim.Muon(params, **options)


def test_muon_refuses_a_vector_that_comes_later():
    optimizer = mg.optim.Muon([mg.ones(2, 2)])
    with pytest.raises(ValueError, match=r"params\[0\] of group 1 must have 2 dimensions"):
        optimizer.add_param_group({"params": [mg.ones(2)]})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "NAdam", "RAdam"])
def test_pytorchs_switches_for_how_it_is_run_change_nothing(name):
    def parameters():
        return [nn.Parameter(mg.ones(2))]

    kind = getattr(mg.optim, name)
    accepted = set(signature(kind).parameters) & {"foreach", "fused", "capturable"}
    assert repr(kind(parameters(), **dict.fromkeys(accepted - {"fused"}, True))) == repr(
        kind(parameters())
    )
    with pytest.raises(ValueError, match="differentiable must be False"):
        kind(parameters(), differentiable=True)
    for switch in (*accepted, "differentiable", "maximize"):
        with pytest.raises(TypeError, match=f"{switch} must be True or False, got 2"):
            kind(parameters(), **{switch: 2})
    if "fused" in accepted:
        with pytest.raises(ValueError, match="`fused` and `foreach` cannot be `True` together"):
            kind(parameters(), fused=True, foreach=True)


def test_momentum_remembers_the_gradients():
    p, gradients = after_steps(mg.optim.SGD, lr=0.1, momentum=0.9)
    expected, velocity = np.array([1.0, -2.0, 0.5]), np.zeros(3)
    for g in gradients:
        velocity = 0.9 * velocity + g
        expected = expected - 0.1 * velocity
    np.testing.assert_allclose(p, expected, rtol=1e-10)
