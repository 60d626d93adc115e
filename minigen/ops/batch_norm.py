"""Batch norm: each channel normalized over the batch and its places, as one op.

    mean = Σ x / n,   variance = Σ (x - mean)² / n            over all samples and places
    out  = (x - mean)/√(variance + eps) · weight + bias       one pass
    g_x  = weight/√(variance + eps) · (g - Σ g/n - x̂ · Σ (g · x̂)/n),   x̂ = (x - mean)/√(…)
    g_weight = Σ g · x̂,   g_bias = Σ g                        one pass for all sums of the way back

Of a pass over a picture the arithmetic is the smallest part: written in plain ops, as in the
reference, batch norm walks over x about ten times forward and as often back. The kernels see rows,
one for each place of each sample: (N, C, …) -> (N·places, C), a view where x lies channels-last, as
the results of convolutions do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd import writes
from minigen.autograd.fused import fused
from minigen.autograd.operation import FLOAT16, functions
from minigen.autograd.tensor import Tensor
from minigen.numeric import number
from minigen.ops._arguments import check_float
from minigen.ops.halves import in_float32
from minigen.ops.kernel import kernel
from minigen.ops.normalization import check_vector, per_channel
from minigen.ops.reduction import mean
from minigen.ops.summation import dots, sum_rows

__all__ = ["batch_norm"]


def _reference(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, *, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The definition in plain ops; the statistics are constants to whoever reads them."""
    dim = (0, *range(2, x.ndim))
    middle = mean(x, dim, keepdim=True)
    centred = x - middle
    variance = mean(functions.square(centred), dim, keepdim=True)
    out = per_channel(centred * functions.rsqrt(variance + eps), weight, bias)
    return out, middle.detach().reshape(-1), variance.detach().reshape(-1)


@kernel
def normalize_channels(
    b: Any, x: Any, weight: Any, bias: Any, *, eps: float
) -> tuple[Any, Any, Any, Any]:
    """(x - mean)/√(variance + eps) · weight + bias; mean; variance; 1/√(variance + eps).

    (R, C), (C,) or None twice -> (R, C), (C,) three times.
    """
    xp, share = b.xp, 1 / x.shape[0]
    middle = sum_rows(b, x) * share
    out = x - middle
    variance = dots(b, out, out, 0) * share
    inverse = 1 / xp.sqrt(variance + eps)
    out *= inverse if weight is None else inverse * weight
    if bias is not None:
        out += bias
    return out, middle, variance, inverse


@kernel
def normalize_channels_backward(
    b: Any, g: Any, x: Any, mean: Any, inverse: Any, weight: Any
) -> tuple[Any, Any, Any]:
    """With x̂ = (x - mean)·inverse: weight·inverse·(g - Σ g/R - x̂·Σ (g·x̂)/R); Σ g·x̂; Σ g.

    (R, C) twice, (C,) twice, (C,) or None -> (R, C), (C,), (C,).
    """
    xp, share = b.xp, 1 / x.shape[0]
    grad = x - mean
    along, by_bias = dots(b, g, grad, 0), sum_rows(b, g)
    by_weight = along * inverse
    grad *= by_weight * inverse * share
    xp.subtract(g, grad, out=grad)
    grad -= by_bias * share
    grad *= inverse if weight is None else inverse * weight
    return grad, by_weight, by_bias


@fused(reference=_reference)
def normalize_batch(b, x, weight, bias, *, eps):
    """(N, C, …), (C,) or None twice -> the same as x, mean (C,), variance (C,)."""
    rows = _rows(b, x)
    out, middle, variance, inverse = normalize_channels(b, rows, weight, bias, eps=eps)
    return (_pictures(out, x.shape), middle, variance), (rows, middle, inverse)


@normalize_batch.backward
def _(b, g, inputs, saved, needs, *, eps):
    """The three gradients together; what arrives at the statistics ends there."""
    (x, weight, bias), (rows, middle, inverse) = inputs, saved
    grad, *others = normalize_channels_backward(b, _rows(b, g[0]), rows, middle, inverse, weight)
    vectors = [None if v is None else y for v, y in zip((weight, bias), others)]
    return (_pictures(grad, x.shape), *vectors)


def _rows(b: Any, x: Any) -> Any:
    """(N, C, …) -> (N·places, C), contiguous; no copy if x lies so already."""
    last = x.transpose(0, *range(2, x.ndim), 1)
    return b.xp.ascontiguousarray(last).reshape(-1, x.shape[1])


def _pictures(rows: Any, shape: tuple[int, ...]) -> Any:
    """(N·places, C) -> (N, C, …): another view of the same memory."""
    last = rows.reshape(shape[0], *shape[2:], shape[1])
    return last.transpose(0, last.ndim - 1, *range(1, last.ndim - 1))


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel over the batch and its places: (N, C, …). Ioffe and Szegedy 2015.

    In training the batch's own statistics are used, and the running ones move towards them
    in place: ``running = (1 - momentum) · running + momentum · batch``, with the *unbiased*
    variance. In evaluation the running statistics are used and stay as they are.

    Args:
        input: (N, C, …).
        running_mean, running_var: (C,), or None to keep none.
        weight, bias: (C,), or None.
        training: which statistics to use.
        momentum: how fast the running statistics follow.
        eps: added to the variance.

    Raises:
        ValueError: one value per channel in training; no statistics in evaluation.
    """
    check_float("batch_norm", input)
    if input.dtype is FLOAT16:  # the running statistics stay what they are, to be written to
        return in_float32(
            lambda x, w, c: batch_norm(x, running_mean, running_var, w, c, training, momentum, eps),
            input,
            weight,
            bias,
        )
    if input.ndim < 2:
        raise ValueError(f"batch_norm: input must have shape (N, C, …), got {input.shape}")
    channels = input.shape[1]
    for argument, value in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        check_vector("batch_norm", argument, value, channels)
    shape = (1, -1, *(1,) * (input.ndim - 2))
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm in evaluation needs running_mean and running_var")
        inverse = functions.rsqrt(running_var + eps)
        out = (input - running_mean.reshape(shape)) * inverse.reshape(shape)
        return per_channel(out, weight, bias)

    count = input.numel() // max(channels, 1)
    if count <= 1:
        raise ValueError(
            f"batch_norm in training needs more than one value per channel, got {input.shape}"
        )
    whole = all(v is None or v.dtype == input.dtype for v in (weight, bias))
    way = normalize_batch if whole else _reference
    out, middle, variance = way(input, weight, bias, eps=number("eps", eps))
    if running_mean is not None and running_var is not None:
        unbiased = variance.data * np.float64(count / (count - 1)).item()
        follow(running_mean, middle.data, momentum)
        follow(running_var, unbiased, momentum)
    return out


def follow(running: Tensor, batch: Any, momentum: float) -> None:
    """Move a running statistic towards the batch's, in place."""
    writes.note_write(running.data)
    running.data *= 1 - momentum
    running.data += batch * momentum
