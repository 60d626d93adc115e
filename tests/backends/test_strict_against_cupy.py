"""The strict backend offers only what CuPy has: its lists held against CuPy itself (no GPU)."""

from __future__ import annotations

import inspect
from typing import Any

import cupy
import numpy as np
import pytest

from minigen.backends.strict import CREATION, HOST, LINALG, SIGNATURES, UFUNCS, StrictNamespace
from minigen.backends.strict_array import METHODS, StrictArray


def parameters(function: Any) -> list[str] | None:
    """The parameter names that CuPy documents; None where it takes ``**kwargs``."""
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:  # compiled: the first line of the docstring is the signature
        text = function.__doc__.splitlines()[0]
        inside = text[text.index("(") + 1 : text.rindex(")")]
        names = [part.split("=")[0].split()[-1] for part in inside.split(",") if part.strip()]
        return [name for name in names if name not in ("self", "*") and not name.startswith("**")]
    if any(p.kind is p.VAR_KEYWORD for p in found):
        return None
    return [p.name for p in found if p.kind is not p.VAR_POSITIONAL and p.name != "self"]


@pytest.mark.parametrize("name", UFUNCS.split())
def test_each_elementwise_function_is_a_ufunc_of_cupy(name: str) -> None:
    assert isinstance(getattr(cupy, name), cupy.ufunc)


@pytest.mark.parametrize("name", sorted(SIGNATURES | CREATION))
def test_each_function_takes_only_what_cupys_takes(name: str) -> None:
    theirs = parameters(getattr(cupy, name))
    ours = (SIGNATURES | CREATION)[name].split()
    if "*" in ours or theirs is None:
        assert callable(getattr(cupy, name))
    else:
        assert theirs[: len(ours)] == ours


@pytest.mark.parametrize("name", sorted(LINALG))
def test_each_matrix_function_takes_only_what_cupys_takes(name: str) -> None:
    assert parameters(getattr(cupy.linalg, name)) == LINALG[name].split()


@pytest.mark.parametrize("name", sorted(METHODS))
def test_each_method_takes_only_what_cupys_takes(name: str) -> None:
    theirs = parameters(getattr(cupy.ndarray, name))
    ours = METHODS[name].split()
    if "*" in ours:
        assert set(ours) - {"*"} <= set(theirs or ())
    else:
        assert theirs is not None
        assert theirs[: len(ours)] == ours


def test_every_other_name_of_the_namespace_and_of_the_array_is_cupys_too() -> None:
    namespace = vars(StrictNamespace()).keys() | {"ndarray"}
    assert {name for name in namespace if not hasattr(cupy, name)} == set()
    offered = {name for name in vars(StrictArray) if name not in ("_array", "__weakref__")}
    assert {name for name in offered if not hasattr(cupy.ndarray, name)} == set()


@pytest.mark.parametrize("name", [name for name in HOST.split() if name != "broadcast_shapes"])
def test_types_and_constants_are_numpys_own_in_cupy_too(name: str) -> None:
    assert getattr(cupy, name) is getattr(np, name) or getattr(cupy, name) == getattr(np, name)


@pytest.mark.parametrize(
    "name", ["errstate", "nditer", "vecdot", "matvec", "frompyfunc", "insert", "spacing", "unstack"]
)
def test_names_that_cupy_lacks_are_missing(name: str) -> None:
    assert not hasattr(cupy, name)
    assert not hasattr(StrictNamespace(), name)
