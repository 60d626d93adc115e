"""The gradient of an embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.support import loops, without_gaps


def rows_summed_at(b: Any, g: Array, index: Array, *, rows: int) -> Any:
    """Rows added up by their number; equals ``rows_summed_at`` in ``ops/indexing.py``."""
    if index.dtype != np.int64 or not index.flags.c_contiguous or not without_gaps(g):
        return NotImplemented
    out = b.xp.empty((rows, g.shape[1]), g.dtype)
    b.run(loops().rows_summed_at, out, g, index)
    return out


KERNELS = (rows_summed_at,)
"""As the backend registers them, by their names."""
