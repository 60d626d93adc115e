"""The named methods of a tensor: ``x.sum(dim=1)`` is ``mg.sum(x, dim=1)``.

One table instead of a hundred definitions. Every method is the op of the same name with the
tensor as its first argument.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen import dtypes
from minigen.autograd.operation import functions
from minigen.autograd.primitive import Primitive
from minigen.autograd.tensor import Tensor
from minigen.ops import (
    activation,
    comparison,
    diagonal,
    elementwise,
    in_place,
    indexing,
    linalg,
    masking,
    norm,
    prod,
    reduction,
    shape,
    special,
)

_METHODS = {
    elementwise: "add sub mul div pow neg abs exp log log1p expm1 sqrt rsqrt square reciprocal sin "
    "cos tan floor ceil round sign clamp maximum minimum clone lerp subtract "
    "multiply divide negative absolute arctan arctan2 arctanh atan atan2 atanh sinh cosh log2 "
    "logaddexp floor_divide remainder",
    comparison: "isnan isinf isfinite allclose equal eq ne lt le gt ge not_equal less less_equal "
    "greater greater_equal logical_and logical_or logical_not",
    masking: "masked_fill masked_select nonzero",
    activation: "relu tanh sigmoid erf",
    special: "erfinv logit xlogy",
    reduction: "sum mean var std amax amin max min argmax argmin cumsum any all "
    "logsumexp softmax log_softmax",
    shape: "reshape flatten unflatten squeeze unsqueeze permute transpose movedim broadcast_to "
    "expand split chunk unbind repeat repeat_interleave flip roll",
    in_place: " ".join(in_place.__all__),
    indexing: "gather scatter scatter_add index_select index_add take_along_dim argsort sort topk",
    linalg: "matmul mm bmm addmm dot outer det logdet slogdet cholesky",
    diagonal: "diag diagonal trace tril triu",
    norm: "norm",
    prod: "prod cumprod",
}


def _attach(name: str, function: Any) -> None:
    if isinstance(function, Primitive):  # an object, not a function: it would not bind to self

        def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            return function(self, *args, **kwargs)

        method.__name__, method.__doc__ = name, function.__doc__
        setattr(Tensor, name, method)
    else:
        setattr(Tensor, name, function)


for _module, _names in _METHODS.items():
    for _name in _names.split():
        _attach(_name, getattr(_module, _name))
_attach("view", shape.reshape)


def split(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """``mg.split``, with the method's own name for the lengths."""
    return shape.split(self, split_size, dim)


_attach("split", split)


def to(self: Tensor, dtype: Any) -> Tensor:
    """The tensor in another dtype, or in that of another tensor; itself if it has it already."""
    dtype = dtype.dtype if isinstance(dtype, Tensor) else np.dtype(dtype)
    return self if self.dtype == dtype else functions.cast(self, dtype=dtype)


def where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """The tensor where ``condition`` holds, else ``other``."""
    return functions.where(condition, self, other)


def contiguous(self: Tensor) -> Tensor:
    """Itself if its memory is in reading order, else a copy that is."""
    return self if self.data.flags.c_contiguous else functions.clone(self)


def _transposed(self: Tensor) -> Tensor:
    """The last two dimensions exchanged."""
    if self.ndim < 2:
        raise ValueError(f".mT needs at least two dimensions, got shape {self.shape}")
    return shape.transpose(self, -2, -1)


def _reversed(self: Tensor) -> Tensor:
    """The dimensions in reverse order."""
    return shape.permute(self, *reversed(range(self.ndim)))


_attach("to", to)
_attach("astype", to)
_attach("where", where)
_attach("contiguous", contiguous)


def _to_its_own(name: str) -> None:
    """``x.float()`` and its like: the tensor in the dtype of that name."""
    dtype = getattr(dtypes, name)
    _attach(name, lambda self: to(self, dtype))


for _name in ["half", "float", "double", "short", "int", "long", "bool"]:
    _to_its_own(_name)
Tensor.mT = property(_transposed)  # type: ignore[attr-defined]
Tensor.T = property(_reversed)  # type: ignore[attr-defined]
