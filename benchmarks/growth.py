"""The cost of growth: a training step as batch, width, depth or length grows, log-log.

Each contender has one process for all sizes, and the contenders take turns at each size. Settings
are not searched for: the first of each contender's, all threads and fused Adam.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS, FLOOR, Contender
from benchmarks.harness import turn_length, why_not
from benchmarks.process import WorkerError, WorkerProcess
from benchmarks.statistics import spread
from benchmarks.workloads import workload_from

# (what grows, workload, its field, sizes)
CURVES: list[tuple[str, str, str, list[int]]] = [
    ("batch", "vae", "batch", [32, 128, 512]),
    ("width", "gan", "hidden", [256, 512, 1024]),
    ("depth", "realnvp", "couplings", [2, 4, 8, 16]),
    ("length", "gpt", "context", [32, 64, 128]),
]
TAKING_PART = ["minigen-numba", "minigen-captured", "torch", "jax", FLOOR.name]
ROUNDS, TURN, WARM_UP = 3, 0.1, 0.1


def exponent(sizes: list[int], values: list[float]) -> float:
    """The slope in the log-log plane, by least squares: cost ~ size^slope."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def point(
    specification: str, workers: dict[str, WorkerProcess], rounds: int, turn: float
) -> dict[str, Any]:
    """Milliseconds of a step for every contender that can do it, at one size."""
    steps: dict[str, tuple[int, int]] = {}
    times: dict[str, list[float]] = {}
    for name, worker in workers.items():
        contender = FLOOR if name == FLOOR.name else CONTENDERS[name]
        try:
            worker.ask(
                "build",
                key="step",
                workload=specification,
                contender=name,
                setting=contender.settings(workload_from(specification))[0],
            )
            seconds = worker.ask("warm_up", key="step", seconds=WARM_UP)["seconds"]
        except WorkerError:
            continue
        steps[name], times[name] = turn_length(seconds, turn), []
    for _ in range(rounds):
        for name, (count, discard) in steps.items():
            answer = workers[name].ask("turn", key="step", steps=count, discard=discard)
            times[name] += [1e3 * seconds for seconds in answer["times"]]
    for name in steps:
        workers[name].ask("drop", key="step")
    return {name: spread(values) for name, values in times.items()}


def curve(
    what: str,
    name: str,
    field: str,
    sizes: list[int],
    workers: dict[str, WorkerProcess],
    rounds: int,
    turn: float,
) -> dict[str, Any]:
    """One curve: the points, and the slope of each contender that has them all."""
    points = [point(f"{name}:{field}={size}", workers, rounds, turn) for size in sizes]
    complete = [one for one in workers if all(one in figures for figures in points)]
    return {
        "what": what,
        "workload": name,
        "field": field,
        "sizes": sizes,
        "points": points,
        "exponents": {
            one: exponent(sizes, [figures[one]["median"] for figures in points]) for one in complete
        },
    }


def entries() -> list[Contender]:
    """Who can take part here."""
    some = workload_from(CURVES[0][1])
    all_of_them = [FLOOR if name == FLOOR.name else CONTENDERS[name] for name in TAKING_PART]
    return [contender for contender in all_of_them if why_not(contender, some)[0] is None]


def probe(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """All curves."""
    rounds, turn = (1, 0.02) if quick else (ROUNDS, TURN)
    curves = []
    with ExitStack() as stack:
        workers = {
            contender.name: stack.enter_context(
                WorkerProcess(f"{contender.name} (growth)", contender.environment)
            )
            for contender in entries()
        }
        for what, name, field, sizes in CURVES:
            say(f"growth: {what} of {name}, {field} = {', '.join(map(str, sizes))}")
            used = sizes[:2] if quick else sizes
            curves.append(curve(what, name, field, used, workers, rounds, turn))
    return {"specification": "growth", "title": "cost of growth, ms a step", "curves": curves}


def lines(measured: dict[str, Any]) -> list[str]:
    """The table: a line for each contender and curve."""
    from benchmarks.report import columns, number

    text = [f"{measured['specification']}: {measured['title']}"]
    for one in measured["curves"]:
        rows = [
            [f"  {one['what']} ({one['workload']})", *map(str, one["sizes"]), "", ""],
        ]
        for name, slope in one["exponents"].items():
            medians = [number(figures[name]["median"]) for figures in one["points"]]
            rows.append([f"  {name}", *medians, "", f"~ {one['what']}^{slope:.2f}"])
        text += columns(rows)
    return text
