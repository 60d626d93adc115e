"""Reductions: many values to one, along chosen dimensions.

The gradient of a sum is a broadcast and the gradient of a broadcast is a sum; everything
here is built on that pair. ``dim`` is one dimension, several, or None for all; with
``keepdim=True`` the reduced dimensions stay, with length 1. Names are PyTorch's.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

from minigen.autograd.operation import functions
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.ops._arguments import one_dim, reduced_shape, some_dims

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
    "norm",
    "prod",
    "softmax",
    "std",
    "sum",
    "var",
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
    return x.sum(axis=dim, keepdims=keepdim)


_sum.rules(x=lambda f, g, x_shape, dim: _spread_back(f, g, x_shape, dim))


@primitive(name="mean")
def _mean(b, x, *, dim, keepdim):
    """Σ/n over ``dim``."""
    return x.mean(axis=dim, keepdims=keepdim)


_mean.rules(
    x=lambda f, g, x_shape, dim: _spread_back(
        f, g * (1 / builtins.max(_count(x_shape, dim), 1)), x_shape, dim
    )
)


def sum(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """``Σ x`` over ``dim``; of an empty dimension, 0."""
    return _sum(input, dim=some_dims(dim, input.ndim), keepdim=keepdim)


def mean(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """``Σ x / n`` over ``dim``.

    Raises:
        ValueError: the mean of no elements is asked for.
        TypeError: ``input`` holds integers or booleans.
    """
    dims = some_dims(dim, input.ndim)
    _need_elements("mean", input, dims)
    if input.dtype.kind != "f":
        raise TypeError(f"mean needs a floating-point tensor, got {input.dtype}")
    return _mean(input, dim=dims, keepdim=keepdim)


def _need_elements(name: str, x: Tensor, dims: tuple[int, ...]) -> None:
    if _count(x.shape, dims) == 0:
        raise ValueError(f"{name} needs at least one element along dim, got shape {x.shape}")


def var(input: Tensor, dim: Dim = None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    """``Σ (x - mean)² / (n - 1)``, or ``/ n`` with ``unbiased=False``."""
    dims = some_dims(dim, input.ndim)
    _need_elements("var", input, dims)
    centred = input - mean(input, dims, keepdim=True)
    count = _count(input.shape, dims) - (1 if unbiased else 0)
    if count <= 0:
        raise ValueError(
            f"var with unbiased=True needs at least two elements, got shape {input.shape}"
        )
    return sum(functions.square(centred), dims, keepdim) * (1 / count)


def std(input: Tensor, dim: Dim = None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    """``√var``, with slope 0 where the variance is 0."""
    return functions.safe_sqrt(var(input, dim, unbiased, keepdim))


@primitive
def safe_sqrt(b, x):
    """``√x`` whose slope at 0 is taken as 0 and not as infinity."""
    return b.xp.sqrt(x)


safe_sqrt.rules(x=lambda f, g, out: f.where(out > 0, g * 0.5 / f.where(out > 0, out, 1.0), 0.0))


def norm(input: Tensor, p: float = 2, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """``(Σ |x|^p)^(1/p)``; the gradient at x = 0 is 0, where the true one does not exist.

    A gradient penalty meets that point (a constant critic has gradient 0), and a plain
    ``√Σx²`` turns it into NaN.

    Raises:
        ValueError: ``p`` is not positive.
    """
    dims = some_dims(dim, input.ndim)
    if p == 2:
        return functions.safe_sqrt(sum(functions.square(input), dims, keepdim))
    if p == 1:
        return sum(functions.absolute(input), dims, keepdim)
    if p == math.inf:
        return amax(functions.absolute(input), dims, keepdim)
    if not p > 0:
        raise ValueError(f"p must be > 0, got {p}")
    total = sum(functions.absolute(input) ** p, dims, keepdim)
    zero = total == 0
    return functions.where(zero, 0.0, functions.where(zero, 1.0, total) ** (1 / p))


# ---------------------------------------------------------------- extremes


@primitive(name="amax")
def _amax(b, x, *, dim, keepdim):
    """The largest value over ``dim``."""
    return x.max(axis=dim, keepdims=keepdim)


@primitive(name="amin")
def _amin(b, x, *, dim, keepdim):
    """The smallest value over ``dim``."""
    return x.min(axis=dim, keepdims=keepdim)


def _extreme_rule(f: Any, g: Any, x: Any, out: Any, x_shape: Any, dim: Any) -> Any:
    """The gradient goes to the winners; several that are equal share it evenly."""
    kept = reduced_shape(x_shape, dim)
    winners = f.cast(x == f.reshape(out, shape=kept), dtype=x.dtype)
    share = winners / f.sum(winners, dim=dim, keepdim=True)
    return f.reshape(g, shape=kept) * share


_amax.rules(x=_extreme_rule)
_amin.rules(x=_extreme_rule)


def amax(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest value over ``dim``; equal winners share the gradient evenly."""
    dims = some_dims(dim, input.ndim)
    _need_elements("amax", input, dims)
    return _amax(input, dim=dims, keepdim=keepdim)


