"""Sums of float32 that do not drift: few terms in working precision, what they make in float64.

``ops/summation.py`` says why. A loop that adds up rows as it makes them keeps two lines: ``some``,
in the arrays' dtype, and ``wide``, in float64. Each row is added to ``some``, and after every
``FEW`` rows ``some`` is moved over to ``wide``. A row itself is added up in pieces of ``PIECE``
elements, in as many sums side by side as the processor has lanes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, summing

FEW = 16  # rows, as in ops/summation.py
PIECE = 256  # elements of a row
NARROW = 32  # rows shorter than this are added several at a time


@compiled
def move_over(wide: Array, some: Array) -> None:
    """``wide += some``, and ``some`` is zero again."""
    for c in range(some.size):
        wide[c] += some[c]
        some[c] = 0


@compiled
def add_rows(wide: Array, rows: Array) -> None:
    """``wide += Σ rows``: (C,) in float64, (n, C); eight rows at a time, in registers."""
    count, columns = rows.shape
    whole = count - count % 8
    for r in range(0, whole, 8):
        a, b, c, d = rows[r], rows[r + 1], rows[r + 2], rows[r + 3]
        e, f, g, h = rows[r + 4], rows[r + 5], rows[r + 6], rows[r + 7]
        for k in range(columns):
            wide[k] += ((a[k] + b[k]) + (c[k] + d[k])) + ((e[k] + f[k]) + (g[k] + h[k]))
    for r in range(whole, count):
        row = rows[r]
        for k in range(columns):
            wide[k] += row[k]


@compiled
def add_narrow_rows(wide: Array, rows: Array) -> None:
    """The same for short rows, of which several make a long one: they must lie without gaps."""
    count, columns = rows.shape
    together = max(NARROW // columns, 1)
    whole = count - count % together
    long = np.zeros(together * columns)
    add_rows(long, rows.reshape(-1)[: whole * columns].reshape(-1, together * columns))
    for k in range(long.size):
        wide[k % columns] += long[k]
    add_rows(wide, rows[whole:])


@summing
def piece_sum(x: Array) -> Any:
    """Σ x of at most ``PIECE`` elements, in their dtype."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total


@compiled
def row_sum(x: Array) -> Any:
    """Σ x in one dimension, in float64."""
    total = 0.0
    for first in range(0, x.size, PIECE):
        total += piece_sum(x[first : first + PIECE])
    return total


@compiled
def sum_middle(out: Array, x: Array) -> None:
    """``out[a, c] = Σ_r x[a, r, c]`` in float64: (A, C), (A, R, C)."""
    parts, _, columns = x.shape
    for a in range(parts):
        if columns == 1:
            out[a, 0] = row_sum(x[a].reshape(-1))
        else:
            out[a] = 0
            if columns < NARROW:
                add_narrow_rows(out[a], x[a])
            else:
                add_rows(out[a], x[a])


@compiled
def sum_rows(x: Array, total: Array, add: bool) -> None:
    """``total`` = or += the sum over rows: (N, C), (C,)."""
    wide = np.zeros(total.size)
    if total.size < NARROW:
        add_narrow_rows(wide, x)
    else:
        add_rows(wide, x)
    hand_over(total, wide, add)


@compiled
def hand_over(total: Array, wide: Array, add: bool) -> None:
    """``total`` = or += what was summed in float64."""
    for c in range(total.size):
        total[c] = total[c] + wide[c] if add else wide[c]
