"""Schedules: how the learning rate changes with the number of steps taken.

A schedule is a factor f(t) with which the learning rate of every group is multiplied. f(0) holds
from the start; each ``schedule.step()`` after the optimizer's goes on to the next t::

    schedule = mg.optim.CosineWithWarmup(optimizer, warmup_steps=200, total_steps=20_000)
    for batch in batches:
        ...
        optimizer.step()
        schedule.step()

As in PyTorch, a step of a schedule multiplies the rate that it finds by f(t+1)/f(t). So a rate that
was changed by hand goes on from its new value, a group that came later joins in with its own, and
two schedules of one optimizer multiply. Where nobody else changed the rate it is computed as
base · f(t), with no rounding piled up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from minigen.backends import repeat
from minigen.errors import UserError
from minigen.numeric import integer, number, plain_number
from minigen.optim.optimizer import Optimizer

__all__ = ["ConstantLR", "CosineWithWarmup", "LinearLR", "Schedule", "StepLR"]


class Schedule:
    """The base: counts steps and sets the learning rates.

    Attributes:
        steps: t, how often ``step()`` was called.
        base_lrs: the learning rate of each group that f multiplies.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be an Optimizer, got {type(optimizer).__name__}")
        if integer("last_epoch", last_epoch) != -1:
            raise ValueError(f"last_epoch must be -1, got {last_epoch}; go on with load_state_dict")
        self.optimizer = optimizer
        self.steps = 0
        self.base_lrs = [number("lr", group["lr"]) for group in optimizer.param_groups]
        self._rates: list[float] = []  # what was set last
        self._apply()

    def factor(self, t: int) -> float:
        """f(t)."""
        raise TypeError(f"{type(self).__name__} has no factor method")

    def _look(self) -> None:
        """Take notice of groups that came and of rates that somebody else has set."""
        groups = self.optimizer.param_groups
        del self.base_lrs[len(groups) :], self._rates[len(groups) :]
        for place, group in enumerate(groups):
            rate = number("lr", group["lr"])
            if place < len(self._rates) and rate == self._rates[place]:
                continue
            factor = self.factor(self.steps)
            self.base_lrs[place : place + 1] = [rate / factor if factor else rate]
            self._rates[place : place + 1] = [rate]

    def _apply(self) -> None:
        """Set every group's rate to base · f(t)."""
        factor = self.factor(self.steps)
        self._rates = [base * factor for base in self.base_lrs]
        for group, rate in zip(self.optimizer.param_groups, self._rates):
            group["lr"] = rate

    def step(self) -> None:
        """One step further."""
        repeat(self._advance)

    def _advance(self) -> None:
        self._look()
        self.steps += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The count, and the base and present learning rate of each group."""
        self._look()
        state: dict[str, Any] = {"steps": self.steps}
        state.update({f"base_lrs.{i}": base for i, base in enumerate(self.base_lrs)})
        state.update({f"lrs.{i}": rate for i, rate in enumerate(self._rates)})
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict()`` was taken; sets the optimizer's learning rates.

        Raises:
            UserError: what does not fit, in one line. Nothing has been changed then.
        """
        if not isinstance(state_dict, Mapping):
            raise UserError(f"schedule state must be a dictionary, got {state_dict!r}")
        groups = range(len(self.optimizer.param_groups))
        expected = {"steps", *(f"{name}.{i}" for name in ("base_lrs", "lrs") for i in groups)}
        if set(state_dict) != expected:
            raise UserError(
                f"schedule state must have the keys {', '.join(sorted(expected))}, "
                f"got {', '.join(sorted(map(str, state_dict))) or 'none'}"
            )
        plain = {key: plain_number(value) for key, value in state_dict.items()}
        faults = [
            f"{key} must be {'an integer' if key == 'steps' else 'a number'} ≥ 0, got "
            f"{state_dict[key]!r}"
            for key, value in plain.items()
            if value is None or not 0 <= value < math.inf or (key == "steps" and value % 1)
        ]
        if faults:
            raise UserError(f"schedule state: {'; '.join(faults)}")
        self.steps = int(plain["steps"])  # type: ignore[arg-type]
        self.base_lrs = [float(plain[f"base_lrs.{i}"]) for i in groups]  # type: ignore[arg-type]
        self._rates = [float(plain[f"lrs.{i}"]) for i in groups]  # type: ignore[arg-type]
        for group, rate in zip(self.optimizer.param_groups, self._rates):
            group["lr"] = rate


class ConstantLR(Schedule):
    """f(t) = ``factor`` for the first ``total_iters`` steps, then 1."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.constant = number("factor", factor)
        self.total_iters = integer("total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        """f(t)."""
        return self.constant if t < self.total_iters else 1.0


class StepLR(Schedule):
    """f(t) = ``gamma`` ^ ⌊t / ``step_size``⌋."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = integer("step_size", step_size, 1)
        self.gamma = number("gamma", gamma)
        super().__init__(optimizer, last_epoch)

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
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = number("start_factor", start_factor)
        self.end_factor = number("end_factor", end_factor)
        self.total_iters = integer("total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

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
        self.warmup_steps = integer("warmup_steps", warmup_steps, 0)
        self.total_steps = integer("total_steps", total_steps, 1)
        self.final_factor = number("final_factor", final_factor)
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """f(t)."""
        if t < self.warmup_steps:
            return (t + 1) / self.warmup_steps
        length = max(self.total_steps - self.warmup_steps, 1)
        done = min((t - self.warmup_steps) / length, 1.0)
        return self.final_factor + (1 - self.final_factor) * 0.5 * (1 + math.cos(math.pi * done))
