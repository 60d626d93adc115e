"""Matrix products on a GPU by cuBLAS, through a handle of our own.

CuPy's ``matmul`` has two limits here. It copies transposed operands of more than two dimensions,
and it refuses to run while a CUDA graph is captured, because its handle's workspace may be
allocated then. cuBLAS itself minds neither: ``cublasGemmStridedBatchedEx`` takes transposed
operands and any distance between matrices, and may be captured if the handle has been given a
workspace. So the library that CuPy has loaded is called directly, by ctypes, in eager steps and in
captured ones alike: both then round alike.

cuBLAS thinks in columns. A matrix whose rows lie one after another is for it the transposed one;
so ``out = x·y`` is asked for as ``outᵀ = yᵀ·xᵀ``, which is the same bytes.

Where the library is not found, or a first small product comes out wrong, CuPy's ``matmul`` is used.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import sys
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigen.backends.base import Array

PLAIN, TRANSPOSED = 0, 1  # cublasOperation_t
DEFAULT_ALGORITHM = -1  # cublasGemmAlgo_t
WORKSPACE = 32 << 20
"""Bytes: what cuBLAS's documentation asks for on the newest devices."""


class _Numbers(NamedTuple):
    """How an element type is told to cuBLAS: cudaDataType_t, cublasComputeType_t, the factors."""

    data: int
    compute: int
    factor: Any


NUMBERS = {
    "float16": _Numbers(2, 68, ctypes.c_float),  # added up in float32
    "float32": _Numbers(0, 68, ctypes.c_float),
    "float64": _Numbers(1, 70, ctypes.c_double),
}


class Layout(NamedTuple):
    """How the matrices of an array (…, rows, columns) lie, in elements.

    Attributes:
        by_rows: whether a row's elements are neighbours; otherwise a column's are.
        leading: from one row (or column) to the next.
        jump: from one matrix to the next; 0 if it is the same one again.
    """

    by_rows: bool
    leading: int
    jump: int


