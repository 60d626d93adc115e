"""The NumPy backend's own versions of named kernels (see ``minigen.ops.kernel``), without Numba."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array


def or_zero(b: Any, keep: Array, x: Array) -> Array:
    """``x`` where ``keep`` holds, else 0; equals ``or_zero`` in ``ops/choice.py``.

    Bit by bit: a number & 11…1 is the number, infinities and NaN included, and a number & 00…0 is
    0. ``numpy.where`` branches at each element: on a mask without a pattern that takes ten times
    as long.
    """
    if x.dtype.kind != "f" or keep.dtype.kind != "b":
        return NotImplemented
    integer = f"i{x.dtype.itemsize}"
    return (-keep.astype(integer) & x.view(integer)).view(x.dtype)


KERNELS = {or_zero.__name__: or_zero}
"""Name → kernel, as the backend registers them."""
