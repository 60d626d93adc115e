"""Whether memory stays flat over 10,000 training steps of a small network.

Three witnesses: what the operating system says is resident, what ``tracemalloc`` says Python and
NumPy hold, and how many objects the garbage collector knows of. The collector is off between the
two readings, so reference cycles left by a step count as growth, too.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np

from benchmarks.memory import resident_mib
from benchmarks.process import fresh


def small_step() -> Callable[[], Any]:
    """A training step of a 8-16-1 network in minigen, batch 16, Adam."""
    import minigen as mg

    generator = np.random.default_rng(0)
    network = mg.nn.Sequential(mg.nn.Linear(8, 16), mg.nn.ReLU(), mg.nn.Linear(16, 1))
    optimizer = mg.optim.Adam(network.parameters(), lr=1e-3)
    x = mg.tensor(generator.standard_normal((16, 8)).astype(np.float32))
    y = mg.tensor(generator.standard_normal((16, 1)).astype(np.float32))

    def step() -> None:
        optimizer.zero_grad()
        mg.mse_loss(network(x), y).backward()
        optimizer.step()

    return step


class Held(NamedTuple):
    """One reading of the three witnesses."""

    resident_mib: float | None
    traced_kib: float
    objects: int

    @classmethod
    def now(cls) -> Self:
        """What this process holds at the moment."""
        return cls(resident_mib(), tracemalloc.get_traced_memory()[0] / 1024, len(gc.get_objects()))


def growth(step: Callable[[], Any], steps: int, warm_up: int = 200) -> Held:
    """How much more is held after ``steps`` steps than before, the first ``2 * warm_up`` excepted.

    The steps are made in two halves, and the smaller growth of the two counts twice: what grows,
    grows in both, while what happens once (the interpreter rehashing its table of strings, say)
    does not. ``resident_mib`` is None where the system does not say.
    """
    readings = []
    was_enabled = gc.isenabled()
    for _ in range(warm_up):
        step()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(warm_up):  # so that tracemalloc has seen the buffers that steps reuse
            step()
        readings.append(Held.now())
        for _ in range(2):
            for _ in range(steps // 2):
                step()
            readings.append(Held.now())
    finally:
        tracemalloc.stop()
        if was_enabled:
            gc.enable()
    return Held(*(_twice_the_smaller(*values) for values in zip(*readings)))


def _twice_the_smaller(before: Any, halfway: Any, after: Any) -> Any:
    if before is None or halfway is None or after is None:
        return None
    return 2 * min(halfway - before, after - halfway)


CODE = """
import json
from benchmarks.probes.flat_memory import growth, small_step
print(json.dumps(growth(small_step(), {steps})._asdict()))
"""


def probe(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Growth over the steps, measured in a fresh process."""
    steps = 500 if quick else 10_000
    say(f"memory: {steps} steps")
    grown = fresh(CODE.format(steps=steps))
    return {
        "specification": "memory",
        "title": f"growth over {steps} training steps of a small network",
        "figures": [
            {"label": "resident memory", "value": grown["resident_mib"], "unit": "MiB"},
            {"label": "memory that Python traces", "value": grown["traced_kib"], "unit": "KiB"},
            {"label": "objects", "value": grown["objects"], "unit": ""},
        ],
    }
