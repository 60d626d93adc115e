"""The inner loops of convolution: gather windows, multiply, done.

Memory here is channels-last, ``(N, H, W, C)``, because then a window is made of contiguous
runs of channels and the product writes its output in the same order. A *tap* is one place
of a kernel, as an offset ``(row, column)`` from the window's first element. Only the taps
that are listed are ever touched, which is how a masked convolution saves the arithmetic of
its masked half.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigen.backends import Array
from minigen.ops.activation import gate as gate_of
from minigen.ops.activation import rectify
from minigen.ops.kernel import kernel
from minigen.ops.product import add_bias, product
from minigen.ops.summation import sum_rows

Tap = tuple[int, int]


def channels_last(b: Any, x: Array) -> Array:
    """(N, C, H, W) -> (N, H, W, C), contiguous; no copy if it lies so already."""
    return b.xp.ascontiguousarray(x.transpose(0, 2, 3, 1))


def grown(b: Any, x: Array, low: Sequence[int], high: Sequence[int]) -> Array:
    """(N, H, W, C) -> (N, low+H+high, low+W+high, C), contiguous, with zeros around.

    A negative width cuts off instead. No copy if there is nothing to do.
    """
    xp = b.xp
    if not any((*low, *high)):
        return xp.ascontiguousarray(x)
    n, h, w, c = x.shape
    out = xp.empty((n, h + low[0] + high[0], w + low[1] + high[1], c), dtype=x.dtype)
    into, taken = [slice(None)], [slice(None)]
    for size, before, after in zip((h, w), low, high):
        length = max(size + min(before, 0) + min(after, 0), 0)
        into.append(slice(max(before, 0), max(before, 0) + length))
        taken.append(slice(max(-before, 0), max(-before, 0) + length))
    _, rows, columns = into
    out[:, : rows.start] = 0  # only the frame: the rest is written once, by the copy
    out[:, rows.stop :] = 0
    out[:, rows, : columns.start] = 0
    out[:, rows, columns.stop :] = 0
    out[tuple(into)] = x[tuple(taken)]
    return out


def channels_first(x: Array) -> Array:
    """(N, H, W, C) -> (N, C, H, W): another view of the same memory."""
    return x.transpose(0, 3, 1, 2)


@kernel
def gather_windows(b: Any, source: Array, taps: Sequence[Tap], step: Tap, size: Tap) -> Array:
    """``out[n, i, j, t, c] = source[n, i·step + tap_t, j·step + tap_t, c]``.

    (N, H, W, C) -> (N, rows, columns, taps, C), for ``size = (rows, columns)``; also known
    as im2col. Taps that are neighbours in a row are neighbours in memory, so a whole run of
    them is copied at a time.
    """
    n, _, _, c = source.shape
    down, along, across, channel = source.strides
    out = b.xp.empty((n, *size, len(taps), c), dtype=source.dtype)
    strides = (down, along * step[0], across * step[1], across, channel)
    for first, last in _runs(taps):
        dy, dx = taps[first]
        out[:, :, :, first:last] = b.xp.lib.stride_tricks.as_strided(
            source[:, dy:, dx:], (n, *size, last - first, c), strides
        )
    return out


@kernel
def scattering_pays(b: Any, scattered: int, gathered: int) -> bool:
    """Whether to scatter so many products is faster than to gather so many numbers."""
    return 2 * scattered <= gathered


@kernel
def scatter_windows(
    b: Any, products: Array, out: Array, taps: Sequence[Tap], step: Tap, low: Sequence[int]
) -> None:
    """``out[n, i·step + tap_t - low] += products[n, i, t]``, in place; what falls outside is lost.

    (N, rows, columns, taps, C), into (N, H, W, C); also known as col2im.
    """
    _, rows, columns, _, _ = products.shape
    for t, tap in enumerate(taps):
        places, chosen = [], []
        for axis, length in ((0, rows), (1, columns)):
            start = tap[axis] - low[axis]
            first = max(-(start // step[axis]), 0)
            last = min((out.shape[1 + axis] - 1 - start) // step[axis], length - 1)
            chosen.append(slice(first, max(last + 1, first)))
            begin = start + first * step[axis]
            places.append(slice(begin, start + last * step[axis] + 1, step[axis]))
        if all(part.stop > part.start for part in chosen):
            out[:, places[0], places[1]] += products[:, chosen[0], chosen[1], t]


def _runs(taps: Sequence[Tap]) -> list[Tap]:
    """``taps`` cut into stretches [first, last) of direct neighbours in one row."""
    cuts = [0]
    for t in range(1, len(taps)):
        if taps[t] != (taps[t - 1][0], taps[t - 1][1] + 1):
            cuts.append(t)
    return list(zip(cuts, [*cuts[1:], len(taps)]))


def _batches(b: Any, source: Array, taps: int, size: Tap) -> list[slice]:
    """The batch cut so that the windows of one piece fit the backend's workspace."""
    return pieces(b, source, size[0] * size[1] * taps * source.shape[3])


