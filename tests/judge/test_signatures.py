"""Where a name is PyTorch's: its arguments in PyTorch's order, with its names and defaults."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

import minigen as mg

from .deviations import LAYERS_DO_NOT_TAKE, NOT_TAKEN
from .names import NOT_JUDGED, SPACES, TABLE, namesake, public_names, torch_function
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


def documented(name: str) -> list[str]:
    """PyTorch's functions for this name that have a documentation.

    (``torch.group_norm`` is a bare entrance to what ``torch.nn.functional.group_norm`` documents.)
    """
    last = name.rsplit(".", 1)[-1]
    spaces = [s for s in SPACES if s[0] == name.removesuffix(last)] if "." in name else SPACES
    found = [
        space + last
        for space, module in spaces
        if (getattr(getattr(module, last, None), "__doc__", None) or "").strip()
    ]
    return found or [namesake(name) or ""]


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
    first = _first_name(torch_function(full_name))  # cholesky is called with A and with input
    found = []
    for schema in torch._C._jit_get_schemas_for_operator("aten::" + name.replace(".", "_")):
        arguments = [(first if a.name == "self" else a.name, _default(a)) for a in schema.arguments]
        tensors = [str(a.type) for a in schema.arguments]
        selfish = bool(schema.arguments) and schema.arguments[0].name in ("self", "x")
        creator = schema.name.split("::")[1] in CREATORS
        if "out" not in dict(arguments) and (creator or any("Tensor" in t for t in tensors)):
            found += [arguments, [("input", NONE), *arguments[1:]]] if selfish else [arguments]
    return found


CREATORS = {info.name for info in TABLE if not info.supports_autograd}


def _first_name(function: Any) -> str:
    """What the documentation calls the first tensor; the interpreter calls it ``self``."""
    if function is torch.nn.functional.one_hot:  # documented as tensor, but called input
        return "input"
    named = re.match(r"\s*[\w.]+\((\w+)", function.__doc__ or "")
    return named[1] if named and named[1] != "self" else "input"


def _default(argument: Any) -> Any:
    if not argument.has_default_value():
        return NONE
    return None if argument.name == "dtype" else argument.default_value  # a number inside


def compare_signatures(ours: Any, theirs: Arguments) -> list[str]:
    """What is missing in ours, or stands elsewhere, or has another default."""
    parameters = list(inspect.signature(ours).parameters.values())
    names = [p.name for p in parameters]
    wanted = [(n, d) for n, d in theirs if n in names or not (n in NOT_TAKEN or n.startswith("_"))]
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
    if isinstance(one, tuple) and isinstance(other, list):
        other = tuple(other)
    if isinstance(other, list) and not isinstance(one, (list, tuple)):
        other = other[0] if len(set(other)) == 1 else other or None
    return bool(one == other)


def _show(default: Any) -> str:
    return "required" if default is NONE else repr(default)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_signature_is_pytorchs(name: str, record_property: Callable[[str, object], None]) -> None:
    verdicts = Verdicts(f"{name}()")
    overloads = [one for full in documented(name) for one in signatures(full)]
    assert overloads, f"no signature of {documented(name)} is known"
    faults = min((compare_signatures(PUBLIC[name], o) for o in overloads), key=len)
    for fault in faults:
        verdicts.add(Outcome("wrong", fault), "its signature")
    if not faults:
        verdicts.add(Outcome("equal"), "")
    verdicts.settle(record_property)


def _class_arguments(layer: type) -> Arguments:
    """Of a class; recurrent ones hide theirs, which their documentation lists."""
    arguments = _arguments(layer)
    if not arguments and "Args:" in (layer.__doc__ or ""):
        listed = (layer.__doc__ or "").split("Args:")[1].split("Inputs:")[0]
        names = re.findall(r"^        (\w+):", listed, re.MULTILINE)
        arguments = [(name, NONE) for name in names if name not in ("Shape", "Examples")]
    return arguments


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
    arguments = [(n, default) for n, default in _class_arguments(theirs) if n not in hidden]
    faults = compare_signatures(ours, arguments)
    for fault in faults:
        verdicts.add(Outcome("wrong", fault), "its signature")
    if not faults:
        verdicts.add(Outcome("equal"), "")
    verdicts.settle(record_property)
