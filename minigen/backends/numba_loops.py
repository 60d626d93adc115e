"""The loops behind ``numba_kernels``: plain Python, compiled by Numba when first called.

Every loop is one pass over memory, in one thread. Threads were tried: after a matrix product
the threads of BLAS stay awake for a while, waiting for the next one, and have to share the cores
with a second pool. On two cores, between products, a gate on 1.6 million elements took 1.5 ms in
one thread, 1.6 ms in two Python threads and 2 to 6 ms in Numba's own. Where BLAS is told to let
its threads sleep (OPENBLAS_THREAD_TIMEOUT) two threads take 1.0 ms, but whole training steps were
no faster with two Python threads either way.

Arrays are one-dimensional in memory order unless a shape is given; they do not overlap, except
that an array may be written where it was read. Numbers come in the arrays' dtype, so that
float32 is never promoted. The compiler may neither reorder sums nor drop NaN: results are the
same in every run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from minigen.backends.base import Array


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Compile on the first call with arguments of each type, and keep the result on disk.

    The machine code lies in ``__pycache__`` or, where that cannot be written, in the user's
    cache folder; where neither can be, it is compiled anew in each process.
    """
    options |= {"error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function …: no locator available"
        return numba.njit(**options)(function)


contracted = functools.partial(compiled, fastmath={"contract"})
"""``compiled``, where a·b + c may be one operation with one rounding: twice as fast."""


# ---------------------------------------------------------------- activations and losses


@compiled
def rectify(out: Array, x: Array, low: Any) -> None:
    """``out = x`` where x > 0, ``low · x`` elsewhere."""
    for i in range(out.size):
        out[i] = low * x[i] if x[i] <= 0 else x[i]


@compiled
def relu(out: Array, x: Array, zero: Any) -> None:
    """``out = max(x, 0)``; infinities need no product with 0, and NaN stays."""
    for i in range(out.size):
        out[i] = zero if x[i] <= 0 else x[i]


@compiled
def gate(out: Array, g: Array, like: Array, low: Any) -> None:
    """``out = g`` where like > 0, ``low · g`` elsewhere."""
    for i in range(out.size):
        out[i] = g[i] if like[i] > 0 else low * g[i]


LOG2_E = np.float32(1 / math.log(2))
LN2_HIGH = np.float32(0.693359375)  # few bits: n · LN2_HIGH is exact for |n| < 2¹⁴
LN2_LOW = np.float32(math.log(2) - 0.693359375)
ROUNDER = np.float32(1.5 * 2**23)  # adding it rounds to a whole number, kept in the low bits
LEAST = np.float32(-87.0)  # e^-87 is just above the smallest normal number
F1, F2, F3, F4, F5, F6, F7 = (np.float32(1 / math.factorial(k)) for k in range(1, 8))
ONE = np.float32(1)
TWO = np.float32(2)


@contracted
def exp_of_negative(x: Any) -> Any:
    """``eˣ`` for float32 x ≤ 0, to 2 units in the last place; e^-87 below -87.

    x = n·ln 2 + r with a whole n and |r| ≤ ½ ln 2; then eʳ by Taylor's series up to r⁷, and 2ⁿ
    by writing n into the exponent. Nothing but arithmetic, so that many go side by side.
    """
    x = LEAST if x < LEAST else x
    shifted = x * LOG2_E + ROUNDER
    n = shifted - ROUNDER
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    bits = np.float32(shifted).view(np.int32)
    power = np.int32((bits + 127) << 23).view(np.float32)
    tail = F4 + r * (F5 + r * (F6 + r * F7))
    return power * (ONE + r * (F1 + r * (F2 + r * (F3 + r * tail))))


A1, A2, A3, A4, A5, A6, A7, A8 = (np.float32(2 / (2 * k + 1)) for k in range(8))


@contracted
def log_of_one_plus(e: Any) -> Any:
    """``ln(1 + e)`` for float32 e in [0, 1]: 2 artanh s = 2(s + s³/3 + s⁵/5 + …), s = e/(2+e)."""
    s = e / (TWO + e)
    q = s * s  # at most 1/9
    tail = A5 + q * (A6 + q * (A7 + q * A8))
    return s * (A1 + q * (A2 + q * (A3 + q * (A4 + q * tail))))


@contracted
def sigmoid_of(x: Any) -> Any:
    """``1/(1 + e⁻ˣ)`` for float32 x, from e^-|x|, which cannot overflow."""
    e = exp_of_negative(-abs(x))
    return (e if x < 0 else ONE) / (ONE + e)


@contracted
def tanh_of(x: Any) -> Any:
    """``tanh x`` = ±(1 - e)/(1 + e), e = e^-2|x|, for float32 x; absolute error below 1e-7."""
    e = exp_of_negative(-TWO * abs(x))
    t = (ONE - e) / (ONE + e)
    return -t if x < 0 else t


@contracted
def sigmoid(out: Array, x: Array) -> None:
    """``out = 1/(1 + e⁻ˣ)`` in float32, from e^-|x|, which cannot overflow."""
    for i in range(out.size):
        e = exp_of_negative(-abs(x[i]))
        out[i] = (e if x[i] < 0 else ONE) / (ONE + e)


@contracted
def bce_with_logits(out: Array, x: Array, target: Array) -> None:
    """``out = max(x, 0) - x·t + ln(1 + e^-|x|)`` in float32."""
    zero = np.float32(0)
    for i in range(out.size):
        e = exp_of_negative(-abs(x[i]))
        positive = zero if x[i] <= 0 else x[i]
        out[i] = log_of_one_plus(e) + positive - x[i] * target[i]


# ---------------------------------------------------------------- convolution


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


# ---------------------------------------------------------------- gates


@compiled
def gate_backward(g: Array, parts: Array, out: Array, one: Any) -> None:
    """g·s·(1 - t²) and g·t·s·(1 - s): (M, C), (M, 2C) → (M, 2C)."""
    count, size = g.shape
    for m in range(count):
        for k in range(size):
            t = parts[m, k]
            s = parts[m, size + k]
            through = g[m, k] * s
            out[m, k] = through * (one - t * t)
            out[m, size + k] = through * t * (one - s)


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


# ---------------------------------------------------------------- recurrent networks


@contracted
def lstm_cell(z: Array, c: Array, tanh_c: Array, h: Array) -> None:
    """A step of M cells in float32: (M, 4H) gates in place, (M, H) memory in place, its tanh, h.

    In several short loops, of which each goes many numbers at a time; one long loop does not.
    """
    count, size = c.shape
    for m in range(count):
        gates, memory, shown, state = z[m], c[m], tanh_c[m], h[m]
        for k in range(2 * size):
            gates[k] = sigmoid_of(gates[k])
        for k in range(2 * size, 3 * size):
            gates[k] = tanh_of(gates[k])
        for k in range(3 * size, 4 * size):
            gates[k] = sigmoid_of(gates[k])
        for k in range(size):
            memory[k] = gates[size + k] * memory[k] + gates[k] * gates[2 * size + k]
        for k in range(size):
            shown[k] = tanh_of(memory[k])
        for k in range(size):
            state[k] = gates[3 * size + k] * shown[k]


@compiled
def lstm_cell_backward(
    sigma: Array, before: Array, tanh_c: Array, g_h: Array, g_c: Array, g_z: Array, one: Any
) -> None:
    """The gradient by z from those by h and c; ``g_c`` becomes that by the memory before."""
    count, size = before.shape
    for m in range(count):
        for k in range(size):
            i = sigma[m, k]
            f = sigma[m, size + k]
            g = sigma[m, 2 * size + k]
            o = sigma[m, 3 * size + k]
            shown = tanh_c[m, k]
            state = g_h[m, k]
            memory = g_c[m, k] + state * o * (one - shown * shown)
            g_z[m, k] = memory * g * i * (one - i)
            g_z[m, size + k] = memory * before[m, k] * f * (one - f)
            g_z[m, 2 * size + k] = memory * i * (one - g * g)
            g_z[m, 3 * size + k] = state * shown * o * (one - o)
            g_c[m, k] = memory * f


# ---------------------------------------------------------------- flows


@contracted
def couple(
    z: Array,
    squashed: Array,
    scale: Array,
    x: Array,
    said: Array,
    log_det: Array,
    start: Any,
    limit: Any,
    inverse: Any,
) -> None:
    """z_b = x_b·exp(limit·tanh(r/limit)) + t in float32; (N, P, C), channels from ``start`` on."""
    samples, places, channels = x.shape
    moved = squashed.shape[2]
    for n in range(samples):
        t, e = squashed[n].reshape(-1), scale[n].reshape(-1)
        for p in range(places):
            for c in range(moved):
                t[p * moved + c] = said[n, p, moved + c]
        total = 0.0
        for k in range(t.size):  # without gaps, so that many go side by side
            t[k] = tanh_of(t[k] * inverse)
        for k in range(t.size):
            s = t[k] * limit
            low = exp_of_negative(-abs(s))
            e[k] = low if s < 0 else ONE / low
        for k in range(t.size):
            total += t[k]
        log_det[n] = total * limit
        for p in range(places):
            for c in range(channels):
                z[n, p, c] = x[n, p, c]
            for c in range(moved):
                z[n, p, start + c] = x[n, p, start + c] * e[p * moved + c] + said[n, p, c]


@compiled
def couple_backward(
    g_x: Array,
    g_said: Array,
    g: Array,
    x: Array,
    squashed: Array,
    scale: Array,
    g_log_det: Array,
    start: Any,
    one: Any,
) -> None:
    """g_b·eˢ, g_b, and (g_b·eˢ·x_b + g_log_det)·(1 - squashed²)."""
    samples, places, channels = x.shape
    moved = squashed.shape[2]
    for n in range(samples):
        for p in range(places):
            for c in range(channels):
                g_x[n, p, c] = g[n, p, c]
            for c in range(moved):
                through = g[n, p, start + c] * scale[n, p, c]
                g_x[n, p, start + c] = through
                g_said[n, p, c] = g[n, p, start + c]
                t = squashed[n, p, c]
                by_raw = through * x[n, p, start + c] + g_log_det[n]
                g_said[n, p, moved + c] = by_raw * (one - t * t)


# ---------------------------------------------------------------- optimizers


@compiled
def adam_step(
    p: Array,
    grad: Array,
    first: Array,
    second: Array,
    beta1: Any,
    beta2: Any,
    scale: Any,
    small: Any,
    decay: Any,
    shrink: Any,
) -> None:
    """``M ← β₁M + g, V ← β₂V + g², p ← shrink·p - scale · M/(√V + small)``, g = grad + decay·p."""
    for i in range(p.size):
        g = grad[i] + decay * p[i]
        m = beta1 * first[i] + g
        v = beta2 * second[i] + g * g
        first[i] = m
        second[i] = v
        p[i] = shrink * p[i] - scale * (m / (np.sqrt(v) + small))


@compiled
def average_step(average: Array, value: Array, decay: Any, rest: Any) -> None:
    """``average ← decay·average + rest·value``."""
    for i in range(average.size):
        average[i] = decay * average[i] + rest * value[i]
