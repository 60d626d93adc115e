"""How long ``import minigen`` takes in a fresh interpreter, and what it imports.

Interpreters are started in turn for each library; the first round only fills the system's file
cache and what compilers keep on disk. The clock starts inside the interpreter, just before the
import. The time to the end of the first training step of the dense VAE is from the same point.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.process import WorkerError, fresh
from benchmarks.statistics import spread
from benchmarks.targets import FIRST_STEP as FIRST_STEP_LABEL
from benchmarks.workloads import workload_from

IMPORT = """
import json, sys, time
before = set(sys.modules)
started = time.perf_counter()
import {library}
seconds = time.perf_counter() - started
roots = {{name.partition(".")[0] for name in set(sys.modules) - before}}
foreign = sorted(r for r in roots - sys.stdlib_module_names if not r.startswith("_"))
print(json.dumps({{"seconds": seconds, "imported": foreign}}))
"""

FIRST_STEP = """
import json, time
started = time.perf_counter()
import {library}
from benchmarks.workloads.vae import Vae
step = Vae().{side}({setting!r})
float(step.run().item())
print(json.dumps({{"seconds": time.perf_counter() - started}}))
"""
FIRST_STEP_OF = ("minigen", "minigen-numba", "minigen-captured", "torch", "jax")


def imported_by(library: str) -> list[str]:
    """Packages outside the standard library that importing ``library`` loads."""
    imported: list[str] = fresh(IMPORT.format(library=library))["imported"]
    return imported


def import_seconds(library: str) -> float:
    """Seconds that importing the library takes in one fresh interpreter."""
    return float(fresh(IMPORT.format(library=library))["seconds"])


Take = Callable[[], float]


def first_step(name: str, cache: str) -> Take:
    """Seconds from the import to the end of the first VAE step of a contender, in fresh processes.

    ``cache``: a folder in which JAX may keep what it compiled, as Numba does in its own place.
    """
    contender = CONTENDERS[name]
    setting = contender.settings(workload_from("vae"))[0]
    code = FIRST_STEP.format(library=contender.library, side=contender.side, setting=setting)
    keeping = {
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    environment = {**contender.environment, **keeping}
    return lambda: float(fresh(code, environment)["seconds"])


def in_turns(takes: dict[str, Take], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, round after round; a first round that does not count fills the caches."""
    times: dict[str, list[float]] = {name: [] for name in takes}
    failed: set[str] = set()
    for number in range(rounds + 1):
        for name, take in takes.items():
            if name in failed:
                continue
            try:
                seconds = take()
            except WorkerError:
                failed.add(name)
                continue
            if number > 0:
                times[name].append(seconds)
    return {name: values for name, values in times.items() if values}


def probe(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Median import times of the libraries that are installed, and of the first VAE steps."""
    rounds = 1 if quick else 3
    libraries = [
        name
        for name in ["numpy", "minigen", "torch", "jax"]
        if importlib.util.find_spec(name) is not None
    ]
    contenders = [name for name in FIRST_STEP_OF if CONTENDERS[name].missing() is None]
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as cache:
        for what, takes in [
            ("import", {name: partial(import_seconds, name) for name in libraries}),
            (FIRST_STEP_LABEL, {name: first_step(name, cache) for name in contenders}),
        ]:
            say(f"import: {rounds} rounds of {', '.join(takes)}")
            figures += [
                {
                    "label": f"{what}, {name}",
                    "value": spread(times)["median"],
                    "unit": "s",
                    "spread": spread(times),
                }
                for name, times in in_turns(takes, rounds).items()
            ]
    imported = imported_by("minigen")
    figures.append(
        {
            "label": f"packages that minigen imports: {', '.join(imported)}",
            "value": len(imported),
            "unit": "",
        }
    )
    return {
        "specification": "import",
        "title": "import time in a fresh interpreter",
        "figures": figures,
    }
