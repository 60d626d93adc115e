"""Pooling: windows made one number each. And pixels made channels, and channels pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.autograd.operation import FLOAT16
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.ops._arguments import check_float, spread
from minigen.ops.elementwise import divide
from minigen.ops.halves import in_float32
from minigen.ops.reduction import max as max_along
from minigen.ops.reduction import mean
from minigen.ops.shape import concatenate
from minigen.ops.shape import pad as pad_tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
    "pixel_shuffle",
    "pixel_unshuffle",
]


def _as_batch(name: str, x: Tensor) -> Tensor:
    """(N, C, H, W) as it is; one image (C, H, W) as a batch of one."""
    if x.ndim not in (3, 4):
        raise ValueError(f"{name}: input must have shape (N, C, H, W) or (C, H, W), got {x.shape}")
    return x if x.ndim == 4 else x.unsqueeze(0)


def _like(out: Tensor, input: Tensor) -> Tensor:
    """The result of one image without its batch dimension."""
    return out if input.ndim == 4 else out.squeeze(0)


# ---------------------------------------------------------------- windows


@primitive
def windows(b, x, *, kernel, stride, dilation, counts):
    """Every window of ``x``: (N, C, H, W) -> (N, C, H', W', kh·kw)."""
    n, c = x.shape[:2]
    out = b.xp.empty((n, c, *counts, kernel[0] * kernel[1]), dtype=x.dtype)
    for t, part in enumerate(_tap_slices(kernel, stride, dilation, counts)):
        out[..., t] = x[part]
    return out


@primitive
def windows_back(b, g, *, size, kernel, stride, dilation, counts):
    """Each window's entries added back where they were read: the transpose of ``windows``."""
    out = b.xp.zeros((*g.shape[:2], *size), dtype=g.dtype)
    for t, part in enumerate(_tap_slices(kernel, stride, dilation, counts)):
        out[part] += g[..., t]
    return out


windows.rules(
    x=lambda f, g, x_shape, kernel, stride, dilation, counts: f.windows_back(
        g, size=x_shape[2:], kernel=kernel, stride=stride, dilation=dilation, counts=counts
    )
)
windows_back.rules(
    g=lambda f, g, kernel, stride, dilation, counts: f.windows(
        g, kernel=kernel, stride=stride, dilation=dilation, counts=counts
    )
)


def _tap_slices(kernel: Any, stride: Any, dilation: Any, counts: Any) -> list[tuple[Any, ...]]:
    """For each tap, the places of the image that it reads, over all windows."""
    return [
        (
            ...,
            slice(i * dilation[0], i * dilation[0] + (counts[0] - 1) * stride[0] + 1, stride[0]),
            slice(j * dilation[1], j * dilation[1] + (counts[1] - 1) * stride[1] + 1, stride[1]),
        )
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]