def amin(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest value over ``dim``; equal winners share the gradient evenly."""
    dims = some_dims(dim, input.ndim)
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


def max(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The largest value of all; or, along one ``dim``, the pair (values, indices)."""
    if dim is None:
        return amax(input)
    indices = argmax(input, dim, keepdim=True)
    return _with_indices(input, indices, dim, keepdim)


def min(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest value of all; or, along one ``dim``, the pair (values, indices)."""
    if dim is None:
        return amin(input)
    indices = argmin(input, dim, keepdim=True)
    return _with_indices(input, indices, dim, keepdim)


def _with_indices(x: Tensor, indices: Tensor, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    values = functions.gather(x, indices, dim=one_dim(dim, x.ndim))
    if keepdim:
        return values, indices
    return values.squeeze(dim), indices.squeeze(dim)


# ---------------------------------------------------------------- products and running sums


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """``Π x`` over one ``dim``, or over all."""
    if dim is None or input.ndim == 0:
        some_dims(dim, input.ndim)
        product = _prod(input.reshape(-1), dim=0, keepdim=False)
        return product.reshape((1,) * input.ndim) if keepdim else product
    return _prod(input, dim=one_dim(dim, input.ndim), keepdim=keepdim)


@primitive(name="prod")
def _prod(b, x, *, dim, keepdim):
    """``Π x`` over ``dim``."""
    return b.xp.prod(x, axis=dim, keepdims=keepdim)


def _prod_rule(f: Any, g: Any, x: Any, x_shape: Any, dim: int) -> Any:
    """d/dxᵢ Πxⱼ = Π_{j≠i} xⱼ: all the factors to the left, times all those to the right.

    Written without a division, so that factors of 0 are no special case.
    """
    left = f.cumprod_exclusive(x, dim=dim, reverse=False)
    right = f.cumprod_exclusive(x, dim=dim, reverse=True)
    return f.reshape(g, shape=reduced_shape(x_shape, (dim,))) * left * right


_prod.rules(x=_prod_rule)


@primitive
def cumprod_exclusive(b, x, *, dim, reverse):
    """The product of all entries before each one along ``dim`` (after it, if ``reverse``)."""
    xp = b.xp
    moved = xp.moveaxis(x, dim, 0)
    out = xp.ones_like(moved)
    if moved.shape[0] > 1:
        if reverse:
            out[:-1] = xp.cumprod(moved[:0:-1], axis=0)[::-1]
        else:
            out[1:] = xp.cumprod(moved[:-1], axis=0)
    return xp.moveaxis(out, 0, dim)


def _cumprod_exclusive_rule(f: Any, g: Any, x: Any, x_shape: Any, dim: int, reverse: bool) -> Any:
    """out_i = Π_{j<i} x_j, so dL/dx_k = Σ_{i>k} g_i · Π_{j<i, j≠k} x_j, term by term."""
    length = x_shape[dim]
    columns = []
    for k in range(length):
        others = _without(f, x, dim, k)
        products = f.cumprod_exclusive(others, dim=dim, reverse=reverse)
        reached = range(k) if reverse else range(k + 1, length)
        total = f.zeros_like(_at(f, x, dim, k))
        for i in reached:
            total = total + _at(f, g, dim, i) * _at(f, products, dim, i)
        columns.append(total)
    return f.concatenate(*columns, dim=dim) if columns else f.zeros_like(x)


def _at(f: Any, x: Any, dim: int, i: int) -> Any:
    return f.getitem(x, index=(slice(None),) * dim + (slice(i, i + 1),))


def _without(f: Any, x: Any, dim: int, k: int) -> Any:
    """``x`` with entry k along ``dim`` replaced by 1."""
    before = f.getitem(x, index=(slice(None),) * dim + (slice(0, k),))
    after = f.getitem(x, index=(slice(None),) * dim + (slice(k + 1, None),))
    return f.concatenate(before, f.ones_like(_at(f, x, dim, k)), after, dim=dim)


cumprod_exclusive.rules(x=_cumprod_exclusive_rule)


@primitive(name="cumsum")
def _cumsum(b, x, *, dim, reverse):
    """Running sums along ``dim``, from the start or from the end."""
    if not reverse:
        return b.xp.cumsum(x, axis=dim)
    return b.xp.flip(b.xp.cumsum(b.xp.flip(x, axis=dim), axis=dim), axis=dim)


_cumsum.rules(x=lambda f, g, dim, reverse: f.cumsum(g, dim=dim, reverse=not reverse))


def cumsum(input: Tensor, dim: int) -> Tensor:
    """``out_i = Σ_{j≤i} x_j`` along ``dim``."""
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
    total = xp.exp(x - top).sum(axis=dim, keepdims=True)
    # ln 0 is -inf here on purpose; written so that NumPy does not warn.
    positive = total > 0
    out = xp.where(positive, xp.log(xp.where(positive, total, 1)), -math.inf) + top
    return out if keepdim else out.reshape([n for d, n in enumerate(x.shape) if d not in dim])


_logsumexp.rules(
    x=lambda f, g, x, out, x_shape, dim: (
        f.reshape(g, shape=reduced_shape(x_shape, dim))
        * f.exp(x - f.reshape(out, shape=reduced_shape(x_shape, dim)))
    )
)


def logsumexp(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """``ln Σ eˣ`` over ``dim``, without overflow; the gradient is the softmax."""
    dims = some_dims(dim, input.ndim)
    _need_elements("logsumexp", input, dims)
    return _logsumexp(input, dim=dims, keepdim=keepdim)


@primitive(name="softmax")
def _softmax(b, x, *, dim):
    """``eˣ / Σ eˣ`` along ``dim``."""
    out = b.xp.exp(x - x.max(axis=dim, keepdims=True))
    out /= out.sum(axis=dim, keepdims=True)
    return out


_softmax.rules(
    # ∂out_i/∂x_j = out_i (δ_ij - out_j)
    x=lambda f, g, out, dim: out * (g - f.sum(g * out, dim=(dim,), keepdim=True))
)


@primitive(name="log_softmax")
def _log_softmax(b, x, *, dim):
    """``x - ln Σ eˣ`` along ``dim``."""
    shifted = x - x.max(axis=dim, keepdims=True)
    shifted -= b.xp.log(b.xp.exp(shifted).sum(axis=dim, keepdims=True))
    return shifted


_log_softmax.rules(x=lambda f, g, out, dim: g - f.exp(out) * f.sum(g, dim=(dim,), keepdim=True))


def softmax(input: Tensor, dim: int) -> Tensor:
    """``eˣ / Σ eˣ`` along ``dim``: positive, summing to 1."""
    dims = one_dim(dim, input.ndim)
    if input.ndim == 0:
        return softmax(input.reshape(1), 0).reshape(())
    return _softmax(input, dim=dims) if input.numel() else functions.alias(input)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """``x - ln Σ eˣ`` along ``dim``: the logarithm of softmax, without underflow."""
    dims = one_dim(dim, input.ndim)
    if input.ndim == 0:
        return log_softmax(input.reshape(1), 0).reshape(())
    return _log_softmax(input, dim=dims) if input.numel() else functions.alias(input)
