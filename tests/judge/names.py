"""Which of minigen's functions are judged, by which name of PyTorch's, with which inputs."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo, SampleInput

import minigen as mg

from .convert import array
from .samples import OPS

TABLE = [*op_db, *OPS]
NAMES = {info.name for info in TABLE}

SPACES = (
    ("", torch),
    ("nn.functional.", torch.nn.functional),
    ("linalg.", torch.linalg),
    ("special.", torch.special),
)
"""Where a public function of minigen may have its namesake, the nearest first."""

NOT_JUDGED = {
    "Generator": "random streams are each library's own",
    "Tensor": "a class; its methods are judged one by one",
    "default_generator": "an object",
    "enable_grad": "a context, tested in tests/autograd",
    "from_dlpack": "takes arrays of other libraries, tested in tests/ops",
    "load": "files are safetensors, tested in tests/test_serialization",
    "save": "files are safetensors, tested in tests/test_serialization",
    "from_numpy": "takes arrays of NumPy, tested in tests/ops",
    "grad": "the engine itself: every gradient here comes from it",
    "is_grad_enabled": "a state, tested in tests/autograd",
    "manual_seed": "random streams are each library's own",
    "no_grad": "a context, tested in tests/autograd",
}
"""Names that both libraries have and that compute nothing that could be compared."""

RANDOM = {
    "bernoulli",
    "empty",
    "empty_like",
    "multinomial",
    "nn.functional.dropout",
    "nn.functional.dropout2d",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
}
"""Each library draws its own numbers: shape and dtype are compared."""


def _values(result: Any, x: Any, dim: Any, *_: Any, **__: Any) -> Any:
    """``(values, indices)``, or indices alone, with the values that the indices name."""
    alone = not isinstance(result, (tuple, list))
    indices = array(result if alone else result[1])
    named = np.take_along_axis(array(x), indices, dim) if indices.ndim else array(x)
    return named if alone else (result[0], named)


TIES: dict[str, Callable[..., Any]] = {
    "argsort": lambda r, x, dim=-1, *a, **k: _values(r, x, dim),
    "sort": lambda r, x, dim=-1, *a, **k: _values(r, x, dim),
    "topk": lambda r, x, k, dim=-1, *a, **o: _values(r, x, dim),
}
"""PyTorch leaves the order of equal values open: judged by the values, not by the indices."""


def public_names() -> dict[str, Any]:
    """Every public function of ``mg``, ``mg.linalg`` and ``mg.nn.functional``."""
    spaces = [("", mg), ("linalg.", mg.linalg)]
    if hasattr(mg.nn, "functional"):
        spaces.append(("nn.functional.", mg.nn.functional))
    found = {}
    for prefix, space in spaces:
        for name in getattr(space, "__all__", None) or dir(space):
            value = getattr(space, name)
            if not name.startswith("_") and callable(value) and not inspect.ismodule(value):
                found[prefix + name] = value
    return found


def namesake(name: str) -> str | None:
    """PyTorch's full name for minigen's ``name``; None if PyTorch has no such function.

    Where PyTorch has several (``torch.dropout`` beside ``torch.nn.functional.dropout``), the one
    that its table of inputs knows is the documented one.
    """
    last = name.rsplit(".", 1)[-1]
    found = []
    for prefix, space in sorted(SPACES, key=lambda space: space[0] != name.removesuffix(last)):
        value = getattr(space, last, None)
        if callable(value) and not isinstance(value, (type, types.ModuleType)):
            found.append(prefix + last)
    if not found and last in NAMES:  # only a method there: expand, repeat
        return last
    return next((full for full in found if full in NAMES), found[0] if found else None)


def torch_function(full_name: str) -> Callable[..., Any]:
    """PyTorch's function of this name; what is only a method there, as a function."""
    if "." not in full_name and not hasattr(torch, full_name):
        return getattr(torch.Tensor, full_name)
    value: Any = torch
    for part in full_name.split("."):
        value = getattr(value, part)
    return value


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A function of minigen, PyTorch's, and the entry of ``op_db`` with inputs for both.

    Attributes:
        name: what table and messages call it.
        ours, theirs: the two functions; a method is a function of its tensor.
        info: PyTorch's entry.
        function: whether it is a function, not a method or operator of a tensor.
        in_place: whether it writes into its first argument.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    info: OpInfo
    function: bool = True
    in_place: bool = False


