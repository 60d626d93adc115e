"""How a loop is compiled: when first called, and kept on disk."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any], signature: Any = None, **options: Any) -> Any:
    """Compile on the first call with arguments of each type, or at once for those of ``signature``,
    and keep the result on disk.

    The machine code lies in ``__pycache__`` or, where that cannot be written, in the user's
    cache folder; where neither can be, it is compiled anew in each process.
    """
    options |= {"error_model": "numpy"}
    try:
        return numba.njit(signature, cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function …: no locator available"
        return numba.njit(signature, **options)(function)


together = functools.partial(compiled, parallel=True)
"""``compiled``, where ``numba.prange`` divides a loop among threads."""

contracted = functools.partial(compiled, fastmath={"contract"})
"""``compiled``, where a·b + c may be one operation with one rounding: twice as fast."""

summing = functools.partial(compiled, fastmath={"contract", "reassoc"})
"""``contracted``, where a sum along a row may be made of several partial sums, side by side: their
order is fixed when the loop is compiled, so that results are still the same in every run."""
