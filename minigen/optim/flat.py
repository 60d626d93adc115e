"""Parameters side by side in one buffer, so that an update is one pass over memory.

A model has dozens of small arrays. To update them one by one costs a dozen NumPy calls for
each; laid end to end in one buffer they cost a dozen in all, and the pass runs at the speed of
memory. So a :class:`FlatParameters` takes over the memory of its parameters::

    values   [ weight 0 ....|· bias 0 |· weight 1 ................|· … ]
    grads    [ the same places, for the gradients                      ]
    moments  [ the same places again, for whatever the optimizer keeps  ]

``parameter.data`` becomes a view into ``values``, and the backward pass writes the parameter's
gradient straight into its place in ``grads`` (``Tensor.grad_buffer``). Every parameter starts
at a multiple of 16 elements (the dots above are gaps, always zero), because matrix products
like aligned operands.

That ``data`` is the view is an invariant which others can break: somebody puts an array of their
own into ``parameter.data``, a second optimizer takes the parameter over, a model is converted or
copied. So nothing here relies on it. Every step looks where each parameter lies and takes back
what has moved; a copy of the buffers moves the *copied* parameters into the copy.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import extent
from minigen.backends import Array, active, same_array

__all__ = ["FlatParameters", "ParameterState", "Run", "blocks"]

ALIGNMENT = 16
BLOCK = 32_768
"""Elements that an update works on at a time: parameter, gradient, two moments and scratch of
float32 are 640 KiB, which stays in a core's second-level cache from one pass to the next."""


def blocks(size: int) -> Iterator[slice]:
    """0 … size in slices of at most ``BLOCK`` elements."""
    for start in range(0, size, BLOCK):
        yield slice(start, min(start + BLOCK, size))


class Run(NamedTuple):
    """A stretch of neighbouring parameters that are updated together.

    Attributes:
        part: where it lies in the buffers.
        places: which parameters these are; all have been updated equally often.
    """

    part: slice
    places: range


class ParameterState(NamedTuple):
    """What an optimizer keeps for one parameter.

    Attributes:
        step: how often it has been updated.
        moments: name → array in the parameter's shape.
        numbers: name → number.
    """

    step: int
    moments: dict[str, Array]
    numbers: dict[str, float]


