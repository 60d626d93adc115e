"""CUDA C run on the CPU: the kernels' own sources, compiled by the machine's C++ compiler.

A kernel without shared memory is an ordinary function that asks for its thread's number. A
few lines in front of the source make ``blockIdx`` and ``threadIdx`` variables, a loop runs
all threads one after another, and the arithmetic can be compared with NumPy. It says nothing
about races or speed; those need a GPU.

:func:`stand_in` dresses NumPy up as CuPy with these kernels, so that the CUDA backend's own
Python (what it launches, with which arguments) runs too.
"""

from __future__ import annotations

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

PREAMBLE = """
#include <cmath>
#define __global__
#define __device__ static inline
struct Place { unsigned x; };
static Place blockIdx, threadIdx, blockDim, gridDim;
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
static const double PI = 3.14159265358979323846;
static inline void sincospi(double x, double* s, double* c) { *s = sin(PI * x); *c = cos(PI * x); }
static inline void sincospif(float x, float* s, float* c) {
    *s = (float)sin(PI * x); *c = (float)cos(PI * x);
}
"""

KERNEL = re.compile(r'extern "C" (?:static )?void (\w+)\s*\(([^)]*)\)\s*\{')


@functools.cache
def compiled(source: str) -> ctypes.CDLL:
    """A library with ``run_NAME(grid, block, arguments…)`` for each kernel of ``source``."""
    compiler = next((c for c in ("c++", "g++", "clang++") if shutil.which(c)), None)
    if compiler is None:
        raise RuntimeError(
            "running CUDA sources on the CPU needs a C++ compiler (c++, g++, clang++)"
        )
    folder = Path(tempfile.mkdtemp(prefix="minigen-cuda-"))
    try:
        file = folder / "kernels.cpp"
        file.write_text(PREAMBLE + source, encoding="utf-8")
        plain = _run([compiler, "-E", "-P", str(file)]).stdout  # macros expanded: kernels visible
        loops = ""
        for name, parameters in KERNEL.findall(plain):
            names = ", ".join(p.split()[-1].lstrip("*") for p in parameters.split(","))
            loops += (
                f'extern "C" void run_{name}(unsigned grid, unsigned block, {parameters}) {{\n'
                f"  gridDim.x = grid; blockDim.x = block;\n"
                f"  for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x)\n"
                f"    for (threadIdx.x = 0; threadIdx.x < block; ++threadIdx.x) {name}({names});\n"
                f"}}\n"
            )
        file.write_text(PREAMBLE + source + loops, encoding="utf-8")
        library = folder / "kernels.so"
        _run([compiler, "-O1", "-std=c++17", "-shared", "-fPIC", str(file), "-o", str(library)])
        return ctypes.CDLL(str(library))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")
    return done


def _argument(value: Any) -> Any:
    """A kernel's argument as ctypes passes it: arrays by address, scalars by their width."""
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, np.generic):
        return np.ctypeslib.as_ctypes_type(value.dtype)(value.item())
    raise TypeError(f"a kernel argument must be an array or a NumPy scalar, got {value!r}")


class RawModule:
    """``cupy.RawModule`` on the CPU."""

    def __init__(self, code: str, options: tuple[str, ...] = ()) -> None:
        self._library = compiled(code)

    def get_function(self, name: str) -> Any:
        """The kernel, to be called as ``kernel((grid,), (block,), arguments)``."""
        run = getattr(self._library, f"run_{name}")

        def launch(grid: tuple[int, ...], block: tuple[int, ...], arguments: Any) -> None:
            run(ctypes.c_uint(grid[0]), ctypes.c_uint(block[0]), *[_argument(a) for a in arguments])

        return launch


def stand_in() -> Any:
    """A module that the CUDA backend takes for CuPy: NumPy, these kernels and one "device"."""
    module = SimpleNamespace(**{name: getattr(np, name) for name in np.__all__})
    module.RawModule = RawModule
    module.asnumpy = np.copy
    module.cuda = SimpleNamespace(
        runtime=SimpleNamespace(getDeviceCount=lambda: 1),
        Device=lambda: SimpleNamespace(synchronize=lambda: None),
        get_current_stream=lambda: SimpleNamespace(is_capturing=lambda: False),
    )
    module.get_default_memory_pool = lambda: SimpleNamespace(
        used_bytes=lambda: 100, total_bytes=lambda: 1000
    )
    return module
