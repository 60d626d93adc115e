"""Switches of the engine: is the tape recording, and are we hunting for NaN?

Both are per thread, so that a thread that samples under ``no_grad`` does not stop another
one's training.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _Mode(threading.local):
    grad_enabled = True
    anomaly = False


mode = _Mode()


class _Switch:
    """Sets one attribute of ``mode`` inside a ``with`` block or a decorated function."""

    attribute: str
    value: bool

    def __enter__(self) -> None:
        # A stack, so that one switch object may be entered again inside itself.
        self.__dict__.setdefault("_previous", []).append(getattr(mode, self.attribute))
        setattr(mode, self.attribute, self.value)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        setattr(mode, self.attribute, self.__dict__["_previous"].pop())

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return inside  # type: ignore[return-value]


class no_grad(_Switch):  # noqa: N801 - PyTorch's name
    """Nothing is recorded inside: results do not require a gradient."""

    attribute, value = "grad_enabled", False


class enable_grad(_Switch):  # noqa: N801 - PyTorch's name
    """Recording is on inside, even within ``no_grad``."""

    attribute, value = "grad_enabled", True


class detect_anomaly(_Switch):  # noqa: N801 - PyTorch's name
    """The first NaN or Inf, forward or backward, raises and names the op and its line.

    Every op's result is looked at and every op's caller is written down, which makes a step
    several times slower: use it to find a fault, then take it out.
    """

    attribute, value = "anomaly", True


def is_grad_enabled() -> bool:
    """Whether ops on tensors that require a gradient are being recorded."""
    return mode.grad_enabled
