"""Where tensors come from: host data, constants, ranges, other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd.mode import is_grad_enabled
from minigen.autograd.tensor import DEFAULT_DTYPE, Tensor
from minigen.backends import active
from minigen.ops._arguments import unpack

__all__ = [
    "arange",
    "empty",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]


def tensor(data: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """A leaf tensor on the active backend with a copy of ``data``.

    Args:
        data: a number, nested lists, a NumPy array, an array of the backend, or a tensor.
        requires_grad: whether to compute gradients for it (floating-point only).
        dtype: by default that of an array; float32 for Python floats, int64 for integers.

    Raises:
        RuntimeError: ``data`` is or holds a tensor that requires grad: a leaf has no history.
    """
    array: Any
    if isinstance(data, Tensor):
        if data.requires_grad and is_grad_enabled():
            raise RuntimeError(
                "mg.tensor makes a leaf, which would lose the gradient of a tensor that requires "
                "grad; use x.clone() to keep it, or x.detach()"
            )
        array = data.data.astype(dtype) if dtype is not None else data.data.copy()
    elif isinstance(data, active.backend.array_type):
        array = active.backend.xp.array(data, dtype=dtype, order="C")
    else:
        host = _to_host(data)
        if dtype is None and host.dtype == np.float64 and not isinstance(data, np.ndarray):
            dtype = DEFAULT_DTYPE
        array = active.backend.xp.array(host, dtype=dtype)
    return Tensor(array).requires_grad_(requires_grad)


def _to_host(data: Any) -> np.ndarray:
    """Numbers in nested sequences, possibly with tensors among them, as a NumPy array."""
    data = _without_tensors(data)
    try:
        host = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"data must be a rectangular array of numbers: {error}") from None
    if host.dtype.kind not in "biuf":
        raise TypeError(
            f"data must hold numbers or booleans, got {type(data).__name__} ({host.dtype})"
        )
    return host


def _without_tensors(data: Any) -> Any:
    """Nested sequences with the values of tensors in place of the tensors."""
    if isinstance(data, (list, tuple)):
        return [_without_tensors(part) for part in data]
    if not isinstance(data, Tensor):
        return data
    if data.requires_grad and is_grad_enabled():
        raise RuntimeError(
            "mg.tensor makes a leaf, which would lose the gradient of the tensors in data; use "
            "mg.stack or mg.concatenate to join them, or x.detach()"
        )
    return data.numpy()


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor on the same memory as ``array`` (on the CPU); writes are seen by both."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy needs a NumPy array, got {type(array).__name__}")
    return Tensor(active.backend.asarray(array))


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the memory of another library's array, by DLPack, without copying."""
    return Tensor(active.backend.xp.from_dlpack(source))


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    lengths = unpack(shape)
    for n in lengths:
        if isinstance(n, bool) or not hasattr(n, "__index__") or n < 0:
            raise ValueError(f"shape must be lengths ≥ 0, got {lengths}")
    return tuple([int(n) for n in lengths])


def zeros(*shape: Any, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False) -> Tensor:
    """Zeros."""
    return full(_shape(shape), 0, dtype, requires_grad)


def ones(*shape: Any, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False) -> Tensor:
    """Ones."""
    return full(_shape(shape), 1, dtype, requires_grad)


def full(shape: Any, value: float, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """``value`` everywhere; float32 for a float, int64 for an integer, if no dtype is given."""
    if dtype is None:
        dtype = (
            np.bool_
            if isinstance(value, bool)
            else (np.int64 if isinstance(value, int) else DEFAULT_DTYPE)
        )
    array = active.backend.xp.full(_shape((shape,)), value, dtype=dtype)
    return Tensor(array).requires_grad_(requires_grad)


def empty(*shape: Any, dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """Memory as it comes."""
    return Tensor(active.backend.xp.empty(_shape(shape), dtype=dtype))


def zeros_like(input: Tensor, dtype: Any = None) -> Tensor:
    """Zeros of the shape (and dtype) of ``input``."""
    return zeros(input.shape, dtype=input.dtype if dtype is None else dtype)


def ones_like(input: Tensor, dtype: Any = None) -> Tensor:
    """Ones of the shape (and dtype) of ``input``."""
    return ones(input.shape, dtype=input.dtype if dtype is None else dtype)


def full_like(input: Tensor, value: float, dtype: Any = None) -> Tensor:
    """``value`` in the shape (and dtype) of ``input``."""
    return full(input.shape, value, input.dtype if dtype is None else dtype)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """``start, start + step, …`` below ``stop``; from 0 if only one bound is given."""
    if step == 0:
        raise ValueError("step must not be 0")
    if stop is None:
        start, stop = 0, start
    if dtype is None:
        whole = all(isinstance(v, int) for v in (start, stop, step))
        dtype = np.int64 if whole else DEFAULT_DTYPE
    return Tensor(active.backend.xp.arange(start, stop, step, dtype=dtype))


def linspace(start: float, stop: float, steps: int, dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """``steps`` numbers evenly spaced from ``start`` to ``stop``, both included."""
    if steps < 0:
        raise ValueError(f"steps must be ≥ 0, got {steps}")
    return Tensor(active.backend.xp.linspace(start, stop, steps, dtype=dtype))


def eye(n: int, m: int | None = None, dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """The n × m identity matrix."""
    if n < 0 or (m is not None and m < 0):
        raise ValueError(f"n and m must be ≥ 0, got {n} and {m}")
    return Tensor(active.backend.xp.eye(n, m, dtype=dtype))
