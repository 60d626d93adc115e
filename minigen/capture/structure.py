"""Arguments and results as a flat list of tensors and what holds them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.backends import active

__all__ = ["Slot", "flatten", "raw", "rebuild"]


class Slot:
    """Stands for the ``number``-th array in a structure."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slot) and other.number == self.number

    def __hash__(self) -> int:
        return hash(self.number)


def flatten(value: Any, found: list[Any]) -> Any:
    """``value`` with a Slot for each tensor and array, which are appended to ``found``.

    The result is hashable where the other values are: lists become ``(list, …)``,
    dictionaries ``(dict, (key, …), …)``.
    """
    if isinstance(value, (Tensor, np.ndarray, active.backend.array_type)):
        found.append(value)
        return Slot(len(found) - 1)
    kind = type(value)
    if kind in (list, tuple):
        return (kind, *[flatten(part, found) for part in value])
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return (kind, *[flatten(part, found) for part in value])
    if kind is dict:
        return (dict, tuple(value), *[flatten(part, found) for part in value.values()])
    return ("value", kind, value)


def raw(value: Any) -> Any:
    """The array in a tensor; an array as it is."""
    return value.data if isinstance(value, Tensor) else value


def rebuild(shape: Any, arrays: Sequence[Any]) -> Any:
    """The structure again, with ``arrays`` in the slots."""
    if isinstance(shape, Slot):
        return arrays[shape.number]
    kind = shape[0]
    if kind == "value":
        return shape[2]
    if kind is dict:
        return {key: rebuild(part, arrays) for key, part in zip(shape[1], shape[2:])}
    parts = [rebuild(part, arrays) for part in shape[1:]]
    return kind(parts) if kind in (list, tuple) else kind(*parts)