ARRANGED: dict[str, Callable[..., tuple[Any, ...]]] = {
    "einsum": lambda operands, equation: (equation, *operands),
    "where": lambda x, condition, other: (condition, x, other),
    "nn.functional.embedding": lambda weight, index: (index, weight),
}
"""Entries of ``op_db`` that call their function with the arguments in another order."""


NOT_ASKED = {f"nn.functional.max_pool{n}d": "return_indices" for n in (1, 2)}
"""Every sample of these entries asks for an option that is not here: without it they are judged."""


def arguments(candidate: Candidate, sample: SampleInput) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of the sample as the function takes them."""
    args = (sample.input, *sample.args)
    if candidate.function and candidate.info.name in ARRANGED:
        args = ARRANGED[candidate.info.name](*args)
    left_out = NOT_ASKED.get(candidate.info.name)
    return args, {name: v for name, v in sample.kwargs.items() if name != left_out}


def candidates() -> dict[str, list[Candidate]]:
    """By name: every function, method and operator with entries (variants) in ``op_db``."""
    found: dict[str, list[Candidate]] = {}

    def add(*args: Any, **options: Any) -> None:
        one = Candidate(*args, **options)
        found.setdefault(one.name, []).append(one)

    entries = _entries()
    seen: set[tuple[int, str]] = set()
    public = public_names()
    for name in sorted(public, key=lambda name: namesake(name) not in NAMES):
        full = namesake(name)
        for info in entries.get(full, []) if full else []:
            key = id(public[name]), info.full_name
            if key not in seen:  # another name of the same function
                seen.add(key)
                add(name, public[name], torch_function(full), info)
    for info in TABLE:
        name = info.name
        if name in ("T", "mT"):
            add(f"Tensor.{name}", _attribute(name), _attribute(name), info, function=False)
        elif name.startswith("__") or "." not in name:
            if callable(getattr(mg.Tensor, name, None)) and hasattr(torch.Tensor, name):
                methods = getattr(mg.Tensor, name), getattr(torch.Tensor, name)
                add(f"Tensor.{name}", *methods, info, function=False)
            if callable(getattr(mg.Tensor, f"{name}_", None)) and info.inplace_variant:
                theirs = _on_copy(f"{name}_", lambda x: x.clone())
                ours = _on_copy(f"{name}_", lambda x: mg.Tensor(x.data.copy()))
                add(f"Tensor.{name}_", ours, theirs, info, function=False, in_place=True)
        if info.operator_variant is not None:
            operator = info.operator_variant
            add(f"operator {operator.__name__}", operator, operator, info, function=False)
    return found


def _entries() -> dict[str, list[OpInfo]]:
    """The entries of ``op_db`` by each name under which PyTorch has their function."""
    entries: dict[str, list[OpInfo]] = {}
    for info in TABLE:
        names = {info.name, *(alias.name for alias in info.aliases)}
        for prefix, space in SPACES:
            last = info.name.rsplit(".", 1)[-1]
            if getattr(space, last, None) is info.op:
                names.add(prefix + last)
        for name in names:
            entries.setdefault(name, []).append(info)
    return entries


def _attribute(name: str) -> Callable[[Any], Any]:
    return lambda x: getattr(x, name)


def _on_copy(method: str, copy: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(x: Any, *args: Any, **keywords: Any) -> Any:
        twin = copy(x)
        result = getattr(twin, method)(*args, **keywords)
        assert result is twin, f"{method} must return the tensor that it wrote into"
        return twin

    return call


def samples(
    candidate: Candidate, dtype: torch.dtype, references: int | None
) -> Iterator[tuple[SampleInput, int]]:
    """The sample inputs, non-contiguous copies of them, and reference inputs.

    Each with the number of times it is to be differentiated. ``references`` are as many of the
    reference inputs, evenly spread; None for all.
    """
    info, floating = candidate.info, dtype.is_floating_point
    grad = floating and info.supports_autograd and not candidate.in_place
    orders = (2 if info.supports_gradgrad else 1) if grad else 0
    torch.manual_seed(0)
    for sample in info.sample_inputs("cpu", dtype, requires_grad=grad):
        if candidate.in_place and sample.broadcasts_input:
            continue
        yield sample, orders
        yield sample.noncontiguous(), min(orders, 1)
    if not candidate.function or info.reference_inputs_func is None:
        return
    torch.manual_seed(0)
    try:
        drawn = list(info.reference_inputs("cpu", dtype, requires_grad=grad))
    except (ValueError, RuntimeError):  # a few entries ask for gradients of integers
        return
    step = 1 if references is None else max(1, -(-len(drawn) // references))
    for sample in drawn[::step]:
        yield sample, orders
