"""Where tensors come from: host data, constants, ranges, other libraries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.autograd.mode import is_grad_enabled
from minigen.autograd.tensor import DEFAULT_DTYPE, Tensor
from minigen.backends import active
from minigen.numeric import integer, is_integer, is_number, plain_number, shown
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


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A leaf tensor on the active backend with a copy of ``data``.

    Args:
        data: a number, nested lists, a NumPy array, an array of the backend, or a tensor.
        dtype: by default that of an array; float32 for Python floats, int64 for integers.
        requires_grad: whether to compute gradients for it (floating-point only).

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
    elif isinstance(data, active.backend.array_type) and data.dtype.isnative:
        _check_kind(data.dtype)
        array = active.backend.xp.array(data, dtype=dtype, order="C")
    else:
        host = _to_host(data)
        if dtype is None:
            _check_kind(host.dtype)
        if dtype is None and host.dtype == np.float64 and not isinstance(data, np.ndarray):
            dtype = DEFAULT_DTYPE
        array = active.backend.xp.array(host, dtype=dtype or host.dtype.newbyteorder("="))
    _check_kind(array.dtype)
    return Tensor(array).requires_grad_(requires_grad)


def _check_kind(dtype: Any) -> None:
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise TypeError(
            f"a tensor holds booleans, integers or floats of at most 64 bits, not {dtype}"
        )


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
    _check_kind(array.dtype)
    if not array.dtype.isnative:
        raise TypeError(f"from_numpy needs the byte order of this machine, got {array.dtype.str}")
    return Tensor(active.backend.asarray(array))


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the memory of another library's array, by DLPack, without copying."""
    return Tensor(active.backend.xp.from_dlpack(source))


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    lengths = unpack(shape)
    for n in lengths:
        if not is_integer(n) or n < 0:
            raise ValueError(f"shape must be lengths ≥ 0, got {lengths}")
    return tuple([int(n) for n in lengths])


def _filled(size: tuple[int, ...], value: Any, dtype: Any, requires_grad: bool) -> Tensor:
    if not (is_number(value) or isinstance(value, (bool, np.bool_))):
        raise TypeError(f"fill_value must be a number, got {shown(value)}")
    array = active.backend.xp.full(size, value, dtype=DEFAULT_DTYPE if dtype is None else dtype)
    return Tensor(array).requires_grad_(requires_grad)


def zeros(
    *lengths: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of shape ``lengths`` (or ``size``): ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return _filled(_shape(lengths if size is None else (size,)), 0, dtype, requires_grad)


def ones(*lengths: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of shape ``lengths`` (or ``size``)."""
    return _filled(_shape(lengths if size is None else (size,)), 1, dtype, requires_grad)


def empty(
    *lengths: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Memory as it comes, of shape ``lengths`` (or ``size``)."""
    shape = _shape(lengths if size is None else (size,))
    array = active.backend.xp.empty(shape, dtype=DEFAULT_DTYPE if dtype is None else dtype)
    return Tensor(array).requires_grad_(requires_grad)


def full(size: Any, fill_value: float, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """``fill_value`` everywhere; by default float32 for a float, int64 for an integer, or bool."""
    if dtype is None:
        kinds = {bool: np.bool_, int: np.int64}
        dtype = kinds.get(type(fill_value), DEFAULT_DTYPE)
    return _filled(_shape((size,)), fill_value, dtype, requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape (and dtype) of ``input``."""
    return _filled(input.shape, 0, dtype or input.dtype, requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape (and dtype) of ``input``."""
    return _filled(input.shape, 1, dtype or input.dtype, requires_grad)


def full_like(
    input: Tensor, fill_value: float, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """``fill_value`` in the shape (and dtype) of ``input``."""
    return _filled(input.shape, fill_value, dtype or input.dtype, requires_grad)


def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``start, start + step, …`` before ``end``; from 0 if only one bound is given.

    The dtype is int64 if all three are integers, else float32. To an integer dtype the three are
    rounded towards zero first, as PyTorch does.

    Raises:
        ValueError: ``step`` is 0, or leads away from ``end``.
    """
    if end is None:
        start, end = 0, start
    start, end, step = _number("start", start), _number("end", end), _number("step", step)
    if dtype is None:
        whole = all(isinstance(v, int) for v in (start, end, step))
        dtype = np.int64 if whole else DEFAULT_DTYPE
    if np.dtype(dtype).kind in "iu":
        start, end, step = int(start), int(end), int(step)
    if step == 0:
        raise ValueError("step must not be 0")
    if (end - start) * step < 0:
        raise ValueError(f"step must lead from start {start} to end {end}, got {step}")
    return Tensor(active.backend.xp.arange(start, end, step, dtype=dtype)).requires_grad_(
        requires_grad
    )


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """``steps`` numbers evenly spaced from ``start`` to ``end``, both included.

    To an integer dtype, the bounds and then the numbers are rounded towards zero, as in PyTorch.
    """
    steps = integer("steps", steps, 0)
    start, end = _number("start", start), _number("end", end)
    dtype = DEFAULT_DTYPE if dtype is None else np.dtype(dtype)
    if dtype.kind in "iu":
        start, end = int(start), int(end)
    step = (end - start) / max(steps - 1, 1)
    i = np.arange(steps)  # the second half counts from the end, so that it is met exactly
    numbers = np.where(i < steps / 2, start + step * i, end - step * (steps - 1 - i))
    return Tensor(active.backend.asarray(numbers.astype(dtype))).requires_grad_(requires_grad)


def _number(name: str, value: Any) -> Any:
    """A finite Python number, also of a one-element tensor or a NumPy number."""
    plain = int(value) if isinstance(value, (bool, np.bool_)) else plain_number(value)
    if plain is None:
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    if not math.isfinite(plain):
        raise ValueError(f"{name} must be finite, got {plain}")
    return plain


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """The n × m identity matrix."""
    if n < 0 or (m is not None and m < 0):
        raise ValueError(f"n and m must be ≥ 0, got {n} and {m}")
    array = active.backend.xp.eye(n, m, dtype=DEFAULT_DTYPE if dtype is None else dtype)
    return Tensor(array).requires_grad_(requires_grad)
