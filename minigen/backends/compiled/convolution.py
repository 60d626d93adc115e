"""The products of a convolution, tile by tile; im2col and col2im for the rest.

:func:`correlate` and :func:`correlate_weight` need no im2col: their loops (``loops/tile.py``) read
the windows where they lie. Here it is worked out where that is.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled import support
from minigen.backends.compiled.support import FLOATS, large, loops, loops_for, pooled


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
    b.run(pooled().scatter_windows, out, products, moves, tuple(step))
    return None


# ---------------------------------------------------------------- the products

PARTS = 16
"""So many parts of the batch are dealt out to the processors, however many there are: the
weight's gradient is summed part by part, and equal in every run and on every machine."""

AT_A_TIME = 8
"""So many parts have their sums side by side at least; more, if these fit the workspace."""

FAST = 1 << 15  # bytes of the weight that may count on the fastest cache


class _Layout(NamedTuple):
    """What the loops want to know; ``windows`` as ``loops/convolution.py`` has it."""

    windows: Any
    runs: tuple[tuple[int, int, int], ...]  # where in a window, first k, length
    scratch: int  # elements of a frame


@functools.lru_cache(maxsize=512)
def _layout(
    shape: tuple[int, ...],
    pitches: tuple[int, int, int],
    taps: tuple[tuple[int, int], ...],
    step: tuple[int, int],
    size: tuple[int, int],
    rectified: bool,
) -> _Layout:
    """For (N, H, W, C) with these distances between samples, rows and pixels."""
    (n, *picture, c), (rows, columns) = shape, size
    sample, row, pixel = pitches
    if taps == ((0, 0),) and step == (1, 1) and size == (picture[0], picture[1]):
        whole = n * rows * columns  # a product of matrices: cut all places into pieces
        if row == columns * pixel and sample == rows * row:
            most = max(min(128, FAST // (4 * c)), 1)
            columns = max(d for d in range(1, min(whole, most) + 1) if whole % d == 0)
            n, rows, picture = whole // columns, 1, [1, columns]
            sample, row = columns * pixel, columns * pixel
    low = [min(tap[d] for tap in taps) for d in (0, 1)]
    last = ((rows - 1) * step[0], (columns - 1) * step[1])
    high = [max(tap[d] for tap in taps) + last[d] + 1 for d in (0, 1)]
    framed = rectified or min(low) < 0 or high[0] > picture[0] or high[1] > picture[1]
    frame, corner = (0, 0), (0, 0)
    if framed:
        frame, corner = (high[0] - low[0], high[1] - low[1]), (low[0], low[1])
    down, across = (frame[1] * c, c) if framed else (row, pixel)
    runs: list[tuple[int, int, int]] = []
    for t, (y, x) in enumerate(taps):
        begin = (y - corner[0]) * down + (x - corner[1]) * across
        if runs and begin == runs[-1][0] + runs[-1][2]:  # goes on where the last one ended
            runs[-1] = (*runs[-1][:2], runs[-1][2] + c)
        else:
            runs.append((begin, t * c, c))
    windows = loops().Windows(
        n, rows, columns, step[0] * down, step[1] * across, c, *frame, *corner, *picture,
        sample, row, pixel,
    )  # fmt: skip
    return _Layout(windows, tuple(runs), frame[0] * frame[1] * c)


def _memory(x: Array) -> Array:
    """From the first element of ``x`` to its last, in one dimension."""
    width = x.dtype.itemsize
    span = 1 + sum((n - 1) * stride // width for n, stride in zip(x.shape, x.strides))
    return np.lib.stride_tricks.as_strided(x, (span,), (width,))


def _pitches(x: Array) -> tuple[int, int, int] | None:
    """Elements from a sample, row and pixel of (N, H, W, C) to the next; None if C has gaps."""
    width = x.dtype.itemsize
    if min(x.strides) < 0 or (x.strides[3] != width and x.shape[3] > 1):
        return None
    return x.strides[0] // width, x.strides[1] // width, x.strides[2] // width


def _placed(x: Array, windows: Any) -> tuple[int, int, int, int] | None:
    """(sample, row, column) distances of (N, rows, columns, C) in these windows, and C."""
    found = _pitches(x)
    if found is None:
        return None
    (sample, row, column), (n, rows, columns, channels) = found, x.shape
    if (windows.samples, windows.rows, windows.columns) == (n, rows, columns):
        return sample, row, column, channels
    if row != columns * column or sample != rows * row:  # not one row of places, to be cut anew
        return None
    return windows.columns * column, windows.columns * column, column, channels


def _usable(*arrays: Array) -> bool:
    single = all(isinstance(x, np.ndarray) and x.dtype == np.float32 for x in arrays)
    large = max(x.size for x in arrays) >= max(support.SMALL, 1)
    return (
        single and large and all(x.size for x in arrays) and loops() is not None and loops().FUSED
    )


def correlate(
    b: Any,
    source: Array,
    weight: Array,
    taps: Sequence[tuple[int, int]],
    step: tuple[int, int],
    size: tuple[int, int],
    out: Array | None = None,
    bias: Array | None = None,
    slope: float = 1.0,
    like: Array | None = None,
    gate: float = 1.0,
) -> Array:
    """Windows times a matrix, plus bias, in float32; equals ``correlate`` in ``_windows.py``."""
    given = [x for x in (source, weight, out, bias, like) if x is not None]
    if not _usable(*given) or not min(size) or not weight.flags.c_contiguous:
        return NotImplemented
    pitches, (count, channels, outputs) = _pitches(source), weight.shape
    if pitches is None or (bias is not None and not bias.flags.c_contiguous):
        return NotImplemented
    rows, columns = size
    windows, runs, frame = _layout(
        source.shape, pitches, tuple(taps), (step[0], step[1]), (rows, columns), slope != 1
    )
    if out is None:
        out = b.xp.empty((source.shape[0], *size, outputs), dtype=source.dtype)
    into = _placed(out, windows)
    if frame and pitches[2] != channels:  # gaps between pixels
        return NotImplemented
    if into is None or (like is not None and like.strides != out.strides):
        return NotImplemented
    run, xp, lanes, dtype = loops(), b.xp, loops().LANES, source.dtype
    wide, matrix = -(-outputs // lanes) * lanes, weight.reshape(count * channels, outputs)
    if wide != outputs:
        matrix = xp.empty((count * channels, wide), dtype=dtype)
        b.run(run.fill_up, matrix, weight.reshape(count * channels, outputs))
    start = bias
    if start is None or wide != outputs:
        start = xp.empty(wide, dtype=dtype)
        b.run(run.fill_up, start.reshape(1, wide), matrix[:1, :0] if bias is None else bias[None])
    parts = min(windows.samples, PARTS)
    groups = max(min(PARTS // parts, wide // (4 * lanes)), 1)  # few places: channels in parts too
    scratch = xp.empty((parts * groups, frame + windows.columns * lanes), dtype=dtype)
    b.run(
        pooled().correlate,
        _memory(out),
        _memory(source),
        scratch,
        matrix,
        start,
        *_tables(runs, wide, min(wide, 4 * lanes)),
        np.array(windows),
        np.array(into),
        groups,
        np.float32(slope),
        _memory(out)[:0] if like is None else _memory(like),
        np.float32(gate),
    )
    return out


@functools.lru_cache(maxsize=512)
def _tables(
    runs: tuple[tuple[int, int, int], ...], wide: int, panel: int
) -> tuple[np.ndarray, np.ndarray]:
    """The runs as a tile wants them, and where to cut them (see the loop)."""
    longest = max(FAST // (4 * panel), 1)
    short = [
        (begin + cut, k + cut, min(longest, length - cut))
        for begin, k, length in runs
        for cut in range(0, length, longest)
    ]
    pieces, held = [0], 0
    for r, (_, _, length) in enumerate(short):
        if held + length > longest and held:
            pieces, held = [*pieces, r], 0
        held += length
    table = [(begin, k * wide, length) for begin, k, length in short]
    return np.array(table), np.array([*pieces, len(short)])


def correlate_weight(
    b: Any,
    source: Array,
    grad: Array,
    taps: Sequence[tuple[int, int]],
    step: tuple[int, int],
    slope: float = 1.0,
    with_bias: bool = False,
) -> Any:
    """The weight's gradient in float32; equals ``correlate_weight`` in ``_windows.py``."""
    if not taps or not _usable(source, grad):
        return NotImplemented
    (_, rows, columns, outputs), channels = grad.shape, source.shape[3]
    lanes, pitches = loops().LANES, _pitches(source)
    turned = outputs % lanes > 0
    if pitches is None or (turned and channels % lanes):
        return NotImplemented
    windows, runs, frame = _layout(
        source.shape, pitches, tuple(taps), (step[0], step[1]), (rows, columns), slope != 1
    )
    of = _placed(grad, windows)
    if of is None or (frame and pitches[2] != channels):
        return NotImplemented
    xp, dtype, shape = b.xp, source.dtype, (len(taps) * channels, outputs)
    parts = min(windows.samples, PARTS)
    fitting = b.workspace // (dtype.itemsize * shape[0] * outputs)
    some = min(parts, max(fitting, AT_A_TIME))
    partial = xp.empty((some, *(shape[::-1] if turned else shape)), dtype=dtype)
    biases = xp.empty((some, outputs if with_bias else 0))
    scratch = xp.empty((some, frame), dtype=dtype)
    total, bias = xp.empty(partial.shape[1:], dtype=dtype), xp.empty(biases.shape[1:])
    places = [(i * windows.down, i * of[1], windows.columns) for i in range(windows.rows)]
    lines = np.array([(y, x, length) if turned else (x, y, length) for x, y, length in places])
    arrays = _memory(source), _memory(grad), scratch
    tables = np.array(runs), lines, np.array(windows), np.array(of)
    how = np.float32(slope), turned
    for first in range(0, parts, some):
        now = min(some, parts - first)
        sums, more = partial[:now], biases[:now]
        b.run(pooled().correlate_weight, sums, more, *arrays, *tables, *how, first, parts)
        b.run(loops_for(partial).add_parts, total.reshape(-1), sums.reshape(now, -1), first > 0)
        b.run(loops().add_parts, bias, more, first > 0)
    weight = (total.T if turned else total).reshape(len(taps), channels, outputs)
    return weight, bias.astype(dtype) if with_bias else None


def scattering_pays(b: Any, scattered: int, gathered: int) -> bool:
    """Gathering costs nothing here, except where few channels leave a tile half empty."""
    return 16 * scattered <= gathered


KERNELS = (
    correlate,
    correlate_weight,
    gather_windows,
    scatter_windows,
    scattering_pays,
)
"""As the backend registers them, by their names."""
