"""What both recorders know of the world that a recording depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from minigen.autograd.tensor import Tensor
from minigen.backends.base import Backend
from minigen.capture.errors import CaptureError, at_line
from minigen.thread_state import within

__all__ = ["Guard", "Watching", "hold"]

T = TypeVar("T")

Guard = tuple[Any, str, Any]
"""An object, one of its attributes, and the value that it must have."""


def hold(guards: list[Guard]) -> bool:
    """Whether everything that a recording relies on is as it was."""
    for thing, attribute, value in guards:  # noqa: SIM110 - a loop is quicker
        if getattr(thing, attribute) is not value:
            return False
    return True


class Watching(Backend):
    """A backend in front of another one, which is told what a step relies on.

    Attributes:
        guards: what must hold for the recording to be valid.
        arrived: leaf → its ``grad`` when the first gradient of the step came.
    """

    def __init__(self, base: Backend) -> None:
        super().__init__()
        self.base = base
        self.name, self.array_type = base.name, base.array_type
        self.kernels, self.workspace, self.block = base.kernels, base.workspace, base.block
        self.guards: list[Guard] = []
        self.arrived: dict[Tensor, Tensor | None] = {}
        self._guarded: set[tuple[int, str]] = set()

    def refuse(self, what: str, why: str) -> NoReturn:
        """Raise: the step did ``what``, which no replay could."""
        raise CaptureError(
            f"a captured step cannot {what} ({why}); do it before, not at {at_line()}"
        )

    def guard(self, thing: Any, attribute: str) -> None:
        """The recording holds only while ``thing.attribute`` is what it is now."""
        if (key := (id(thing), attribute)) not in self._guarded:
            self._guarded.add(key)
            self.guards.append((thing, attribute, getattr(thing, attribute)))

    def unrecorded(self, function: Callable[..., T], *args: Any) -> T:
        """``function(*args)`` on the backend underneath, as if no step were being recorded."""
        return within({"backend": self.base, "recorder": None}, function, *args)

    def gradient_arrives(self, leaf: Tensor) -> None:
        """A backward pass is about to add to ``leaf.grad``."""
        self.arrived.setdefault(leaf, leaf.grad)
