"""GELU."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.support import FLOATS, new_like


def gelu_by_tanh(b: Any, x: Array) -> Any:
    """The value in float32; equals ``gelu_by_tanh`` in ``ops/gelu.py``."""
    found = new_like(b, x, dtypes=FLOATS[:1])
    if found is None:
        return NotImplemented
    run, out, flat = found
    b.run(run.gelu_by_tanh, *flat)
    return out


def gelu_by_tanh_backward(b: Any, g: Array, x: Array) -> Any:
    """The way back in float32; equals ``gelu_by_tanh_backward`` in ``ops/gelu.py``."""
    found = new_like(b, g, x, dtypes=FLOATS[:1])
    if found is None:
        return NotImplemented
    run, out, flat = found
    b.run(run.gelu_by_tanh_backward, *flat)
    return out


KERNELS = (
    gelu_by_tanh,
    gelu_by_tanh_backward,
)
"""As the backend registers them, by their names."""
