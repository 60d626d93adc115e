"""Reductions: many values to one, along chosen dimensions.

The gradient of a sum is a broadcast and the gradient of a broadcast is a sum; everything
here is built on that pair. ``dim`` is one dimension, several, or None for all; with
``keepdim=True`` the reduced dimensions stay, with length 1; ``dtype`` converts the input first.
Names, defaults and meaning are PyTorch's.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from minigen.autograd.operation import FLOAT16, functions
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.ops._arguments import (
    converted,
    one_dim,
    reduced_dims,
    reduced_shape,
    some_dims,
    summable,
)
from minigen.ops._results import ValuesAndIndices
from minigen.ops.halves import in_float32
from minigen.ops.summation import mean_of, running_sum, sum_of

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "cumsum",
    "log_softmax",
    "logsumexp",
    "max",
    "mean",
    "min",
    "softmax",
    "std",
    "std_mean",
    "sum",
    "var",
    "var_mean",
]

Dim = int | tuple[int, ...] | list[int] | None


def _spread_back(f: Any, g: Any, shape: tuple[int, ...], dim: tuple[int, ...]) -> Any:
    """A gradient of the reduced shape, repeated over the reduced dimensions."""
    return f.broadcast_to(f.reshape(g, shape=reduced_shape(shape, dim)), shape=shape)


def _count(shape: tuple[int, ...], dim: tuple[int, ...]) -> int:
    return math.prod(shape[d] for d in dim)


# ---------------------------------------------------------------- sum and mean


@primitive(name="sum")
def _sum(b, x, *, dim, keepdim):
    """Σ over ``dim``."""
    return sum_of(b, x, dim, keepdim)


_sum.rules(x=lambda f, g, x_shape, dim: _spread_back(f, g, x_shape, dim))


@primitive(name="mean")
def _mean(b, x, *, dim, keepdim):
    """Σ/n over ``dim``."""
    return mean_of(b, x, dim, keepdim)


_mean.rules(
    x=lambda f, g, x_shape, dim: _spread_back(
        f, g * (1 / builtins.max(_count(x_shape, dim), 1)), x_shape, dim
    )
)


def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """``Σ x`` over ``dim``; of an empty dimension, 0. Integers and booleans give int64."""
    if dtype is not None and np.dtype(dtype) == np.bool_:  # a sum of booleans: any of them
        return functions.cast(sum(input != 0, dim, keepdim), dtype=np.dtype(dtype))
    input = summable(input, dtype)
    return _sum(input, dim=reduced_dims(dim, input.ndim), keepdim=keepdim)


def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """``Σ x / n`` over ``dim``.

    Raises:
        ValueError: the mean of no elements is asked for.
        TypeError: ``input`` holds integers or booleans.
    """
    input = converted(input, dtype)
    dims = reduced_dims(dim, input.ndim)
    _need_elements("mean", input, dims)
    _need_float("mean", input)
    if input.dtype is FLOAT16:
        return in_float32(_mean, input, dim=dims, keepdim=keepdim)
    return _mean(input, dim=dims, keepdim=keepdim)


def _need_elements(name: str, x: Tensor, dims: tuple[int, ...]) -> None:
    if _count(x.shape, dims) == 0:
        raise ValueError(f"{name} needs at least one element along dim, got shape {x.shape}")


def _need_float(name: str, x: Tensor) -> None:
    if x.dtype.kind != "f":
        raise TypeError(f"{name} needs a floating-point tensor, got {x.dtype}")


def var(
    input: Tensor,
    dim: Dim | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """``Σ (x - mean)² / (n - correction)``.

    Args:
        input: any shape.
        dim: dimensions to reduce, or None for all. A boolean here is ``unbiased``.
        unbiased: ``correction=1`` if true, else 0.
        keepdim: keep the reduced dimensions, with length 1.
        correction: what is subtracted from the number n of values.

    Raises:
        ValueError: n is not larger than the correction.
        TypeError: ``input`` holds integers or booleans.
    """
    return _spread("var", input, dim, unbiased, keepdim, correction)[0]


def std(
    input: Tensor,
    dim: Dim | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """``√var``, with slope 0 where the variance is 0."""
    if input.dtype is FLOAT16:
        return in_float32(std, input, dim, unbiased, keepdim, correction=correction)
    return functions.safe_sqrt(_spread("std", input, dim, unbiased, keepdim, correction)[0])


def var_mean(
    input: Tensor,
    dim: Dim | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The pair ``(var, mean)``."""
    return _spread("var_mean", input, dim, unbiased, keepdim, correction)


