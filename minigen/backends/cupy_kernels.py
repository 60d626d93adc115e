"""The CUDA backend's own versions of minigen's named kernels (see ``minigen.ops.kernel``).

Each has the signature of the plain version of the same name, which says what is computed;
here stands only how it is launched. The sources are in ``cuda/``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.backends.base import Array

NO_ARRAY = np.intp(0)
"""A null pointer, for an array that a kernel may go without."""


def error_function(b: Any, x: Array) -> Array:
    """CUDA's ``erf``, through CuPy's elementwise function."""
    return importlib.import_module("cupyx.scipy.special").erf(x)


def gather_windows(
    b: Any,
    source: Array,
    taps: Sequence[tuple[int, int]],
    step: tuple[int, int],
    size: tuple[int, int],
) -> Array:
    """``out[n, i, j, t, c] = source[n, i·step + tap_t, j·step + tap_t, c]`` in one launch.

    (N, H, W, C), contiguous or not -> (N, rows, columns, taps, C) for ``size = (rows, columns)``.
    """
    n, _, _, c = source.shape
    out = b.xp.empty((n, *size, len(taps), c), dtype=source.dtype)
    if out.size:
        width = source.dtype.itemsize
        numbers = (n, *size, len(taps), c, *step, *(stride // width for stride in source.strides))
        table = b.tap_table(tuple([tuple(tap) for tap in taps]))
        numbers64 = [np.int64(number) for number in numbers]
        b.launch("windows", f"gather_windows_{width}", out.size, out, source, table, *numbers64)
    return out


# ---------------------------------------------------------------- optimizers, one pass each


def _step(b: Any, kernel: str, buffers: Sequence[Array | None], *numbers: Any) -> None:
    """Launch an optimizer's kernel over 1-D buffers of equal length; None is no buffer."""
    value = buffers[0]
    assert value is not None
    for buffer in buffers:
        if buffer is not None and (buffer.dtype != value.dtype or not buffer.flags.c_contiguous):
            raise TypeError(
                f"{kernel} needs contiguous buffers of one dtype, got {buffer.dtype} beside "
                f"{value.dtype}"
            )
    if value.dtype.name not in ("float32", "float64"):
        raise TypeError(f"{kernel} needs float32 or float64 buffers, got {value.dtype}")
    if value.size:
        arrays = [NO_ARRAY if buffer is None else buffer for buffer in buffers]
        scalars = [np.int32(x) if isinstance(x, bool) else np.float64(x) for x in numbers]
        name = f"{kernel}_{value.dtype.name}"
        b.launch("optimizers", name, value.size, *arrays, np.int64(value.size), *scalars)


def adam_step(
    b: Any,
    value: Array,
    grad: Array,
    first: Array,
    second: Array,
    largest: Array | None = None,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
) -> None:
    """A step of Adam or AdamW."""
    k = math.sqrt((1 - betas[1]) / (1 - betas[1] ** step))
    _step(
        b,
        "adam_step",
        (value, grad, first, second, largest),
        *betas,
        lr * (1 - betas[0]) / ((1 - betas[0] ** step) * k),
        eps / k,
        0.0 if decoupled else weight_decay,
        1 - lr * weight_decay if decoupled else 1.0,
    )


def sgd_step(
    b: Any,
    value: Array,
    grad: Array,
    velocity: Array | None,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    step: int,
) -> None:
    """A step of gradient descent."""
    numbers = lr, momentum, 1 - dampening, weight_decay, bool(nesterov), step == 1
    _step(b, "sgd_step", (value, grad, velocity), *numbers)


def rmsprop_step(
    b: Any,
    value: Array,
    grad: Array,
    square: Array,
    mean: Array | None,
    velocity: Array | None,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
) -> None:
    """A step of RMSprop."""
    numbers = lr, alpha, 1 - alpha, eps, weight_decay, momentum
    _step(b, "rmsprop_step", (value, grad, square, mean, velocity), *numbers)


def average_step(b: Any, average: Array, value: Array, *, decay: float) -> None:
    """``average ← decay·average + (1 - decay)·value``."""
    _step(b, "average_step", (average, value), decay, 1 - decay)


KERNELS = {
    kernel.__name__: kernel
    for kernel in (
        adam_step,
        average_step,
        error_function,
        gather_windows,
        rmsprop_step,
        sgd_step,
    )
}
"""Name → kernel, as the backend registers them."""
