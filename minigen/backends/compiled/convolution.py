"""im2col, col2im and the bias of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled import support
from minigen.backends.compiled.support import FLOATS, large, loops


def add_bias(b: Any, rows: Array, bias: Array) -> Any:
    """``rows += bias`` along the last dimension; equals ``add_bias`` in ``ops/_windows.py``."""
    usable = (
        large(rows)
        and rows.dtype in FLOATS
        and bias.dtype == rows.dtype
        and rows.flags.c_contiguous
        and bias.flags.c_contiguous
    )
    if not usable or loops() is None:
        return NotImplemented
    b.run(loops().add_bias, rows.reshape(-1, rows.shape[-1]), bias)
    return None


def gather_windows(
    b: Any,
    source: Array,
    taps: Sequence[tuple[int, int]],
    step: tuple[int, int],
    size: tuple[int, int],
) -> Array:
    """im2col, run by run; equals ``gather_windows`` in ``ops/_windows.py``.

    Needs pixels without gaps along a row; rows and samples may lie apart, as in a part of a
    larger array.
    """
    n, _, _, c = source.shape
    width = source.dtype.itemsize
    down, along, across, channel = source.strides
    out_size = n * size[0] * size[1] * len(taps) * c
    if (
        out_size < max(support.SMALL, 1)
        or source.dtype not in FLOATS
        or (channel, across) != (width, c * width)
        or min(down, along) < 0
        or loops() is None
    ):
        return NotImplemented
    last = [m - 1 for m in source.shape]
    span = 1 + sum(m * stride // width for m, stride in zip(last, source.strides))
    memory = np.lib.stride_tricks.as_strided(source, (span,), (width,))
    strides = (down // width, step[0] * along // width, step[1] * c)
    runs: list[list[int]] = []
    for t, (row, column) in enumerate(taps):
        if t and (row, column - 1) == tuple(taps[t - 1]):
            runs[-1][2] += c
        else:
            runs.append([t * c, row * along // width + column * c, c])
    out = b.xp.empty((n, *size, len(taps), c), dtype=source.dtype)
    rows = out.reshape(-1, len(taps) * c)
    b.run(loops().gather_windows, rows, memory, tuple(size), strides, np.array(runs))
    return out


def scatter_windows(
    b: Any,
    products: Array,
    out: Array,
    taps: Sequence[tuple[int, int]],
    step: tuple[int, int],
    low: Sequence[int],
) -> Any:
    """col2im in one pass; equals ``scatter_windows`` in ``ops/_windows.py``."""
    usable = (
        large(products)
        and products.dtype in FLOATS
        and out.dtype == products.dtype
        and products.flags.c_contiguous
        and out.flags.c_contiguous
    )
    if not usable or loops() is None:
        return NotImplemented
    moves = np.array([[row - low[0], column - low[1]] for row, column in taps])
    b.run(loops().scatter_windows, out, products, moves, tuple(step))
    return None


KERNELS = (
    add_bias,
    gather_windows,
    scatter_windows,
)
"""As the backend registers them, by their names."""
