"""Every layer that has an entry in PyTorch's ``module_db``, or inputs by hand in ``samples.py``."""

from __future__ import annotations

import inspect
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing._internal.common_modules import ModuleErrorEnum, ModuleInput, module_db

import minigen as mg

from .convert import DTYPES, Detached, Outside, ToMinigen
from .outcome import Outcome, Wrong, compare, compare_all, compare_gradients, judge_error, short
from .samples import CONTAINERS, MODULES
from .verdicts import Verdicts

pytestmark = pytest.mark.torch

ENTRIES = {entry.module_cls.__name__: entry for entry in module_db if entry.module_cls}
RANDOM = ("Dropout", "RReLU")
"""Layers that draw numbers while they train: judged in evaluation only."""


SWITCHED_OFF = {("proj_size", 0)}
"""Options of PyTorch's that minigen does not have, at the value at which they do nothing."""


def layers() -> dict[str, type]:
    """Every layer of ``mg.nn`` of which PyTorch has one of the same name."""
    found = {}
    for name, layer in vars(mg.nn).items():
        if inspect.isclass(layer) and issubclass(layer, mg.nn.Module) and name not in CONTAINERS:
            twin = getattr(torch.nn, name, None)
            if inspect.isclass(twin) and issubclass(twin, torch.nn.Module):
                found[name] = layer
    return found


LAYERS = layers()


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_layer_has_inputs_to_be_judged_by(name: str) -> None:
    assert name in ENTRIES or name in MODULES


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_layer_is_pytorchs(name: str, record_property: Callable[[str, object], None]) -> None:
    verdicts = Verdicts(f"nn.{name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in (torch.float64, torch.float32):
            for training in (True, False):
                if training and name.startswith(RANDOM):
                    continue
                for sample in inputs(name, dtype, training):
                    try:
                        outcome = judge_layer(name, sample, dtype, training)
                    except Outside:
                        verdicts.leave_out()
                    else:
                        verdicts.add(outcome, describe(sample, training))
        if name in ENTRIES:
            refuse(name, verdicts)
    verdicts.settle(record_property)


def describe(sample: ModuleInput, training: bool) -> str:
    made = sample.constructor_input
    words = [short(a) for a in made.args] + [f"{k}={short(v)}" for k, v in made.kwargs.items()]
    given = [
        str(list(a.shape)) if isinstance(a, torch.Tensor) else short(a)
        for a in (*sample.forward_input.args, *sample.forward_input.kwargs.values())
    ]
    return f"({', '.join(words)}) at {', '.join(given)}, {'training' if training else 'eval'}"


def inputs(name: str, dtype: torch.dtype, training: bool) -> Iterator[ModuleInput]:
    torch.manual_seed(0)
    if name in MODULES:
        yield from MODULES[name](dtype)
    if name in ENTRIES:
        entry = ENTRIES[name]
        yield from entry.module_inputs_func(entry, "cpu", dtype, True, training)


def judge_layer(name: str, sample: ModuleInput, dtype: torch.dtype, training: bool) -> Outcome:
    """Build both with the same parameters; compare output, gradients and buffers."""
    made, given = sample.constructor_input, sample.forward_input
    options = {
        k: v
        for k, v in made.kwargs.items()
        if k not in ("device", "dtype") and (k, v) not in SWITCHED_OFF
    }
    theirs = getattr(torch.nn, name)(*made.args, **options).to(dtype).train(training)
    detached, convert = Detached(), ToMinigen()
    their_args, their_keywords = detached(given.args), detached(given.kwargs)
    layer = LAYERS[name]
    try:
        ours = layer(*convert(made.args), **convert.keywords(options))
        ours = ours.to_dtype(DTYPES[dtype]).train(training)
    except Exception as error:
        return judge_error(error, name, layer)
    state = {k: np.array(v) for k, v in theirs.state_dict().items()}
    try:
        ours.load_state_dict(state)
    except Exception as error:
        return Outcome("crash", f"the state does not fit: {error}")
    expected = theirs(*their_args, **their_keywords)
    try:
        found = ours(*convert(their_args), **convert.keywords(their_keywords))
    except Exception as error:
        return judge_error(error, name, ours.forward)
    parameters = dict(ours.named_parameters())
    leaves = [
        *convert.leaves,
        *((p, parameters[key]) for key, p in theirs.named_parameters() if p.requires_grad),
    ]
    second = name not in ENTRIES or ENTRIES[name].supports_gradgrad
    try:
        compare_all(found, expected, "value")
        compare_gradients(found, expected, leaves, 2 if second else 1)
        after = ours.state_dict()
        for key, value in theirs.state_dict().items():
            compare(after[key], value, f"{key} after the call")
    except Wrong as error:
        return Outcome("wrong", str(error))
    except Exception as error:
        return Outcome("crash", f"in the gradient: {type(error).__name__}: {error}")
    return Outcome("equal")


def refuse(name: str, verdicts: Verdicts) -> None:
    """Constructors and calls at which PyTorch raises."""
    entry = ENTRIES[name]
    if entry.module_error_inputs_func is None:
        return
    torch.manual_seed(0)
    for error in entry.module_error_inputs_func(entry, "cpu", torch.float64, False, True):
        sample = error.module_error_input
        made, given = sample.constructor_input, sample.forward_input
        options = {k: v for k, v in made.kwargs.items() if k not in ("device", "dtype")}
        layer: Any = LAYERS[name]
        called: Any = layer
        try:
            convert = ToMinigen()
            ours = layer(*convert(made.args), **convert.keywords(options))
            if error.error_on is ModuleErrorEnum.FORWARD_ERROR:
                ours = ours.to_dtype(np.float64)
                called = ours.forward
                ours(*convert(given.args), **convert.keywords(given.kwargs))
        except Outside:
            verdicts.leave_out()
            continue
        except Exception as raised:
            outcome = judge_error(raised, name, called)
            if outcome.kind == "crash":  # the call may name what the layer was made with
                outcome = judge_error(raised, name, layer)
            outcome = Outcome("equal") if outcome.kind == "refused" else outcome
        else:
            outcome = Outcome("wrong", f"accepted; PyTorch: {error.error_regex}")
        verdicts.add(outcome, f"error input {describe(_with_input(sample), True)}")


def _with_input(sample: ModuleInput) -> Any:
    nothing = types.SimpleNamespace(args=(), kwargs={})
    return types.SimpleNamespace(
        constructor_input=sample.constructor_input, forward_input=sample.forward_input or nothing
    )
