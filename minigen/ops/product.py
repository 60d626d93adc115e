"""The matrix product as a kernel, so that a backend may bring a faster library than its own; and
what stands beside it in a dense layer, the bias.

Ops multiply large matrices through here and not by ``b.xp.matmul``: where two libraries take turns,
the threads of each stay awake for a while and take the cores from the other's.
"""

from __future__ import annotations

from typing import Any

from minigen.autograd.operation import FLOAT16, FLOAT32
from minigen.ops.kernel import kernel

__all__ = ["add_bias", "product"]


@kernel
def product(b: Any, x: Any, other: Any, out: Any = None, *, add: bool = False) -> Any:
    """``x · other`` of the last two dimensions, batched over the others.

    Args:
        b: the backend.
        x: (…, n, k), a view in any order.
        other: (…, k, m), likewise.
        out: (…, n, m), where the result goes; a new array if None.
        add: add the product to what ``out`` holds.

    Halves are multiplied and added up in float32.
    """
    if x.dtype is FLOAT16 and other.dtype is FLOAT16:
        found = product(b, x.astype(FLOAT32), other.astype(FLOAT32))
        if out is None:
            return found.astype(FLOAT16)
        out[...] = out + found if add else found
        return out
    if not add:
        return b.xp.matmul(x, other, out=out)
    out += b.xp.matmul(x, other)
    return out


@kernel
def add_bias(b: Any, rows: Any, bias: Any) -> None:
    """``rows[…, c] += bias[c]`` in place: (…, C), (C,)."""
    rows += bias
