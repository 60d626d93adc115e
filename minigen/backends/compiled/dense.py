"""Bias and activation of a dense layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.support import FLOATS, loops_for, without_gaps

RECTIFIERS = ("relu", "leaky_relu")


def add_bias(b: Any, rows: Array, bias: Array) -> Any:
    """``rows += bias`` along the last dimension; equals ``add_bias`` in ``ops/product.py``."""
    if not without_gaps(rows, bias):
        return NotImplemented
    b.run(loops_for(rows).add_bias, rows.reshape(-1, rows.shape[-1]), bias)
    return None


def activate(b: Any, z: Array, bias: Array, *, activation: str, slope: float) -> Any:
    """``z ← φ(z + bias)`` for φ of the ReLU family; equals ``activate`` in ``ops/dense.py``."""
    if not _rows(z) or bias.dtype != z.dtype or not bias.flags.c_contiguous:
        return NotImplemented
    run = loops_for(z)
    if activation in RECTIFIERS:
        b.run(run.bias_and_rectify, z, bias, _low(z, activation, slope))
    elif z.dtype != FLOATS[0]:
        return NotImplemented
    else:
        b.run(run.bias_and_tanh if activation == "tanh" else run.bias_and_sigmoid, z, bias)
    return None


def activate_backward(
    b: Any, g: Array, y: Array, g_bias: Array, *, add: bool, activation: str, slope: float
) -> Any:
    """``g · φ'`` and its sum over rows; equals ``activate_backward`` in ``ops/dense.py``."""
    if not _rows(g, y) or g_bias.dtype != g.dtype or not g_bias.flags.c_contiguous:
        return NotImplemented
    g_z = b.xp.empty_like(g)
    run = loops_for(g)
    if activation in RECTIFIERS:
        b.run(run.gate_and_sum, g, y, g_z, g_bias, add, _low(g, activation, slope))
    else:
        routine = run.tanh_and_sum if activation == "tanh" else run.sigmoid_and_sum
        b.run(routine, g, y, g_z, g_bias, add, g.dtype.type(1))
    return g_z


def _rows(*arrays: Array) -> bool:
    for x in arrays:
        if not isinstance(x, np.ndarray) or x.ndim != 2:
            return False
    return without_gaps(*arrays)


def _low(x: Array, activation: str, slope: float) -> Any:
    return x.dtype.type(slope if activation == "leaky_relu" else 0.0)


KERNELS = (
    add_bias,
    activate,
    activate_backward,
)
"""As the backend registers them, by their names."""
