"""Every optimizer that has an entry in PyTorch's ``optim_db``: the same steps, the same errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

import minigen as mg

from .convert import Outside, ToMinigen
from .outcome import Outcome, Wrong, compare, judge_error
from .verdicts import Verdicts

pytestmark = pytest.mark.torch

ENTRIES = {e.optim_cls.__name__: e for e in optim_db if hasattr(mg.optim, e.optim_cls.__name__)}
SHAPES = ((4, 3), (3, 2))
STEPS = 7


def test_every_optimizer_of_pytorchs_name_is_judged() -> None:
    ours = {n for n in vars(mg.optim) if hasattr(torch.optim, n) and n[0].isupper()}
    assert ours - {"Optimizer"} == set(ENTRIES)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_an_optimizer_steps_as_pytorchs(
    name: str, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Muon iterates in bfloat16 there and in the parameter's precision here: let both do the latter.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    verdicts = Verdicts(f"optim.{name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in (torch.float64, torch.float32):
            for entry in ENTRIES[name].optim_inputs_func("cpu", dtype):
                verdicts.add(judge_steps(name, entry.kwargs, dtype), f"{dtype} {entry.kwargs}")
        refuse(name, verdicts)
    verdicts.settle(record_property)


def judge_steps(name: str, options: dict[str, Any], dtype: torch.dtype) -> Outcome:
    """Compare the parameters after each of a few steps on fixed gradients."""
    rng = np.random.default_rng(3)
    theirs, ours = [], []
    for shape in SHAPES:
        p = torch.tensor(rng.normal(size=shape), dtype=dtype, requires_grad=True)
        theirs.append(p)
        ours.append(mg.nn.Parameter(p.detach().numpy().copy()))
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    try:
        optimizer = getattr(mg.optim, name)(ours, **ToMinigen().keywords(options))
    except Exception as error:
        return judge_error(error, name, getattr(mg.optim, name))
    try:
        for step in range(STEPS):
            for p, q in zip(theirs, ours):
                gradient = rng.normal(size=tuple(p.shape))
                p.grad = torch.tensor(gradient, dtype=dtype)
                q.grad = mg.Tensor(gradient.astype(q.dtype))
            their_optimizer.step()
            optimizer.step()
            for i, (p, q) in enumerate(zip(theirs, ours)):
                compare(q, p, f"parameter {i} after step {step + 1}")
    except Wrong as error:
        return Outcome("wrong", str(error))
    except Exception as error:
        return Outcome("crash", f"in a step: {type(error).__name__}: {error}")
    return Outcome("equal")


def refuse(name: str, verdicts: Verdicts) -> None:
    """Optimizers at which PyTorch raises."""
    optimizer = getattr(mg.optim, name)
    for error in ENTRIES[name].optim_error_inputs_func("cpu", torch.float64):
        given = error.optimizer_error_input
        shown = f"error input {given.desc}"
        if error.error_on is OptimizerErrorEnum.STEP_ERROR or error.error_type is UserWarning:
            continue
        convert = ToMinigen()
        try:
            keywords = convert.keywords(given.kwargs)
            parameters = parameters_of(convert, given.params)
        except Outside:
            verdicts.leave_out()
            continue
        try:
            optimizer(parameters, **keywords)
        except Exception as raised:
            outcome = judge_error(raised, name, optimizer)
            verdicts.add(Outcome("equal") if outcome.kind == "refused" else outcome, shown)
        else:
            verdicts.add(Outcome("wrong", f"accepted; PyTorch: {error.error_regex}"), shown)


def parameters_of(convert: ToMinigen, given: Any) -> Any:
    """The parameters, groups or names that the optimizer is given."""
    if given is None:
        return [mg.nn.Parameter(np.ones((2, 2)))]
    return convert(given)


# ---------------------------------------------------------------- schedules

SCHEDULES: dict[str, list[dict[str, Any]]] = {
    "ConstantLR": [{}, {"factor": 0.5, "total_iters": 3}, {"factor": 0.1, "total_iters": 1}],
    "CosineAnnealingLR": [{"T_max": 5}, {"T_max": 3, "eta_min": 0.01}],
    "ExponentialLR": [{"gamma": 0.9}],
    "LambdaLR": [{"lr_lambda": lambda t: 1 / (1 + t)}],
    "LinearLR": [{}, {"start_factor": 0.5, "end_factor": 0.1, "total_iters": 4}],
    "MultiStepLR": [{"milestones": [2, 5], "gamma": 0.5}],
    "StepLR": [{"step_size": 3}, {"step_size": 2, "gamma": 0.7}],
}
OURS = sorted(n for n in vars(mg.optim) if hasattr(torch.optim.lr_scheduler, n) and n[0].isupper())


@pytest.mark.parametrize("name", [n for n in OURS if n not in ("Optimizer", "Schedule")])
def test_a_schedule_gives_pytorchs_rates(name: str) -> None:
    assert name in SCHEDULES, "a schedule of PyTorch's name needs inputs here"
    for options in SCHEDULES[name]:
        p = torch.ones(2, requires_grad=True)
        their_optimizer = torch.optim.SGD([p], lr=0.3)
        theirs = getattr(torch.optim.lr_scheduler, name)(their_optimizer, **options)
        optimizer = mg.optim.SGD([mg.nn.Parameter(np.ones(2, np.float32))], lr=0.3)
        ours = getattr(mg.optim, name)(optimizer, **options)
        for _ in range(12):
            assert optimizer.param_groups[0]["lr"] == pytest.approx(
                their_optimizer.param_groups[0]["lr"]
            )
            their_optimizer.step()
            theirs.step()
            ours.step()
