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
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.backends import Array, active, same_array

__all__ = ["FlatParameters", "Run", "blocks"]

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


class FlatParameters:
    """The parameters of one group and dtype, in one buffer; see the top of this file.

    Attributes:
        parameters: in the order given.
        values, grads: 1-D buffers.
        moments: name → buffer that is made, zero, when first asked for.
        steps: how often each parameter has been updated.
    """

    def __init__(self, parameters: Sequence[Tensor], names: Sequence[str]) -> None:
        self.parameters = list(parameters)
        self.names = list(names)
        self.steps = [0] * len(self.parameters)
        self.moments: dict[str, Array] = {}
        self.parts: list[slice] = []
        end = 0
        for parameter in self.parameters:
            self.parts.append(slice(end, end + parameter.numel()))
            end += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
        dtype: np.dtype = self.parameters[0].dtype
        self.values = active.backend.xp.zeros(end, dtype=dtype)
        self.grads = active.backend.xp.zeros(end, dtype=dtype)
        self._value_views = self.views(self.values)
        self._grad_views = self.views(self.grads)
        for place in range(len(self.parameters)):
            self._adopt(place)
        active.backend.give_back_memory()  # the arrays in which the parameters were

    def views(self, buffer: Array) -> list[Array]:
        """Each parameter's place in ``buffer``, in the parameter's shape."""
        return [buffer[s].reshape(p.shape) for s, p in zip(self.parts, self.parameters)]

    def moment(self, name: str) -> Array:
        """The buffer called ``name``, in which the optimizer keeps something."""
        if name not in self.moments:
            self.moments[name] = active.backend.xp.zeros_like(self.values)
        return self.moments[name]

    def _adopt(self, place: int) -> None:
        """Move a parameter's values into the buffer, and let its gradient come there too.

        This happens when the optimizer is built, and again if somebody has since put another
        array into ``parameter.data``: the user, or a second optimizer of the same parameter.
        """
        parameter, view = self.parameters[place], self._value_views[place]
        if parameter.data.shape != view.shape or parameter.data.dtype != view.dtype:
            raise ValueError(
                f"{self.names[place]} was {view.dtype} {view.shape} when the optimizer was built "
                f"and is now {parameter.data.dtype} {parameter.data.shape}; build the optimizer "
                f"after converting the model"
            )
        active.backend.xp.copyto(view, parameter.data)
        parameter.data = view
        parameter.grad_buffer = self._grad_views[place]

    def runs(self) -> list[Run]:
        """Bring the gradients into place, and say where the parameters lie that have one.

        A parameter whose ``grad`` is None is left out, as in PyTorch: it keeps its value, its
        moments and its count. Neighbours with the same count form one run; ordinarily that is
        a single one over the whole buffer.
        """
        found: list[Run] = []
        follows = False
        for place, (parameter, part) in enumerate(zip(self.parameters, self.parts)):
            if parameter.grad is None:
                follows = False
                continue
            if not same_array(parameter.data, self._value_views[place]):
                self._adopt(place)
            if not same_array(parameter.grad.data, self._grad_views[place]):
                self._take_gradient(place, parameter.grad)
            before = found[-1] if follows else None
            if before is not None and self.steps[before.places[0]] == self.steps[place]:
                places = range(before.places[0], place + 1)
                found[-1] = Run(slice(before.part.start, part.stop), places)
            else:
                found.append(Run(part, range(place, place + 1)))
            follows = True
        return found

    def count(self, places: range) -> int:
        """One more update of these parameters, which agree in their number; returns it."""
        step = self.steps[places[0]] + 1
        self.steps[places.start : places.stop] = [step] * len(places)
        return step

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