def std_mean(
    input: Tensor,
    dim: Dim | bool = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The pair ``(std, mean)``."""
    if input.dtype is FLOAT16:
        return in_float32(std_mean, input, dim, unbiased, keepdim, correction=correction)
    variance, middle = _spread("std_mean", input, dim, unbiased, keepdim, correction)
    return functions.safe_sqrt(variance), middle


def _spread(
    name: str, x: Tensor, dim: Any, unbiased: bool, keepdim: bool, correction: float | None
) -> tuple[Tensor, Tensor]:
    """Variance and mean over ``dim``."""
    if x.dtype is FLOAT16:
        return in_float32(_spread, name, x, dim, unbiased, keepdim, correction)
    if isinstance(dim, bool):  # var(x, False), as PyTorch allows
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased else 0
    dims = reduced_dims(dim, x.ndim)
    _need_float(name, x)
    _need_elements(name, x, dims)
    count = _count(x.shape, dims) - correction
    if count <= 0:
        raise ValueError(
            f"{name} needs more than {correction} elements along dim (its correction), "
            f"got shape {x.shape}"
        )
    middle = mean(x, dims, keepdim=True)
    variance = sum(functions.square(x - middle), dims, keepdim) * (1 / count)
    return variance, middle if keepdim else middle.reshape(variance.shape)


@primitive
def safe_sqrt(b, x):
    """``√x`` whose slope at 0 is taken as 0 and not as infinity."""
    return b.xp.sqrt(x)


safe_sqrt.rules(x=lambda f, g, out: f.where(out == 0, 0.0, g * 0.5 / f.where(out == 0, 1.0, out)))


# ---------------------------------------------------------------- extremes


@primitive(name="amax", piecewise=True)
def _amax(b, x, *, dim, keepdim):
    """The largest value over ``dim``."""
    return x.max(axis=dim, keepdims=keepdim)


@primitive(name="amin", piecewise=True)
def _amin(b, x, *, dim, keepdim):
    """The smallest value over ``dim``."""
    return x.min(axis=dim, keepdims=keepdim)


def _extreme_rule(f: Any, g: Any, x: Any, out: Any, x_shape: Any, dim: Any) -> Any:
    """The gradient goes to the winners; several that are equal share it evenly."""
    kept = reduced_shape(x_shape, dim)
    winners = f.logical_or(x == f.reshape(out, shape=kept), x != x)  # NaN wins over all numbers
    count = f.sum(f.cast(winners, dtype=x.dtype), dim=dim, keepdim=True)
    return f.where(winners, f.reshape(g, shape=kept) / count, 0.0)


_amax.rules(x=_extreme_rule)
_amin.rules(x=_extreme_rule)


def amax(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest value over ``dim``; equal winners share the gradient evenly."""
    dims = reduced_dims(dim, input.ndim)
    _need_elements("amax", input, dims)
    return _amax(input, dim=dims, keepdim=keepdim)


def amin(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest value over ``dim``; equal winners share the gradient evenly."""
    dims = reduced_dims(dim, input.ndim)
    _need_elements("amin", input, dims)
    return _amin(input, dim=dims, keepdim=keepdim)


@primitive(name="argmax")
def _argmax(b, x, *, dim, keepdim):
    """Where the largest value stands."""
    return b.xp.argmax(x, axis=dim, keepdims=keepdim)


@primitive(name="argmin")
def _argmin(b, x, *, dim, keepdim):
    """Where the smallest value stands."""
    return b.xp.argmin(x, axis=dim, keepdims=keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (int64) of the first largest value along ``dim``; of all, if None."""
    dims = None if dim is None else one_dim(dim, input.ndim)
    _need_elements("argmax", input, some_dims(dim, input.ndim))
    return _argmax(input, dim=dims, keepdim=keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (int64) of the first smallest value along ``dim``; of all, if None."""
    dims = None if dim is None else one_dim(dim, input.ndim)
    _need_elements("argmin", input, some_dims(dim, input.ndim))
    return _argmin(input, dim=dims, keepdim=keepdim)


def max(
    input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False, *, other: Any = None
) -> Any:
    """The largest value of all; or, along one ``dim``, the pair (values, indices).

    ``max(input, other)``, where ``other`` is a tensor, is ``maximum``: element by element.
    """
    if isinstance(dim, Tensor):
        dim, other = None, dim
    if not isinstance(input, Tensor):
        raise TypeError(f"max: input must be a tensor, got {type(input).__name__}")
    if other is not None:
        return functions.maximum(input, other)
    if dim is None:
        return amax(input)
    indices = argmax(input, dim, keepdim=True)
    return _with_indices(input, indices, dim, keepdim)


def min(
    input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False, *, other: Any = None
) -> Any:
    """The smallest value of all; or, along one ``dim``, the pair (values, indices).

    ``min(input, other)``, where ``other`` is a tensor, is ``minimum``: element by element.
    """
    if isinstance(dim, Tensor):
        dim, other = None, dim
    if not isinstance(input, Tensor):
        raise TypeError(f"min: input must be a tensor, got {type(input).__name__}")
    if other is not None:
        return functions.minimum(input, other)
    if dim is None:
        return amin(input)
    indices = argmin(input, dim, keepdim=True)
    return _with_indices(input, indices, dim, keepdim)


def _with_indices(x: Tensor, indices: Tensor, dim: int, keepdim: bool) -> ValuesAndIndices:
    values = functions.chosen(x, indices, dim=one_dim(dim, x.ndim))
    if keepdim:
        return ValuesAndIndices(values, indices)
    return ValuesAndIndices(values.squeeze(dim), indices.squeeze(dim))


# ---------------------------------------------------------------- running sums


@primitive(name="cumsum")
def _cumsum(b, x, *, dim, reverse):
    """Running sums along ``dim``, from the start or from the end."""
    if not reverse:
        return running_sum(b, x, dim)
    return b.xp.flip(running_sum(b, b.xp.flip(x, axis=dim), dim), axis=dim)


_cumsum.rules(x=lambda f, g, dim, reverse: f.cumsum(g, dim=dim, reverse=not reverse))


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """``out_i = Σ_{j≤i} x_j`` along ``dim``; integers and booleans give int64."""
    input = summable(input, dtype)
    if input.ndim == 0:
        one_dim(dim, 0)
        return functions.alias(input)
    return _cumsum(input, dim=one_dim(dim, input.ndim), reverse=False)


# ---------------------------------------------------------------- logical


@primitive(name="any")
def _any(b, x, *, dim, keepdim):
    """Whether some value is true."""
    return x.any(axis=dim, keepdims=keepdim)


@primitive(name="all")
def _all(b, x, *, dim, keepdim):
    """Whether every value is true."""
    return x.all(axis=dim, keepdims=keepdim)


def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether some value over ``dim`` is true."""
    return _any(input, dim=some_dims(dim, input.ndim), keepdim=keepdim)


def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether every value over ``dim`` is true."""
    return _all(input, dim=some_dims(dim, input.ndim), keepdim=keepdim)


# ---------------------------------------------------------------- softmax family


@primitive(name="logsumexp")
def _logsumexp(b, x, *, dim, keepdim):
    """``ln Σ eˣ`` over ``dim``, with the largest value taken out first."""
    xp = b.xp
    top = x.max(axis=dim, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)  # all -inf: the answer is -inf, not NaN
    total = sum_of(b, xp.exp(x - top), dim, keepdims=True)
    # ln 0 is -inf here on purpose; written so that NumPy does not warn.
    empty = total == 0
    out = xp.where(empty, -math.inf, xp.log(xp.where(empty, 1, total))) + top
    return out if keepdim else out.reshape([n for d, n in enumerate(x.shape) if d not in dim])


_logsumexp.rules(
    x=lambda f, g, x, out, x_shape, dim: (
        f.reshape(g, shape=reduced_shape(x_shape, dim))
        * f.exp(x - f.reshape(out, shape=reduced_shape(x_shape, dim)))
    )
)


def logsumexp(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """``ln Σ eˣ`` over ``dim``, without overflow; the gradient is the softmax."""
    if input.dtype is FLOAT16:
        return in_float32(logsumexp, input, dim, keepdim)
    dims = some_dims(dim, input.ndim)
    _need_elements("logsumexp", input, dims)
    return _logsumexp(input, dim=dims, keepdim=keepdim)


@primitive(name="softmax")
def _softmax(b, x, *, dim):
    """``eˣ / Σ eˣ`` along ``dim``."""
    out = b.xp.exp(x - x.max(axis=dim, keepdims=True))
    out /= sum_of(b, out, dim, keepdims=True)
    return out


_softmax.rules(
    # ∂out_i/∂x_j = out_i (δ_ij - out_j)
    x=lambda f, g, out, dim: out * (g - f.sum(g * out, dim=(dim,), keepdim=True))
)


@primitive(name="log_softmax")
def _log_softmax(b, x, *, dim):
    """``x - ln Σ eˣ`` along ``dim``."""
    shifted = x - x.max(axis=dim, keepdims=True)
    shifted -= b.xp.log(sum_of(b, b.xp.exp(shifted), dim, keepdims=True))
    return shifted


_log_softmax.rules(x=lambda f, g, out, dim: g - f.exp(out) * f.sum(g, dim=(dim,), keepdim=True))


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """``eˣ / Σ eˣ`` along ``dim``: positive, summing to 1."""
    input = converted(input, dtype)
    if input.dtype is FLOAT16:
        return in_float32(softmax, input, dim)
    dims = one_dim(dim, input.ndim)
    if input.ndim == 0:
        return softmax(input.reshape(1), 0).reshape(())
    return _softmax(input, dim=dims) if input.numel() else functions.alias(input)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """``x - ln Σ eˣ`` along ``dim``: the logarithm of softmax, without underflow."""
    input = converted(input, dtype)
    if input.dtype is FLOAT16:
        return in_float32(log_softmax, input, dim)
    dims = one_dim(dim, input.ndim)
    if input.ndim == 0:
        return log_softmax(input.reshape(1), 0).reshape(())
    return _log_softmax(input, dim=dims) if input.numel() else functions.alias(input)