class FlatParameters:
    """The parameters of one group and dtype, in one buffer; see the top of this file.

    Attributes:
        parameters: in the order given.
        parts: where each lies in the buffers.
        values, grads: 1-D buffers.
        moments: name → buffer that is made, zero, when first asked for.
        numbers: name → a number for each parameter, None for one that was never updated.
        steps: how often each parameter has been updated.
        scales: what the optimizer last used to scale the moments with; see ``Optimizer.follow``.
    """

    def __init__(self, parameters: Sequence[Tensor], names: Sequence[str]) -> None:
        self.parameters = list(parameters)
        self.names = list(names)
        self.steps = [0] * len(self.parameters)
        self.moments: dict[str, Array] = {}
        self.numbers: dict[str, list[float | None]] = {}
        self.scales: Any = None
        self.parts: list[slice] = []
        end = 0
        for parameter in self.parameters:
            self.parts.append(slice(end, end + parameter.numel()))
            end += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
        dtype: np.dtype = self.parameters[0].dtype
        shapes = [parameter.shape for parameter in self.parameters]
        zeros = active.backend.xp.zeros
        self._hold(zeros(end, dtype=dtype), zeros(end, dtype=dtype), shapes)
        for place in range(len(self.parameters)):
            self._adopt(place)
        active.backend.give_back_memory()  # the arrays in which the parameters were

    def _hold(self, values: Array, grads: Array, shapes: Sequence[tuple[int, ...]]) -> None:
        """Take two buffers, and know each parameter's place in them."""
        self.values, self.grads = values, grads
        self.dtype: np.dtype = values.dtype
        self.shapes = list(shapes)
        self._value_views = self.views(self.values)
        self._grad_views = self.views(self.grads)

    def __deepcopy__(self, memo: dict[int, Any]) -> FlatParameters:
        """Buffers of their own, and in them the copies of the parameters.

        Whoever copies a model together with its optimizer shares the ``memo``, so that the copied
        optimizer holds the copied model's parameters.
        """
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.parameters = copy.deepcopy(self.parameters, memo)
        twin.names, twin.parts = list(self.names), list(self.parts)
        twin.steps, twin.scales = list(self.steps), self.scales
        twin.moments = {name: buffer.copy() for name, buffer in self.moments.items()}
        twin.numbers = {name: list(values) for name, values in self.numbers.items()}
        twin._hold(self.values.copy(), self.grads.copy(), self.shapes)
        for place, (parameter, view) in enumerate(zip(twin.parameters, twin._value_views)):
            if twin._fits(parameter, place):  # else a step will arrange everything anew
                view[...] = parameter.data
                parameter.data, parameter.grad_buffer = view, twin._grad_views[place]
        return twin

    def views(self, buffer: Array) -> list[Array]:
        """Each parameter's place in ``buffer``, in the parameter's shape."""
        return [buffer[part].reshape(shape) for part, shape in zip(self.parts, self.shapes)]

    def moment(self, name: str) -> Array:
        """The buffer called ``name``, in which the optimizer keeps something."""
        if name not in self.moments:
            self.moments[name] = active.backend.xp.zeros_like(self.values)
        return self.moments[name]

    # ------------------------------------------------------------------ one parameter's state

    def state(self, place: int) -> ParameterState:
        """What is kept for a parameter; the arrays are views into the buffers."""
        part, shape = self.parts[place], self.shapes[place]
        moments = {name: buffer[part].reshape(shape) for name, buffer in self.moments.items()}
        numbers = {
            name: value
            for name, values in self.numbers.items()
            if (value := values[place]) is not None
        }
        return ParameterState(self.steps[place], moments, numbers)

    def set_state(self, place: int, state: ParameterState) -> None:
        """Keep ``state`` for a parameter; its moments are cast and copied."""
        self.steps[place] = state.step
        for name in {*self.moments, *state.moments}:
            array = state.moments.get(name)
            self.moment(name)[self.parts[place]] = 0 if array is None else array.reshape(-1)
        for name in {*self.numbers, *state.numbers}:
            values = self.numbers.setdefault(name, [None] * len(self.parameters))
            values[place] = state.numbers.get(name)

    # ------------------------------------------------------------------ the invariant

    def _fits(self, parameter: Tensor, place: int) -> bool:
        """Whether the buffer is of the parameter's present kind."""
        return parameter._data.dtype == self.dtype and parameter._data.shape == self.shapes[place]

    def fits(self) -> bool:
        """Whether every parameter is of the dtype and shape that it had when it moved in here."""
        for place, (parameter, view) in enumerate(zip(self.parameters, self._value_views)):
            if parameter._data is not view and not self._fits(parameter, place):
                return False
        return True

    def _adopt(self, place: int) -> None:
        """Move a parameter's values into the buffer, and let its gradient come there too.

        This happens when the optimizer is built, and again if somebody has since put another
        array into ``parameter.data``: the user, or a second optimizer of the same parameter.
        """
        parameter, view = self.parameters[place], self._value_views[place]
        data = parameter.data
        if not isinstance(data, active.backend.array_type):
            raise TypeError(
                f"{self.names[place]} lies in {type(data).__name__}, but the optimizer in "
                f"{type(view).__name__}; build the optimizer after moving the model"
            )
        if _overlap(data, self.values) and extent(data) != extent(view):
            raise ValueError(
                f"{self.names[place]} lies in the memory of another parameter; to tie the two, use "
                f"one Parameter in both places, else give it a copy"
            )
        active.backend.xp.copyto(view, data.copy() if _overlap(data, view) else data)
        parameter.data = view
        parameter.grad_buffer = self._grad_views[place]

    def runs(self) -> list[Run]:
        """Bring the gradients into place, and say where the parameters lie that have one.

        A parameter whose ``grad`` is None is left out, as in PyTorch: it keeps its value, its
        moments and its count. Neighbours with the same count form one run; ordinarily that is
        a single one over the whole buffer.
        """
        complete = True
        views = zip(self.parameters, self._value_views, self._grad_views)
        for place, (parameter, value_view, gradient_view) in enumerate(views):
            if parameter.grad is None:
                complete = False
                continue
            data, gradient = parameter._data, parameter.grad._data
            if data is not value_view and not same_array(data, value_view):
                self._adopt(place)
            if gradient is not gradient_view and not same_array(gradient, gradient_view):
                self._take_gradient(place, parameter.grad)
        if complete and not self.numbers and len(set(self.steps)) == 1:
            whole = slice(self.parts[0].start, self.parts[-1].stop)
            return [Run(whole, range(len(self.parts)))]

        found: list[Run] = []
        follows = False
        for place, (parameter, part) in enumerate(zip(self.parameters, self.parts)):
            if parameter.grad is None:
                follows = False
                continue
            before = found[-1] if follows else None
            if before is not None and self._agree(before.places[0], place):
                places = range(before.places[0], place + 1)
                found[-1] = Run(slice(before.part.start, part.stop), places)
            else:
                found.append(Run(part, range(place, place + 1)))
            follows = True
        return found

    def _agree(self, one: int, other: int) -> bool:
        """Whether two parameters have the same count and the same numbers."""
        if self.steps[one] != self.steps[other]:
            return False
        for values in self.numbers.values():  # noqa: SIM110 - a loop is quicker
            if values[one] != values[other]:
                return False
        return True

    def count(self, places: range) -> int:
        """One more update of these parameters, which agree in their number; returns it."""
        step = self.steps[places[0]] + 1
        self.steps[places.start : places.stop] = [step] * len(places)
        return step

    def number(self, name: str, places: range, start: float) -> float:
        """The number called ``name`` of these parameters, which agree in it; at first ``start``."""
        values = self.numbers.setdefault(name, [None] * len(self.parameters))
        return start if (value := values[places[0]]) is None else value

    def set_number(self, name: str, places: range, value: float) -> None:
        """Keep another number for these parameters."""
        self.numbers[name][places.start : places.stop] = [value] * len(places)

    def _take_gradient(self, place: int, grad: Tensor) -> None:
        """Copy a gradient that somebody set, or that another optimizer's buffer holds."""
        view = self._grad_views[place]
        if grad.data.shape != view.shape:
            raise ValueError(
                f"the gradient of {self.names[place]} must have shape {view.shape}, "
                f"got {grad.data.shape}"
            )
        active.backend.xp.copyto(view, grad.data, casting="unsafe")
        self.parameters[place].grad_buffer = view


def _overlap(one: Array, other: Array) -> bool:
    """Whether two arrays lie, at least in part, in the same stretch of memory."""
    if type(one) is not type(other):
        return False
    (low, high), (start, end) = extent(one), extent(other)
    return low < end and start < high
