"""Normalization: subtract a mean, divide by a deviation, scale and shift.

All four kinds are one formula,

    out = (x - mean) / √(variance + eps) · weight + bias

over different sets of values: layer norm over the features of one sample, batch norm over
all samples of one channel, instance norm over one channel of one sample, group norm over
some channels of one sample. The variance is the biased one (divided by n). Batch norm, which also
remembers its statistics, stands in ``batch_norm.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.autograd.fused import fused
from minigen.autograd.operation import FLOAT16, functions
from minigen.autograd.tensor import Tensor
from minigen.numeric import integer, number
from minigen.ops._arguments import check_float
from minigen.ops.halves import in_float32
from minigen.ops.kernel import kernel
from minigen.ops.reduction import mean
from minigen.ops.summation import dots, mean_of, sum_columns, sum_rows

__all__ = ["group_norm", "layer_norm", "rms_norm"]


def _standardize_reference(x: Tensor, *, dim: tuple[int, ...], eps: float) -> Tensor:
    """The definition: (x - mean) / √(variance + eps) over ``dim``."""
    centred = x - mean(x, dim, keepdim=True)
    variance = mean(functions.square(centred), dim, keepdim=True)
    return centred * functions.rsqrt(variance + eps)


@fused(reference=_standardize_reference, name="standardize")
def _standardize(b, x, *, dim, eps):
    """The definition with temporaries reused; keeps 1/deviation."""
    out = x - mean_of(b, x, dim, keepdims=True)
    variance = mean_of(b, b.xp.square(out), dim, keepdims=True)
    inverse = 1 / b.xp.sqrt(variance + eps)
    out *= inverse
    return out, (inverse,)


@_standardize.backward
def _(b, g, inputs, saved, needs, *, out, dim, eps):
    """∂/∂x = (g - mean(g) - out · mean(g · out)) / deviation, means over ``dim``."""
    (inverse,) = saved
    grad = g * out
    along = mean_of(b, grad, dim, keepdims=True)
    b.xp.multiply(out, along, out=grad)
    b.xp.subtract(g, grad, out=grad)
    grad -= mean_of(b, g, dim, keepdims=True)
    grad *= inverse
    return (grad,)


def _scale_and_shift(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        x = x * weight
    return x if bias is None else x + bias


def check_vector(name: str, argument: str, value: Tensor | None, length: int) -> None:
    """One number for each channel, or None."""
    if value is not None and value.shape != (length,):
        raise ValueError(f"{name}: {argument} must have shape ({length},), got {value.shape}")


# ---------------------------------------------------------------- layer norm


def _layer_norm_reference(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, *, count: int, eps: float
) -> Tensor:
    """The definition over the last ``count`` dimensions."""
    dim = tuple(range(x.ndim - count, x.ndim))
    return _scale_and_shift(_standardize_reference(x, dim=dim, eps=eps), weight, bias)


@kernel
def normalize_rows(b: Any, x: Any, weight: Any, bias: Any, *, eps: float) -> tuple[Any, Any, Any]:
    """Each row's (x - mean)/deviation · weight + bias; also its mean, and 1/deviation.

    (R, C), (C,) or None twice -> (R, C), (R,), (R,).
    """
    xp = b.xp
    share = 1 / x.shape[1]
    mean = sum_columns(b, x)
    mean *= share
    out = x - mean[:, None]
    inverse = dots(b, out, out, 1)
    inverse *= share
    inverse += eps
    xp.divide(1, xp.sqrt(inverse, out=inverse), out=inverse)
    out *= inverse[:, None]
    if weight is not None:
        out *= weight
    if bias is not None:
        out += bias
    return out, mean, inverse


@kernel
def normalize_rows_backward(
    b: Any, g: Any, x: Any, mean: Any, inverse: Any, weight: Any
) -> tuple[Any, Any, Any]:
    """With x̂ = (x - mean)/deviation and h = g · weight, where μ is the mean over a row::

        (h - μ(h) - x̂ · μ(h · x̂))/deviation;   Σ g · x̂;   Σ g

    (R, C), (R, C), (R,), (R,), (C,) or None -> (R, C), (C,), (C,).
    """
    share = 1 / g.shape[1]
    normed = x - mean[:, None]
    normed *= inverse[:, None]
    by_weight = dots(b, g, normed, 0)
    by_bias = sum_rows(b, g)
    grad = g * (1.0 if weight is None else weight)
    along = dots(b, grad, normed, 1)
    along *= share
    grad -= (sum_columns(b, grad) * share)[:, None]
    normed *= along[:, None]
    grad -= normed
    grad *= inverse[:, None]
    return grad, by_weight, by_bias


@fused(reference=_layer_norm_reference, name="layer_norm")
def _layer_norm(b, x, weight, bias, *, count, eps):
    """The definition on rows; keeps mean and 1/deviation of each."""
    columns = math.prod(x.shape[x.ndim - count :])
    flat = [None if v is None else v.reshape(columns) for v in (weight, bias)]
    out, mean, inverse = normalize_rows(b, x.reshape(-1, columns), *flat, eps=eps)
    return out.reshape(x.shape), (mean, inverse)


@_layer_norm.backward
def _(b, g, inputs, saved, needs, *, count, eps):
    """The three gradients together."""
    x, weight, _ = inputs
    scale = None if weight is None else weight.reshape(-1)
    rows, (mean, inverse) = (len(saved[0]), -1), saved  # (…, *normalized_shape) -> (R, C)
    grads = normalize_rows_backward(b, g.reshape(rows), x.reshape(rows), mean, inverse, scale)
    return tuple([None if v is None else y.reshape(v.shape) for v, y in zip(inputs, grads)])


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize over the last dimensions. Ba et al. 2016.

    Args:
        input: (…, *normalized_shape).
        normalized_shape: lengths of the last dimensions to normalize over.
        weight, bias: of shape ``normalized_shape``, or None.
        eps: added to the variance.
    """
    check_float("layer_norm", input)
    if input.dtype is FLOAT16:
        return in_float32(layer_norm, input, normalized_shape, weight, bias, eps)
    given = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    shape = tuple([integer("layer_norm: normalized_shape", n) for n in given])
    if not shape or input.shape[-len(shape) :] != shape:
        raise ValueError(f"layer_norm: input {input.shape} does not end in {shape}")
    for argument, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.shape != shape:
            raise ValueError(f"layer_norm: {argument} must have shape {shape}, got {value.shape}")
    if not input.numel():
        return _scale_and_shift(functions.alias(input), weight, bias)
    return _layer_norm(input, weight, bias, count=len(shape), eps=number("eps", eps))


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """``x / √(mean(x²) + eps) · weight`` over the last dimensions. Zhang and Sennrich 2019.

    Layer norm without the mean and without a shift.

    Args:
        input: (…, *normalized_shape).
        normalized_shape: lengths of the last dimensions to normalize over.
        weight: of shape ``normalized_shape``, or None.
        eps: added to the mean square; by default the spacing of numbers at 1 in this dtype.
    """
    check_float("rms_norm", input)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ValueError(f"rms_norm: input {input.shape} does not end in {shape}")
    if weight is not None and weight.shape != shape:
        raise ValueError(f"rms_norm: weight must have shape {shape}, got {weight.shape}")
    eps = float(np.finfo(input.dtype).eps) if eps is None else number("eps", eps)
    if input.dtype is FLOAT16:  # whose squares would overflow
        return in_float32(rms_norm, input, shape, weight, eps)
    if not input.numel():
        return _scale_and_shift(functions.alias(input), weight, None)
    size = mean(functions.square(input), tuple(range(-len(shape), 0)), keepdim=True)
    return _scale_and_shift(input * functions.rsqrt(size + eps), weight, None)


