"""The ordinary suite's checks as functions, to be called on a broken minigen."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from op_specs import SPECS, Case, Spec, checks

_TESTS = Path(__file__).parent.parent


@functools.cache
def _module(path: str) -> ModuleType:
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
        getattr(_module(path), name)(*given)

    return run


test_of.__test__ = False  # type: ignore[attr-defined]


def check_of(
    op: str, check: Callable[[Spec, Case], Any], number: int = 0, count: int = 12
) -> Callable[[], None]:
    """``check`` on ``count`` draws of the description of ``op`` (the ``number``-th, if several)."""
    spec = [s for s in SPECS if s.name == op][number]
    return lambda: checks.examples(spec, check, count)
