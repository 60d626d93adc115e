"""Rows added up by their number."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled


@compiled
def rows_summed_at(out: Array, g: Array, index: Array, zero: Any) -> None:
    """``out[index[i]] += g[i]``, from zero: (rows, C), (n, C), (n,); other places are left out."""
    rows, columns = out.shape
    for r in range(rows):
        for c in range(columns):
            out[r, c] = zero
    for i in range(index.size):
        place = index[i]
        if 0 <= place < rows:
            into, row = out[place], g[i]
            for c in range(columns):
                into[c] += row[c]
