"""Schedules: the factor at every step, PyTorch's where it has them, and their state."""

from __future__ import annotations

import math
from inspect import signature

import numpy as np
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
    ("ConstantLR", {}),
    ("LinearLR", {}),
    ("StepLR", {"step_size": 5}),
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


@pytest.mark.torch
@pytest.mark.parametrize("name", ["StepLR", "LinearLR", "ConstantLR"])
def test_arguments_are_pytorchs(name):
    def arguments(kind):
        return [(p.name, p.default, p.kind) for p in signature(kind).parameters.values()]

    assert arguments(getattr(mg.optim, name)) == arguments(getattr(torch.optim.lr_scheduler, name))


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
    assert state == {"steps": 4, "base_lrs.0": 0.7, "lrs.0": expected[4]}
    second = mg.optim.CosineWithWarmup(optimizer(0.1), **options)
    second.load_state_dict(state)
    assert rates(second, 5) == expected[4:]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"steps": 3}, "must have the keys base_lrs.0, lrs.0, steps, got steps"),
        ({"steps": 3, "base_lrs.0": 1.0, "lrs.0": 1.0, "lrs.1": 1.0}, "must have the keys"),
        ({"steps": -1, "base_lrs.0": 1.0, "lrs.0": 1.0}, "steps must be an integer ≥ 0, got -1"),
        ({"steps": 1.5, "base_lrs.0": 1.0, "lrs.0": 1.0}, "steps must be an integer ≥ 0, got 1.5"),
        (
            {"steps": 1, "base_lrs.0": -1.0, "lrs.0": None},
            "base_lrs.0 must be a number ≥ 0, got -1.0; lrs.0 must be a number ≥ 0, got None",
        ),
        ({"steps": 1, "base_lrs.0": math.nan, "lrs.0": 1.0}, "base_lrs.0 must be a number ≥ 0"),
        ({"steps": 1, "base_lrs.0": 1.0, "lrs.0": math.inf}, "lrs.0 must be a number ≥ 0"),
        ([1, 2], "schedule state must be a dictionary"),
    ],
)
def test_a_foreign_state_is_refused_and_changes_nothing(state, message):
    schedule = mg.optim.StepLR(optimizer(0.5), 1)
    schedule.step()
    before = schedule.state_dict()
    with pytest.raises(UserError, match=message):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before
    assert schedule.get_last_lr() == [0.05]


