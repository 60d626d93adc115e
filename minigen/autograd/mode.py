"""Switches of the engine: is the tape recording, and are we hunting for NaN?

Both are per thread (``thread_state.py``), so that a thread that samples under ``no_grad`` does not
stop another one's training.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from threading import get_ident
from types import TracebackType
from typing import Any, TypeVar

from minigen.thread_state import State, current, put, within

F = TypeVar("F", bound=Callable[..., Any])


class _Mode:
    """The switches as they stand. (Where every nanosecond counts: ``current().grad_enabled``.)"""

    __slots__ = ()

    @property
    def grad_enabled(self) -> bool:
        """Whether ops are put on the tape."""
        return current().grad_enabled

    @property
    def anomaly(self) -> bool:
        """Whether every result is searched for NaN."""
        return current().anomaly


mode = _Mode()


class _Switch:
    """Sets one attribute of the thread's state inside a ``with`` block or a decorated function.

    A function ends with what was in force before it, whatever happens. For a block Python calls
    ``__exit__``, and an interrupt that comes just as it begins leaves the switch as it is until
    the block round it ends.
    """

    attribute: str
    value: bool

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """``@no_grad`` without brackets is ``@no_grad()``."""
        return object.__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        # For each thread a stack, so that a switch may be entered again inside itself.
        self._entered: dict[int, list[tuple[State, State]]] = {}

    def __enter__(self) -> None:
        inside = current().but(**{self.attribute: self.value})
        before = current()  # after that: a thread's first look at its state settles its backend
        self._entered.setdefault(get_ident(), []).append((before, inside))
        put(inside)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        before, inside = self._entered[get_ident()].pop()
        if current() is not inside:  # something else was changed in the block, as by mg.use
            before = current().but(**{self.attribute: getattr(before, self.attribute)})
        put(before)

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):  # its body runs when it is iterated over
            return self._generator(function)  # type: ignore[return-value]

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            return within({self.attribute: self.value}, function, *args, **kwargs)

        return inside  # type: ignore[return-value]

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` switched while its body runs, and not while its caller does."""

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                running = function(*args, **kwargs)
            advance, value = running.send, None
            while True:
                try:
                    with type(self)():
                        item = advance(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    advance, value = running.send, (yield item)
                except BaseException as error:  # thrown in from outside; the body may catch it
                    advance, value = running.throw, error

        return inside


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
