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
from pathlib import Path

import numpy as np

from minigen.backends.base import Array
from minigen.backends.compiled import threads
from minigen.errors import UserError

ROWS_FIRST, PLAIN, TRANSPOSED = 101, 111, 112  # cblas.h
GNU_THREADS, INTEL_THREADS = 3, 0  # mkl_service.h
AUTOMATIC, STRICT = 2, 0x10000

INTEGER, POINTER = ctypes.c_int, ctypes.c_void_p


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
        self._products = {}
        for dtype, letter, number in (
            (np.dtype(np.float32), "s", ctypes.c_float),
            (np.dtype(np.float64), "d", ctypes.c_double),
        ):
            single = getattr(library, f"cblas_{letter}gemm")
            single.restype = None
            single.argtypes = [
                *[INTEGER] * 6,
                number,
                *[POINTER, INTEGER] * 2,
                number,
                POINTER,
                INTEGER,
            ]
            batch = getattr(library, f"cblas_{letter}gemm_batch")
            batch.restype = None
            self._products[dtype] = single, batch, number

    def multiply(self, out: Array, x: Array, other: Array, add: bool) -> None:
        """``out = x · other``, or ``out += x · other``; (n, k), (k, m) -> (n, m).

        Each operand has one dimension without gaps; ``out`` the last one.
        """
        single, _, _ = self._products[out.dtype]
        (order_x, step_x), (order_other, step_other) = orientation(x), orientation(other)
        n, k = x.shape
        single(
            ROWS_FIRST,
            order_x,
            order_other,
            n,
            other.shape[1],
            k,
            1.0,
            address(x),
            step_x,
            address(other),
            step_other,
            1.0 if add else 0.0,
            address(out),
            out.strides[0] // out.itemsize,
        )

    def multiply_each(self, out: Array, x: Array, other: Array, add: bool) -> None:
        """The same for every matrix of a batch; all have the same leading dimensions."""
        _, batch, number = self._products[out.dtype]
        (order_x, step_x), (order_other, step_other) = orientation(x), orientation(other)
        n, k = x.shape[-2:]
        reference = ctypes.byref
        batch(
            ROWS_FIRST,
            reference(INTEGER(order_x)),
            reference(INTEGER(order_other)),
            reference(INTEGER(n)),
            reference(INTEGER(other.shape[-1])),
            reference(INTEGER(k)),
            reference(number(1.0)),
            addresses(x).ctypes.data_as(POINTER),
            reference(INTEGER(step_x)),
            addresses(other).ctypes.data_as(POINTER),
            reference(INTEGER(step_other)),
            reference(number(1.0 if add else 0.0)),
            addresses(out).ctypes.data_as(POINTER),
            reference(INTEGER(out.strides[-2] // out.itemsize)),
            1,  # one group of equal shapes
            reference(INTEGER(out.size // (n * out.shape[-1]))),
        )


def address(x: Array) -> int:
    """Where the first element lies."""
    return x.__array_interface__["data"][0]


def addresses(x: Array) -> Array:
    """Where each matrix of a batch begins, in the order of the batch."""
    places = np.full(x.shape[:-2], address(x), dtype=np.int64)
    for dim, (count, stride) in enumerate(zip(x.shape[:-2], x.strides[:-2])):
        places += (np.arange(count) * stride).reshape(-1, *(1,) * (x.ndim - 3 - dim))
    return places.reshape(-1)


def orientation(x: Array) -> tuple[int, int]:
    """(plain or transposed, elements from line to line) of the last two dimensions.

    (0, 0) if the library cannot read it. The stride of a dimension of length 1 says nothing; the
    library wants a large enough one.
    """
    rows, columns = x.shape[-2:]
    down, across = x.strides[-2:]
    size = x.itemsize
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
