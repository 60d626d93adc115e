"""Checks of layer arguments, with one-line messages that name the layer and the argument."""

from __future__ import annotations

from typing import Any

from minigen.autograd.tensor import Tensor


def positive(layer: str, **sizes: Any) -> None:
    """Raise unless every size is an integer ≥ 1."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{layer}: {name} must be an integer ≥ 1, got {value!r}")
        if value < 1:
            raise ValueError(f"{layer}: {name} must be an integer ≥ 1, got {value}")


def need_channels(layer: str, x: Any, channels: int, *ndims: int, dim: int = 1) -> None:
    """Raise unless ``x`` is a float tensor of one of ``ndims`` dimensions with this many channels.

    ``dim`` is where the channels are in a batch; a shape one shorter than all others is one
    sample without the batch's dimension only if ``ndims`` allows it.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{layer}: input must be a Tensor, got {type(x).__name__}")
    if x.dtype.kind != "f":
        raise TypeError(f"{layer}: input must be floating-point, got {x.dtype}")
    if x.ndim not in ndims or x.shape[dim] != channels:
        counts = " or ".join(str(n) for n in ndims)
        raise ValueError(
            f"{layer}: input must have {counts} dimensions with {channels} channels in "
            f"dimension {dim}, got shape {x.shape}"
        )
