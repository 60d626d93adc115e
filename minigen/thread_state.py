"""What is in force in this thread: its backend, its recorder, and the engine's two switches.

Threads that share a process do not share these: one may sample under ``no_grad`` or have its step
recorded while another one trains. Every op asks for them, so they lie in one object behind one
``ContextVar``, the fastest that Python has for each thread (an attribute of ``threading.local``
takes three times as long)::

    state = current()
    if state.grad_enabled: ...

A state is never changed but replaced by another one, in one of two ways:

``change(grad_enabled=False)``
    from here on, until the next change: what a ``with`` block does when it begins and ends.
``within({"grad_enabled": False}, function, ...)``
    for the length of a call. Python itself puts the old state back (``Context.run``, which is
    C code), so that not even an interrupt can come between the end of the call and that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

__all__ = ["State", "at_work", "change", "current", "put", "within"]

T = TypeVar("T")


class State:
    """What is in force.

    Attributes:
        backend: the backend that ops run on.
        recorder: while this thread records a step (``minigen.capture``) the backend that does,
            else None.
        grad_enabled: whether ops are put on the tape.
        anomaly: whether every result is searched for NaN.
    """

    __slots__ = ("anomaly", "backend", "grad_enabled", "recorder")

    def __init__(
        self, backend: Any, recorder: Any = None, grad_enabled: bool = True, anomaly: bool = False
    ) -> None:
        self.backend = backend
        self.recorder = recorder
        self.grad_enabled = grad_enabled
        self.anomaly = anomaly

    def but(self, **values: Any) -> State:
        """This state with other values."""
        other = State(self.backend, self.recorder, self.grad_enabled, self.anomaly)
        for name, value in values.items():
            setattr(other, name, value)
        return other


class _Undecided(State):
    """The state of a thread that has computed nothing yet: it chooses its backend when asked."""

    __slots__ = ()

    def __init__(self) -> None:
        self.recorder, self.grad_enabled, self.anomaly = None, True, False

    @property
    def backend(self) -> Any:
        """The process's choice, which this thread keeps from now on."""
        from minigen.backends import default_backend  # the floor above: once for each thread

        chosen = default_backend()
        if _state.get() is self:
            _state.set(State(chosen))
        return chosen


_state: ContextVar[State] = ContextVar("minigen", default=_Undecided())  # noqa: B039

current: Callable[[], State] = _state.get
"""The state of this thread."""

put: Callable[[State], Any] = _state.set
"""Make a state that of this thread."""


at_work: dict[int, Any] = {}
"""The recorders of all threads that record at this moment: what other threads make meanwhile, a
recorded step must not use, since no replay would make it anew."""


def change(**values: Any) -> None:
    """Put other values in force in this thread, from here on."""
    put(current().but(**values))


def within(values: Mapping[str, Any], function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """``function(*args, **kwargs)`` with these values in force; its own changes end with it."""
    return copy_context().run(_changed, values, function, args, kwargs)


def _changed(values: Mapping[str, Any], function: Callable[..., T], args: Any, kwargs: Any) -> T:
    change(**values)
    return function(*args, **kwargs)
