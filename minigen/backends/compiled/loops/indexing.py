"""Rows added up by their number."""

from __future__ import annotations

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled
from minigen.backends.compiled.loops.summation import FEW, hand_over, move_over


@compiled
def rows_summed_at(out: Array, g: Array, index: Array) -> None:
    """``out[r] = Σ g[i]`` over the i with index[i] = r: (rows, C), (n, C), (n,); other places are
    left out.

    The i are first put in the order of their places (counted, and dealt out), so that each row of
    ``out`` is summed in one go.
    """
    rows, columns = out.shape
    ends = np.zeros(rows + 1, np.int64)  # ends[r + 1]: how many have a place <= r
    for i in range(index.size):
        if 0 <= index[i] < rows:
            ends[index[i] + 1] += 1
    for r in range(rows):
        ends[r + 1] += ends[r]
    order, begins = np.empty(index.size, np.int64), ends[:-1].copy()
    for i in range(index.size):
        if 0 <= index[i] < rows:
            order[begins[index[i]]] = i
            begins[index[i]] += 1
    some, wide = np.zeros(columns, g.dtype), np.zeros(columns)
    for r in range(rows):
        into = out[r]
        if ends[r + 1] - ends[r] <= FEW:
            into[:] = 0
            for k in range(ends[r], ends[r + 1]):
                row = g[order[k]]
                for c in range(columns):
                    into[c] += row[c]
            continue
        for k in range(ends[r], ends[r + 1]):
            row = g[order[k]]
            for c in range(columns):
                some[c] += row[c]
            if (k - ends[r]) % FEW == FEW - 1:
                move_over(wide, some)
        move_over(wide, some)
        hand_over(into, wide, False)
        wide[:] = 0
