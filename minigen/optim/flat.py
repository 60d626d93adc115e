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
from minigen.backends import Array, active

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
        step: the how-manieth update it will be, from 1; the same for all of them.
    """

    part: slice
    step: int


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
            self.parts.append(slice(end, end + parameter.size))
            end += -(-parameter.size // ALIGNMENT) * ALIGNMENT
        dtype: np.dtype = self.parameters[0].dtype
        self.values = active.backend.xp.zeros(end, dtype=dtype)
        self.grads = active.backend.xp.zeros(end, dtype=dtype)
        self._value_views = self.views(self.values)
        self._grad_views = self.views(self.grads)
        for place in range(len(self.parameters)):
            self._adopt(place)

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
        view[...] = parameter.data
        parameter.data = view
        parameter.grad_buffer = self._grad_views[place]

    def runs(self) -> list[Run]:
        """Count one more step for every parameter that has a gradient, and say where they lie.

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
            if parameter.data is not self._value_views[place]:
                self._adopt(place)
            if parameter.grad.data is not self._grad_views[place]:
                self._take_gradient(place, parameter.grad)
            self.steps[place] += 1
            step = self.steps[place]
            if follows and found[-1].step == step:
                found[-1] = Run(slice(found[-1].part.start, part.stop), step)
            else:
                found.append(Run(part, step))
            follows = True
        return [run for run in found if run.part.stop > run.part.start]

    def _take_gradient(self, place: int, grad: Tensor) -> None:
        """Copy a gradient that somebody set, or that another optimizer's buffer holds."""
        view = self._grad_views[place]
        if grad.data.shape != view.shape:
            raise ValueError(
                f"the gradient of {self.names[place]} must have shape {view.shape}, "
                f"got {grad.data.shape}"
            )
        view[...] = grad.data
        self.parameters[place].grad_buffer = view
