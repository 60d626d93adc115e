"""im2col, col2im and the bias of a convolution."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled


@compiled
def add_bias(rows: Array, bias: Array) -> None:
    """``rows += bias``: (n, C), (C,)."""
    count, channels = rows.shape
    for i in range(count):
        for c in range(channels):
            rows[i, c] += bias[c]


@compiled
def gather_windows(out: Array, source: Array, size: Any, strides: Any, runs: Array) -> None:
    """Copy every run of every window; all places are numbers of elements.

    ``out`` (windows, length); ``size`` = (rows, columns) of windows in a sample. ``strides`` of
    sample, row and column say where in ``source`` a window begins. ``runs`` (count, 3): where in
    the window a run goes, where behind the window's first element it comes from, its length.
    """
    count, _ = out.shape
    for window in range(count):
        n, place = divmod(window, size[0] * size[1])
        i, j = divmod(place, size[1])
        begin = n * strides[0] + i * strides[1] + j * strides[2]
        for run in range(runs.shape[0]):
            length = runs[run, 2]
            into = out[window, runs[run, 0] : runs[run, 0] + length]
            taken = source[begin + runs[run, 1] : begin + runs[run, 1] + length]
            for k in range(length):
                into[k] = taken[k]


@compiled
def scatter_windows(out: Array, products: Array, moves: Array, step: Any) -> None:
    """Add (N, rows, columns, taps, C) into (N, H, W, C), each tap moved; outside it is lost."""
    samples, rows, columns, taps, channels = products.shape
    height, width = out.shape[1], out.shape[2]
    for n in range(samples):
        for i in range(rows):
            for j in range(columns):
                for t in range(taps):
                    row = i * step[0] + moves[t, 0]
                    column = j * step[1] + moves[t, 1]
                    if 0 <= row < height and 0 <= column < width:
                        for c in range(channels):
                            out[n, row, column, c] += products[n, i, j, t, c]
