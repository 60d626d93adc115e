"""The products of a convolution without im2col; and im2col and col2im for the rest."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled
from minigen.backends.compiled.loops.summation import FEW, move_over
from minigen.backends.compiled.loops.tile import LANES, address, strip

BLOCK = 1024  # elements of a sum that are in the fastest cache together


class Windows(NamedTuple):
    """Where the windows of a convolution lie in memory; all distances in elements.

    Attributes:
        samples, rows, columns: how many windows.
        down, across: from a window to the one below, to the one on its right.
        channels: C of the pictures.
        tall, wide: pixels of the frame of zeros into which a picture is copied before it is
            read; 0 if it is read where it lies.
        top, left: the pixel of the picture that lies in the frame's first place.
        height, width: of the picture.
        sample, row, pixel: from a sample, a row and a pixel of the pictures to the next.
    """

    samples: int
    rows: int
    columns: int
    down: int
    across: int
    channels: int
    tall: int
    wide: int
    top: int
    left: int
    height: int
    width: int
    sample: int
    row: int
    pixel: int


@compiled
def _named(numbers: Array) -> Windows:
    """The windows from an array: tuples cannot be handed to the processors."""
    n = numbers
    return Windows(
        n[0],
        n[1],
        n[2],
        n[3],
        n[4],
        n[5],
        n[6],
        n[7],
        n[8],
        n[9],
        n[10],
        n[11],
        n[12],
        n[13],
        n[14],
    )


@compiled
def _rectify(out: Array, x: Array, slope: Any) -> None:
    """``out = x`` where x > 0, ``slope · x`` elsewhere; with slope 0 infinities become 0 too."""
    if slope == 1:
        out[:] = x
    elif slope == 0:
        for k in range(out.size):
            out[k] = slope if x[k] <= 0 else x[k]
    else:
        for k in range(out.size):
            out[k] = slope * x[k] if x[k] <= 0 else x[k]


@compiled
def _picture(n: int, source: Array, frame: Array, at: Windows, slope: Any) -> int:
    """The address of picture n, or of the frame into which it was copied, rectified."""
    begin = n * at.sample
    if not at.tall:
        return address(source) + 4 * begin
    first, last = max(-at.left, 0), min(at.width - at.left, at.wide)
    left, right = first * at.channels, max(last, first) * at.channels
    for i in range(at.tall):
        line = frame[i * at.wide * at.channels : (i + 1) * at.wide * at.channels]
        if 0 <= i + at.top < at.height:
            place = begin + (i + at.top) * at.row + (first + at.left) * at.pixel
            line[:left] = 0
            _rectify(line[left:right], source[place : place + right - left], slope)
            line[right:] = 0
        else:
            line[:] = 0
    return address(frame)


@compiled
def _vectors(channels: int) -> int:
    """How many vectors of so many channels go into a tile."""
    return 4 if channels >= 4 * LANES else 2 if channels >= 2 * LANES else 1


@compiled
def correlate(
    out: Array,
    source: Array,
    scratch: Array,
    weight: Array,
    start: Array,
    runs: Array,
    pieces: Array,
    windows: Array,
    into: Array,
    groups: int,
    slope: Any,
    like: Array,
    gate: Any,
) -> None:
    """``out[window] = start + Σ_runs source[window + run] · weight[run]``.

    ``out`` and ``source`` are memory from the first element on, ``windows`` the numbers of a
    :class:`Windows`; ``into`` says how far results lie apart (sample, row, column) and how many
    channels they have. ``weight`` (K, O) and ``start`` (O,), O filled up with zeros to whole
    vectors. ``runs`` as for a tile; ``pieces`` cuts them into stretches whose part of the weight
    stays in the fastest cache. ``scratch`` has a row for each part of the work: parts of the batch
    times ``groups`` of channels. ``source`` is rectified with ``slope`` (1 for not at all). The
    result is multiplied by ``gate`` where ``like``, which lies as ``out`` does, is not positive; no
    ``like``, no gate.
    """
    for part in range(len(scratch)):
        correlate_part(
            part, out, source, scratch, weight, start, runs, pieces, windows, into, groups,
            slope, like, gate,
        )  # fmt: skip


@compiled
def correlate_part(
    part: int, out: Array, source: Array, scratch: Array, weight: Array, start: Array, runs: Array,
    pieces: Array, windows: Array, into: Array, groups: int, slope: Any, like: Array, gate: Any,
) -> None:  # fmt: skip
    """The part of :func:`correlate` with this number: some samples, one group of channels."""
    at, frame, wide, panel = _named(windows), scratch[part], weight.shape[1], 4 * LANES
    parts, part, group = len(scratch) // groups, part // groups, part % groups
    begins = group * (wide // panel) // groups * panel
    outputs = into[3] if group == groups - 1 else (group + 1) * (wide // panel) // groups * panel
    edge = frame[frame.size - at.columns * LANES :]
    for n in range(part * at.samples // parts, (part + 1) * at.samples // parts):
        picture, result = _picture(n, source, frame, at, slope), address(out) + 4 * n * into[0]
        first = begins
        while first + LANES <= outputs:
            vectors = _vectors(outputs - first)
            matrix, bias = address(weight) + 4 * first, address(start) + 4 * first
            for piece in range(len(pieces) - 1):
                run, count = address(runs) + 24 * pieces[piece], pieces[piece + 1] - pieces[piece]
                for i in range(at.rows):
                    window, place = picture + 4 * i * at.down, result + 4 * (i * into[1] + first)
                    begin, begin_row = (place, into[2]) if piece else (bias, 0)
                    rest = (1, at.across, matrix, wide, run, count, begin_row, into[2])
                    strip(vectors, at.columns, window, begin, place, rest)
            first += vectors * LANES
        if first < outputs:  # the last, broken vector goes through the edge
            matrix, bias = address(weight) + 4 * first, address(start) + 4 * first
            rest = (1, at.across, matrix, wide, address(runs), len(runs), 0, LANES)
            for i in range(at.rows):
                strip(1, at.columns, picture + 4 * i * at.down, bias, address(edge), rest)
                for j in range(at.columns):
                    place = n * into[0] + i * into[1] + j * into[2]
                    for o in range(first, outputs):
                        out[place + o] = edge[j * LANES + o - first]
        for i in range(at.rows if like.size else 0):
            for j in range(at.columns):
                place = n * into[0] + i * into[1] + j * into[2]
                here, positive = out[place + begins :], like[place + begins :]
                for o in range(outputs - begins):
                    if gate == 0:  # chosen, as a product with 0 makes NaN of an infinity
                        here[o] = gate if positive[o] <= 0 else here[o]
                    else:
                        here[o] = here[o] if positive[o] > 0 else gate * here[o]


@compiled
def correlate_weight(
    partial: Array,
    biases: Array,
    source: Array,
    grad: Array,
    scratch: Array,
    runs: Array,
    lines: Array,
    windows: Array,
    of: Array,
    slope: Any,
    turned: bool,
    first: int,
    parts: int,
) -> None:
    """``partial[p, k, o] = Σ source[window + k] · grad[window, o]`` over a part of the batch, which
    is the one with number first + p of ``parts``.

    ``biases[p, o]`` = Σ grad[window, o] in float64, where it has channels. ``of`` = (sample, row,
    column, channels) of ``grad``, as ``into`` above. ``runs``: where in the window a run begins,
    its first k, its length. ``lines``: the rows of windows as runs of a tile. ``source`` is
    rectified with ``slope``. The vectors of a tile are channels of ``grad``; ``turned``: of
    ``source``, and the result is (p, o, k).
    """
    for part in range(len(partial)):
        correlate_weight_part(
            part, partial, biases, source, grad, scratch, runs, lines, windows, of, slope, turned,
            first, parts,
        )  # fmt: skip


@compiled
def correlate_weight_part(
    part: int, partial: Array, biases: Array, source: Array, grad: Array, scratch: Array,
    runs: Array, lines: Array, windows: Array, of: Array, slope: Any, turned: bool,
    first: int, parts: int,
) -> None:  # fmt: skip
    """The part of :func:`correlate_weight` with this number."""
    at, number, pitch = _named(windows), first + part, partial.shape[2]
    some = max(128 // at.columns, 1)  # rows that stay in the fastest cache
    total, bias, frame = partial[part], biases[part], scratch[part]
    total[:] = 0
    bias[:] = 0
    line_sum = np.zeros(bias.size, grad.dtype)
    for n in range(number * at.samples // parts, (number + 1) * at.samples // parts):
        picture, slopes = _picture(n, source, frame, at, slope), address(grad) + 4 * n * of[0]
        for top in range(0, at.rows, some):
            line, count = address(lines) + 24 * top, min(some, at.rows - top)
            for r in range(len(runs)):
                window, k, length = picture + 4 * runs[r, 0], runs[r, 1], runs[r, 2]
                done, width = 0, length if turned else of[3]
                while done < width:
                    vectors = _vectors(width - done)
                    if turned:
                        place = address(total) + 4 * (k + done)
                        rest = (of[2], 1, window + 4 * done, at.across, line, count, pitch, pitch)
                        strip(vectors, of[3], slopes, place, place, rest)
                    else:
                        place = address(total) + 4 * (k * pitch + done)
                        rest = (at.across, 1, slopes + 4 * done, of[2], line, count, pitch, pitch)
                        strip(vectors, length, window, place, place, rest)
                    done += vectors * LANES
            for i in range(top, top + count if bias.size else top):
                for j in range(at.columns):
                    place = n * of[0] + i * of[1] + j * of[2]
                    row = grad[place : place + bias.size]
                    for o in range(bias.size):
                        line_sum[o] += row[o]
                    if j % FEW == FEW - 1:
                        move_over(bias, line_sum)
                move_over(bias, line_sum)


@compiled
def add_parts(out: Array, partial: Array, add: bool) -> None:
    """``out = Σ_p partial[p]``, or ``out +=`` them, in this order: (parts, n) -> (n,)."""
    for first in range(0, out.size, BLOCK):
        some = out[first : first + BLOCK]  # stays in the fastest cache while the parts go by
        if not add:
            some[:] = partial[0, first : first + BLOCK]
        for p in range(0 if add else 1, len(partial)):
            more = partial[p, first : first + BLOCK]
            for i in range(some.size):
                some[i] += more[i]


@compiled
def fill_up(out: Array, rows: Array) -> None:
    """``rows`` (n, O), and zeros behind each row of ``out`` (n, wide)."""
    for i in range(len(out)):
        out[i, : rows.shape[1]] = rows[i]
        out[i, rows.shape[1] :] = 0


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
