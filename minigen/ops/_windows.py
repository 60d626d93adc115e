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
from minigen.ops.kernel import kernel

Tap = tuple[int, int]


def channels_last(b: Any, x: Array, low: Sequence[int], high: Sequence[int]) -> Array:
    """(N, C, H, W) -> (N, low+H+high, low+W+high, C), contiguous, grown with zeros.

    A negative width cuts off instead. No copy if there is nothing to do.
    """
    xp = b.xp
    n, c, h, w = x.shape
    view = x.transpose(0, 2, 3, 1)
    if not any((*low, *high)):
        return xp.ascontiguousarray(view)
    out = xp.zeros((n, h + low[0] + high[0], w + low[1] + high[1], c), dtype=x.dtype)
    into, taken = [slice(None)], [slice(None)]
    for size, before, after in zip((h, w), low, high):
        length = max(size + min(before, 0) + min(after, 0), 0)
        into.append(slice(max(before, 0), max(before, 0) + length))
        taken.append(slice(max(-before, 0), max(-before, 0) + length))
    out[tuple(into)] = view[tuple(taken)]
    return out


def channels_first(x: Array) -> Array:
    """(N, H, W, C) -> (N, C, H, W): another view of the same memory."""
    return x.transpose(0, 3, 1, 2)


@kernel
def gather_windows(b: Any, source: Array, taps: Sequence[Tap], step: Tap, size: Tap) -> Array:
    """``out[n, i, j, t, c] = source[n, i·step + tap_t, j·step + tap_t, c]``.

    (N, H, W, C) -> (N, rows, columns, taps, C), for ``size = (rows, columns)``; also known
    as im2col.
    """
    n, _, _, c = source.shape
    rows, columns = size
    out = b.xp.empty((n, rows, columns, len(taps), c), dtype=source.dtype)
    for t, (dy, dx) in enumerate(taps):
        out[:, :, :, t] = source[
            :,
            dy : dy + (rows - 1) * step[0] + 1 : step[0],
            dx : dx + (columns - 1) * step[1] + 1 : step[1],
        ]
    return out


def _batches(b: Any, source: Array, taps: int, size: Tap) -> list[slice]:
    """The batch cut so that the windows of one piece fit the backend's workspace."""
    n, _, _, c = source.shape
    one = max(size[0] * size[1] * taps * c * source.dtype.itemsize, 1)
    some = max(b.workspace // one, 1)
    return [slice(i, min(i + some, n)) for i in range(0, n, some)]


def correlate(
    b: Any, source: Array, weight: Array, taps: Sequence[Tap], step: Tap, size: Tap
) -> Array:
    """``out[n, i, j] = Σ_t source[n, i·step + tap_t] · weight[t]``.

    Args:
        b: the backend.
        source: (N, H, W, C), large enough for every tap of every window.
        weight: (taps, C, O).
        taps: the offsets, one for each matrix of ``weight``.
        step: distance between windows.
        size: number of windows down and across.

    Returns:
        (N, rows, columns, O), contiguous.
    """
    xp = b.xp
    n, _, _, c = source.shape
    outputs = weight.shape[2]
    out = xp.empty((n, *size, outputs), dtype=source.dtype)
    if not out.size:
        return out
    matrix = weight.reshape(len(taps) * c, outputs)
    if not matrix.size:
        out[...] = 0
        return out
    if _is_whole(source, taps, step, size):
        rows = source.reshape(-1, c)
        if c == 1:
            return xp.multiply(rows, matrix, out=out.reshape(-1, outputs)).reshape(out.shape)
        xp.matmul(rows, matrix, out=out.reshape(-1, outputs))
        return out
    for part in _batches(b, source, len(taps), size):
        windows = gather_windows(b, source[part], taps, step, size)
        xp.matmul(windows.reshape(-1, matrix.shape[0]), matrix, out=out[part].reshape(-1, outputs))
    return out


def correlate_weight(b: Any, source: Array, grad: Array, taps: Sequence[Tap], step: Tap) -> Array:
    """The gradient of :func:`correlate` by its weight: ``Σ_n,i,j source[i·step + tap_t] grad[i]``.

    (N, H, W, C), (N, rows, columns, O) -> (taps, C, O).
    """
    xp = b.xp
    c, outputs = source.shape[3], grad.shape[3]
    size = (grad.shape[1], grad.shape[2])
    total = xp.zeros((len(taps) * c, outputs), dtype=source.dtype)
    if grad.size and total.size:
        if _is_whole(source, taps, step, size):
            total = _product_of_columns(xp, source.reshape(-1, c), grad.reshape(-1, outputs))
        else:
            for part in _batches(b, source, len(taps), size):
                windows = gather_windows(b, source[part], taps, step, size)
                total += _product_of_columns(
                    xp, windows.reshape(-1, len(taps) * c), grad[part].reshape(-1, outputs)
                )
    return total.reshape(len(taps), c, outputs)


def _product_of_columns(xp: Any, left: Array, right: Array) -> Array:
    """``leftᵀ right``; BLAS is a third faster with the wider matrix on the left."""
    if left.shape[1] >= right.shape[1]:
        return xp.matmul(left.T, right)
    return xp.matmul(right.T, left).T


def _is_whole(source: Array, taps: Sequence[Tap], step: Tap, size: Tap) -> bool:
    """A 1×1 kernel at every place: the windows are the source itself."""
    return tuple(step) == (1, 1) and list(taps) == [(0, 0)] and source.shape[1:3] == tuple(size)
