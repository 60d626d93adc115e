"""What the figures were measured on: processor, cores, load, BLAS and versions."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np

LIBRARIES = ["numpy", "numba", "torch", "jax"]


def processor() -> str:
    """The processor's name, from the system where it says."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        match = re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


THREAD_VARIABLES = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NPROC",  # JAX
]


def limit_threads(number: int) -> dict[str, str]:
    """Environment variables that keep every library to so many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(number))


def threads() -> int:
    """Threads that a library may use here: one for each core, unless the environment limits it."""
    limit = os.environ.get(THREAD_VARIABLES[0], "")
    return min(int(limit), cores()) if limit.isdecimal() and int(limit) else cores()


def vector_extensions() -> list[str]:
    """The widest instruction sets that NumPy found."""
    configuration: dict[str, Any] = np.show_config(mode="dicts")  # type: ignore[assignment]
    return list(configuration.get("SIMD Extensions", {}).get("found", []))


def blas() -> str:
    """Name and version of the BLAS in NumPy."""
    configuration: dict[str, Any] = np.show_config(mode="dicts")  # type: ignore[assignment]
    library = configuration.get("Build Dependencies", {}).get("blas", {})
    return f"{library.get('name', 'unknown')} {library.get('version', '')}".strip()


def version(library: str) -> str | None:
    """Installed version, None where it is not installed."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def load_average() -> float | None:
    """Programs wanting a core over the last minute; near 0 is quiet."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def describe() -> dict[str, Any]:
    """Everything above as one JSON object."""
    return {
        "processor": processor(),
        "cores": cores(),
        "threads": threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "blas": blas(),
        "vector_extensions": vector_extensions(),
        "versions": {library: version(library) for library in LIBRARIES},
        "load_average": load_average(),
    }