def _pooled_windows(
    name: str,
    x: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    fill: float,
) -> tuple[Tensor, Any]:
    """The windows of the padded input, and for each axis how the pooling was laid out."""
    kernel = spread(kernel_size, 2, "kernel_size", 1)
    strides = kernel if stride in (None, ()) else spread(stride, 2, "stride", 1)
    pads, dilations = spread(padding, 2, "padding"), spread(dilation, 2, "dilation", 1)
    counts, extra = [], []
    for n, k, s, p, d in zip(x.shape[2:], kernel, strides, pads, dilations):
        if 2 * p > k:
            raise ValueError(f"{name}: padding must be at most half of the kernel {k}, got {p}")
        span = n + 2 * p - d * (k - 1) - 1
        if span < 0:
            raise ValueError(f"{name}: a kernel of {k} is larger than the padded input {n + 2 * p}")
        count = (-(-span // s) if ceil_mode else span // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:  # a window must begin inside the image
            count -= 1
        counts.append(count)
        extra.append(max((count - 1) * s + d * (k - 1) + 1 - n - 2 * p, 0))
    padded = pad_tensor(x, (pads[1], pads[1] + extra[1], pads[0], pads[0] + extra[0]), value=fill)
    out = windows(padded, kernel=kernel, stride=strides, dilation=dilations, counts=tuple(counts))
    return out, (kernel, strides, pads, dilations, counts)


def max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest value of each window: (N, C, H, W) -> (N, C, H', W'), or without the N.

    ``stride`` is by default the kernel size. The gradient goes to the first largest value.

    Raises:
        ValueError: shapes or options do not fit.
    """
    images = _as_batch("max_pool2d", input)
    view, _ = _pooled_windows(
        "max_pool2d", images, kernel_size, stride, padding, dilation, ceil_mode, -math.inf
    )
    return _like(max_along(view, -1)[0], input)


def avg_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window: (N, C, H, W) -> (N, C, H', W'), or without the N.

    With ``count_include_pad`` the zeros of the padding count as values; with
    ``divisor_override`` each window's sum is divided by that instead.

    Raises:
        ValueError: shapes or options do not fit.
    """
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be 0")
    if input.dtype is FLOAT16:
        options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        return in_float32(avg_pool2d, input, *options)
    images = _as_batch("avg_pool2d", input)
    view, (kernel, strides, pads, _, counts) = _pooled_windows(
        "avg_pool2d", images, kernel_size, stride, padding, 1, ceil_mode, 0.0
    )
    total = view.sum(-1)  # (N, C, H', W')
    if divisor_override is not None:
        return _like(_divided(total, divisor_override), input)
    divisors = []
    for n, k, s, p, count in zip(images.shape[2:], kernel, strides, pads, counts):
        start = np.arange(count) * s - p
        if count_include_pad:
            divisors.append(np.minimum(start + k, n + p) - start)
        else:
            divisors.append(np.minimum(start + k, n) - np.maximum(start, 0))
    area = np.outer(*divisors).astype(input.dtype)  # (H', W')
    return _like(_divided(total, Tensor(active.backend.asarray(area))), input)


def _divided(total: Tensor, count: Any) -> Tensor:
    """The mean; of integers rounded towards zero."""
    return divide(total, count, rounding_mode=None if total.dtype.kind == "f" else "trunc")


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """The mean over a grid of ``output_size`` cells that covers each image evenly.

    (N, C, H, W) -> (N, C, H', W'), or without the N; None for H' or W' keeps the length.
    """
    check_float("adaptive_avg_pool2d", input)
    if input.dtype is FLOAT16:
        return in_float32(adaptive_avg_pool2d, input, output_size)
    images = _as_batch("adaptive_avg_pool2d", input)
    if isinstance(output_size, (tuple, list)) and len(output_size) == 2:
        output_size = [n if m is None else m for n, m in zip(images.shape[2:], output_size)]
    rows, columns = spread(output_size, 2, "output_size", 1)
    return _like(_cell_means(_cell_means(images, 2, rows), 3, columns), input)


def _cell_means(x: Tensor, dim: int, count: int) -> Tensor:
    """Cell i of ``count`` is the mean of places ⌊i·n/count⌋ … ⌈(i+1)·n/count⌉ - 1 along ``dim``.

    (A product with a matrix of weights would let an infinity in one cell make NaN of all others.)
    """
    length = x.shape[dim]
    if length % count == 0:  # (…, n, …) -> (…, count, n/count, …)
        cells = x.reshape(*x.shape[:dim], count, length // count, *x.shape[dim + 1 :])
        return mean(cells, dim + 1)
    bounds = [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
    before = (slice(None),) * dim
    return concatenate([mean(x[(*before, slice(*b))], dim, keepdim=True) for b in bounds], dim)


# ---------------------------------------------------------------- one dimension


def _as_picture(name: str, x: Tensor) -> Tensor:
    """(N, C, L), or without the N, as pictures of one row."""
    if x.ndim not in (2, 3):
        raise ValueError(f"{name}: input must have shape (N, C, L) or (C, L), got {x.shape}")
    return x.unsqueeze(-2)


def max_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """:func:`max_pool2d` with one spatial dimension: (N, C, L) -> (N, C, L'), or without the N."""
    out = max_pool2d(
        _as_picture("max_pool1d", input),
        (1, spread(kernel_size, 1, "kernel_size", 1)[0]),
        None if stride in (None, ()) else (1, spread(stride, 1, "stride", 1)[0]),
        (0, spread(padding, 1, "padding")[0]),
        (1, spread(dilation, 1, "dilation", 1)[0]),
        ceil_mode,
    )
    return out.squeeze(-2)


def avg_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """:func:`avg_pool2d` with one spatial dimension: (N, C, L) -> (N, C, L'), or without the N."""
    out = avg_pool2d(
        _as_picture("avg_pool1d", input),
        (1, spread(kernel_size, 1, "kernel_size", 1)[0]),
        None if stride in (None, ()) else (1, spread(stride, 1, "stride", 1)[0]),
        (0, spread(padding, 1, "padding")[0]),
        ceil_mode,
        count_include_pad,
    )
    return out.squeeze(-2)


def adaptive_avg_pool1d(input: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """The mean of ``output_size`` cells that cover each signal evenly: (N, C, L) -> (N, C, L')."""
    cells = (1, spread(output_size, 1, "output_size", 1)[0])
    return adaptive_avg_pool2d(_as_picture("adaptive_avg_pool1d", input), cells).squeeze(-2)


# ---------------------------------------------------------------- pixels and channels


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels to pixels: (…, C·r², H, W) -> (…, C, H·r, W·r). Shi et al. 2016.

    Raises:
        ValueError: r² does not divide the channels.
    """
    r = spread(upscale_factor, 1, "upscale_factor", 1)[0]
    if input.ndim < 3:
        raise ValueError(f"pixel_shuffle: input must have shape (…, C, H, W), got {input.shape}")
    *batch, channels, h, w = input.shape
    if channels % (r * r):
        raise ValueError(f"pixel_shuffle: {channels} channels are not divisible by {r}² = {r * r}")
    c = channels // (r * r)
    n = math.prod(batch)
    x = input.reshape(n, c, r, r, h, w).permute(0, 1, 4, 2, 5, 3)  # (n, c, h, r, w, r)
    return x.reshape(*batch, c, h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Pixels to channels: (…, C, H·r, W·r) -> (…, C·r², H, W); the inverse of pixel_shuffle.

    Raises:
        ValueError: r does not divide height and width.
    """
    r = spread(downscale_factor, 1, "downscale_factor", 1)[0]
    if input.ndim < 3:
        raise ValueError(f"pixel_unshuffle: input must have shape (…, C, H, W), got {input.shape}")
    *batch, c, high, wide = input.shape
    if high % r or wide % r:
        raise ValueError(f"pixel_unshuffle: {high}×{wide} is not divisible by {r}")
    n, h, w = math.prod(batch), high // r, wide // r
    x = input.reshape(n, c, h, r, w, r).permute(0, 1, 3, 5, 2, 4)  # (n, c, r, r, h, w)
    return x.reshape(*batch, c * r * r, h, w)
