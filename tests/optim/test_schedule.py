"""Schedules: the factor at every step, PyTorch's where it has them, and their state."""

from __future__ import annotations

import math

import pytest
from formulas import SCHEDULES

import minigen as mg
from minigen import nn
from minigen.errors import UserError

try:
    import torch
except ImportError:  # PyTorch is an optional oracle
    torch = None


def optimizer(*lrs: float) -> mg.optim.SGD:
    return mg.optim.SGD([{"params": [nn.Parameter(mg.zeros(1))], "lr": lr} for lr in lrs or (1.0,)])


def rates(schedule: mg.optim.Schedule, steps: int) -> list[float]:
    """The learning rate of the first group at each of ``steps`` steps."""
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        schedule.step()
    return found


SETTINGS = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("LinearLR", {"start_factor": 0.25, "end_factor": 0.75, "total_iters": 7}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 4}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 4}),
    ("CosineWithWarmup", {"warmup_steps": 3, "total_steps": 9, "final_factor": 0.2}),
    ("CosineWithWarmup", {"warmup_steps": 0, "total_steps": 9, "final_factor": 0.0}),
]


def test_every_schedule_has_a_formula_and_is_tried():
    exported = {
        name
        for name, value in vars(mg.optim).items()
        if isinstance(value, type) and issubclass(value, mg.optim.Schedule)
    } - {"Schedule"}
    assert exported == set(SCHEDULES)
    assert exported == {name for name, _ in SETTINGS}


@pytest.mark.parametrize(("name", "options"), SETTINGS)
def test_rates_are_those_of_the_formula(name, options):
    mine = rates(getattr(mg.optim, name)(optimizer(0.3), **options), 12)
    assert mine == pytest.approx([0.3 * SCHEDULES[name](t, **options) for t in range(12)])


@pytest.mark.torch
@pytest.mark.parametrize(("name", "options"), [s for s in SETTINGS if s[0] != "CosineWithWarmup"])
def test_rates_are_pytorchs(name, options):
    peer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    theirs = getattr(torch.optim.lr_scheduler, name)(peer, **options)
    expected = []
    for _ in range(12):
        expected.append(theirs.get_last_lr()[0])
        peer.step()
        theirs.step()
    mine = rates(getattr(mg.optim, name)(optimizer(0.3), **options), 12)
    assert mine == pytest.approx(expected, abs=1e-12)


def test_cosine_rises_in_a_line_and_falls_in_half_a_cosine():
    schedule = mg.optim.CosineWithWarmup(optimizer(2.0), warmup_steps=4, total_steps=12)
    found = rates(schedule, 15)
    assert found[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    fall = [1 + math.cos(math.pi * k / 8) for k in range(9)]
    assert found[4:13] == pytest.approx(fall)
    assert found[12:] == pytest.approx([0, 0, 0], abs=1e-12)


def test_cosine_ends_at_the_final_factor():
    schedule = mg.optim.CosineWithWarmup(optimizer(), total_steps=5, final_factor=0.1)
    found = rates(schedule, 8)
    assert found[0] == 1.0
    assert found[5:] == pytest.approx([0.1] * 3)


def test_a_warmup_longer_than_the_run_only_warms_up():
    schedule = mg.optim.CosineWithWarmup(optimizer(), warmup_steps=10, total_steps=3)
    assert rates(schedule, 3) == pytest.approx([0.1, 0.2, 0.3])


def test_every_group_keeps_its_own_rate():
    groups = optimizer(1.0, 10.0)
    schedule = mg.optim.StepLR(groups, step_size=1, gamma=0.1)
    assert schedule.get_last_lr() == [1.0, 10.0]
    schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.1, 1.0])


def test_a_loaded_schedule_goes_on_where_it_was():
    options = {"warmup_steps": 2, "total_steps": 9}
    whole = mg.optim.CosineWithWarmup(optimizer(0.7), **options)
    expected = rates(whole, 9)
    first = mg.optim.CosineWithWarmup(optimizer(0.7), **options)
    rates(first, 4)
    state = first.state_dict()
    assert state == {"steps": 4, "base_lrs.0": 0.7}
    second = mg.optim.CosineWithWarmup(optimizer(0.1), **options)
    second.load_state_dict(state)
    assert rates(second, 5) == expected[4:]


def test_a_foreign_state_is_refused():
    with pytest.raises(
        UserError, match=r"schedule state must have the keys base_lrs.0, steps, got"
    ):
        mg.optim.StepLR(optimizer(), 1).load_state_dict({"steps": 3})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mg.optim.StepLR(optimizer(), 0), "step_size must be an integer ≥ 1, got 0"),
        (lambda: mg.optim.StepLR(optimizer(), 1.5), "step_size must be an integer ≥ 1, got 1.5"),
        (lambda: mg.optim.LinearLR(optimizer(), -1.0), "start_factor must be a number ≥ 0"),
        (
            lambda: mg.optim.CosineWithWarmup(optimizer(), total_steps=0),
            "total_steps must be an integer ≥ 1, got 0",
        ),
        (
            lambda: mg.optim.CosineWithWarmup(optimizer(), warmup_steps=-1),
            "warmup_steps must be an integer ≥ 0, got -1",
        ),
        (
            lambda: mg.optim.ConstantLR(nn.Linear(1, 1)),
            "optimizer must be an Optimizer, got Linear",
        ),
        (lambda: mg.optim.Schedule(optimizer()), "Schedule has no factor method"),
    ],
)
def test_mistakes_are_named(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
