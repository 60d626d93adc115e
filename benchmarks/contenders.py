"""Who takes part: one entry each.

A contender names the method of the workload that builds its step (``side``), the library it needs
and the settings among which its best is looked for before the measurement begins, so that a peer
is never shown at less than its best. A contender without settings for a workload sits it out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from benchmarks.machine import threads
from benchmarks.workload import Workload


@dataclass(frozen=True)
class Contender:
    """One way of running workloads.

    ``is_peer``: whether minigen is compared against it. ``by_default``: whether it runs when no
    contenders are named on the command line. ``environment``: variables set for its process.
    ``needs``: further libraries without which it sits out. ``tuned_as``: another contender whose
    best setting it takes over.
    """

    name: str
    side: str
    library: str
    settings: Callable[[Workload], list[dict[str, Any]]]
    is_peer: bool = True
    by_default: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    tuned_as: str = ""

    def missing(self) -> str | None:
        """Why it cannot run here, in one line; None if it can."""
        for library in (self.library, *self.needs):
            if importlib.util.find_spec(library) is None:
                return f"{library} is not installed (pip install '.[bench]')"
        return None


def thread_numbers() -> list[int]:
    """As many as allowed, one, and two in between."""
    return sorted({threads(), min(2, threads()), 1}, reverse=True)


def torch_settings(workload: Workload) -> list[dict[str, Any]]:
    """Threads and memory format; for each format, with all threads, Adam's other implementations.

    A memory format is tried only on images, an optimizer only where there is training.
    """
    layouts = [False, True] if workload.has_images else [False]
    adam = "fused" if workload.trains else None
    settings = [
        {"threads": number, "adam": adam, "channels_last": channels_last}
        for channels_last, number in product(layouts, thread_numbers())
    ]
    if workload.trains:
        settings += [
            {"threads": thread_numbers()[0], "adam": adam, "channels_last": channels_last}
            for channels_last, adam in product(layouts, ["foreach", "for-loop"])
        ]
    return settings


SMALL_GFLOP = 0.1  # products of a step in which calls, not arithmetic, take the time


def torch_compile_settings(workload: Workload) -> list[dict[str, Any]]:
    """Compiled training steps: both memory formats.

    Small steps also with one thread and with a compiled optimizer, which saves calls.
    """
    if not workload.trains:
        return []
    layouts = [False, True] if workload.has_images else [False]
    small = workload.floor_gflop < SMALL_GFLOP
    return [
        {"threads": number, "adam": adam, "channels_last": layout, "compile": True}
        for layout in layouts
        for number in (thread_numbers() if small else [threads()])
        for adam in (["fused", "compiled"] if small else ["fused"])
    ]


# glibc gives large arrays back to the system when they are freed, and every step then faults its
# pages in again. These variables make it keep them, as minigen does by itself on Linux, and as
# PyTorch's tuning guide does by another allocator. So PyTorch takes part both ways.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}


def jax_settings(workload: Workload) -> list[dict[str, Any]]:
    """For images both ways to write a convolution; nothing to choose otherwise."""
    if workload.has_images:
        return [{"convolution": "lax"}, {"convolution": "products"}]
    return [{}]


def captured_settings(workload: Workload) -> list[dict[str, Any]]:
    """Training steps, recorded."""
    return [{"capture": True}] if workload.trains else []


def no_settings(workload: Workload) -> list[dict[str, Any]]:
    """Nothing to choose."""
    del workload
    return [{}]


CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for contender in [
        Contender(
            "minigen",
            "minigen",
            "minigen",
            no_settings,
            is_peer=False,
            environment={"MINIGEN_NUMBA": "0", "MINIGEN_BLAS": "numpy"},
        ),
        Contender(
            "minigen-numba",
            "minigen",
            "minigen",
            no_settings,
            is_peer=False,
            needs=("numba",),
        ),
        Contender(
            "minigen-captured",
            "minigen",
            "minigen",
            captured_settings,
            is_peer=False,
            needs=("numba",),
        ),
        Contender(
            "minigen-captured-openblas",
            "minigen",
            "minigen",
            captured_settings,
            is_peer=False,
            by_default=False,
            environment={"MINIGEN_BLAS": "numpy"},
            needs=("numba",),
        ),
        Contender("torch", "torch", "torch", torch_settings),
        Contender(
            "torch-kept-memory",
            "torch",
            "torch",
            torch_settings,
            environment=KEEP_MEMORY,
            tuned_as="torch",
        ),
        Contender("torch-compile", "torch", "torch", torch_compile_settings),
        Contender("jax", "jax", "jax", jax_settings),
    ]
}

EAGER = ("torch", "torch-kept-memory")  # PyTorch as most people run it

FLOOR = Contender("floor", "floor", "numpy", no_settings, is_peer=False)