def test_a_group_that_comes_later_joins_in_with_its_own_rate():
    """As in PyTorch, where a step multiplies the rate that it finds."""
    adam = optimizer(1.0)
    schedule = mg.optim.StepLR(adam, step_size=2, gamma=0.1)
    for _ in range(2):
        schedule.step()
    adam.add_param_group({"params": [nn.Parameter(mg.zeros(1))], "lr": 8.0})
    found = []
    for _ in range(4):
        schedule.step()
        found.append(schedule.get_last_lr())
    expected = [[0.1, 8.0], [0.01, 0.8], [0.01, 0.8], [0.001, 0.08]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_group_that_comes_when_the_factor_is_0_stays_at_0():
    adam = optimizer(1.0)
    schedule = mg.optim.LinearLR(adam, 1.0, 0.0, total_iters=2)
    for _ in range(2):
        schedule.step()
    adam.add_param_group({"params": [nn.Parameter(mg.zeros(1))], "lr": 8.0})
    schedule.step()
    assert schedule.get_last_lr() == [0.0, 0.0]


def test_a_group_that_was_taken_out_is_forgotten():
    adam = optimizer(1.0, 2.0, 4.0)
    schedule = mg.optim.StepLR(adam, step_size=1, gamma=0.5)
    del adam.param_groups[1]
    schedule.step()
    assert schedule.get_last_lr() == [0.5, 2.0]
    assert set(schedule.state_dict()) == {"steps", "base_lrs.0", "base_lrs.1", "lrs.0", "lrs.1"}


def test_a_rate_changed_by_hand_goes_on_from_its_new_value():
    adam = optimizer(1.0)
    schedule = mg.optim.LinearLR(adam, 0.5, 1.0, total_iters=5)
    schedule.step()  # at 0.6
    adam.param_groups[0]["lr"] = np.float32(6.0)
    schedule.step()
    assert schedule.get_last_lr() == pytest.approx([7.0])
    schedule.step()
    assert schedule.get_last_lr() == pytest.approx([8.0])


def test_two_schedules_of_one_optimizer_multiply():
    adam = optimizer(1.0, 10.0)
    first = mg.optim.StepLR(adam, step_size=2, gamma=0.1)
    second = mg.optim.LinearLR(adam, 0.5, 1.0, total_iters=5)
    found = [first.get_last_lr()]
    for _ in range(6):
        first.step()
        second.step()
        found.append(first.get_last_lr())
    product = [0.1 ** (t // 2) * min(0.5 + 0.1 * t, 1.0) for t in range(7)]
    np.testing.assert_allclose(found, np.outer(product, [1, 10]), rtol=1e-12)


def test_a_resumed_run_is_bit_equal_though_the_rate_was_changed_by_hand_and_schedules_multiply():
    def begin() -> tuple:
        adam = optimizer(0.7, 0.3)
        return adam, [mg.optim.StepLR(adam, 3, 0.3), mg.optim.LinearLR(adam, 0.2, 1.0, 7)]

    def go_on(adam, schedules, steps: int) -> list:
        found = []
        for _ in range(steps):
            for schedule in schedules:
                schedule.step()
            found.append([group["lr"] for group in adam.param_groups])
        return found

    whole = begin()
    go_on(*whole, 3)
    whole[0].param_groups[1]["lr"] = 0.11
    saved = whole[0].state_dict(), [schedule.state_dict() for schedule in whole[1]]
    again = begin()
    again[0].load_state_dict(saved[0])
    for schedule, state in zip(again[1], saved[1], strict=True):
        schedule.load_state_dict(state)
    assert [group["lr"] for group in again[0].param_groups] == [
        group["lr"] for group in whole[0].param_groups
    ]
    assert go_on(*again, 6) == go_on(*whole, 6)


@pytest.mark.parametrize("three", [np.int64(3), np.array(3), mg.tensor(3)])
def test_counts_and_factors_are_numbers_of_any_library(three):
    schedule = mg.optim.StepLR(optimizer(), three, np.float32(0.5))
    assert rates(schedule, 5) == [1, 1, 1, 0.5, 0.5]
    assert mg.optim.CosineWithWarmup(optimizer(), three, three).get_last_lr() == [1 / 3]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mg.optim.StepLR(optimizer(), 0), "step_size must be an integer ≥ 1, got 0"),
        (lambda: mg.optim.StepLR(optimizer(), 1.5), "step_size must be an integer ≥ 1, got 1.5"),
        (lambda: mg.optim.StepLR(optimizer(), True), "step_size must be an integer ≥ 1, got True"),
        (lambda: mg.optim.StepLR(optimizer(), 1, "a"), "gamma must be a number ≥ 0, got 'a'"),
        (lambda: mg.optim.StepLR(optimizer(), 1, 0.1, 5), "last_epoch must be -1, got 5"),
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


def test_a_line_of_one_step_is_the_shortest():
    adam = mg.optim.Adam([nn.Parameter(mg.zeros(2))], lr=0.1)
    schedule = mg.optim.LinearLR(adam, 0.5, 2.0, total_iters=1)
    assert adam.param_groups[0]["lr"] == pytest.approx(0.05)
    schedule.step()
    assert adam.param_groups[0]["lr"] == pytest.approx(0.2)
    with pytest.raises(ValueError, match=r"total_iters must be .* got 0"):
        mg.optim.LinearLR(adam, total_iters=0)
