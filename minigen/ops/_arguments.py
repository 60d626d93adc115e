"""Checking arguments once, with one-line messages, for all ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.autograd.operation import functions
from minigen.numeric import integer, is_integer


def one_dim(dim: Any, ndim: int, name: str = "dim") -> int:
    """``dim`` as an index in 0 … ndim-1.

    Raises:
        TypeError, IndexError: it is no integer, or out of range.
    """
    if type(dim) is not int:
        dim = integer(name, dim)
    size = max(ndim, 1)
    if not -size <= dim < size:
        raise IndexError(
            f"{name} must lie in [{-size}, {size - 1}] for {ndim} dimensions, got {dim}"
        )
    return dim % size


def some_dims(dim: Any, ndim: int, name: str = "dim") -> tuple[int, ...]:
    """``dim`` (None for all, one integer, or several) as a tuple of indices in 0 … ndim-1."""
    if dim is None:
        return tuple(range(ndim))
    if not isinstance(dim, (tuple, list)):
        dim = (dim,)
    if ndim == 0:
        for d in dim:
            one_dim(d, 0, name)
        return ()
    dims = tuple([one_dim(d, ndim, name) for d in dim])
    if len(set(dims)) != len(dims):
        raise ValueError(f"{name} names a dimension twice: {tuple(dim)}")
    return dims


def reduced_dims(dim: Any, ndim: int) -> tuple[int, ...]:
    """The same for a reduction, where an empty ``dim`` means all, as in PyTorch."""
    return some_dims(None if isinstance(dim, (tuple, list)) and not dim else dim, ndim)


def spread(value: Any, count: int, name: str, minimum: int = 0) -> tuple[int, ...]:
    """An integer, or ``count`` of them, as a tuple of ``count`` integers ≥ ``minimum``.

    Raises:
        TypeError, ValueError: something else came.
    """
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * count
    if not all(type(v) is int or is_integer(v) for v in values):
        raise TypeError(f"{name} must be an integer or {count} of them, got {value!r}")
    if len(values) == 1:
        values *= count
    if len(values) != count or any(v < minimum for v in values):
        raise ValueError(f"{name} must be an integer ≥ {minimum} or {count} of them, got {value!r}")
    return tuple([int(v) for v in values])


def full_shape(shape: Sequence[Any], size: int) -> tuple[int, ...]:
    """``shape`` (one entry may be -1) with every length known, for ``size`` elements."""
    lengths = tuple([n if type(n) is int else integer("shape", n) for n in shape])
    if any(n < -1 for n in lengths) or lengths.count(-1) > 1:
        raise ValueError(f"shape must have lengths ≥ 0 and at most one -1, got {lengths}")
    known = 1
    for n in lengths:
        known *= n if n != -1 else 1
    if -1 in lengths:
        if known == 0 or size % known:
            raise ValueError(f"shape {lengths} does not fit {size} elements")
        return tuple([size // known if n == -1 else n for n in lengths])
    if known != size:
        raise ValueError(f"shape {lengths} has {known} elements, the tensor has {size}")
    return lengths


def unpack(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` are the same call."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        return tuple(args[0])
    return args


def reduced_shape(shape: tuple[int, ...], dim: tuple[int, ...]) -> tuple[int, ...]:
    """``shape`` with the dimensions ``dim`` kept as length 1."""
    return tuple([1 if d in dim else n for d, n in enumerate(shape)])


def converted(x: Any, dtype: Any) -> Any:
    """The tensor ``x`` in another dtype first, if one is given (the ``dtype=`` of reductions)."""
    if dtype is None or x.dtype == np.dtype(dtype):
        return x
    return functions.cast(x, dtype=np.dtype(dtype))


def summable(x: Any, dtype: Any) -> Any:
    """The same for sums and products: with no ``dtype``, integers and booleans become int64."""
    if dtype is None and x.dtype.kind in "biu":
        dtype = np.int64
    return converted(x, dtype)


def as_float(x: Any) -> Any:
    """A raw array as it is if it holds floating-point numbers, otherwise in float32."""
    return x if x.dtype.kind == "f" else x.astype("float32")


def check_float(name: str, x: Any, argument: str = "input") -> None:
    """Some functions are not defined on whole numbers, or would round what must not be.

    Raises:
        TypeError: ``x`` holds integers or booleans.
    """
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: {argument} must be a floating-point tensor, got {x.dtype}")
