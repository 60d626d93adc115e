"""An LSTM that crosses an image line by line, all cells of a line at once (PixelRNN).

Van den Oord, Kalchbrenner and Kavukcuoglu 2016, "Pixel recurrent neural networks", sections 3.1
and 3.2. A cell of the map takes the memory c from the same place on the line before, and the
state h from a few places there, by a convolution along the line::

    z_t = gates_t + weight * h_{t-1}           (i, f, g, o) = the four quarters of z_t
    c_t = σ(f)·c_{t-1} + σ(i)·tanh(g)          h_t = σ(o)·tanh(c_t)

What a line is makes the two kinds. The lines of a **Row LSTM** are the rows, its taps the three
cells above: (r-1, c-1), (r-1, c), (r-1, c+1). The lines of a **Diagonal LSTM** are the diagonals
r + c = t, and the two taps that lie on the diagonal before are the neighbours above and to the
left. Paper and reference shift each row by one place against the row above, so that diagonals
become columns: ``skew``. The kernel needs no such copy, nor the half of it that is padding: in
memory, the cells of a diagonal lie W - 1 places apart, those of an antidiagonal W + 1.
"""

from __future__ import annotations

from typing import Any

from minigen.autograd.fused import fused
from minigen.autograd.operation import functions
from minigen.autograd.tensor import Tensor
from minigen.ops.activation import logistic
from minigen.ops.creation import zeros
from minigen.ops.kernel import kernel
from minigen.ops.linalg import matmul
from minigen.ops.product import product
from minigen.ops.shape import concatenate, flip, pad, split

__all__ = ["line_lstm", "skew", "unskew"]

LINES = ("rows", "diagonals", "antidiagonals")


# ---------------------------------------------------------------- diagonals to columns, and back


def skew(x: Tensor) -> Tensor:
    """Row r moved r places to the right: (N, H, W, C) -> (N, H, W + H - 1, C), zeros around.

    Column t of the result holds the diagonal r + c = t. No row is moved by itself: with H zeros
    behind every row and one row's start to the next W + H apart, reading on as if it were
    W + H - 1 shifts each row by one more place.
    """
    n, height, width, channels = x.shape
    longer = width + height
    flat = pad(x, (0, 0, 0, height)).reshape(n, height * longer, channels)
    flat = flat[:, : height * (longer - 1)]  # (N, H·(W + H), C) -> (N, H·(W + H - 1), C)
    return flat.reshape(n, height, longer - 1, channels)


def unskew(x: Tensor) -> Tensor:
    """The inverse of ``skew``: (N, H, W + H - 1, C) -> (N, H, W, C)."""
    n, height, columns, channels = x.shape
    flat = pad(x.reshape(n, height * columns, channels), (0, 0, 0, height))
    rows = flat.reshape(n, height, columns + 1, channels)  # row r moved r places to the left
    return rows[:, :, : columns + 1 - height]


# ---------------------------------------------------------------- the definition


