"""What minigen's times shall be, evaluated on the JSON of a run: met, or missed by how much.

A target is a row of :data:`TARGETS`: whose figure, on which workloads, divided by whose, at most
what. PyTorch eager is the better of its two contenders, the best peer the fastest of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.contenders import EAGER
from benchmarks.workloads import TARGETED

FLOOR_THAT_COUNTS = 5.0  # ms: below it, calls weigh more than products
PLAIN, NUMBA, CAPTURED = "minigen", "minigen-numba", "minigen-captured"

Results = dict[str, dict[str, Any]]


def time_ratio(to: str) -> Callable[[Results, str], float | None]:
    """A contender's time ÷ that of the best peer, of PyTorch eager or of the floor."""

    def ratio(results: Results, ours: str) -> float | None:
        found = results.get(ours, {}).get(to)
        return None if found is None else float(found["median"])

    return ratio


def to_floor(results: Results, ours: str) -> float | None:
    """A contender's time ÷ the floor's, None where the floor is too low to count."""
    floor = results.get("floor", {}).get("median")
    if floor is None or floor <= FLOOR_THAT_COUNTS:
        return None
    return time_ratio("to_floor")(results, ours)


def memory_ratio(results: Results, ours: str) -> float | None:
    """A contender's peak memory of a step ÷ PyTorch eager's."""
    figures = {name: one.get("memory", {}).get("step_mib") for name, one in results.items()}
    theirs = [figures[name] for name in EAGER if figures.get(name)]
    mine = figures.get(ours)
    return mine / min(theirs) if mine is not None and theirs else None


@dataclass(frozen=True)
class Target:
    """``value(results of a workload, ours)`` shall be at most ``limit`` on each workload."""

    title: str
    ours: str
    value: Callable[[Results, str], float | None]
    limit: float
    workloads: tuple[str, ...] = tuple(TARGETED)


TARGETS = [
    Target("time ÷ best peer", CAPTURED, time_ratio("to_best_peer"), 1.0),
    Target("time ÷ GEMM floor", CAPTURED, to_floor, 1.6),
    Target("time ÷ PyTorch eager", NUMBA, time_ratio("to_eager"), 1.0),
    Target("time ÷ PyTorch eager", PLAIN, time_ratio("to_eager"), 1.5, ("gan", "vae", "gpt")),
    Target("peak memory ÷ PyTorch eager", CAPTURED, memory_ratio, 1.0),
    Target("peak memory ÷ PyTorch eager", NUMBA, memory_ratio, 1.0),
    Target("peak memory ÷ PyTorch eager", PLAIN, memory_ratio, 1.0),
]
FIRST_STEP = "import to the end of the first VAE step"


def first_step_ratios(measured: list[dict[str, Any]]) -> dict[str, float]:
    """Each of minigen's contenders ÷ PyTorch, from import to the end of the first VAE step."""
    seconds = {
        figure["label"].removeprefix(f"{FIRST_STEP}, "): figure["value"]
        for entry in measured
        for figure in entry.get("figures", [])
        if figure["label"].startswith(f"{FIRST_STEP}, ")
    }
    if "torch" not in seconds:
        return {}
    ours = [name for name in (PLAIN, NUMBA, CAPTURED) if name in seconds]
    return {name: seconds[name] / seconds["torch"] for name in ours}


def evaluate(measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each target and workload that was measured."""
    by_workload = {entry["specification"]: entry for entry in measured if "results" in entry}
    rows = []
    for target in TARGETS:
        for workload in target.workloads:
            if workload not in by_workload:
                continue
            value = target.value(by_workload[workload]["results"], target.ours)
            if value is not None:
                rows.append(_row(target.title, target.ours, workload, value, target.limit))
    for name, value in first_step_ratios(measured).items():
        rows.append(_row(f"{FIRST_STEP} ÷ PyTorch", name, "vae", value, 1.0))
    return rows


def _row(title: str, ours: str, workload: str, value: float, limit: float) -> dict[str, Any]:
    return {
        "target": title,
        "contender": ours,
        "workload": workload,
        "value": value,
        "limit": limit,
        "met": value <= limit,
    }


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """One line for each target: which workloads meet it, which miss it by how much."""
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["target"], row["contender"], row["limit"]), []).append(row)
    met = sum(row["met"] for row in rows)
    text = [f"targets: {met} of {len(rows)} met"]
    for (title, contender, limit), members in groups.items():
        text.append(f"  {contender}: {title} ≤ {limit:g}")
        for row in members:
            verdict = "met" if row["met"] else f"missed by {row['value'] / limit - 1:.0%}"
            text.append(f"    {row['workload']:<9} {row['value']:.2f}  {verdict}")
    return text