def layout(shape: Sequence[int], strides: Sequence[int], itemsize: int) -> Layout | None:
    """The layout, or None where cuBLAS could not read the array as it lies."""
    (*batch, rows, columns) = shape
    (*jumps, down, along) = [stride // itemsize for stride in strides]
    jump = _single_jump(batch, jumps)
    if jump is None:
        return None
    if (columns == 1 or along == 1) and (rows == 1 or down >= columns):
        return Layout(True, down if rows > 1 else columns, jump)
    if (rows == 1 or down == 1) and (columns == 1 or along >= rows):
        return Layout(False, along if columns > 1 else rows, jump)
    return None


def _single_jump(lengths: Sequence[int], jumps: Sequence[int]) -> int | None:
    """The one distance between matrices that walks through all batch dimensions, if there is."""
    smallest = follows = None
    for length, jump in zip(reversed(lengths), reversed(jumps)):
        if length == 1:
            continue
        if jump < 0 or (follows is not None and jump != follows):
            return None
        smallest = jump if smallest is None else smallest
        follows = jump * length
    return smallest or 0


class Cublas:
    """The library and a handle with its own workspace, for one device.

    Args:
        library: as ctypes has loaded it.
        cupy: CuPy, for memory and the current stream.

    Raises:
        RuntimeError: cuBLAS reports an error, by its number.
    """

    def __init__(self, library: Any, cupy: Any) -> None:
        self._library, self._cupy = library, cupy
        self._handle = ctypes.c_void_p()
        self._check("cublasCreate_v2", ctypes.byref(self._handle))
        self._workspace = cupy.empty(WORKSPACE, dtype=np.uint8)
        self._stream: int | None = None

    def _check(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name} failed with status {status}")

    def _follow_stream(self) -> None:
        """Work on CuPy's current stream. A change of stream takes the workspace away again."""
        stream = self._cupy.cuda.get_current_stream().ptr
        if stream != self._stream:
            self._check("cublasSetStream_v2", self._handle, ctypes.c_void_p(stream))
            self._check(
                "cublasSetWorkspace_v2",
                self._handle,
                ctypes.c_void_p(self._workspace.data.ptr),
                ctypes.c_size_t(WORKSPACE),
            )
            self._stream = stream

    def multiply(self, out: Array, x: Array, other: Array, add: bool = False) -> None:
        """``out = x · other``, or ``out += x · other``.

        (…, n, k), (…, k, m) -> (…, n, m): one dtype, batch dimensions equal (or broadcast), the
        rows of ``out`` without gaps; nothing empty.
        """
        self._follow_stream()
        numbers = NUMBERS[x.dtype.name]
        n, m = out.shape[-2:]
        factors = numbers.factor(1.0), numbers.factor(1.0 if add else 0.0)
        one, kept = (ctypes.byref(factor) for factor in factors)
        first, second, result = (self._operand(array) for array in (other, x, out))
        self._check(
            "cublasGemmStridedBatchedEx",
            *(self._handle, first[0], second[0], m, n, x.shape[-1]),
            *(one, *first[1:], *second[1:], kept, *result[1:]),
            *(math.prod(out.shape[:-2]), numbers.compute, DEFAULT_ALGORITHM),
        )

    @staticmethod
    def _operand(array: Array) -> tuple[Any, ...]:
        """Whether it is to be transposed, address, element type, leading dimension, jump."""
        found = layout(array.shape, array.strides, array.dtype.itemsize)
        assert found is not None
        return (
            PLAIN if found.by_rows else TRANSPOSED,
            ctypes.c_void_p(array.data.ptr),
            NUMBERS[array.dtype.name].data,
            found.leading,
            ctypes.c_longlong(found.jump),
        )


class OfThread(threading.local):
    """A handle for each thread: its stream and its workspace cannot serve two at once.

    Attributes:
        handle: this thread's, loaded when it first asks; None as ``load`` says.
    """

    def __init__(self, cupy: Any) -> None:
        self.handle = load(cupy)


def load(cupy: Any) -> Cublas | None:
    """cuBLAS as CuPy uses it; None if it is not found, or does not multiply as it should."""
    try:
        major = cupy.cuda.runtime.runtimeGetVersion() // 1000
        name = f"cublas64_{major}.dll" if sys.platform == "win32" else f"libcublas.so.{major}"
        importlib.import_module("cupy_backends.cuda.libs.cublas")  # loads the library
        cublas = Cublas(ctypes.CDLL(name), cupy)
        return cublas if _multiplies(cublas, cupy) else None
    except (ImportError, OSError, AttributeError, RuntimeError):
        return None


def _multiplies(cublas: Cublas, cupy: Any) -> bool:
    """A wrong signature would give wrong numbers and no error: so compare once, both ways round."""
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    y = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 7
    for turned in (False, True):
        operands = [cupy.asarray(a.swapaxes(1, 2).copy() if turned else a) for a in (x, y)]
        if turned:
            operands = [a.swapaxes(1, 2) for a in operands]
        out = cupy.ones((2, 2, 4), dtype=np.float32)
        cublas.multiply(out, operands[0], operands[1], add=True)
        if not np.array_equal(cupy.asnumpy(out), x @ y + 1):
            return False
    return True


# ---------------------------------------------------------------- as kernels


def product(b: Any, x: Array, other: Array, out: Array | None = None, *, add: bool = False) -> Any:
    """``x · other`` by cuBLAS; equals ``product`` in ``ops/product.py``."""
    cublas = b.cublas()
    if cublas is None or x.ndim < 2 or other.ndim < 2 or not x.size or not other.size:
        return NotImplemented
    if x.dtype != other.dtype or x.dtype.name not in NUMBERS or x.shape[-1] != other.shape[-2]:
        return NotImplemented
    batch = np.broadcast_shapes(x.shape[:-2], other.shape[:-2])
    shape = (*batch, x.shape[-2], other.shape[-1])
    target = out
    if out is None or out.shape != shape or out.dtype != x.dtype or not out.flags.c_contiguous:
        target = b.xp.empty(shape, dtype=x.dtype)
    operands = [_readable(b, a, (*batch, *a.shape[-2:])) for a in (x, other)]
    cublas.multiply(target, operands[0], operands[1], add=add and target is out)
    if out is None or target is out:
        return target
    if add:
        out += target
    else:
        out[...] = target
    return out


def _readable(b: Any, array: Array, shape: tuple[int, ...]) -> Array:
    """``array`` broadcast to ``shape``, copied if cuBLAS could not read it as it lies."""
    array = array if array.shape == shape else b.xp.broadcast_to(array, shape)
    if layout(shape, array.strides, array.dtype.itemsize) is None:
        array = b.xp.ascontiguousarray(array)
    return array


def sum_rows(b: Any, x: Array, out: Array | None = None, *, add: bool = False) -> Any:
    """``Σₙ x[n]`` of (N, C), as a reduction; equals ``sum_rows`` in ``ops/summation.py``."""
    total = _in_float64(x, 0)
    if out is None:
        return total
    if add:
        out += total
    else:
        out[...] = total
    return out


def sum_columns(b: Any, x: Array) -> Any:
    """``Σ_c x[:, c]``, as a reduction; equals ``sum_columns`` in ``ops/summation.py``."""
    return _in_float64(x, 1)


def dots(b: Any, x: Array, other: Array, axis: int) -> Any:
    """``Σ x·y`` along one axis, as a reduction; equals ``dots`` in ``ops/summation.py``."""
    return _in_float64(x * other, axis)


def wide_sum(b: Any, x: Array, axis: Any, keepdims: bool) -> Any:
    """``Σ x`` in float64, as a reduction; equals ``wide_sum`` in ``ops/summation.py``."""
    return x.sum(axis=axis, dtype=np.float64, keepdims=keepdims)


def _in_float64(x: Array, axis: int) -> Array:
    """A sum of many numbers: a thread of CuPy's reductions adds up thousands one by one."""
    return x.sum(axis=axis, dtype=np.float64).astype(x.dtype, copy=False)


KERNELS = (product, sum_rows, sum_columns, wide_sum, dots)
"""As the backend registers them, by their names."""
