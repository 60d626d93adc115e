"""Parameter: a tensor that a model learns."""

from __future__ import annotations

from typing import Any

from minigen.autograd.mode import is_grad_enabled
from minigen.autograd.tensor import Tensor
from minigen.ops.creation import tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A leaf tensor that a module lists among its parameters and an optimizer updates.

    Args:
        data: a tensor (its memory is taken over, not copied), an array, or nested lists.
        requires_grad: False for a parameter that is frozen.

    An optimizer moves the values of its parameters into one flat buffer: keep the parameter
    and not its ``data``, which is then a view into that buffer.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        source = data if isinstance(data, Tensor) else tensor(data)
        if source.node is not None and is_grad_enabled():
            raise RuntimeError(
                f"a parameter is a leaf, which would lose the history of the result of "
                f"{source.node.op.name}; give it x.detach()"
            )
        if requires_grad and source.dtype.kind != "f":
            raise TypeError(f"a parameter must be floating-point, got {source.dtype}")
        super().__init__(source.data, requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A parameter with a copy of the values; as in PyTorch, the gradient is left behind."""
        twin = type(self).__new__(type(self))
        Tensor.__init__(twin, self.data.copy(), self.requires_grad)
        memo[id(self)] = twin
        return twin
