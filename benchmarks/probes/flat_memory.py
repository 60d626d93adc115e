"""Whether memory stays flat over 10,000 training steps of a small network.

Three witnesses: what the operating system says is resident, what ``tracemalloc`` says Python and
NumPy hold, and how many objects the garbage collector knows of. The collector is off between the
two readings, so reference cycles left by a step count as growth, too.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.memory import resident_mib
from benchmarks.process import WorkerError, environment


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


def growth(step: Callable[[], Any], steps: int, warm_up: int = 200) -> dict[str, float | None]:
    """How much more is held after ``steps`` steps than before, the first ``warm_up`` not counted.

    Returns ``resident_mib`` (None where the system does not say), ``traced_kib`` and ``objects``.
    """
    for _ in range(warm_up):
        step()
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(warm_up):  # so that tracemalloc has seen the buffers that steps reuse
            step()
        objects, resident = len(gc.get_objects()), resident_mib()
        traced = tracemalloc.get_traced_memory()[0]
        for _ in range(steps):
            step()
        traced = tracemalloc.get_traced_memory()[0] - traced
        now = resident_mib()
        objects = len(gc.get_objects()) - objects
    finally:
        tracemalloc.stop()
        if was_enabled:
            gc.enable()
    return {
        "resident_mib": None if now is None or resident is None else now - resident,
        "traced_kib": traced / 1024,
        "objects": objects,
    }


def probe(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Growth over the steps, measured in a fresh process."""
    steps = 500 if quick else 10_000
    say(f"memory: {steps} steps")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.probes.flat_memory", str(steps)],
        capture_output=True,
        text=True,
        env=environment(),
    )
    if done.returncode != 0:
        raise WorkerError((done.stderr.splitlines() or ["no message"])[-1])
    grown = json.loads(done.stdout)
    return {
        "specification": "memory",
        "title": f"growth over {steps} training steps of a small network",
        "figures": [
            {"label": "resident memory", "value": grown["resident_mib"], "unit": "MiB"},
            {"label": "memory that Python traces", "value": grown["traced_kib"], "unit": "KiB"},
            {"label": "objects", "value": grown["objects"], "unit": ""},
        ],
    }


if __name__ == "__main__":
    print(json.dumps(growth(small_step(), int(sys.argv[1]))))
