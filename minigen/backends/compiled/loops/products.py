"""MKL's products, called from compiled code that reads sizes, strides and addresses off the arrays.

From Python, through ctypes, that costs 6 µs beside the product itself: as much as a product of
(64, 64) matrices takes. From here it is less than 1 µs.

Compiled code knows the library's functions by name, also when it comes from disk. So ``link`` has
to say first where they are.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numba
import numpy as np
from llvmlite import binding
from numba import types

from minigen.backends.compiled.loops.compiling import compiled

ROWS_FIRST, PLAIN, TRANSPOSED = 101, 111, 112  # cblas.h

_integer, _pointer = types.intc, types.voidptr


def _gemm(number: Any) -> Any:
    """The C signature of one product, with the factors as ``number``."""
    matrix = _pointer, _integer
    return types.void(*[_integer] * 6, number, *matrix, *matrix, number, *matrix)


_GEMM_BATCH = types.void(_integer, *[_pointer] * 13, _integer, _pointer)

_sgemm: Any = types.ExternalFunction("minigen_sgemm", _gemm(types.float32))
_dgemm: Any = types.ExternalFunction("minigen_dgemm", _gemm(types.float64))
_sgemm_batch: Any = types.ExternalFunction("minigen_sgemm_batch", _GEMM_BATCH)
_dgemm_batch: Any = types.ExternalFunction("minigen_dgemm_batch", _GEMM_BATCH)


def link(library: Any) -> None:
    """Tell where the functions of the loaded ``library`` are."""
    for name in ("sgemm", "dgemm", "sgemm_batch", "dgemm_batch"):
        address = ctypes.cast(getattr(library, f"cblas_{name}"), ctypes.c_void_p).value
        binding.add_symbol(f"minigen_{name}", address)


@numba.njit(inline="always")
def _read(x: Any) -> tuple[int, int]:
    """(plain or transposed, elements from line to line) of matrices without gaps in one dimension.

    The stride of a dimension of length 1 says nothing; the library wants a large enough one.
    """
    rows, columns = x.shape[-2], x.shape[-1]
    down, across = x.strides[-2] // x.itemsize, x.strides[-1] // x.itemsize
    if (across == 1 or columns == 1) and (down >= columns or rows == 1):
        return PLAIN, (down if rows > 1 else columns)
    return TRANSPOSED, (across if columns > 1 else rows)


def multiply(out: Any, x: Any, other: Any, add: bool) -> None:
    """``out = x · other``, or ``out += x · other``: (n, k), (k, m) -> (n, m)."""
    order, step = _read(x)
    other_order, other_step = _read(other)
    sizes = ROWS_FIRST, order, other_order, out.shape[0], out.shape[1], x.shape[1]
    matrices = x.ctypes, step, other.ctypes, other_step
    result = out.ctypes, _read(out)[1]
    kept = 1.0 if add else 0.0
    if x.itemsize == 4:
        _sgemm(*sizes, np.float32(1.0), *matrices, np.float32(kept), *result)
    else:
        _dgemm(*sizes, 1.0, *matrices, kept, *result)


def multiply_each(out: Any, x: Any, other: Any, add: bool) -> None:
    """The same for every matrix of a batch: (…, n, k), (…, k, m) -> (…, n, m)."""
    n, m, k = out.shape[-2], out.shape[-1], x.shape[-1]
    begins = np.empty((3, out.size // (n * m)), np.intp)
    number = 0
    for place in np.ndindex(out.shape[:-2]):
        begins[0, number] = x[place].ctypes.data
        begins[1, number] = other[place].ctypes.data
        begins[2, number] = out[place].ctypes.data
        number += 1
    order, step = _read(x)
    other_order, other_step = _read(other)
    # one group of equal shapes: the library wants a pointer to each of its sizes
    sizes = np.array(
        (order, other_order, n, m, k, step, other_step, _read(out)[1], number), np.int32
    )
    orders = sizes[0:].ctypes, sizes[1:].ctypes
    lengths = sizes[2:].ctypes, sizes[3:].ctypes, sizes[4:].ctypes
    matrices = begins[0].ctypes, sizes[5:].ctypes, begins[1].ctypes, sizes[6:].ctypes
    result = begins[2].ctypes, sizes[7:].ctypes, 1, sizes[8:].ctypes
    factors = np.array((1.0, 1.0 if add else 0.0))
    if x.itemsize == 4:
        one, kept = factors[:1].astype(np.float32), factors[1:].astype(np.float32)
        _sgemm_batch(ROWS_FIRST, *orders, *lengths, one.ctypes, *matrices, kept.ctypes, *result)
    else:
        one, kept = factors[:1].copy(), factors[1:].copy()
        _dgemm_batch(ROWS_FIRST, *orders, *lengths, one.ctypes, *matrices, kept.ctypes, *result)


@functools.cache
def product_of(dtype: np.dtype, ndim: int) -> Any:
    """``routine(out, x, other, add)`` for arrays of ``ndim`` ≥ 2 dimensions.

    Compiled for strided operands, as which arrays of every layout are taken: one machine code
    for all, found sooner by the call.
    """
    number = numba.from_dtype(dtype)
    out = types.Array(number, ndim, "A")
    operand = types.Array(number, ndim, "A", readonly=True)
    signature = types.void(out, operand, operand, types.boolean)
    return compiled(multiply if ndim == 2 else multiply_each, signature, nogil=True)
