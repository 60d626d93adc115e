"""How a loop is compiled: when first called, and kept on disk."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def compiled(function: Callable[..., Any], signature: Any = None, **options: Any) -> Any:
    """Compile on the first call with arguments of each type, or at once for those of ``signature``,
    and keep the result on disk.

    The machine code lies in ``__pycache__`` or, where that cannot be written, in the user's
    cache folder; where neither can be, it is compiled anew in each process. It holds what other
    files gave it to inline, so it is kept for as long as no file of this folder changes.
    """
    loop = numba.njit(error_model="numpy", **options)(function)
    try:
        loop.enable_caching()
    except RuntimeError:  # "cannot cache function …: no locator available"
        pass
    else:
        loop._cache._cache_file._source_stamp = state_of_sources()
    if signature is not None:
        loop.compile(signature)
        loop.disable_compile()
    return loop


@functools.cache
def state_of_sources() -> tuple[tuple[str, float, int], ...]:
    """Name, time and size of each file of loops. (Numba looks only at the one of the function.)"""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple([(file.name, (at := file.stat()).st_mtime, at.st_size) for file in files])


together = functools.partial(compiled, parallel=True)
"""``compiled``, where ``numba.prange`` divides a loop among threads."""

contracted = functools.partial(compiled, fastmath={"contract"})
"""``compiled``, where a·b + c may be one operation with one rounding: twice as fast."""

summing = functools.partial(compiled, fastmath={"contract", "reassoc"})
"""``contracted``, where a sum along a row may be made of several partial sums, side by side: their
order is fixed when the loop is compiled, so that results are still the same in every run."""
