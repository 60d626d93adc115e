"""Intel's Math Kernel Library, reached through ctypes (``pip install minigen[mkl]``).

NumPy's wheels multiply matrices with OpenBLAS. On Intel's processors MKL takes a fifth to a third
less time for the shapes of these models; on AMD's the two are level or OpenBLAS leads. So it is
used by itself where it is installed and the processor is Intel's. The environment variable
``MINIGEN_BLAS`` decides otherwise: ``mkl`` or ``numpy``.

Two settings are made before the first product. Strict reproducibility: a result depends neither on
where in memory an operand lies nor on the number of threads (it costs nothing measurable). And
the threads are those of GNU's OpenMP, which the compiled loops then use as well: one pool that both
sides keep awake, where two pools would fight for the same cores.
"""

from __future__ import annotations

import ctypes
import functools
import os
import site
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled import threads
from minigen.errors import UserError

ROWS_FIRST, PLAIN, TRANSPOSED = 101, 111, 112  # cblas.h
GNU_THREADS, INTEL_THREADS = 3, 0  # mkl_service.h
AUTOMATIC, STRICT = 2, 0x10000

INTEGER, POINTER = ctypes.c_int, ctypes.c_void_p
NUMBERS: dict[np.dtype, Any] = {
    np.dtype(np.float32): ctypes.c_float,
    np.dtype(np.float64): ctypes.c_double,
}


def library_path() -> Path | None:
    """Where the ``mkl`` wheel (or a conda environment) has put ``libmkl_rt``; None if nowhere."""
    roots = [sysconfig.get_path("data"), sys.prefix, site.USER_BASE or site.getuserbase()]
    for root in dict.fromkeys(roots):
        for path in sorted(Path(root, "lib").glob("libmkl_rt.so*"), reverse=True):
            return path
    return None


def is_intel() -> bool:
    """Whether the processor is Intel's."""
    try:
        with open("/proc/cpuinfo") as info:
            return any("GenuineIntel" in line for line in info if line.startswith("vendor_id"))
    except OSError:
        return False


def available() -> bool:
    """Whether products shall go to MKL, by ``MINIGEN_BLAS`` and by what is installed.

    Raises:
        UserError: ``MINIGEN_BLAS`` is none of its three values, or asks for MKL in vain.
    """
    wanted = os.environ.get("MINIGEN_BLAS", "auto")
    if wanted not in ("auto", "mkl", "numpy"):
        raise UserError(f"MINIGEN_BLAS must be auto, mkl or numpy, got {wanted!r}")
    if wanted == "numpy" or (wanted == "auto" and sys.platform != "linux"):
        return False
    found = library_path() is not None
    if wanted == "mkl" and not found:
        raise UserError("MINIGEN_BLAS=mkl needs libmkl_rt; install it with pip install mkl")
    return found and (wanted == "mkl" or is_intel())


class Mkl:
    """The loaded library.

    Attributes:
        threads: how many threads its products use.
        shares_pool: whether they are GNU OpenMP's.
    """

    def __init__(self, path: Path) -> None:
        self._library = library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        try:
            ctypes.CDLL("libgomp.so.1", mode=ctypes.RTLD_GLOBAL)
            self.shares_pool = True
        except OSError:
            self.shares_pool = False
        library.MKL_Set_Threading_Layer(GNU_THREADS if self.shares_pool else INTEL_THREADS)
        library.MKL_CBWR_Set(AUTOMATIC | STRICT)
        limit = threads.limit()
        if limit is not None:
            library.MKL_Set_Num_Threads(limit)
        self.threads: int = library.MKL_Get_Max_Threads()
        float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
        self._single: dict[np.dtype, Any] = {
            float32: library.cblas_sgemm,
            float64: library.cblas_dgemm,
        }
        self._batch: dict[np.dtype, Any] = {
            float32: library.cblas_sgemm_batch,
            float64: library.cblas_dgemm_batch,
        }
        for dtype, single in self._single.items():
            single.restype = self._batch[dtype].restype = None
            matrix = POINTER, INTEGER
            number = NUMBERS[dtype]
            single.argtypes = [*[INTEGER] * 6, number, *matrix, *matrix, number, *matrix]
        self.multiply = Routine(self._multiply)
        self.multiply_each = Routine(self._multiply_each)

    def _multiply(self, out: Array, x: Array, other: Array, add: bool) -> Callable[[], None]:
        """``out = x · other``, or ``out += x · other``; (n, k), (k, m) -> (n, m).

        Each operand has one dimension without gaps; ``out`` the last one.
        """
        sizes, steps = layout(x.shape, x.strides, other.shape, other.strides, x.itemsize)
        return functools.partial(
            self._single[out.dtype],
            *sizes,
            1.0,
            address(x),
            steps[0],
            address(other),
            steps[1],
            1.0 if add else 0.0,
            address(out),
            _down(out),
        )

    def _multiply_each(self, out: Array, x: Array, other: Array, add: bool) -> Callable[[], None]:
        """The same for every matrix of a batch; all have the same leading dimensions."""
        sizes, steps = layout(x.shape, x.strides, other.shape, other.strides, x.itemsize)
        one, start = NUMBERS[out.dtype](1.0), NUMBERS[out.dtype](1.0 if add else 0.0)
        matrices = [addresses(array) for array in (x, other, out)]
        pointers = [array.ctypes.data_as(POINTER) for array in matrices]  # these hold the arrays
        *given, stride = [ctypes.byref(INTEGER(n)) for n in (*sizes[1:], *steps, _down(out))]
        return functools.partial(
            self._batch[out.dtype],
            sizes[0],
            *given[:5],
            ctypes.byref(one),
            pointers[0],
            given[5],
            pointers[1],
            given[6],
            ctypes.byref(start),
            pointers[2],
            stride,
            1,  # one group of equal shapes
            ctypes.byref(INTEGER(len(matrices[0]))),
        )


