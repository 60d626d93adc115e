"""How long ``import minigen`` takes in a fresh interpreter, and what it imports.

Interpreters are started in turn for each library; the first round only fills the system's file
cache. The clock starts inside the interpreter, just before the import. The time to the end of the
first training step of the dense VAE is from the same point.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from benchmarks.process import fresh
from benchmarks.statistics import spread

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
Vae().{library}({{}}).run()
print(json.dumps({{"seconds": time.perf_counter() - started}}))
"""


def imported_by(library: str) -> list[str]:
    """Packages outside the standard library that importing ``library`` loads."""
    imported: list[str] = fresh(IMPORT.format(library=library))["imported"]
    return imported


def import_seconds(library: str) -> float:
    """Seconds that importing the library takes in one fresh interpreter."""
    return float(fresh(IMPORT.format(library=library))["seconds"])


def probe(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Median import times of the libraries that are installed, and of their first VAE step."""
    rounds = 2 if quick else 9
    libraries = [
        name for name in ["numpy", "minigen", "torch"] if importlib.util.find_spec(name) is not None
    ]
    figures: list[dict[str, Any]] = []
    for what, code, names in [
        ("import", IMPORT, libraries),
        ("import to the end of the first VAE step", FIRST_STEP, libraries[1:]),
    ]:
        say(f"import: {rounds} rounds of {', '.join(names)}")
        times: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds + 1):
            for name in names:
                seconds = float(fresh(code.format(library=name))["seconds"])
                if number > 0:
                    times[name].append(seconds)
        figures += [
            {
                "label": f"{what}, {name}",
                "value": spread(times[name])["median"],
                "unit": "s",
                "spread": spread(times[name]),
            }
            for name in names
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