def pieces(b: Any, source: Array, each: int) -> list[slice]:
    """The batch cut so that a piece, at ``each`` numbers a sample, fits the backend's workspace."""
    n, one = source.shape[0], max(each * source.dtype.itemsize, 1)
    some = max(b.workspace // one, 1)
    return [slice(i, min(i + some, n)) for i in range(0, n, some)]


# ---------------------------------------------------------------- the two products


@kernel
def correlate(
    b: Any,
    source: Array,
    weight: Array,
    taps: Sequence[Tap],
    step: Tap,
    size: Tap,
    out: Array | None = None,
    bias: Array | None = None,
    slope: float = 1.0,
    like: Array | None = None,
    gate: float = 1.0,
) -> Array:
    """``out[n, i, j] = bias + Σ_t source[n, i·step + tap_t] · weight[t]``; zeros outside source.

    Args:
        b: the backend.
        source: (N, H, W, C).
        weight: (taps, C, O).
        taps: the offsets, one for each matrix of ``weight``; they may be negative.
        step: distance between windows.
        size: number of windows down and across.
        out: where to write the result; made if not given.
        bias: (O,), or None for 0.
        slope: of the rectifier applied to source first, leaky if not 0; 1 for none.
        like: as the result; where it is not positive, the result is multiplied by ``gate``.
        gate: the slope on the way back through a rectifier.

    Returns:
        (N, rows, columns, O); contiguous unless ``out`` is not.
    """
    xp = b.xp
    if out is None:
        out = xp.empty((source.shape[0], *size, weight.shape[2]), dtype=source.dtype)
    if not source.size or not weight.size or not out.size:
        out[...] = 0
        return _finish(b, out, bias, like, gate)
    for part in _pieces(b, source, taps, step, size, slope):
        near = None if like is None else like[part]
        _correlate(b, source[part], weight, taps, step, size, out[part], slope)
        _finish(b, out[part], bias, near, gate)
    return out


def _correlate(
    b: Any,
    source: Array,
    weight: Array,
    taps: Sequence[Tap],
    step: Tap,
    size: Tap,
    out: Array,
    slope: float,
) -> None:
    """:func:`correlate` for a piece of the batch, into ``out``."""
    c, outputs = weight.shape[1:]
    source, taps = _framed(b, _rectified(b, source, slope), taps, step, size)
    matrix = weight.reshape(len(taps) * c, outputs)
    if _is_whole(source, taps, step, size):
        _write(b, source.reshape(-1, c), matrix, out)
    elif _in_bands(taps, step, size, c):
        _correlate_bands(b, source, weight, taps, out)
    else:
        for part in _batches(b, source, len(taps), size):
            windows = gather_windows(b, source[part], taps, step, size)
            _write(b, windows.reshape(-1, len(taps) * c), matrix, out[part])


def _pieces(
    b: Any, source: Array, taps: Sequence[Tap], step: Tap, size: Tap, slope: float
) -> list[slice]:
    """The batch cut so that what is prepared of a piece is still in the cache when it is used."""
    if slope == 1 and _is_whole(source, taps, step, size):
        return [slice(0, source.shape[0])]
    if not _in_bands(taps, step, size, source.shape[3]):
        return _batches(b, source, len(taps), size)
    span = max(last - first for first, last in _runs(taps))
    return _batches(b, source, span + 1, size)


def _rectified(b: Any, source: Array, slope: float) -> Array:
    return source if slope == 1 else rectify(b, source, low=slope)


def _finish(b: Any, out: Array, bias: Array | None, like: Array | None, low: float) -> Array:
    if bias is not None:
        add_bias(b, out, bias)
    if like is not None:
        out[...] = gate_of(b, out, like, low=low)
    return out


def _framed(
    b: Any, source: Array, taps: Sequence[Tap], step: Tap, size: Tap
) -> tuple[Array, list[Tap]]:
    """The source grown by zeros or cut until every read falls inside, and the taps moved along."""
    first = [min(tap[d] for tap in taps) for d in (0, 1)]
    last = [max(tap[d] for tap in taps) + (size[d] - 1) * step[d] + 1 for d in (0, 1)]
    low = [max(-first[d], 0) for d in (0, 1)]
    high = [max(last[d] - source.shape[1 + d], 0) for d in (0, 1)]
    return grown(b, source, low, high), [(y + low[0], x + low[1]) for y, x in taps]


def _write(b: Any, rows: Array, matrix: Array, out: Array) -> None:
    """``out[...] = rows @ matrix``, straight into ``out`` where its memory allows."""
    into = out.reshape(-1, out.shape[-1]) if out.flags.c_contiguous else None
    if rows.shape[1] == 1:
        result = b.xp.multiply(rows, matrix, out=into)
    else:
        result = product(b, rows, matrix, into)
    if into is None:
        out[...] = result.reshape(out.shape)


@kernel
def correlate_weight(
    b: Any,
    source: Array,
    grad: Array,
    taps: Sequence[Tap],
    step: Tap,
    slope: float = 1.0,
    with_bias: bool = False,
) -> tuple[Array, Array | None]:
    """The gradient of :func:`correlate` by its weight: ``Σ source[i·step + tap_t] · grad[i]``.

    (N, H, W, C), (N, rows, columns, O) -> (taps, C, O); the sum is over samples and windows, and
    again there are zeros outside source, and it is rectified with ``slope``. The second result is
    the bias's gradient (O,), if asked for.
    """
    c, outputs = source.shape[3], grad.shape[3]
    total = b.xp.zeros((len(taps) * c, outputs), dtype=source.dtype)
    if grad.size and total.size:
        size = grad.shape[1:3]
        for part in _pieces(b, source, taps, step, size, slope):
            ready, moved = _framed(b, _rectified(b, source[part], slope), taps, step, size)
            total += _correlate_weight(b, ready, grad[part], moved, step)
    bias = sum_rows(b, grad.reshape(-1, outputs)) if with_bias else None
    return total.reshape(len(taps), c, outputs), bias


def _correlate_weight(b: Any, source: Array, grad: Array, taps: Sequence[Tap], step: Tap) -> Array:
    """The same for a piece of the batch: (taps · C, O)."""
    c, outputs, size = source.shape[3], grad.shape[3], grad.shape[1:3]
    if _is_whole(source, taps, step, size):
        return _product_of_columns(b, source.reshape(-1, c), grad.reshape(-1, outputs))
    if _in_bands(taps, step, size, c):
        return _correlate_weight_bands(b, source, grad, taps).reshape(-1, outputs)
    total = b.xp.zeros((len(taps) * c, outputs), dtype=source.dtype)
    for part in _batches(b, source, len(taps), size):
        windows = gather_windows(b, source[part], taps, step, size)
        total += _product_of_columns(
            b, windows.reshape(-1, len(taps) * c), grad[part].reshape(-1, outputs)
        )
    return total


def _product_of_columns(b: Any, left: Array, right: Array) -> Array:
    """``leftᵀ right``; BLAS is a third faster with the wider matrix on the left."""
    if left.shape[1] >= right.shape[1]:
        return product(b, left.T, right)
    return product(b, right.T, left).T


def _is_whole(source: Array, taps: Sequence[Tap], step: Tap, size: Tap) -> bool:
    """A 1×1 kernel at every place: the windows are the source itself."""
    return tuple(step) == (1, 1) and list(taps) == [(0, 0)] and source.shape[1:3] == tuple(size)


# ---------------------------------------------------------------- the same, band by band
#
# At stride 1 the rows of a kernel see the same runs, one row further down. So each run is
# gathered once, as wide as the widest row of the kernel, and the kernel's rows (its *bands*)
# are multiplied one after another with the gathered rows shifted: a 3×3 kernel copies 3
# pixels for each window instead of 9.


def _in_bands(taps: Sequence[Tap], step: Tap, size: Tap, channels: int) -> bool:
    """Whether working in bands pays: stride 1, several bands, products that are not tiny."""
    bands = _runs(taps)
    rows = [taps[first][0] for first, _ in bands]
    span = max(dx for _, dx in taps) - min(dx for _, dx in taps) + 1
    return (
        tuple(step) == (1, 1)
        and len(bands) > 1
        and len(set(rows)) == len(rows)
        and span * channels >= 32
        and size[0] >= 4 * (rows[-1] - rows[0])  # few surplus places
    )


class _Bands:
    """How a kernel is taken apart into bands.

    For a piece of the batch, ``rows`` of it hold runs of pixels, one row for each place of
    ``tall`` × columns places: the windows' own places, and further down what only the lower
    bands read. Over all samples of the piece at once, band k multiplies the rows from
    ``starts[k]`` on; what it computes for the surplus places is thrown away.
    """

    def __init__(self, taps: Sequence[Tap], size: Tap, channels: int) -> None:
        left = min(dx for _, dx in taps)
        self.top = taps[0][0]
        self.span = max(dx for _, dx in taps) - left + 1
        self.runs = _runs(taps)
        self.size, self.channels = size, channels
        self.tall = size[0] + taps[-1][0] - self.top
        self.pixels = [(0, left + k) for k in range(self.span)]
        self.starts = [(taps[first][0] - self.top) * size[1] for first, _ in self.runs]
        self.columns = [
            slice((taps[first][1] - left) * channels, (taps[last - 1][1] - left + 1) * channels)
            for first, last in self.runs
        ]

    def pieces(self, b: Any, source: Array) -> list[slice]:
        """The batch in pieces whose gathered rows fit the workspace."""
        return _batches(b, source, self.span, (self.tall, self.size[1]))

    def rows(self, b: Any, piece: Array) -> list[Array]:
        """For each band the rows that it multiplies: all of one length, views of one array."""
        tall = (self.tall, self.size[1])
        gathered = gather_windows(b, piece[:, self.top :], self.pixels, (1, 1), tall)
        gathered = gathered.reshape(-1, self.span * self.channels)
        length = gathered.shape[0] - self.starts[-1]
        return [
            gathered[start : start + length, columns]
            for start, columns in zip(self.starts, self.columns)
        ]


def _correlate_bands(
    b: Any, source: Array, weight: Array, taps: Sequence[Tap], out: Array
) -> Array:
    xp = b.xp
    _, rows, columns, outputs = out.shape
    bands = _Bands(taps, (rows, columns), source.shape[3])
    for part in bands.pieces(b, source):
        count = part.stop - part.start
        total = xp.empty((count, bands.tall, columns, outputs), dtype=out.dtype)
        more = xp.empty_like(total)
        band_rows = bands.rows(b, source[part])
        for k, ((first, last), band) in enumerate(zip(bands.runs, band_rows)):
            length = band.shape[0]  # beyond it, memory as it came
            into = (more if k else total).reshape(-1, outputs)[:length]
            product(b, band, weight[first:last].reshape(-1, outputs), into)
            if k == len(band_rows) - 1:  # the last sum leaves the surplus places behind
                xp.add(total[:, :rows], more[:, :rows], out=out[part])
            elif k:
                so_far = total.reshape(-1, outputs)[:length]
                so_far += into
    return out


def _correlate_weight_bands(b: Any, source: Array, grad: Array, taps: Sequence[Tap]) -> Array:
    xp = b.xp
    _, rows, columns, outputs = grad.shape
    bands = _Bands(taps, (rows, columns), source.shape[3])
    total = xp.zeros((len(taps), source.shape[3], outputs), dtype=source.dtype)
    for part in bands.pieces(b, source):
        spread = xp.empty((part.stop - part.start, bands.tall, columns, outputs), dtype=grad.dtype)
        spread[:, :rows] = grad[part]
        spread[:, rows:] = 0  # surplus places have gradient zero
        flat = spread.reshape(-1, outputs)
        for (first, last), band in zip(bands.runs, bands.rows(b, source[part])):
            piece = _product_of_columns(b, band, flat[: band.shape[0]])
            total[first:last] += piece.reshape(last - first, -1, outputs)
    return total
