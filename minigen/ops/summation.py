"""Sums as exact as their type allows; every op, rule and kernel that adds up many numbers does it
here or, compiled, in ``backends/compiled/loops/summation.py``.

A running sum in float32 rounds after each term, by up to half a unit in the last place of all that
has come together so far. Where the terms have one sign the errors do, too: of four million numbers
near 250 the mean came out as 255. So at most :data:`FEW` terms are added in working precision; what
they make is added up in float64 and rounded once. With u = 2⁻²⁴, the largest relative error of one
rounding in float32,

    |Σ̂x - Σx| <= (FEW - 1 + 1) · u · Σ|x| < 1e-6 · Σ|x|

for any number of terms, along any axis and in any order in memory. The sum of float16 is made the
same way and rounded to float16 at the end; float64 is added in float64, and integers exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigen.autograd.operation import FLOAT16, FLOAT32, FLOAT64
from minigen.ops.kernel import kernel

__all__ = ["FEW", "dots", "mean_of", "running_sum", "sum_columns", "sum_of", "sum_rows"]

FEW = 16
"""So many terms are added in working precision at most."""

PAIRED = 64
"""NumPy adds so many neighbours in eight partial sums: with at most sixteen roundings, too."""

ROW = 128
"""So many products of a row ``einsum`` adds at a time: it keeps at least four sums side by side."""

SMALL = 4096
"""Elements of an array for which a pass costs less than to think about it."""

NARROW = 64
"""Rows shorter than this are added several at a time."""

Axis = int | Sequence[int] | None


def sum_of(b: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """``Σ x`` over ``axis`` (one, several, or None for all), in the dtype that ``x.sum`` has."""
    dtype = x.dtype
    if dtype is not FLOAT32 and dtype is not FLOAT16:
        return x.sum(axis=axis, keepdims=keepdims)
    terms = _terms(x.shape, axis)
    if dtype is FLOAT32 and (terms <= FEW or (terms == x.size <= PAIRED and x.flags.c_contiguous)):
        return x.sum(axis=axis, keepdims=keepdims)
    if x.size < SMALL:
        return x.sum(axis=axis, dtype=FLOAT64, keepdims=keepdims).astype(dtype)
    return wide_sum(b, x, axis, keepdims).astype(dtype)


def mean_of(b: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """``Σ x / n`` over ``axis``. A sum of halves may be too large for a half, their mean is not."""
    count = _terms(x.shape, axis)
    if x.dtype is FLOAT16:
        return (wide_sum(b, x, axis, keepdims) / count).astype(FLOAT16)
    return sum_of(b, x, axis, keepdims) / count


def _terms(shape: Sequence[int], axis: Axis) -> int:
    if axis is None:
        return math.prod(shape)
    return shape[axis] if isinstance(axis, int) else math.prod([shape[d] for d in axis])


@kernel
def wide_sum(b: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """``Σ x`` over ``axis`` in float64, of float32 or float16.

    To change the type of every term costs NumPy more than to add them up. So along one dimension
    that is not the last, groups of terms are added first, side by side with their neighbours.
    """
    one = axis if isinstance(axis, int) else axis[0] if axis is not None and len(axis) == 1 else -1
    one += x.ndim if one < 0 else 0
    if x.dtype is FLOAT16 or one == x.ndim - 1 or x.shape[-1] < NARROW:
        return x.sum(axis=axis, dtype=FLOAT64, keepdims=keepdims)
    length, before = x.shape[one], (slice(None),) * one
    whole = length - length % FEW
    groups = x[(*before, slice(0, whole))]
    groups = groups.reshape(*x.shape[:one], whole // FEW, FEW, *x.shape[one + 1 :])
    total = groups.sum(axis=one + 1).sum(axis=one, dtype=FLOAT64, keepdims=keepdims)
    if whole < length:
        total += x[(*before, slice(whole, length))].sum(axis=one, keepdims=keepdims)
    return total


@kernel
def sum_rows(b: Any, x: Any, out: Any = None, *, add: bool = False) -> Any:
    """``Σₙ x[n]``: (N, C) -> (C,), into ``out`` or added to it.

    Few rows at a time as a product with ones, which is faster than NumPy's sum over rows.
    """
    total = _rows_added(b.xp, x)
    if out is None:
        return total.astype(x.dtype, copy=False)
    if add:
        out += total.astype(x.dtype, copy=False)
    else:
        out[...] = total
    return out


def _rows_added(xp: Any, x: Any) -> Any:
    """(N, C) -> (C,), in float64 where there are many."""
    rows, columns = x.shape
    if rows <= FEW and x.dtype is not FLOAT16:
        return xp.matmul(xp.ones(rows, dtype=x.dtype), x)
    if x.size <= SMALL or x.dtype is FLOAT16:
        return x.sum(axis=0, dtype=FLOAT64)
    if 0 < columns < NARROW and rows >= 2 * NARROW and x.flags.c_contiguous:
        some = NARROW // columns + 1  # (N, C) -> (N/some, some·C), a longer row
        whole = rows - rows % some
        total = _rows_added(xp, x[:whole].reshape(whole // some, some * columns)).reshape(
            some, columns
        )
        return total.sum(axis=0, dtype=FLOAT64) + _rows_added(xp, x[whole:])
    whole = rows - rows % FEW
    groups = x[:whole].reshape(whole // FEW, FEW, columns)
    parts = xp.matmul(xp.ones((1, FEW), dtype=x.dtype), groups)  # (N/FEW, 1, C)
    total = parts.sum(axis=(0, 1), dtype=FLOAT64)
    return total + _rows_added(xp, x[whole:]) if whole < rows else total


@kernel
def sum_columns(b: Any, x: Any) -> Any:
    """``Σ_c x[:, c]``: (R, C) -> (R,). ``einsum`` adds up short rows faster than a reduction."""
    return _in_pieces(b.xp, "rkc->rk", x)


@kernel
def dots(b: Any, x: Any, other: Any, axis: int) -> Any:
    """``Σ x·y`` along one axis of two matrices: (R, C) twice -> (C,) for axis 0, (R,) for axis 1.

    ``einsum`` adds up short rows, and rows of all kinds, faster than a reduction does.
    """
    xp = b.xp
    if axis == 1:
        return _in_pieces(xp, "rkc,rkc->rk", x, other)
    rows, columns = x.shape
    if x.dtype is FLOAT16:
        return sum_rows(b, x.astype(FLOAT32) * other).astype(FLOAT16)
    if rows <= FEW:
        return xp.einsum("rc,rc->c", x, other)
    whole = rows - rows % FEW
    groups = [y[:whole].reshape(whole // FEW, FEW, columns) for y in (x, other)]
    total = xp.einsum("krc,krc->kc", *groups).sum(axis=0, dtype=FLOAT64)
    if whole < rows:
        total += xp.einsum("rc,rc->c", x[whole:], other[whole:])
    return total.astype(x.dtype, copy=False)


def _in_pieces(xp: Any, equation: str, *operands: Any) -> Any:
    """``equation`` over pieces of ``ROW`` columns, added up: (R, C) each -> (R,)."""
    rows, columns = operands[0].shape
    dtype = operands[0].dtype
    if dtype is FLOAT16:
        return _in_pieces(xp, equation, *[x.astype(FLOAT32) for x in operands]).astype(FLOAT16)
    if columns <= ROW:
        return xp.einsum(equation, *[x[:, None] for x in operands]).reshape(rows)
    whole = columns - columns % ROW
    pieces = [x[:, :whole].reshape(rows, whole // ROW, ROW) for x in operands]
    total = xp.einsum(equation, *pieces).sum(axis=1, dtype=FLOAT64)
    if whole < columns:
        total += xp.einsum(equation, *[x[:, None, whole:] for x in operands]).reshape(rows)
    return total.astype(dtype, copy=False)


def running_sum(b: Any, x: Any, axis: int) -> Any:
    """``out_i = Σ_{j<=i} x_j`` along ``axis``, in the dtype that ``cumsum`` has."""
    if x.dtype is FLOAT32 or x.dtype is FLOAT16:
        return b.xp.cumsum(x, axis=axis, dtype=FLOAT64).astype(x.dtype)
    return b.xp.cumsum(x, axis=axis)
