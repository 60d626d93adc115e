"""How a loop is compiled: when first called, and kept on disk."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Compile on the first call with arguments of each type, and keep the result on disk.

    The machine code lies in ``__pycache__`` or, where that cannot be written, in the user's
    cache folder; where neither can be, it is compiled anew in each process.
    """
    options |= {"error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function …: no locator available"
        return numba.njit(**options)(function)


together = functools.partial(compiled, parallel=True)
"""``compiled``, where ``numba.prange`` divides a loop among threads."""

contracted = functools.partial(compiled, fastmath={"contract"})
"""``compiled``, where a·b + c may be one operation with one rounding: twice as fast."""
