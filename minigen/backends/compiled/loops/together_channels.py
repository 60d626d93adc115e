"""The loops of batch norm in several threads: each takes its groups of rows, or its rows."""

from __future__ import annotations

import numba

from minigen.backends.base import Array
from minigen.backends.compiled.loops import batch_norm
from minigen.backends.compiled.loops.compiling import together

PARTS = 8  # whatever the number of threads, which a function kept on disk cannot ask for


@together
def channel_sums(sums: Array, x: Array, size: int) -> None:
    """``batch_norm.channel_sums``, by groups of rows."""
    for part in numba.prange(PARTS):
        i, j = part * len(sums) // PARTS, (part + 1) * len(sums) // PARTS
        batch_norm.channel_sums(sums[i:j], x[i * size : j * size], size)


@together
def channel_squares(sums: Array, x: Array, mean: Array, size: int) -> None:
    """``batch_norm.channel_squares``, by groups of rows."""
    for part in numba.prange(PARTS):
        i, j = part * len(sums) // PARTS, (part + 1) * len(sums) // PARTS
        batch_norm.channel_squares(sums[i:j], x[i * size : j * size], mean, size)


@together
def scale_channels(out: Array, x: Array, mean: Array, slope: Array, bias: Array) -> None:
    """``batch_norm.scale_channels``, by rows."""
    for part in numba.prange(PARTS):
        i, j = part * len(x) // PARTS, (part + 1) * len(x) // PARTS
        batch_norm.scale_channels(out[i:j], x[i:j], mean, slope, bias)


@together
def channel_products(sums: Array, g: Array, x: Array, mean: Array, size: int) -> None:
    """``batch_norm.channel_products``, by groups of rows."""
    for part in numba.prange(PARTS):
        i, j = part * len(sums) // PARTS, (part + 1) * len(sums) // PARTS
        rows = slice(i * size, j * size)
        batch_norm.channel_products(sums[i:j], g[rows], x[rows], mean, size)


@together
def normalize_channels_backward(
    grad: Array, g: Array, x: Array, mean: Array, slopes: Array
) -> None:
    """``batch_norm.normalize_channels_backward``, by rows."""
    for part in numba.prange(PARTS):
        i, j = part * len(x) // PARTS, (part + 1) * len(x) // PARTS
        batch_norm.normalize_channels_backward(grad[i:j], g[i:j], x[i:j], mean, slopes)
