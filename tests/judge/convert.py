"""PyTorch's arguments as minigen's, and results of both as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import minigen as mg

DTYPES = {
    torch.bool: np.dtype("bool"),
    torch.uint8: np.dtype("uint8"),
    torch.int8: np.dtype("int8"),
    torch.int16: np.dtype("int16"),
    torch.int32: np.dtype("int32"),
    torch.int64: np.dtype("int64"),
    torch.float16: np.dtype("float16"),
    torch.float32: np.dtype("float32"),
    torch.float64: np.dtype("float64"),
}


MOST_DIMENSIONS = 64
"""NumPy's own limit; PyTorch's is in some ops the same number, but higher in its tensors."""


class Outside(Exception):  # noqa: N818
    """An argument of a kind that minigen does not have at all: the sample is left out."""


PLACES = {"device", "layout", "pin_memory"}
"""Keywords that say where a tensor lies; minigen's lie in the active backend's memory."""


def is_plain_place(name: str, value: Any) -> bool:
    """Whether this keyword only repeats what is always so: on the CPU, dense."""
    if name == "device":
        return value is None or torch.device(value).type == "cpu"
    return value in (None, False, torch.strided)


class Detached:
    """Copies arguments as leaves of their own: same memory and strides, no history."""

    def __init__(self) -> None:
        self._known: dict[int, torch.Tensor] = {}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if id(value) not in self._known:
                twin = value.detach().requires_grad_(value.requires_grad)
                self._known[id(value)] = twin
            return self._known[id(value)]
        if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
            return type(value)([self(v) for v in value])
        if isinstance(value, dict):
            return {name: self(v) for name, v in value.items()}
        return value


class ToMinigen:
    """Converts arguments; the same tensor twice stays the same tensor.

    Attributes:
        leaves: the pairs (PyTorch's, minigen's) of tensors that require a gradient.
    """

    def __init__(self) -> None:
        self.leaves: list[tuple[torch.Tensor, mg.Tensor]] = []
        self._known: dict[int, mg.Tensor] = {}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, torch.dtype):
            if value not in DTYPES:
                raise Outside(f"{value}")
            return DTYPES[value]
        if isinstance(value, torch.Size):
            return tuple(value)
        if isinstance(value, (tuple, list)):
            return type(value)([self(v) for v in value])
        if isinstance(value, dict):
            return self.keywords(value)
        if isinstance(value, slice):
            return slice(self(value.start), self(value.stop), self(value.step))
        if isinstance(value, (torch.device, torch.layout, torch.memory_format)):
            raise Outside(f"{value}")
        if isinstance(value, complex):
            raise Outside("complex numbers")
        return value

    def keywords(self, keywords: dict[str, Any]) -> dict[str, Any]:
        """Keyword arguments, without those that name the only place there is."""
        return {
            name: self(value)
            for name, value in keywords.items()
            if not (name in PLACES and is_plain_place(name, value))
        }

    def _tensor(self, value: torch.Tensor) -> mg.Tensor:
        if id(value) in self._known:
            return self._known[id(value)]
        if value.layout != torch.strided or value.device.type != "cpu":
            raise Outside(f"{value.layout} on {value.device}")
        if value.dtype not in DTYPES:
            raise Outside(f"{value.dtype}")
        if value.ndim > MOST_DIMENSIONS:
            raise Outside(f"{value.ndim} dimensions")
        tensor = mg.Tensor(value.numpy(force=True), value.requires_grad)
        if value.requires_grad:
            self.leaves.append((value, tensor))
        self._known[id(value)] = tensor
        return tensor


def parts(result: Any) -> list[Any]:
    """A result as the flat list of its parts."""
    if isinstance(result, (tuple, list)) and not isinstance(result, torch.Size):
        return [part for one in result for part in parts(one)]
    return [result]


def array(value: Any) -> np.ndarray:
    """A tensor of either library, or a number, as a NumPy array."""
    if isinstance(value, torch.Tensor):
        if value.dtype not in DTYPES:
            raise Outside(f"a result of {value.dtype}")
        return value.numpy(force=True)
    if isinstance(value, mg.Tensor):
        return np.asarray(value.data)
    if isinstance(value, torch.dtype):
        return np.asarray(str(DTYPES.get(value, value)))
    return np.asarray(value)
