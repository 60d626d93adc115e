"""Checks of layer arguments, with one-line messages that name the layer and the argument."""

from __future__ import annotations

from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.numeric import integer, number
from minigen.ops._arguments import spread


def positive(layer: str, **sizes: Any) -> None:
    """Raise unless every size is an integer ≥ 1."""
    for name, value in sizes.items():
        integer(f"{layer}: {name}", value, 1)


def lengths(layer: str, value: Any, count: int, name: str, minimum: int = 0) -> tuple[int, ...]:
    """An integer, or ``count`` of them, as a tuple; the layer is named if it is neither."""
    return spread(value, count, f"{layer}: {name}", minimum)


def probability(layer: str, p: Any) -> None:
    """Raise unless ``p`` is a number in [0, 1]."""
    number(f"{layer}: p", p, high=1)


def need_tensor(layer: str, x: Any, argument: str = "input") -> None:
    """Raise unless ``x`` is a floating-point tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{layer}: {argument} must be a Tensor, got {type(x).__name__}")
    if x.dtype.kind != "f":
        raise TypeError(f"{layer}: {argument} must be floating-point, got {x.dtype}")


def need_channels(layer: str, x: Any, channels: int, ndims: tuple[int, ...], dim: int) -> None:
    """Raise unless ``x`` is a float tensor of one of ``ndims`` dimensions, ``channels`` in ``dim``.

    ``dim`` counts from the end where one sample without the batch's dimension is accepted too.
    """
    need_tensor(layer, x)
    if x.ndim not in ndims or x.shape[dim] != channels:
        counts = " or ".join(str(n) for n in ndims)
        raise ValueError(
            f"{layer}: input must have {counts} dimensions with length {channels} in dimension "
            f"{dim}, got shape {x.shape}"
        )
