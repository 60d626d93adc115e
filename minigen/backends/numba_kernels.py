"""The CPU backend's compiled versions of minigen's named kernels (``pip install minigen[fast]``).

What lies between the matrix products is bound by memory: NumPy takes several passes where one
would do. Each kernel here has the signature of the plain version of the same name (see
``minigen.ops.kernel``), which says what is computed; here stands only when a compiled loop of
``numba_loops`` can take its place. A kernel answers ``NotImplemented``, and the plain version
runs, for arrays that the loop does not handle (another dtype, gaps in memory, operands that lie
in different orders) or that are so small that a pass costs less than a call.

Numba is imported, and a loop compiled, when the first array large enough comes along. The
environment variable ``MINIGEN_NUMBA=0`` turns all of this off.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigen.backends.base import Array

SMALL = 4096
"""Arrays with fewer elements are left to NumPy."""

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def available() -> bool:
    """Whether Numba is installed and not turned off."""
    return os.environ.get("MINIGEN_NUMBA") != "0" and importlib.util.find_spec("numba") is not None


@functools.cache
def loops() -> Any:
    """The module of loops, or None where Numba is installed but cannot be imported."""
    try:
        return importlib.import_module("minigen.backends.numba_loops")
    except ImportError as error:  # Numba refuses a NumPy that is newer than itself
        warnings.warn(f"minigen runs without Numba: {error}", RuntimeWarning, stacklevel=2)
        return None


def in_memory_order(*arrays: Any, dtypes: Sequence[np.dtype] = FLOATS) -> list[Array] | None:
    """The arrays as one-dimensional views, elements as they lie in memory; None if they differ.

    They must be arrays of one shape, one dtype (of ``dtypes``) and one order of dimensions in
    memory, and their elements must lie without gaps.
    """
    one = arrays[0]
    if any(type(x) is not np.ndarray for x in arrays) or one.size < max(SMALL, 1):
        return None
    if one.dtype not in dtypes:
        return None
    for other in arrays[1:]:
        if other.shape != one.shape or other.dtype != one.dtype:
            return None
        if other.strides != one.strides and _steps(other) != _steps(one):
            return None
    if one.flags.c_contiguous:
        return [x.reshape(-1) for x in arrays]
    order = sorted(range(one.ndim), key=lambda d: -one.strides[d])
    if not one.transpose(order).flags.c_contiguous:
        return None
    return [x.transpose(order).reshape(-1) for x in arrays]


def _steps(x: Array) -> list[int]:
    """The strides that matter: those of dimensions longer than 1."""
    return [stride for n, stride in zip(x.shape, x.strides) if n > 1]


def new_like(*arrays: Any, dtypes: Sequence[np.dtype] = FLOATS) -> Any:
    """(loops, a new array like the first, all flat with the new one first); None: leave it."""
    flat = in_memory_order(*arrays, dtypes=dtypes)
    if flat is None or loops() is None:
        return None
    out = np.empty_like(arrays[0])
    return loops(), out, [out.ravel("K"), *flat]


# ---------------------------------------------------------------- activations and losses


def rectify(b: Any, x: Array, *, low: float) -> Array:
    """ReLU and leaky ReLU; equals ``rectify`` in ``ops/activation.py``."""
    found = new_like(x)
    if found is None:
        return NotImplemented
    run, out, flat = found
    (run.rectify if low else run.relu)(*flat, x.dtype.type(low))
    return out


def gate(b: Any, g: Array, like: Array, *, low: float) -> Array:
    """The gradient of the ReLU family; equals ``gate`` in ``ops/activation.py``."""
    found = new_like(g, like)
    if found is None:
        return NotImplemented
    run, out, flat = found
    run.gate(*flat, g.dtype.type(low))
    return out


def logistic(b: Any, x: Array) -> Array:
    """The sigmoid in float32; equals ``logistic`` in ``ops/activation.py``."""
    found = new_like(x, dtypes=FLOATS[:1])
    if found is None:
        return NotImplemented
    run, out, flat = found
    run.sigmoid(*flat)
    return out


def logit_cross_entropy(b: Any, x: Array, target: Array) -> Array:
    """Binary cross-entropy in float32; equals ``logit_cross_entropy`` in ``ops/loss.py``."""
    found = new_like(x, target, dtypes=FLOATS[:1])
    if found is None:
        return NotImplemented
    run, out, flat = found
    run.bce_with_logits(*flat)
    return out


# ---------------------------------------------------------------- convolution


def add_bias(b: Any, rows: Array, bias: Array) -> Any:
    """``rows += bias`` along the last dimension; equals ``add_bias`` in ``ops/_windows.py``."""
    usable = (
        rows.size >= max(SMALL, 1)
        and rows.dtype in FLOATS
        and bias.dtype == rows.dtype
        and rows.flags.c_contiguous
        and bias.flags.c_contiguous
    )
    if not usable or loops() is None:
        return NotImplemented
    loops().add_bias(rows.reshape(-1, rows.shape[-1]), bias)
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
        out_size < max(SMALL, 1)
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
    out = np.empty((n, *size, len(taps), c), dtype=source.dtype)
    rows = out.reshape(-1, len(taps) * c)
    loops().gather_windows(rows, memory, tuple(size), strides, np.array(runs))
    return out


# ---------------------------------------------------------------- gates


def gate_backward(b: Any, g: Array, parts: Array) -> Any:
    """The gradient of both halves; equals ``gate_backward`` in ``ops/time_first.py``."""
    if not _blocks(parts, g):
        return NotImplemented
    out = np.empty_like(parts)
    flat = [y.reshape(-1, y.shape[-1]) for y in (g, parts, out)]
    loops().gate_backward(*flat, g.dtype.type(1))
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
        products.size >= max(SMALL, 1)
        and products.dtype in FLOATS
        and out.dtype == products.dtype
        and products.flags.c_contiguous
        and out.flags.c_contiguous
    )
    if not usable or loops() is None:
        return NotImplemented
    moves = np.array([[row - low[0], column - low[1]] for row, column in taps])
    loops().scatter_windows(out, products, moves, tuple(step))
    return None


# ---------------------------------------------------------------- recurrent networks


def lstm_cell(b: Any, z: Array, c: Array, tanh_c: Array, h: Array) -> Any:
    """A step of many cells in float32; equals ``lstm_cell`` in ``ops/line_recurrent.py``."""
    if not _blocks(z, c, tanh_c, h, dtypes=FLOATS[:1]):
        return NotImplemented
    loops().lstm_cell(z, c, tanh_c, h)
    return None


def lstm_cell_backward(
    b: Any, sigma: Array, before: Array, tanh_c: Array, g_h: Array, g_c: Array, g_z: Array
) -> Any:
    """The way back; equals ``lstm_cell_backward`` in ``ops/line_recurrent.py``."""
    if not _blocks(sigma, before, tanh_c, g_h, g_c, g_z):
        return NotImplemented
    one = sigma.dtype.type(1)
    loops().lstm_cell_backward(sigma, before, tanh_c, g_h, g_c, g_z, one)
    return None


def _blocks(first: Array, *others: Array, dtypes: Sequence[np.dtype] = FLOATS) -> bool:
    """Whether all are arrays without gaps, of one dtype among ``dtypes``, and large enough."""
    return (
        first.size >= max(SMALL, 1)
        and first.dtype in dtypes
        and all(x.dtype == first.dtype and x.flags.c_contiguous for x in (first, *others))
        and loops() is not None
    )


# ---------------------------------------------------------------- flows


def couple(b: Any, x: Array, said: Array, *, swap: bool, limit: float) -> Any:
    """A coupling of images in float32; equals ``couple`` in ``ops/coupling.py``."""
    found = _rows_of(x, said)
    if found is None:
        return NotImplemented
    n, channels, height, width = x.shape
    moved = said.shape[1] // 2
    z, squashed, scale = (
        np.empty((n, height, width, c), x.dtype) for c in (channels, moved, moved)
    )
    log_det = np.empty(n, x.dtype)
    start = 0 if swap else channels - moved
    flat = [y.reshape(n, -1, y.shape[-1]) for y in (z, squashed, scale, *found)]
    loops().couple(*flat, log_det, start, x.dtype.type(limit), x.dtype.type(1 / limit))
    first = [y.transpose(0, 3, 1, 2) for y in (z, squashed, scale)]
    return first[0], log_det, first[1], first[2]


def couple_backward(
    b: Any, g: Array, g_log_det: Array, x: Array, squashed: Array, scale: Array, *, swap: bool
) -> Any:
    """The way back; equals ``couple_backward`` in ``ops/coupling.py``."""
    found = _rows_of(g, x, squashed, scale)
    if found is None:
        return NotImplemented
    n, channels, height, width = x.shape
    moved = squashed.shape[1]
    g_x, g_said = (np.empty((n, height, width, c), x.dtype) for c in (channels, 2 * moved))
    start = 0 if swap else channels - moved
    flat = [y.reshape(n, -1, y.shape[-1]) for y in (g_x, g_said, *found)]
    loops().couple_backward(*flat, np.ascontiguousarray(g_log_det), start, x.dtype.type(1))
    return g_x.transpose(0, 3, 1, 2), g_said.transpose(0, 3, 1, 2)


def _rows_of(*images: Array) -> list[Array] | None:
    """Images (N, C, H, W) in float32 as contiguous (N, H, W, C); None if that is not what they are.

    What lies otherwise is copied.
    """
    if images[0].size < max(SMALL, 1) or loops() is None:
        return None
    if any(type(x) is not np.ndarray or x.ndim != 4 or x.dtype != FLOATS[0] for x in images):
        return None
    return [np.ascontiguousarray(x.transpose(0, 2, 3, 1)) for x in images]


# ---------------------------------------------------------------- optimizers, one pass each


def adam_step(
    b: Any,
    value: Array,
    grad: Array,
    first: Array,
    second: Array,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
) -> Any:
    """A step of Adam or AdamW; equals ``adam_step`` in ``optim/adam.py``."""
    flat = in_memory_order(value, grad, first, second)
    if flat is None or loops() is None:
        return NotImplemented
    k = math.sqrt((1 - betas[1]) / (1 - betas[1] ** step))
    numbers = (
        *betas,
        lr * (1 - betas[0]) / ((1 - betas[0] ** step) * k),
        eps / k,
        0.0 if decoupled else weight_decay,
        1 - lr * weight_decay if decoupled else 1.0,
    )
    loops().adam_step(*flat, *[value.dtype.type(number) for number in numbers])
    return None


def average_step(b: Any, average: Array, value: Array, *, decay: float) -> Any:
    """A step of a moving average; equals ``average_step`` in ``optim/ema.py``."""
    flat = in_memory_order(average, value)
    if flat is None or loops() is None:
        return NotImplemented
    dtype = average.dtype.type
    loops().average_step(*flat, dtype(decay), dtype(1 - decay))
    return None


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        adam_step,
        add_bias,
        average_step,
        couple,
        couple_backward,
        gate,
        gate_backward,
        gather_windows,
        logistic,
        logit_cross_entropy,
        lstm_cell,
        lstm_cell_backward,
        rectify,
        scatter_windows,
    )
}
"""Name → kernel, as the backend registers them."""
