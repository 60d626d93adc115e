"""What cannot be recorded is said in one line, with the line of the user's code that did it."""

from __future__ import annotations

import linecache
import os
import sys

from minigen.errors import UserError

__all__ = ["CaptureError", "calling_place", "host_read"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_BELOW = tuple(
    os.path.join(_PACKAGE, floor)
    for floor in ("autograd", "ops", "nn", "optim", "backends", "capture")
)


class CaptureError(UserError):
    """The step did something that a recording cannot repeat."""


def calling_place() -> tuple[str, int]:
    """File and line of the innermost frame outside the engine, the layers and the optimizers."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(_BELOW)
        or f"{os.sep}numpy{os.sep}" in frame.f_code.co_filename
        or frame.f_code.co_filename.startswith("<")
    ):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def at_line() -> str:
    """``file:line: code`` of the calling place."""
    file, line = calling_place()
    return f"{file}:{line}: {linecache.getline(file, line).strip()}"


def host_read(what: str) -> CaptureError:
    """The error for a value that goes to the host inside the step."""
    return CaptureError(
        f"a captured step cannot read a value on the host ({what}): return the tensor and read it "
        f"outside, at {at_line()}"
    )
