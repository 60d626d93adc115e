"""Losses with their slopes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.support import FLOATS, loops_for, without_gaps


def cross_entropy_rows(b: Any, x: Array, target: Array) -> Any:
    """Cross-entropy of each row and its slope, in float32; equals the one in ``ops/loss.py``."""
    if not isinstance(x, np.ndarray) or not isinstance(target, np.ndarray) or x.ndim != 2:
        return NotImplemented
    if x.shape != target.shape or not without_gaps(x, target, dtypes=FLOATS[:1]):
        return NotImplemented
    total, slope = b.xp.empty(x.shape[0], dtype=x.dtype), b.xp.empty_like(x)
    b.run(loops_for(x).cross_entropy_rows, x, target, total, slope)
    return total, slope


KERNELS = (cross_entropy_rows,)
"""As the backend registers them, by their names."""
