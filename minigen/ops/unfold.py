"""Windows as columns, and columns back into windows: ``unfold`` and ``fold``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigen.autograd.operation import functions
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.ops._arguments import spread
from minigen.ops.shape import pad as pad_tensor

__all__ = ["fold", "unfold"]

Pair = tuple[int, int]


def unfold(
    input: Tensor,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Every window as a column: (N, C, H, W) -> (N, C·kh·kw, windows), or both without the N."""
    if input.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    kernel, stride, padding, dilation, counts = _window_grid(
        "unfold", input.shape, input.shape[2:], kernel_size, dilation, padding, stride
    )
    padded = pad_tensor(input, (padding[1], padding[1], padding[0], padding[0]))
    rows, columns = _window_places(kernel, stride, dilation, counts)
    # (N, C, kh, kw, H', W') -> (N, C·kh·kw, H'·W')
    windows = functions.getitem(padded, index=(slice(None), slice(None), rows, columns))
    n, c = input.shape[:2]
    return windows.reshape(n, c * kernel[0] * kernel[1], counts[0] * counts[1])


def fold(
    input: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Add columns back into the windows they came from: (N, C·kh·kw, windows) -> (N, C, H, W).

    A single image comes and goes without the N.
    The transpose of :func:`unfold`, not its inverse: overlapping windows add up.
    """
    if input.ndim == 2:
        return fold(
            input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride
        ).squeeze(0)
    height, width = spread(output_size, 2, "output_size", 1)
    kernel, stride, padding, dilation, counts = _window_grid(
        "fold", (*input.shape, 0), (height, width), kernel_size, dilation, padding, stride
    )
    area = kernel[0] * kernel[1]
    n, columns_high = input.shape[:2]
    if columns_high % area or input.shape[2] != counts[0] * counts[1]:
        raise ValueError(
            f"fold: input must be (N, C·{area}, {counts[0] * counts[1]}), got {input.shape}"
        )
    c = columns_high // area
    rows, columns = _window_places(kernel, stride, dilation, counts)
    windows = input.reshape(n, c, *rows.shape[:2], *counts)
    padded = functions.add_at(
        windows,
        index=(slice(None), slice(None), rows, columns),
        shape=(n, c, height + 2 * padding[0], width + 2 * padding[1]),
    )
    inside = (slice(padding[0], padding[0] + height), slice(padding[1], padding[1] + width))
    return functions.getitem(padded, index=(slice(None), slice(None), *inside))


def _window_grid(
    name: str,
    shape: tuple[int, ...],
    spatial: Sequence[int],
    kernel_size: Any,
    dilation: Any,
    padding: Any,
    stride: Any,
) -> tuple[Pair, Pair, Pair, Pair, Pair]:
    if len(shape) != 4:
        raise ValueError(f"{name}: input must have shape (N, C, …), got {shape}")
    kernel = spread(kernel_size, 2, "kernel_size", 1)
    strides, paddings = spread(stride, 2, "stride", 1), spread(padding, 2, "padding")
    dilations = spread(dilation, 2, "dilation", 1)
    counts = tuple(
        [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(spatial, paddings, dilations, kernel, strides)
        ]
    )
    if min(counts) < 1:
        raise ValueError(f"{name}: a kernel of {kernel} does not fit the padded input {shape}")
    return kernel, strides, paddings, dilations, counts  # type: ignore[return-value]


def _window_places(kernel: Pair, stride: Pair, dilation: Pair, counts: Pair) -> tuple[Any, Any]:
    """Row and column of every tap of every window: two index arrays (kh, kw, H', W')."""
    xp = active.backend.xp
    row = xp.arange(kernel[0])[:, None] * dilation[0] + xp.arange(counts[0])[None, :] * stride[0]
    column = xp.arange(kernel[1])[:, None] * dilation[1] + xp.arange(counts[1])[None, :] * stride[1]
    shape = (*kernel, *counts)
    rows = xp.broadcast_to(row[:, None, :, None], shape)
    columns = xp.broadcast_to(column[None, :, None, :], shape)
    return rows, columns
