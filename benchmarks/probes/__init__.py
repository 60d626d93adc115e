"""Figures that are not a race: each probe is a function that answers with its own figures.

It is given whether to be quick, and where to say what it is doing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks import growth
from benchmarks.probes import flat_memory, import_time
from benchmarks.sampling import probe as sampling

PROBES: dict[str, Callable[[bool, Callable[[str], None]], dict[str, Any]]] = {
    "import": import_time.probe,
    "memory": flat_memory.probe,
    "growth": growth.probe,
    **sampling.PROBES,
}
