"""How a mistake is planted and shown to be caught, and the ordinary suite's checks as functions.

PLANTS = [Plant("what is wrong", replace(owner, "name", wrong), test_of("file", "test"))]

@each_of(PLANTS)
def test_a_planted_mistake_is_caught_by_a_named_check(plant):
    assert_caught(plant)
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from op_specs import SPECS, Case, Spec, checks

Patch = pytest.MonkeyPatch

_TESTS = Path(__file__).parent.parent


class Plant(NamedTuple):
    """A mistake, how to make it, and the check that must notice."""

    mistake: str
    make: Callable[[Patch], None]
    check: Callable[[], None]


def each_of(plants: Sequence[Plant]) -> pytest.MarkDecorator:
    """The test below it once for each plant, called by its mistake."""
    return pytest.mark.parametrize("plant", plants, ids=[plant.mistake for plant in plants])


def assert_caught(plant: Plant, *others: type[Exception]) -> None:
    """The check passes on minigen as it is, and fails on minigen with the mistake.

    `others`: what else counts as noticing, where the mistake makes minigen itself refuse.
    """
    plant.check()
    with pytest.MonkeyPatch.context() as patch:
        plant.make(patch)
        with pytest.raises((AssertionError, pytest.fail.Exception, *others)):
            plant.check()
    plant.check()


# ---------------------------------------------------------------- how to plant


def replace(owner: Any, name: str, wrong: Any) -> Callable[[Patch], None]:
    """Another attribute of a module or class."""
    return lambda patch: patch.setattr(owner, name, wrong)


def changed(owner: Any, name: str, change: Callable[..., Any]) -> Callable[[Patch], None]:
    """``change(original, *args)`` in place of ``original(*args)``."""
    original = getattr(owner, name)
    return replace(owner, name, lambda *args, **options: change(original, *args, **options))


# ---------------------------------------------------------------- what must notice


@functools.cache
def module_of(path: str) -> ModuleType:
    """A test file as a module, wherever it lies."""
    file = _TESTS / path
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))  # some test files have helpers beside them
    spec = importlib.util.spec_from_file_location(f"planted_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_of(path: str, name: str, *arguments: Any) -> Callable[[], None]:
    """The test ``name`` of the file ``path``, as a function without arguments."""

    def run() -> None:
        given = [make() if callable(make) else make for make in arguments]
        getattr(module_of(path), name)(*given)

    return run


test_of.__test__ = False  # type: ignore[attr-defined]


def folder() -> Path:
    """A new empty one, as an argument of `test_of` for a test that asks for `tmp_path`."""
    return Path(tempfile.mkdtemp())


def check_of(
    op: str, check: Callable[[Spec, Case], Any], number: int = 0, count: int = 12
) -> Callable[[], None]:
    """``check`` on ``count`` draws of the description of ``op`` (the ``number``-th, if several)."""
    spec = [s for s in SPECS if s.name == op][number]

    def run() -> None:
        with checks.something_compared(spec):
            checks.examples(spec, check, count)

    return run
