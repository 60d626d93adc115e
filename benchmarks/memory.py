"""Resident memory of this process, as the operating system counts it, in MiB."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def _status_mib(field: str) -> float | None:
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024  # the kernel counts in KiB
    return None


def resident_mib() -> float | None:
    """Memory resident now; None where the system does not say."""
    return _status_mib("VmRSS")


def peak_mib() -> float | None:
    """Most memory resident so far (since :func:`forget_peak`, on Linux); None where unknown."""
    peak = _status_mib("VmHWM")
    if peak is not None:
        return peak
    try:
        import resource
    except ImportError:  # Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (1024 * 1024 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """Let the peak start again from what is resident now, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def give_back() -> None:
    """Ask the C library to return memory that was freed to the system, where it can (glibc)."""
    with contextlib.suppress(OSError, TypeError, AttributeError):  # TypeError: Windows, at None
        ctypes.CDLL(None).malloc_trim(0)