# ---------------------------------------------------------------- the others


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each sample over groups of channels: (N, C, …). Wu and He 2018."""
    check_float("group_norm", input)
    if input.dtype is FLOAT16:
        return in_float32(group_norm, input, num_groups, weight, bias, eps)
    if input.ndim < 2:
        raise ValueError(f"group_norm: input must have shape (N, C, …), got {input.shape}")
    n, channels = input.shape[:2]
    num_groups = integer("group_norm: num_groups", num_groups)
    if num_groups < 1 or channels % num_groups:
        raise ValueError(
            f"group_norm: num_groups must divide {channels} channels, got {num_groups}"
        )
    check_vector("group_norm", "weight", weight, channels)
    check_vector("group_norm", "bias", bias, channels)
    out = functions.alias(input)
    if input.numel():
        grouped = input.reshape(n, num_groups, -1)  # (N, C, …) -> (N, groups, values)
        out = _standardize(grouped, dim=(2,), eps=number("eps", eps)).reshape(input.shape)
    return per_channel(out, weight, bias)


def per_channel(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """x · weight + bias by channels: (N, C, …), (C,) or None twice."""
    shape = (1, -1, *(1,) * (x.ndim - 2))
    return _scale_and_shift(
        x,
        None if weight is None else weight.reshape(shape),
        None if bias is None else bias.reshape(shape),
    )
