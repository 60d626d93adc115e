"""A step of many LSTM cells."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.support import FLOATS, loops, without_gaps


def lstm_cell(b: Any, z: Array, c: Array, tanh_c: Array, h: Array) -> Any:
    """A step of many cells in float32; equals ``lstm_cell`` in ``ops/line_recurrent.py``."""
    if not without_gaps(z, c, tanh_c, h, dtypes=FLOATS[:1]):
        return NotImplemented
    b.run(loops().lstm_cell, z, c, tanh_c, h)
    return None


def lstm_cell_backward(
    b: Any, sigma: Array, before: Array, tanh_c: Array, g_h: Array, g_c: Array, g_z: Array
) -> Any:
    """The way back; equals ``lstm_cell_backward`` in ``ops/line_recurrent.py``."""
    if not without_gaps(sigma, before, tanh_c, g_h, g_c, g_z):
        return NotImplemented
    one = sigma.dtype.type(1)
    b.run(loops().lstm_cell_backward, sigma, before, tanh_c, g_h, g_c, g_z, one)
    return None


KERNELS = (
    lstm_cell,
    lstm_cell_backward,
)
"""As the backend registers them, by their names."""
