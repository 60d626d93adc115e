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


KERNELS = (gelu_by_tanh,)
"""As the backend registers them, by their names."""
