"""A training step against the matrix products in it, in one process, for the regression guard.

The processor time of one thread is compared, not the clock on the wall: another program on the
machine slows the clock, and thread pools that wait for each other waste unforeseeable amounts of
it. So the figure hardly flickers, and it says nothing about threads; ``python -m benchmarks`` does.
"""

from __future__ import annotations

import time

from benchmarks.machine import limit_threads
from benchmarks.process import fresh
from benchmarks.workload import Step
from benchmarks.workloads import workload_from


def processor_seconds(step: Step) -> float:
    """Processor time that one run takes, preparation excluded."""
    arguments = () if step.prepare is None else (step.prepare(),)
    started = time.process_time()
    step.run(*arguments)
    return time.process_time() - started


def ratio_to_floor(specification: str, rounds: int) -> float:
    """Fastest step of minigen ÷ fastest run of the floor, in turns, in this process."""
    workload = workload_from(specification)
    ours, floor = workload.minigen({}), workload.floor({})
    times: dict[str, list[float]] = {"ours": [], "floor": []}
    for _ in range(rounds + 2):
        times["ours"].append(processor_seconds(ours))
        times["floor"].append(processor_seconds(floor))
    return min(times["ours"][2:]) / min(times["floor"][2:])


def guarded_ratio(specification: str, rounds: int = 10) -> float:
    """:func:`ratio_to_floor` in a fresh process with one thread."""
    code = (
        "import json; from benchmarks.guard import ratio_to_floor; "
        f"print(json.dumps({{'ratio': ratio_to_floor({specification!r}, {rounds})}}))"
    )
    return float(fresh(code, limit_threads(1))["ratio"])
