"""The matrix product as a kernel, so that a backend may bring a faster library than its own."""

from __future__ import annotations

from typing import Any

from minigen.ops.kernel import kernel

__all__ = ["product"]


@kernel
def product(b: Any, x: Any, other: Any, out: Any = None, *, add: bool = False) -> Any:
    """``x · other`` of the last two dimensions, batched over the others.

    Args:
        b: the backend.
        x: (…, n, k), a view in any order.
        other: (…, k, m), likewise.
        out: (…, n, m), where the result goes; a new array if None.
        add: add the product to what ``out`` holds.
    """
    if not add:
        return b.xp.matmul(x, other, out=out)
    out += b.xp.matmul(x, other)
    return out
