"""Schedules: how the learning rate changes with the number of steps taken.

A schedule is a factor f(t) with which the learning rate of every group at the time the schedule
was built is multiplied. f(0) holds from the start; each ``schedule.step()`` after the
optimizer's goes on to the next t::

    schedule = mg.optim.CosineWithWarmup(optimizer, warmup_steps=200, total_steps=20_000)
    for batch in batches:
        ...
        optimizer.step()
        schedule.step()

Schedules overwrite ``group["lr"]``; use one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from minigen.backends import repeat
from minigen.errors import UserError
from minigen.optim.optimizer import Optimizer, check_number

__all__ = ["ConstantLR", "CosineWithWarmup", "LinearLR", "Schedule", "StepLR"]


def _check_count(name: str, value: Any, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer ≥ {low}, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be an integer ≥ {low}, got {value}")


class Schedule:
    """The base: counts steps and sets the learning rates.

    Attributes:
        steps: t, how often ``step()`` was called.
        base_lrs: the learning rate of each group that f multiplies.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.base_lrs = [float(group["lr"]) for group in optimizer.param_groups]
        self.steps = 0
        self._apply()

    def factor(self, t: int) -> float:
        """f(t)."""
        raise TypeError(f"{type(self).__name__} has no factor method")

    def _apply(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = base * self.factor(self.steps)

    def step(self) -> None:
        """One step further."""
        repeat(self._advance)

    def _advance(self) -> None:
        self.steps += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The count and the base learning rates."""
        state: dict[str, Any] = {"steps": self.steps}
        state.update({f"base_lrs.{i}": base for i, base in enumerate(self.base_lrs)})
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict()`` was taken."""
        expected = set(self.state_dict())
        if set(state_dict) != expected:
            raise UserError(
                f"schedule state must have the keys {', '.join(sorted(expected))}, "
                f"got {', '.join(sorted(map(str, state_dict))) or 'none'}"
            )
        self.steps = int(state_dict["steps"])
        self.base_lrs = [float(state_dict[f"base_lrs.{i}"]) for i in range(len(self.base_lrs))]
        self._apply()


class ConstantLR(Schedule):
    """f(t) = ``factor`` for the first ``total_iters`` steps, then 1."""

    def __init__(self, optimizer: Optimizer, factor: float = 1.0, total_iters: int = 0) -> None:
        check_number("factor", factor)
        _check_count("total_iters", total_iters, 0)
        self.constant, self.total_iters = factor, total_iters
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """f(t)."""
        return self.constant if t < self.total_iters else 1.0


class StepLR(Schedule):
    """f(t) = ``gamma`` ^ ⌊t / ``step_size``⌋."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        _check_count("step_size", step_size, 1)
        check_number("gamma", gamma)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """f(t)."""
        return self.gamma ** (t // self.step_size)


class LinearLR(Schedule):
    """f goes from ``start_factor`` to ``end_factor`` in ``total_iters`` steps and stays there."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        check_number("start_factor", start_factor)
        check_number("end_factor", end_factor)
        _check_count("total_iters", total_iters, 1)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """f(t)."""
        done = min(t / self.total_iters, 1.0)
        return self.start_factor + (self.end_factor - self.start_factor) * done


class CosineWithWarmup(Schedule):
    """A rise in a straight line, then half a cosine down (Loshchilov and Hutter 2017, "SGDR").

    With W = ``warmup_steps`` and T = ``total_steps``::

        f(t) = (t + 1)/W                                              t < W
        f(t) = e + (1 - e)·½(1 + cos(π·min((t - W)/(T - W), 1)))      t ≥ W

    The first step is taken at 1/W and not at 0, step W - 1 at the full rate.

    Args:
        optimizer: whose learning rates to set.
        warmup_steps: W; 0 for none.
        total_steps: T, after which the factor stays at its end.
        final_factor: e.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int = 0,
        total_steps: int = 1,
        final_factor: float = 0.0,
    ) -> None:
        _check_count("warmup_steps", warmup_steps, 0)
        _check_count("total_steps", total_steps, 1)
        check_number("final_factor", final_factor)
        self.warmup_steps, self.total_steps = warmup_steps, total_steps
        self.final_factor = final_factor
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """f(t)."""
        if t < self.warmup_steps:
            return (t + 1) / self.warmup_steps
        length = max(self.total_steps - self.warmup_steps, 1)
        done = min((t - self.warmup_steps) / length, 1.0)
        return self.final_factor + (1 - self.final_factor) * 0.5 * (1 + math.cos(math.pi * done))