class Routine:
    """A call on arrays that can be prepared once and made often: ``bind(*arguments)()``.

    ``routine(*arguments)`` is the same. What ``bind`` returns knows addresses: it may be called as
    long as the arrays live.
    """

    def __init__(self, bind: Callable[..., Callable[[], None]]) -> None:
        self.bind = bind
        self.__name__ = bind.__name__.strip("_")

    def __call__(self, *arguments: Any) -> None:
        """Prepare the call and make it."""
        self.bind(*arguments)()


Layout = tuple[tuple[int, int, int, int, int, int], tuple[int, int]]


@functools.lru_cache(maxsize=4096)
def layout(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    other_shape: tuple[int, ...],
    other_strides: tuple[int, ...],
    itemsize: int,
) -> Layout:
    """The library's first arguments, orders and sizes; and each operand's step from line to line.

    An order is 0 where the library cannot read the operand.
    """
    order, step = _orientation(shape[-2:], strides[-2:], itemsize)
    other_order, other_step = _orientation(other_shape[-2:], other_strides[-2:], itemsize)
    (n, k), m = shape[-2:], other_shape[-1]
    return (ROWS_FIRST, order, other_order, n, m, k), (step, other_step)


def _down(out: Array) -> int:
    """Elements from line to line of the last two dimensions."""
    return out.strides[-2] // out.itemsize


def address(x: Array) -> int:
    """Where the first element lies.

    NumPy's own answer builds a dictionary, which takes as long as the rest of a call; a buffer
    without gaps, or its transpose, tells it in a third of the time.
    """
    rows = x if x.flags.c_contiguous else x.T
    if rows.flags.c_contiguous and rows.flags.writeable:
        return ctypes.addressof(ctypes.c_char.from_buffer(rows))
    return x.__array_interface__["data"][0]


def addresses(x: Array) -> Array:
    """Where each matrix of a batch begins, in the order of the batch."""
    return _offsets(x.shape[:-2], x.strides[:-2]) + address(x)


@functools.lru_cache(maxsize=256)
def _offsets(shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """Bytes from the first matrix of a batch to each."""
    places = np.zeros(shape, dtype=np.int64)
    for dim, (count, stride) in enumerate(zip(shape, strides)):
        places += (np.arange(count) * stride).reshape(-1, *(1,) * (len(shape) - 1 - dim))
    return places.reshape(-1)


def orientation(x: Array) -> tuple[int, int]:
    """(plain or transposed, elements from line to line) of the last two dimensions.

    (0, 0) if the library cannot read it. The stride of a dimension of length 1 says nothing; the
    library wants a large enough one.
    """
    return _orientation(x.shape[-2:], x.strides[-2:], x.itemsize)


@functools.lru_cache(maxsize=4096)
def _orientation(shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> tuple[int, int]:
    (rows, columns), (down, across) = shape, strides
    if across == size or columns == 1:
        if rows == 1:
            return PLAIN, columns
        if down >= columns * size and down % size == 0:
            return PLAIN, down // size
    if down == size or rows == 1:
        if columns == 1:
            return TRANSPOSED, rows
        if across >= rows * size and across % size == 0:
            return TRANSPOSED, across // size
    return 0, 0


@functools.cache
def mkl() -> Mkl:
    """The library, loaded when first asked for."""
    path = library_path()
    assert path is not None  # the kernels are registered only where it is there
    return Mkl(path)
