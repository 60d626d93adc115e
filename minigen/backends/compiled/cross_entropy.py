"""Cross-entropy with its softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.support import FLOATS, loops, without_gaps


def cross_entropy_and_gradient(b: Any, x: Array, target: Array, *, ignore_index: int) -> Any:
    """In float32; equals ``cross_entropy_and_gradient`` in ``ops/loss.py``."""
    indices = isinstance(target, np.ndarray) and target.dtype == np.int64
    if not indices or not target.flags.c_contiguous or not without_gaps(x, dtypes=FLOATS[:1]):
        return NotImplemented
    loss, each = b.xp.empty(1, x.dtype), b.xp.empty(x.shape[0], x.dtype)
    grad = b.xp.empty_like(x)
    b.run(loops().mean_cross_entropy, loss, grad, each, x, target, ignore_index)
    return loss.reshape(()), grad


KERNELS = (cross_entropy_and_gradient,)
"""As the backend registers them, by their names."""
