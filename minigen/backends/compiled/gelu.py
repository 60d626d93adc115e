"""GELU."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.support import FLOATS, new_like


def gelu_by_tanh(b: Any, x: Array) -> Any:
    """Value and slope in float32; equals ``gelu_by_tanh`` in ``ops/gelu.py``."""
    found = new_like(b, x, dtypes=FLOATS[:1])
    if found is None:
        return NotImplemented
    run, out, flat = found
    slope = b.xp.empty_like(x)
    b.run(run.gelu_by_tanh, flat[0], slope.ravel("K"), flat[1])
    return out, slope


def multiply_by_slope(b: Any, g: Array, slope: Array) -> Any:
    """The way back; equals ``multiply_by_slope`` in ``ops/gelu.py``."""
    found = new_like(b, g, slope)
    if found is None:
        return NotImplemented
    run, out, flat = found
    b.run(run.multiply, *flat)
    return out


KERNELS = (
    gelu_by_tanh,
    multiply_by_slope,
)
"""As the backend registers them, by their names."""
