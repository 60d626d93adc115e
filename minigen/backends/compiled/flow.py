"""The affine coupling of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.support import FLOATS, large, loops


def couple(b: Any, x: Array, said: Array, *, swap: bool, limit: float) -> Any:
    """A coupling of images in float32; equals ``couple`` in ``ops/coupling.py``."""
    found = _rows_of(x, said)
    if found is None:
        return NotImplemented
    n, channels, height, width = x.shape
    moved = said.shape[1] // 2
    z, squashed, scale = (
        b.xp.empty((n, height, width, c), x.dtype) for c in (channels, moved, moved)
    )
    log_det = b.xp.empty(n, x.dtype)
    start = 0 if swap else channels - moved
    flat = [y.reshape(n, -1, y.shape[-1]) for y in (z, squashed, scale, *found)]
    b.run(loops().couple, *flat, log_det, start, x.dtype.type(limit), x.dtype.type(1 / limit))
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
    g_x, g_said = (b.xp.empty((n, height, width, c), x.dtype) for c in (channels, 2 * moved))
    start = 0 if swap else channels - moved
    flat = [y.reshape(n, -1, y.shape[-1]) for y in (g_x, g_said, *found)]
    b.run(loops().couple_backward, *flat, np.ascontiguousarray(g_log_det), start, x.dtype.type(1))
    return g_x.transpose(0, 3, 1, 2), g_said.transpose(0, 3, 1, 2)


def _rows_of(*images: Array) -> list[Array] | None:
    """Images (N, C, H, W) in float32 as contiguous (N, H, W, C); None if that is not what they are.

    What lies otherwise is copied.
    """
    if not large(images[0]) or loops() is None:
        return None
    if any(not isinstance(x, np.ndarray) or x.ndim != 4 or x.dtype != FLOATS[0] for x in images):
        return None
    return [np.ascontiguousarray(x.transpose(0, 2, 3, 1)) for x in images]


KERNELS = (
    couple,
    couple_backward,
)
"""As the backend registers them, by their names."""
