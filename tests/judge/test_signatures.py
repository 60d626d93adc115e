"""Where a name is PyTorch's: its arguments in PyTorch's order, with its names and defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

import minigen as mg

from .deviations import LAYERS_DO_NOT_TAKE, NOT_TAKEN
from .names import NOT_JUDGED, TABLE, namesake, public_names, torch_function
from .outcome import Outcome
from .test_modules import LAYERS
from .test_optimizers import ENTRIES
from .verdicts import Verdicts

pytestmark = pytest.mark.torch

PUBLIC = {
    name: function
    for name, function in public_names().items()
    if namesake(name) and name not in NOT_JUDGED
}
NONE = inspect.Parameter.empty
SCHEMA_NAMES = {"nn.functional.logsigmoid": "log_sigmoid"}
"""Functions that PyTorch's own interpreter knows under another name."""

Arguments = list[tuple[str, Any]]
"""(name, default) of each argument, in order."""


def signatures(full_name: str) -> list[Arguments]:
    """PyTorch's signatures of this function: one, or its overloads."""
    function = torch_function(full_name)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return _schemas(full_name)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return _schemas(full_name)  # a wrapper: einsum, meshgrid
    return [_arguments(function)]


def _arguments(function: Any) -> Arguments:
    parameters = inspect.signature(function).parameters.values()
    return [
        (p.name, p.default) for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def _schemas(full_name: str) -> list[Arguments]:
    """The overloads of a function that is written in C++, without those that write to ``out``."""
    name = SCHEMA_NAMES.get(full_name, full_name.removeprefix("nn.functional."))
    found = []
    for schema in torch._C._jit_get_schemas_for_operator("aten::" + name.replace(".", "_")):
        arguments = [
            (
                "input" if a.name == "self" else a.name,
                a.default_value if a.has_default_value() else NONE,
            )
            for a in schema.arguments
        ]
        tensors = [str(a.type) for a in schema.arguments]
        creator = schema.name.split("::")[1] in CREATORS
        if "out" not in dict(arguments) and (creator or any("Tensor" in t for t in tensors)):
            found.append(arguments)
    return found


CREATORS = {info.name for info in TABLE if not info.supports_autograd}


def compare_signatures(ours: Any, theirs: Arguments) -> list[str]:
    """What is missing in ours, or stands elsewhere, or has another default."""
    parameters = list(inspect.signature(ours).parameters.values())
    wanted = [(n, d) for n, d in theirs if n not in NOT_TAKEN and not n.startswith("_")]
    names = [p.name for p in parameters]
    faults = []
    place = 0
    for name, default in wanted:
        variadic = next((p for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        if name not in names:
            if variadic is not None and default is NONE:  # zeros(2, 3), permute(0, 2, 1)
                continue
            faults.append(f"no argument {name!r}")
            continue
        parameter = parameters[names.index(name)]
        if parameter.kind is not parameter.KEYWORD_ONLY:
            if names.index(name) < place:
                faults.append(f"{name!r} stands in another place")
            place = names.index(name)
        if not _same_default(parameter.default, default):
            faults.append(f"{name!r} is {_show(parameter.default)}, not {_show(default)}")
    given = [n for n, _ in wanted]
    for p in parameters:  # what PyTorch does not have must not stand between
        if p.name in given or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY):
            continue
        if p.default is NONE or any(
            names.index(n) > names.index(p.name) for n in given if n in names
        ):
            faults.append(f"an argument {p.name!r} of its own stands between PyTorch's")
    return faults


def _same_default(one: Any, other: Any) -> bool:
    if one is NONE or other is NONE:
        return one is other or other is NONE  # to ask for less than PyTorch is no fault
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return float(one) == float(other)
    if isinstance(other, list) and not isinstance(one, (list, tuple)):
        other = other[0] if len(set(other)) == 1 else other or None
    return bool(one == other)


def _show(default: Any) -> str:
    return "required" if default is NONE else repr(default)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_signature_is_pytorchs(name: str, record_property: Callable[[str, object], None]) -> None:
    verdicts = Verdicts(f"{name}()")
    overloads = signatures(namesake(name) or "")
    assert overloads, f"no signature of {namesake(name)} is known"
    faults = min((compare_signatures(PUBLIC[name], o) for o in overloads), key=len)
    for fault in faults:
        verdicts.add(Outcome("wrong", fault), "its signature")
    if not faults:
        verdicts.add(Outcome("equal"), "")
    verdicts.settle(record_property)


CLASSES = {
    **{f"nn.{n}": (layer, getattr(torch.nn, n)) for n, layer in LAYERS.items()},
    **{f"optim.{n}": (getattr(mg.optim, n), getattr(torch.optim, n)) for n in ENTRIES},
}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_signature_of_a_class_is_pytorchs(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    ours, theirs = CLASSES[name]
    verdicts = Verdicts(f"{name}()")
    hidden = LAYERS_DO_NOT_TAKE if name.startswith("nn.") else {}
    arguments = [(n, default) for n, default in _arguments(theirs) if n not in hidden]
    faults = compare_signatures(ours, arguments)
    for fault in faults:
        verdicts.add(Outcome("wrong", fault), "its signature")
    if not faults:
        verdicts.add(Outcome("equal"), "")
    verdicts.settle(record_property)
