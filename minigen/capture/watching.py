"""What both recorders know of the world that a recording depends on."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.backends.base import Array, Backend
from minigen.capture.errors import CaptureError, at_line
from minigen.thread_state import at_work, within

__all__ = ["Gradients", "Guard", "Watching", "hold", "leave", "show"]

T = TypeVar("T")

Guard = tuple[Any, str, Any]
"""An object, one of its attributes, and the value that it must have."""


def hold(guards: list[Guard]) -> bool:
    """Whether everything that a recording relies on is as it was."""
    for thing, attribute, value in guards:  # noqa: SIM110 - a loop is quicker
        if getattr(thing, attribute) is not value:
            return False
    return True


Gradients = list[tuple[Tensor, Array | None]]
"""Tensors, and where the step leaves their gradients: None for nowhere."""


def leave(gradients: Gradients) -> None:
    """Before a replay writes there: who has kept a gradient of an earlier one keeps its values."""
    for tensor, place in gradients:
        if place is not None:
            tensor.leave_gradient(place)


def show(gradients: Gradients) -> None:
    """After a replay: what the step has left in ``grad``."""
    for tensor, place in gradients:
        if place is None:
            tensor._grad = None
        elif (shown := tensor._grad) is None or shown._data is not place:
            tensor._grad = Tensor(place)


class Touched:
    """A tensor that was there before the step, and what it was when the step first touched it."""

    __slots__ = ("data", "grad", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.data, self.grad = tensor, tensor._data, tensor.grad

    def restore(self) -> None:
        """Make it that again."""
        self.tensor._data, self.tensor.grad = self.data, self.grad


class Watching(Backend):
    """A backend in front of another one, which is told what a step relies on.

    Attributes:
        touched: the tensors that the step has touched and not made itself.
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
        self.touched: dict[int, Touched] = {}
        self._own: dict[int, weakref.ref[Tensor]] = {}
        self._beside: dict[int, weakref.ref[Tensor]] = {}
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

    def record(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """``step(*args, **kwargs)`` with this recorder in force, in this thread."""
        inside = {"backend": self, "recorder": self}
        try:
            try:
                at_work[id(self)] = self
                return within(inside, step, *args, **kwargs)
            finally:
                at_work.pop(id(self), None)
        except BaseException:  # once more, for an interrupt may have come just before the last line
            at_work.pop(id(self), None)
            raise

    def unrecorded(self, function: Callable[..., T], *args: Any) -> T:
        """``function(*args)`` on the backend underneath, as if no step were being recorded."""
        return within({"backend": self.base, "recorder": None}, function, *args)

    # ------------------------------------------------------------------ tensors

    def notice(self, tensor: Tensor) -> None:
        """The step is about to touch this tensor."""
        key = id(tensor)
        if key in self.touched or _is_in(self._own, tensor):
            return
        if _is_in(self._beside, tensor):
            self.refuse("use a tensor that another thread makes meanwhile", "no replay would")
        self.touched[key] = Touched(tensor)

    def made_beside(self, tensor: Tensor) -> None:
        """Another thread makes this tensor while the step is recorded."""
        self._beside[id(tensor)] = weakref.ref(tensor)

    def makes(self, tensor: Tensor) -> None:
        """The step makes this tensor."""
        key = id(tensor)
        self._own[key] = weakref.ref(tensor, lambda _: self._own.pop(key, None))

    def made_and_alive(self) -> list[Tensor]:
        """The tensors that the step made and that somebody still holds."""
        return [tensor for ref in list(self._own.values()) if (tensor := ref()) is not None]

    @abstractmethod
    def same(self, one: Array, other: Array) -> bool:
        """Whether two arrays are the same elements of memory."""

    def traced(self, array: Array) -> Array:
        """``array`` as the step is to see it: here as it is."""
        return array

    def plain(self, array: Array) -> Array:
        """``array`` as a tensor is to keep it: here as it is."""
        return array

    def shown(self, tensor: Tensor) -> Array:
        """What the step sees of a tensor."""
        self.notice(tensor)
        return self.traced(tensor._data)

    def shown_inputs(self, inputs: Sequence[Any], arrays: list[Any]) -> list[Any]:
        """The same for the inputs of an op: ``arrays``, but those of tensors as they are shown."""
        return [
            self.shown(x) if isinstance(x, Tensor) else array for x, array in zip(inputs, arrays)
        ]

    def stored(self, tensor: Tensor, array: Any) -> Array:
        """What a tensor that the step makes is to keep of its array."""
        self.makes(tensor)
        return self.plain(np.asarray(array) if isinstance(array, np.generic) else array)

    def rebound(self, tensor: Tensor, array: Array) -> Array:
        """What a tensor is to keep that the step gives another array."""
        self.notice(tensor)
        if isinstance(array, np.generic):
            array = np.asarray(array)
        return tensor._data if self.same(tensor._data, array) else self.plain(array)

    def leave_gradient(self, tensor: Tensor) -> None:
        """``tensor.grad`` is about to be another one: see ``Tensor.leave_gradient``."""
        tensor.leave_gradient(tensor.grad_buffer)

    def gradient_arrives(self, leaf: Tensor) -> None:
        """A backward pass is about to add to ``leaf.grad``."""
        self.notice(leaf)
        self.arrived.setdefault(leaf, leaf.grad)


def _is_in(known: dict[int, weakref.ref[Tensor]], tensor: Tensor) -> bool:
    found = known.get(id(tensor))
    return found is not None and found() is tensor