def _lstm_over_lines(gates: Tensor, weight: Tensor) -> Tensor:
    """The equations above, line by line: (T, N, P, 4H), (4H, H, K) -> (T, N, P, H)."""
    _, n, places, _ = gates.shape
    _, size, taps = weight.shape
    h = c = zeros(n, places, size, dtype=gates.dtype)
    outputs = []
    for t in range(gates.shape[0]):
        around = pad(h, (0, 0, taps // 2, taps - 1 - taps // 2))  # (N, P + K - 1, H)
        z = functions.getitem(gates, index=t)
        for k in range(taps):
            z = z + matmul(around[:, k : k + places], weight[:, :, k].transpose(0, 1))
        i, f, g, o = split(z, size, 2)
        c = functions.sigmoid(f) * c + functions.sigmoid(i) * functions.tanh(g)
        h = functions.sigmoid(o) * functions.tanh(c)
        outputs.append(h.unsqueeze(0))
    return concatenate(outputs)


def _reference(gates: Tensor, weight: Tensor, *, lines: str) -> Tensor:
    """Outside of the image skewed gates are 0; without bias, so are c and h there, as it must."""
    if lines == "antidiagonals":
        return flip(_reference(flip(gates, 2), weight, lines="diagonals"), 2)
    if lines == "diagonals":
        columns = skew(gates).permute(2, 0, 1, 3)  # (N, H, W, 4h) -> (H + W - 1, N, H, 4h)
        return unskew(_lstm_over_lines(columns, weight).permute(1, 2, 0, 3))
    return _lstm_over_lines(gates.permute(1, 0, 2, 3), weight).permute(1, 0, 2, 3)


# ---------------------------------------------------------------- the kernels of one line


@kernel
def lstm_cell(b: Any, z: Any, c: Any, tanh_c: Any, h: Any) -> Any:
    """One step of M cells: ``z`` (M, 4H) becomes σ(i), σ(f), tanh(g), σ(o); c, in place; h."""
    xp, size = b.xp, c.shape[1]
    i, f, g, o = (z[:, k * size : (k + 1) * size] for k in range(4))
    for gate in (z[:, : 2 * size], o):
        gate[...] = logistic(b, gate)
    xp.tanh(g, out=g)
    c *= f
    c += i * g
    xp.tanh(c, out=tanh_c)
    xp.multiply(o, tanh_c, out=h)


@kernel
def lstm_cell_backward(
    b: Any, sigma: Any, before: Any, tanh_c: Any, g_h: Any, g_c: Any, g_z: Any
) -> Any:
    """The way back: fills ``g_z`` (M, 4H) and turns ``g_c``, in place, into that by c before."""
    size = before.shape[1]
    i, f, g, o = (sigma[:, k * size : (k + 1) * size] for k in range(4))
    g_c += g_h * o * (1 - tanh_c * tanh_c)
    g_z[:, :size] = g_c * g * i * (1 - i)
    g_z[:, size : 2 * size] = g_c * before * f * (1 - f)
    g_z[:, 2 * size : 3 * size] = g_c * i * (1 - g * g)
    g_z[:, 3 * size :] = g_h * tanh_c * o * (1 - o)
    g_c *= f


# ---------------------------------------------------------------- the op


def _walk(height: int, width: int, lines: str) -> list[tuple[int, slice]]:
    """For each line: its first place along the line, and its cells in the H·W of the map."""
    if lines == "rows":
        return [(0, slice(r * width, (r + 1) * width)) for r in range(height)]
    if lines not in LINES:
        raise ValueError(f"lines must be one of {', '.join(LINES)}, got {lines!r}")
    step = width - 1 if lines == "diagonals" else width + 1
    walk = []
    for t in range(height + width - 1):
        first, last = max(0, t - width + 1), min(height - 1, t)  # rows r that cross the image
        origin = t if lines == "diagonals" else width - 1 - t
        cells = slice(origin + first * step, origin + last * step + 1, max(step, 1))
        walk.append((first, cells))
    return walk


@fused(reference=_reference)
def line_lstm(b, gates, weight, *, lines):
    """(N, H, W, 4h), (4h, h, K) -> all h, (N, H, W, h). Memory and state start at 0.

    lines: ``rows`` from top to bottom, K odd; ``diagonals`` from the left or ``antidiagonals``
    from the right upper corner, K = 2.
    """
    xp = b.xp
    n, height, width, _ = gates.shape
    _, size, taps = weight.shape
    count = n * height * width
    per_cell = gates.reshape(n, height * width, 4 * size)
    out = xp.empty((n, height * width, size), dtype=gates.dtype)
    # Line after line, and in a line cell after cell, N together: every line is one block.
    sigma = xp.empty((count, 4 * size), dtype=gates.dtype)
    windows = xp.empty((count, taps * size), dtype=gates.dtype)  # h before, at all taps
    before = xp.empty((count, size), dtype=gates.dtype)  # c before
    tanh_c = xp.empty((count, size), dtype=gates.dtype)
    places = width if lines == "rows" else height
    h = xp.zeros((places + taps - 1, n, size), dtype=gates.dtype)  # with a border
    c = xp.zeros((places, n, size), dtype=gates.dtype)
    across = weight.transpose(2, 1, 0).reshape(taps * size, 4 * size)
    start = 0
    for first, cells in _walk(height, width, lines):
        x = per_cell[:, cells].transpose(1, 0, 2)  # (N, L, 4h) -> (L, N, 4h)
        length = x.shape[0]
        block = slice(start, start + length * n)
        start = block.stop
        window = windows[block].reshape(length, n, taps, size)
        for k in range(taps):
            window[:, :, k] = h[first + k : first + k + length]
        z = product(b, windows[block], across, out=sigma[block])
        by_cell = z.reshape(length, n, 4 * size)
        by_cell += x
        memory = c[first : first + length].reshape(-1, size)
        before[block] = memory
        state = h[first + taps // 2 : first + taps // 2 + length]
        lstm_cell(b, z, memory, tanh_c[block], state.reshape(-1, size))
        out[:, cells] = state.transpose(1, 0, 2)
    return out.reshape(n, height, width, size), (sigma, windows, before, tanh_c)


@line_lstm.backward
def _(b, g, inputs, saved, needs, *, lines):
    """Backpropagation from the last line to the first; the weight's gradient in one product."""
    xp = b.xp
    _, weight = inputs
    sigma, windows, before, tanh_c = saved
    n, height, width, size = g.shape
    taps = weight.shape[2]
    arrived = g.reshape(n, height * width, size)
    g_gates = xp.empty((n, height * width, 4 * size), dtype=sigma.dtype)
    g_z = xp.empty_like(sigma)
    places = width if lines == "rows" else height
    g_h = xp.zeros((places + taps - 1, n, size), dtype=sigma.dtype)
    g_c = xp.zeros((places, n, size), dtype=sigma.dtype)
    back = weight.transpose(0, 2, 1).reshape(4 * size, taps * size)
    stop = sigma.shape[0]
    for first, cells in reversed(_walk(height, width, lines)):
        from_out = arrived[:, cells].transpose(1, 0, 2)  # (N, L, h) -> (L, N, h)
        length = from_out.shape[0]
        block = slice(stop - length * n, stop)
        stop = block.start
        g_state = g_h[first + taps // 2 : first + taps // 2 + length]
        g_state += from_out
        g_memory = g_c[first : first + length].reshape(-1, size)
        lstm_cell_backward(
            b, sigma[block], before[block], tanh_c[block],
            g_state.reshape(-1, size), g_memory, g_z[block],
        )  # fmt: skip
        g_gates[:, cells] = g_z[block].reshape(length, n, 4 * size).transpose(1, 0, 2)
        g_window = product(b, g_z[block], back).reshape(length, n, taps, size)
        g_h[...] = 0  # the line before is read through the windows only
        for k in range(taps):
            g_h[first + k : first + k + length] += g_window[:, :, k]
    g_weight = None
    if needs[1]:
        found = product(b, g_z.T, windows)  # (4h, K·h)
        g_weight = found.reshape(4 * size, taps, size).transpose(0, 2, 1)
    return g_gates.reshape(n, height, width, 4 * size), g_weight
