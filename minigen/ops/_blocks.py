"""Elementwise work in pieces, so that what one pass writes is still in the cache for the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["blocks", "in_order_of"]


def blocks(b: Any, *arrays: Any) -> Iterator[list[Any]]:
    """Arrays of one size and one order in memory, side by side, in flat pieces.

    A piece has at most ``b.block`` elements. What was made by ``empty_like`` is written through;
    an array with gaps is read from a copy.
    """
    flat = [b.xp.ravel(x, "K") for x in arrays]
    for start in range(0, flat[0].size, b.block):
        yield [x[start : start + b.block] for x in flat]


def in_order_of(b: Any, x: Any, other: Any) -> Any:
    """``x`` with its elements in memory as ``other``, of the same shape, has them."""
    if x.strides == other.strides:
        return x
    moved = b.xp.empty_like(other, dtype=x.dtype)
    moved[...] = x
    return moved
