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
    for floor in ("autograd", "ops", "nn", "optim", "backends", "capture", "thread_state")
)


class CaptureError(UserError):
    """The step did something that a recording cannot repeat."""


def _is_below(file: str) -> bool:
    """Whether a source file belongs to the engine, to an array library or to nobody."""
    libraries = f"{os.sep}numpy{os.sep}", f"{os.sep}cupy{os.sep}"
    return file.startswith((*_BELOW, "<")) or any(library in file for library in libraries)


def calling_place() -> tuple[str, int]:
    """File and line of the innermost frame outside the engine, the layers and the optimizers."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_below(frame.f_code.co_filename):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def at_line() -> str:
    """``file:line: code`` of the calling place."""
    file, line = calling_place()
    return f"{file}:{line}: {linecache.getline(file, line).strip()}"


def one_line(error: BaseException) -> str:
    """The first line of its message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def line_of(error: BaseException) -> str:
    """``file:line: code`` of the innermost frame of ``error`` outside the engine."""
    import traceback  # rarely needed

    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if not _is_below(f.filename)]
    last = (ours or frames)[-1]
    return f"{last.filename}:{last.lineno}: {last.line}"


def host_read(what: str) -> CaptureError:
    """The error for a value that goes to the host inside the step."""
    return CaptureError(
        f"a captured step cannot read a value on the host ({what}): return the tensor and read it "
        f"outside, at {at_line()}"
    )
