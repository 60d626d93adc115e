"""Products: of all entries along a dimension, and running ones.

The gradient of a product by one factor is the product of all others. Nothing here divides by the
factor to get it, so a factor of 0 is no special case.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd.operation import functions
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.ops._arguments import one_dim, reduced_shape, some_dims, summable

__all__ = ["cumprod", "prod"]


def prod(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """``Π x`` over one ``dim``, or over all; of none, 1. Integers and booleans give int64.

    Args:
        input: any shape.
        dim: one dimension, or None for all.
        keepdim: keep the reduced dimension, with length 1.
        dtype: convert ``input`` first.
    """
    if dtype is not None and np.dtype(dtype) == np.bool_:  # a product of booleans: all of them
        return functions.cast(prod(input != 0, dim, keepdim), dtype=np.dtype(dtype))
    input = summable(input, dtype)
    if dim is None or input.ndim == 0:
        some_dims(dim, input.ndim)
        product = _prod(input.reshape(-1), dim=0, keepdim=False)
        return product.reshape((1,) * input.ndim) if keepdim else product
    return _prod(input, dim=one_dim(dim, input.ndim), keepdim=keepdim)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """``out_i = Π_{j≤i} x_j`` along ``dim``; integers and booleans give int64."""
    input = summable(input, dtype)
    dim = one_dim(dim, input.ndim)
    if input.ndim == 0:
        return functions.alias(input)
    return _cumprod(input, dim=dim, reverse=False)


@primitive(name="prod")
def _prod(b, x, *, dim, keepdim):
    """``Π x`` over ``dim``."""
    return b.xp.prod(x, axis=dim, keepdims=keepdim)


def _prod_rule(f: Any, g: Any, x: Any, x_shape: Any, dim: int) -> Any:
    """d/dxᵢ Πxⱼ = Π_{j≠i} xⱼ: all the factors to the left, times all those to the right."""
    left = _moved(f, f.cumprod(x, dim=dim, reverse=False), dim, later=True, fill=1.0)
    right = _moved(f, f.cumprod(x, dim=dim, reverse=True), dim, later=False, fill=1.0)
    return f.reshape(g, shape=reduced_shape(x_shape, (dim,))) * left * right


_prod.rules(x=_prod_rule)


@primitive(name="cumprod")
def _cumprod(b, x, *, dim, reverse):
    """Running products along ``dim``, from the start or from the end."""
    if not reverse:
        return b.xp.cumprod(x, axis=dim)
    return b.xp.flip(b.xp.cumprod(b.xp.flip(x, axis=dim), axis=dim), axis=dim)


def _cumprod_rule(f: Any, g: Any, x: Any, out: Any, dim: int, reverse: bool) -> Any:
    """out_i = x_i · out_{i-1}, so ∂L/∂x_i = h_i · out_{i-1} with h_i = g_i + x_{i+1} · h_{i+1}."""
    factors = _moved(f, x, dim, later=reverse, fill=0.0)
    h = f.linear_recurrence(g, factors, dim=dim, reverse=not reverse)
    return h * _moved(f, out, dim, later=not reverse, fill=1.0)


_cumprod.rules(x=_cumprod_rule)


@primitive
def linear_recurrence(b, x, factor, *, dim, reverse):
    """``out_i = x_i + factor_i · out_{i-1}`` along ``dim``; from its end if ``reverse``."""
    out, before = x.copy(), None
    places = range(x.shape[dim])
    for i in reversed(places) if reverse else places:
        here = (slice(None),) * dim + (i,)
        if before is not None:
            out[here] += factor[here] * out[before]
        before = here
    return out


def _recurrence_rule(f: Any, g: Any, factor: Any, dim: int, reverse: bool) -> Any:
    """∂L/∂x_i = g_i + factor_{i+1} · ∂L/∂x_{i+1}: the same recurrence the other way round."""
    factors = _moved(f, factor, dim, later=reverse, fill=0.0)
    return f.linear_recurrence(g, factors, dim=dim, reverse=not reverse)


linear_recurrence.rules(
    x=_recurrence_rule,
    factor=lambda f, g, factor, out, dim, reverse: (
        _recurrence_rule(f, g, factor, dim, reverse)
        * _moved(f, out, dim, later=not reverse, fill=0.0)
    ),
)


def _moved(f: Any, x: Any, dim: int, *, later: bool, fill: float) -> Any:
    """``x`` moved by one place along ``dim``, later or earlier; ``fill`` enters at the end."""
    length = x.shape[dim]
    if not length:
        return x
    kept = slice(0, length - 1) if later else slice(1, length)
    cut = f.getitem(x, index=(slice(None),) * dim + (kept,))
    widths = [(0, 0)] * len(x.shape)
    widths[dim] = (1, 0) if later else (0, 1)
    return f.pad(cut, widths=tuple(widths), value=fill)
