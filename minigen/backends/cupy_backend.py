"""The CUDA backend: CuPy, with minigen's own kernels where CuPy has none or a slower one.

CuPy is imported when this backend is first chosen, and compiles the sources in ``cuda/`` for
the GPU at hand when they are first called. What differs from plain CuPy:

- random numbers are Philox4x32-10 by block number (``philox.py``), saved and resumed exactly;
- ``scatter_add`` sorts and adds each place's values in a fixed order, so that equal runs are
  equal to the last bit (CuPy's own uses atomics, whose order is chance);
- named kernels that would be many launches are one: im2col, an optimizer's step
  (``cupy_kernels.py``);
- matrix products go to cuBLAS through a handle of our own (``cublas.py``), so that a step can be
  captured as a CUDA graph (``cupy_graph.py``).
"""

from __future__ import annotations

import functools
import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from minigen.backends import cublas
from minigen.backends.base import Array, Backend, BackendUnavailable, GraphMaker, MemoryFigures
from minigen.backends.cupy_graph import CudaGraphMaker
from minigen.backends.cupy_kernels import KERNELS
from minigen.backends.philox import DTYPE, PER_BLOCK, Key, PhiloxStream

SOURCES = Path(__file__).parent / "cuda"
"""Where the CUDA C sources lie, one file for each subject."""

_BLOCK = 256  # threads in a block
_GRID = 1 << 16  # blocks in a launch at most; the kernels loop over the rest


def _import_cupy() -> Any:
    """CuPy, if it is installed and finds a device."""
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError:
        raise BackendUnavailable(
            'backend cupy needs CuPy, which is not installed: pip install ".[cuda]"'
        ) from None
    except ImportError as error:
        raise BackendUnavailable(
            f"backend cupy: CuPy is installed but does not load ({_one_line(error)}); "
            f'try pip install --force-reinstall ".[cuda]"'
        ) from None
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy's own class, or a missing library
        raise BackendUnavailable(
            f"backend cupy needs an NVIDIA GPU with its CUDA driver ({_one_line(error)}); "
            f"install the driver, or choose backend numpy"
        ) from None
    if not devices:
        raise BackendUnavailable(
            "backend cupy needs an NVIDIA GPU, and the CUDA driver finds none; choose backend numpy"
        )
    return cupy


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class CupyBackend(Backend):
    """CuPy arrays in the memory of the current CUDA device.

    Raises:
        BackendUnavailable: CuPy, a driver or a GPU is missing; says which.
    """

    name = "cupy"
    workspace = 1 << 28
    block = 1 << 62  # a pass is a launch: the fewer the better

    def __init__(self) -> None:
        super().__init__()
        self.xp = _import_cupy()
        self.array_type = self.xp.ndarray
        self.kernels = KERNELS | {kernel.__name__: kernel for kernel in cublas.KERNELS}
        self.module = functools.cache(self._compile)
        self._cublas = functools.cache(functools.partial(cublas.OfThread, self.xp))
        self.tap_table = functools.lru_cache(maxsize=256)(self._tap_table)

    def cublas(self) -> cublas.Cublas | None:
        """The library with this thread's handle, loaded when first asked for; None without it."""
        return self._cublas().handle

    # ------------------------------------------------------------ CUDA C

    def _compile(self, source: str) -> Any:
        """The module made of ``cuda/{source}.cu``, compiled for the device at hand."""
        code = (SOURCES / f"{source}.cu").read_text(encoding="utf-8")
        return self.xp.RawModule(code=code, options=("-std=c++17",))

    def launch(self, source: str, kernel: str, threads: int, *arguments: Any) -> None:
        """Run ``kernel`` of ``cuda/{source}.cu`` with about ``threads`` threads."""
        blocks = min(-(-threads // _BLOCK), _GRID)
        self.module(source).get_function(kernel)((blocks,), (_BLOCK,), arguments)

    def _tap_table(self, taps: tuple[tuple[int, int], ...]) -> Array:
        """Tap offsets on the device, (taps, 2) int32; made once, since layers repeat them."""
        return self.xp.asarray(np.array(taps, dtype=np.int32))

    # ------------------------------------------------------------ the backend's duties

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        """``cupy.asarray``: host data is copied to the device, device arrays stay."""
        return self.xp.asarray(value, dtype=dtype)

    def to_host(self, array: Array) -> np.ndarray:
        """A copy on the host, once the device has got that far."""
        return self.xp.asnumpy(array)

    def generator(self, seed: int) -> PhiloxStream:
        """A Philox4x32-10 stream computed on the device."""
        return PhiloxStream(seed, self.xp, self._draw)

    def _draw(
        self, kind: str, count: int, first: int, key: Key, low: int = 0, high: int = 0
    ) -> Array:
        out = self.xp.empty(count, dtype=DTYPE[kind])
        bounds = (np.int64(low), np.uint64(high - low)) if kind == "integers" else ()
        self.launch(
            "philox",
            kind,
            -(-count // PER_BLOCK[kind]),
            out,
            np.uint64(count),
            np.uint32(key[0]),
            np.uint32(key[1]),
            np.uint64(first),
            *bounds,
        )
        return out

    def scatter_add(self, target: Array, index: Any, values: Array) -> None:
        """``target[index] += values`` in a fixed order; indices outside wrap round.

        A single integer array indexes rows, which are added whole. For any other index the
        places of all elements are worked out first, which takes as much memory as eight
        bytes for each element of ``target``.
        """
        xp = self.xp
        if target.dtype.name not in ("float32", "float64", "int32", "int64"):
            importlib.import_module("cupyx").scatter_add(target, index, values)
            return
        if isinstance(index, tuple) and len(index) == 1:
            index = index[0]
        if isinstance(index, xp.ndarray) and index.dtype.kind in "iu" and target.ndim:
            rows = target.shape[0]
            places = (index.astype(np.int64) % max(rows, 1)).reshape(-1)
            shape = (*index.shape, *target.shape[1:])
            width = math.prod(target.shape[1:])
        else:
            places = xp.arange(target.size, dtype=np.int64).reshape(target.shape)[index]
            shape, width = places.shape, 1
            places = places.reshape(-1)
        if not places.size or not width:
            return
        added = xp.ascontiguousarray(xp.broadcast_to(xp.asarray(values, dtype=target.dtype), shape))
        whole = target if target.flags.c_contiguous else xp.ascontiguousarray(target)
        if xp.cuda.get_current_stream().is_capturing():  # sorting makes the host wait
            kernel, found = "search_add", [places]
        else:
            order = xp.argsort(places, kind="stable")
            kernel, found = "segment_add", [places[order], order]
        self.launch(
            *("segments", f"{kernel}_{target.dtype.name}", places.size * width),
            *(whole, added, *found, np.int64(places.size), np.int64(width)),
        )
        if whole is not target:
            target[...] = whole

    def graph_maker(self) -> GraphMaker:
        """CUDA's stream capture."""
        return CudaGraphMaker(self.xp)

    def synchronize(self) -> None:
        """Return when the device has done all that was asked of it."""
        self.xp.cuda.Device().synchronize()

    def memory(self) -> MemoryFigures:
        """Bytes in CuPy's memory pool: in use now, and held, which is the peak so far."""
        pool = self.xp.get_default_memory_pool()
        return MemoryFigures(pool.used_bytes(), pool.total_bytes())
