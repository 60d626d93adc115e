"""Convolution as a closed triad: convolve, transpose, weight gradient.

Three functions, each linear in both of its arguments. With windows of x at stride s,
padding p and dilation d (one dimension; two are the same twice)::

    convolve(x, w)[o, i]            = Σ_c,k  x[c, i·s + k·d - p] · w[o, c, k]
    convolve_transpose(y, w)[c, j]  = Σ_o,k,i with i·s + k·d - p = j   y[o, i] · w[o, c, k]
    convolve_weight(x, y)[o, c, k]  = Σ_i    x[c, i·s + k·d - p] · y[o, i]

Contracted with a third tensor all three give the same number, so the gradient rules of each
are the two others, and any order of differentiation stays inside the triad.

``taps`` names the places of the kernel that exist, row by row. A masked convolution
(van den Oord et al. 2016) lists the unmasked ones, and the others cost nothing.

Arrays are (N, C, H, W) to the caller, but results lie channels-last in memory: the matrix
product writes them so, and elementwise ops and the next convolution keep the order.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minigen.autograd.primitive import primitive
from minigen.ops._windows import (
    channels_first,
    channels_last,
    correlate,
    correlate_weight,
    pieces,
    scatter_windows,
    scattering_pays,
)
from minigen.ops.activation import gate as gate_of
from minigen.ops.activation import rectify
from minigen.ops.product import add_bias, product
from minigen.ops.summation import sum_rows

Pair = tuple[int, int]


class Geometry(NamedTuple):
    """How the windows of a convolution lie.

    Attributes:
        stride: distance between windows, (down, across).
        padding: zeros around x, ((top, bottom), (left, right)); entries may differ and may be
            negative, which cuts off.
        dilation: distance between the taps of a window.
        groups: channels are cut into this many independent parts.
        taps: the kernel's places that exist, as flat indices row by row; None for all.
    """

    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int
    taps: tuple[int, ...] | None

    def offsets(self, kernel: Pair) -> list[Pair]:
        """Where each tap reads, as (row, column) from the window's first element."""
        (down, across), width = self.dilation, kernel[1]
        taps = range(kernel[0] * width) if self.taps is None else self.taps
        return [(t // width * down, t % width * across) for t in taps]

    def reads(self, kernel: Pair) -> list[Pair]:
        """Where each tap of the first window reads, outside of the picture for padding."""
        low = [pair[0] for pair in self.padding]
        return [(row - low[0], column - low[1]) for row, column in self.offsets(kernel)]

    def windows(self, size: Pair, kernel: Pair) -> Pair:
        """How many windows of ``kernel`` fit into ``size`` and its padding."""
        rows, columns = [
            (n + sum(pads) - d * (k - 1) - 1) // s + 1
            for n, pads, k, s, d in zip(size, self.padding, kernel, self.stride, self.dilation)
        ]
        return rows, columns

    def fitting(self, size: Pair, count: Pair, kernel: Pair) -> Geometry:
        """The same with its far padding set so that exactly ``count`` windows fit ``size``."""
        rows, columns = [
            (low, (n - 1) * s + d * (k - 1) + 1 - m - low)
            for (low, _), m, n, k, s, d in zip(
                self.padding, size, count, kernel, self.stride, self.dilation
            )
        ]
        return self._replace(padding=(rows, columns))


# ---------------------------------------------------------------- the triad on arrays


@primitive
def convolve(b, x, w, bias=None, *, how):
    """(N, C, H, W), (O, C/groups, kh, kw), (O,) or None -> (N, O, H', W')."""
    source = channels_last(b, x)
    if how.groups == 1:
        return channels_first(products(b, source, w, bias, how))
    weight, taps = _tap_matrices(b, w, how.taps), how.reads(w.shape[2:])
    size = how.windows(x.shape[2:], w.shape[2:])
    parts = zip(_channels(source, how.groups), _channels(weight, how.groups))
    out = [correlate(b, part, matrix, taps, how.stride, size) for part, matrix in parts]
    return _finish(b, b.xp.concatenate(out, axis=3), bias)


def products(b: Any, source: Any, w: Any, bias: Any, how: Geometry, slope: float = 1.0) -> Any:
    """The convolution in one group, channels-last, of a source to be rectified with ``slope``."""
    weight, taps = _tap_matrices(b, w, how.taps), how.reads(w.shape[2:])  # (taps, C, O)
    size = how.windows(source.shape[1:3], w.shape[2:])
    if not _one_window(taps, source.shape[1:3], size):
        return correlate(b, source, weight, taps, how.stride, size, None, bias, slope)
    rows = rectify(b, source, low=slope) if slope != 1 else source
    matrix = weight.reshape(len(taps) * source.shape[3], weight.shape[2])
    out = product(b, _rows(rows), matrix)  # (N, taps·C) (taps·C, O)
    if bias is not None:
        add_bias(b, out, bias)
    return out.reshape(len(source), 1, 1, weight.shape[2])


def _one_window(taps: list[Pair], picture: Pair, size: Pair) -> bool:
    """Whether the whole picture is a single window, so that a product of matrices is left."""
    return size == (1, 1) and taps == list(np.ndindex(*picture))


def _rows(x: Any) -> Any:
    """A row for each sample: (N, H, W, C) -> (N, H·W·C)."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def _finish(b: Any, out: Any, bias: Any) -> Any:
    """Add the bias where the result already lies: (N, H, W, O) -> (N, O, H, W)."""
    if bias is not None:
        add_bias(b, out, bias)
    return channels_first(out)


def _bias_gradient(f: Any, g: Any) -> Any:
    """The sum over samples and places: (N, O, H, W) -> (O,)."""
    rows = f.reshape(f.permute(g, dims=(0, 2, 3, 1)), shape=(-1, g.shape[1]))
    return f.sum_to(rows, shape=(g.shape[1],))


@primitive
def convolve_weight(b, x, y, *, kernel, how):
    """(N, C, H, W), (N, O, H', W') -> (O, C/groups, kh, kw); zero at places without a tap."""
    source, grad = channels_last(b, x), channels_last(b, y)
    if how.groups == 1:
        return weight_gradient(b, source, grad, kernel, how)[0]
    pairs = zip(_channels(source, how.groups), _channels(grad, how.groups))
    parts = [
        correlate_weight(b, part, part_grad, how.reads(kernel), how.stride)[0]
        for part, part_grad in pairs
    ]
    return _in_kernel(b, b.xp.concatenate(parts, axis=2), kernel, how.taps)


def weight_gradient(
    b: Any,
    source: Any,
    grad: Any,
    kernel: Pair,
    how: Geometry,
    slope: float = 1.0,
    with_bias: bool = False,
) -> tuple[Any, Any]:
    """The gradients of :func:`products` by the weight and, if asked for, by the bias."""
    taps = how.reads(kernel)
    shape = (len(taps), source.shape[3], grad.shape[3])
    if _one_window(taps, source.shape[1:3], grad.shape[1:3]):
        rows = rectify(b, source, low=slope) if slope != 1 else source
        total = product(b, _rows(grad).T, _rows(rows)).T  # (O, N) (N, taps·C) -> (taps·C, O)
        bias = sum_rows(b, _rows(grad)) if with_bias else None
    else:
        total, bias = correlate_weight(b, source, grad, taps, how.stride, slope, with_bias)
    return _in_kernel(b, total.reshape(shape), kernel, how.taps), bias


def _in_kernel(b: Any, total: Any, kernel: Pair, taps: tuple[int, ...] | None) -> Any:
    """(taps, C, O) -> (O, C, kh, kw), with zeros where no tap is."""
    moved = total.transpose(2, 1, 0)  # (taps, C, O) -> (O, C, taps)
    if taps is None:
        return b.xp.ascontiguousarray(moved).reshape(*moved.shape[:2], *kernel)
    out = b.xp.zeros((*moved.shape[:2], kernel[0] * kernel[1]), dtype=moved.dtype)
    for place, t in enumerate(taps):
        out[:, :, t] = moved[:, :, place]
    return out.reshape(*moved.shape[:2], *kernel)


@primitive
def convolve_transpose(b, y, w, bias=None, *, size, how):
    """(N, O, H', W'), (O, C/groups, kh, kw), (C,) or None -> (N, C, H, W), (H, W) = ``size``.

    Two ways to the same numbers. To *scatter* multiplies every y by the whole kernel and adds
    each product into its place. To *gather* collects for every result place the y that reach
    it, and multiplies. The first touches taps · C numbers for each y, the second taps/stride² · O
    for each result place; a tall kernel on few y, or few result channels, is better scattered.
    """
    return _finish(b, transposed(b, y, w, size, how), bias)


def transposed(
    b: Any, y: Any, w: Any, size: Pair, how: Geometry, like: Any = None, gate: float = 1.0
) -> Any:
    """The same channels-last, multiplied by ``gate`` where ``like`` is not positive."""
    groups, stride, channels = how.groups, how.stride, w.shape[1] * how.groups
    if not (y.size and w.size and how.taps != ()):
        return b.xp.zeros((y.shape[0], *size, channels), dtype=y.dtype)
    flat = w.reshape(*w.shape[:2], -1)  # (O, C/groups, taps)
    flat = flat if how.taps is None else flat[:, :, list(how.taps)]
    if groups == 1 and _one_window(how.reads(w.shape[2:]), size, y.shape[2:]):
        out = _pictures_of_rows(b, y.reshape(y.shape[:2]), flat, size)
        return out if like is None else gate_of(b, out, like, low=gate)
    source, low = channels_last(b, y), [pair[0] for pair in how.padding]
    offsets = how.offsets(w.shape[2:])
    scattered = y.shape[2] * y.shape[3] * w.shape[1]
    gathered = size[0] * size[1] * w.shape[0] // groups // (stride[0] * stride[1])
    out = b.xp.empty((y.shape[0], *size, channels), dtype=y.dtype)
    if len(offsets) > 1 and scattering_pays(b, scattered, gathered):
        out[...] = 0
        by_output = b.xp.ascontiguousarray(flat.transpose(0, 2, 1))  # (O, taps, C/groups)
        each, where = _channels(by_output, groups, axis=0), (offsets, stride, low)
        for part, matrix, into in zip(_channels(source, groups), each, _channels(out, groups)):
            # y[i] times tap t goes to i·stride + offset_t - low
            for some in pieces(b, part, y.shape[2] * y.shape[3] * matrix[0].size):
                scatter_windows(b, _products(b, part[some], matrix), into[some], *where)
        return out if like is None else gate_of(b, out, like, low=gate)
    by_tap = b.xp.ascontiguousarray(flat.transpose(2, 0, 1))  # (taps, O, C/groups)
    each = _channels(by_tap, groups, axis=1)
    likes = [None] * groups if like is None else _channels(like, groups)
    for part, matrix, into, similar in zip(
        _channels(source, groups), each, _channels(out, groups), likes
    ):
        _gather(b, part, matrix, into, offsets, stride, low, similar, gate)
    return out


def _pictures_of_rows(b: Any, y: Any, flat: Any, size: Pair) -> Any:
    """Where the picture is one window: (N, O), (O, C, taps) -> (N, H, W, C).

    The product has its channels first or last as the weight has, and one of the two has to be
    turned round: the smaller. Results that stay channels first are turned by who needs it.
    """
    n, (outputs, channels, taps) = len(y), flat.shape
    if n < outputs:
        out = product(b, y, flat.reshape(outputs, channels * taps))
        return out.reshape(n, channels, *size).transpose(0, 2, 3, 1)
    last = b.xp.ascontiguousarray(flat.transpose(0, 2, 1)).reshape(outputs, taps * channels)
    return product(b, y, last).reshape(n, *size, channels)


def _products(b: Any, y: Any, weight: Any) -> Any:
    """Every y times all taps: (N, H', W', O), (O, taps, C) -> (N, H', W', taps, C)."""
    outputs, taps, channels = weight.shape
    y = b.xp.ascontiguousarray(y)
    matrix = weight.reshape(1, outputs, taps * channels)
    out = correlate(b, y, matrix, [(0, 0)], (1, 1), y.shape[1:3])
    return out.reshape(*y.shape[:3], taps, channels)


def _gather(
    b: Any,
    y: Any,
    weight: Any,
    out: Any,
    offsets: list[Pair],
    stride: Pair,
    low: list[int],
    like: Any,
    gate: float,
) -> None:
    """An ordinary convolution for each class of result places, written into ``out``.

    The places j of the result fall into stride² classes by the remainder of (j + p)/s. All
    places of one class see the same taps, at y-offsets (j + p - k·d)/s that move along with
    j, so within a class the transposed convolution is an ordinary one.
    """
    size = out.shape[1:3]
    reads = [
        [_class_reads(j, offsets, axis, stride[axis], low[axis]) for j in range(stride[axis])]
        for axis in (0, 1)
    ]
    for row in range(min(stride[0], size[0])):
        for column in range(min(stride[1], size[1])):
            down, across = reads[0][row], reads[1][column]
            used = [t for t in range(len(offsets)) if t in down and t in across]
            target = out[:, row :: stride[0], column :: stride[1]]
            similar = None if like is None else like[:, row :: stride[0], column :: stride[1]]
            if not used:
                target[...] = 0
                continue
            used.sort(key=lambda t: (down[t], across[t]))
            places = [(down[t], across[t]) for t in used]
            matrices = b.xp.ascontiguousarray(weight[used])  # (used, O, C)
            correlate(
                b, y, matrices, places, (1, 1), target.shape[1:3], target, None, 1.0, similar, gate
            )


def _class_reads(j: int, offsets: list[Pair], axis: int, stride: int, low: int) -> dict[int, int]:
    """For result place j: tap number -> the y-index it reads (the class moves along with it)."""
    reads = {}
    for t, offset in enumerate(offsets):
        position = j + low - offset[axis]
        if position % stride == 0:
            reads[t] = position // stride
    return reads


def _tap_matrices(b: Any, w: Any, taps: tuple[int, ...] | None) -> Any:
    """(O, C, kh, kw) -> (taps, C, O), contiguous."""
    flat = w.reshape(w.shape[0], w.shape[1], -1).transpose(2, 1, 0)
    return b.xp.ascontiguousarray(flat if taps is None else flat[list(taps)])


def _channels(x: Any, groups: int, axis: int = -1) -> list[Any]:
    """The last dimension, or another one, cut into ``groups`` equal parts."""
    if groups == 1:
        return [x]
    axis, width = axis % x.ndim, x.shape[axis] // groups
    before = (slice(None),) * axis
    return [x[(*before, slice(g * width, (g + 1) * width))] for g in range(groups)]


convolve.rules(
    x=lambda f, g, w, x_shape, how: f.convolve_transpose(g, w, size=x_shape[2:], how=how),
    w=lambda f, g, x, w_shape, how: f.convolve_weight(x, g, kernel=w_shape[2:], how=how),
    bias=lambda f, g: _bias_gradient(f, g),
)
convolve_transpose.rules(
    y=lambda f, g, w, y_shape, how: f.convolve(
        g, w, how=how.fitting(g.shape[2:], y_shape[2:], w.shape[2:])
    ),
    w=lambda f, g, y, w_shape, how: f.convolve_weight(
        g, y, kernel=w_shape[2:], how=how.fitting(g.shape[2:], y.shape[2:], w_shape[2:])
    ),
    bias=lambda f, g: _bias_gradient(f, g),
)
convolve_weight.rules(
    x=lambda f, g, y, x_shape, how: f.convolve_transpose(y, g, size=x_shape[2:], how=how),
    y=lambda f, g, x, how: f.convolve(x, g, how=how),
)
