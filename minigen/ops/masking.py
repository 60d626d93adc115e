"""Masks: fill the places where one holds, pick them out, and find out where they are.

``masked_fill`` and ``where`` keep the shape and can be recorded by ``mg.capture``. How many places
``nonzero`` and ``masked_select`` find depends on the values, so their shapes do too, and on a GPU
each of them waits for the device. Names and semantics are PyTorch's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd.operation import functions
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.ops.shape import broadcast_to

__all__ = ["masked_fill", "masked_select", "nonzero"]


def _need_mask(name: str, mask: Tensor) -> None:
    if not isinstance(mask, Tensor) or mask.dtype.kind != "b":
        kind = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(f"{name}: mask must be a boolean tensor, got {kind}")


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``value`` where ``mask`` holds, else ``input``; the dtype is that of ``input``.

    Args:
        input: any shape.
        mask: booleans that broadcast against ``input``.
        value: a number, or a 0-d tensor, which gets the sum of the gradients that it filled.
    """
    _need_mask("masked_fill", mask)
    if isinstance(value, Tensor):
        if value.ndim:
            raise ValueError(f"masked_fill: value must be 0-d, got shape {value.shape}")
        if value.dtype != input.dtype:
            value = functions.cast(value, dtype=input.dtype)
    else:
        value = _as_number(input.dtype, value)
    return functions.where(mask, value, input)


def _as_number(dtype: np.dtype, value: Any) -> Any:
    """A Python number that does not change what ``dtype`` is."""
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind == "f":
        return float(value)
    if int(value) != value:
        raise TypeError(f"masked_fill: value {value} does not fit a tensor of {dtype}")
    return int(value)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Where ``input`` is not zero, in reading order: (count, dimensions) int64.

    With ``as_tuple`` one index tensor (count,) for each dimension, which ``x[…]`` accepts.
    """
    places = active.backend.xp.nonzero(input.data if input.ndim else input.data.reshape(1))
    if as_tuple:
        return tuple([Tensor(place) for place in places])
    if not input.ndim:  # a number has no dimension to be found along
        return Tensor(places[0].reshape(-1, 1)[:, :0])
    return Tensor(active.backend.xp.stack(places, axis=1))


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements of ``input`` where ``mask`` holds, in reading order: (count,).

    ``input`` and ``mask`` broadcast against one another.
    """
    _need_mask("masked_select", mask)
    shape = np.broadcast_shapes(input.shape, mask.shape)
    chosen = active.backend.xp.broadcast_to(mask.data, shape)
    return functions.getitem(broadcast_to(input, shape), index=chosen)
