"""Interrupts at a chosen point, for the tests: a KeyboardInterrupt at the n-th line of minigen."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import minigen as mg

_PACKAGE = str(Path(mg.__file__).parent)


class _Interrupt:
    """A trace function that raises at the n-th line, or call, of minigen's own code."""

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0
        self.place = ""

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        if event in ("call", "line"):
            self.seen += 1
            if self.seen == self.at:
                self.place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self


def points(function: Callable[[], Any]) -> int:
    """At how many points ``function()`` can be interrupted."""
    counter = _Interrupt(0)
    _traced(counter, function)
    return counter.seen


def interrupt(function: Callable[[], Any], at: int) -> str:
    """Run ``function()`` and interrupt it at its point ``at`` (1, 2, …); where that was.

    One that comes while Python calls back because an object dies is swallowed, as a real one is.
    The result is empty if the call had fewer points (what is done only once was done before).
    """
    tracer = _Interrupt(at)
    with contextlib.suppress(KeyboardInterrupt):
        _traced(tracer, function)
    return tracer.place


def _traced(tracer: _Interrupt, function: Callable[[], Any]) -> None:
    before, hook = sys.gettrace(), sys.unraisablehook
    sys.unraisablehook = lambda _: None
    sys.settrace(tracer)
    try:
        function()
    finally:
        sys.settrace(before)
        sys.unraisablehook = hook
