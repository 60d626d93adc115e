"""Intel's Math Kernel Library, called from compiled code (``pip install ".[mkl]"``).

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
import importlib.util
import os
import site
import sys
import sysconfig
from pathlib import Path

from minigen.backends.base import Array
from minigen.backends.compiled import threads
from minigen.errors import UserError

GNU_THREADS, INTEL_THREADS = 3, 0  # mkl_service.h
AUTOMATIC, STRICT = 2, 0x10000


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


def numba_is_wanted() -> bool:
    """Whether Numba is installed and not turned off."""
    return os.environ.get("MINIGEN_NUMBA") != "0" and importlib.util.find_spec("numba") is not None


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
    found = library_path() is not None and numba_is_wanted()
    if wanted == "mkl" and not found:
        raise UserError(
            'MINIGEN_BLAS=mkl needs libmkl_rt and Numba: pip install ".[mkl]" (and no '
            "MINIGEN_NUMBA=0)"
        )
    return found and (wanted == "mkl" or is_intel())


class Mkl:
    """The loaded library.

    Attributes:
        threads: how many threads its products use.
        shares_pool: whether they are GNU OpenMP's.
        product_of: ``product_of(dtype, ndim)`` is the routine for such arrays, called as
            ``routine(out, x, other, add)``; see ``loops/products.py``.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
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
        calls = importlib.import_module("minigen.backends.compiled.loops.products")
        calls.link(library)
        self.product_of = calls.product_of


@functools.lru_cache(maxsize=4096)
def reads(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Whether the library can read such matrices: (…, n, k), without gaps in one dimension."""
    (rows, columns), (down, across) = shape[-2:], strides[-2:]
    if (across == itemsize or columns == 1) and (
        rows == 1 or (down >= columns * itemsize and down % itemsize == 0)
    ):
        return True
    return (down == itemsize or rows == 1) and (
        columns == 1 or (across >= rows * itemsize and across % itemsize == 0)
    )


def writes(out: Array) -> bool:
    """Whether the library can write into ``out``: rows without gaps."""
    (rows, columns), (down, across) = out.shape[-2:], out.strides[-2:]
    size = out.itemsize
    if columns > 1 and across != size:
        return False
    return rows == 1 or (down >= columns * size and down % size == 0)


@functools.cache
def mkl() -> Mkl:
    """The library, loaded when first asked for."""
    path = library_path()
    assert path is not None  # the kernels are registered only where it is there
    return Mkl(path)
