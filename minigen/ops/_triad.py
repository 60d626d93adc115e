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

from typing import Any, NamedTuple

from minigen.autograd.primitive import primitive
from minigen.ops._windows import (
    add_bias,
    channels_first,
    channels_last,
    correlate,
    correlate_weight,
    grown,
    scatter_windows,
)
from minigen.ops.product import product

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

    def windows(self, size: Pair, kernel: Pair) -> Pair:
        """How many windows of ``kernel`` fit into ``size`` (padding included)."""
        rows, columns = [
            (n - d * (k - 1) - 1) // s + 1
            for n, k, s, d in zip(size, kernel, self.stride, self.dilation)
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
    kernel = w.shape[2:]
    (top, bottom), (left, right) = how.padding
    source = channels_last(b, x, (top, left), (bottom, right))
    size = how.windows(source.shape[1:3], kernel)
    weight = _tap_matrices(b, w, how.taps)  # (taps, C/groups, O)
    out = [
        correlate(b, part, matrix, how.offsets(kernel), how.stride, size)
        for part, matrix in zip(_channels(source, how.groups), _channels(weight, how.groups))
    ]
    return _finish(b, out[0] if how.groups == 1 else b.xp.concatenate(out, axis=3), bias)


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
    xp = b.xp
    (top, bottom), (left, right) = how.padding
    source = channels_last(b, x, (top, left), (bottom, right))
    grad = channels_last(b, y, (0, 0), (0, 0))
    parts = [
        correlate_weight(b, part, part_grad, how.offsets(kernel), how.stride)
        for part, part_grad in zip(_channels(source, how.groups), _channels(grad, how.groups))
    ]
    total = parts[0] if how.groups == 1 else xp.concatenate(parts, axis=2)
    moved = total.transpose(2, 1, 0)  # (taps, C/groups, O) -> (O, C/groups, taps)
    if how.taps is None:
        return xp.ascontiguousarray(moved).reshape(*moved.shape[:2], *kernel)
    out = xp.zeros((*moved.shape[:2], kernel[0] * kernel[1]), dtype=moved.dtype)
    for place, t in enumerate(how.taps):
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
    groups, stride = how.groups, how.stride
    offsets = how.offsets(w.shape[2:])
    scattered = y.shape[2] * y.shape[3] * w.shape[1]
    gathered = size[0] * size[1] * w.shape[0] // groups // (stride[0] * stride[1])
    transpose = _scatter if len(offsets) > 1 and 2 * scattered <= gathered else _gather
    if not (y.size and w.size and offsets):
        out = b.xp.zeros((y.shape[0], *size, w.shape[1] * groups), dtype=y.dtype)
    else:
        out = b.xp.empty((y.shape[0], *size, w.shape[1] * groups), dtype=y.dtype)
        low = [pair[0] for pair in how.padding]
        parts = zip(
            _channels(y.transpose(0, 2, 3, 1), groups),
            _channels(_tap_matrices(b, w, how.taps), groups),  # (taps, C/groups, O/groups)
            _channels(out, groups),
        )
        for part, matrix, into in parts:
            transpose(b, part, matrix.transpose(0, 2, 1), into, offsets, stride, low)
    return _finish(b, out, bias)


def _scatter(
    b: Any, y: Any, weight: Any, out: Any, offsets: list[Pair], stride: Pair, low: list[int]
) -> None:
    """Every y times all taps in one product, then each tap's share added where it belongs.

    (N, H', W', O), (taps, O, C), into ``out`` (N, H, W, C).
    """
    out[...] = 0
    n, rows, columns, _ = y.shape
    count, outputs, channels = weight.shape
    matrix = b.xp.ascontiguousarray(weight.transpose(1, 0, 2)).reshape(outputs, count * channels)
    products = product(b, b.xp.ascontiguousarray(y).reshape(-1, outputs), matrix)
    products = products.reshape(n, rows, columns, count, channels)
    scatter_windows(b, products, out, offsets, stride, low)  # y[i] goes to i·stride + offset - low


def _gather(
    b: Any, y: Any, weight: Any, out: Any, offsets: list[Pair], stride: Pair, low: list[int]
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
            if not used:
                target[...] = 0
                continue
            used.sort(key=lambda t: (down[t], across[t]))
            places = [(down[t], across[t]) for t in used]
            count = target.shape[1:3]
            first = [min(place[axis] for place in places) for axis in (0, 1)]
            last = [max(place[axis] for place in places) + count[axis] for axis in (0, 1)]
            high = [last[axis] - y.shape[1 + axis] for axis in (0, 1)]
            source = grown(b, y, [-first[0], -first[1]], high)  # so that every read falls inside
            shifted = [(place[0] - first[0], place[1] - first[1]) for place in places]
            correlate(
                b, source, b.xp.ascontiguousarray(weight[used]), shifted, (1, 1), count, target
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


def _channels(x: Any, groups: int) -> list[Any]:
    """The last dimension cut into ``groups`` equal parts."""
    if groups == 1:
        return [x]
    width = x.shape[-1] // groups
    return [x[..., g * width : (g + 1) * width] for g in range(groups)]


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
