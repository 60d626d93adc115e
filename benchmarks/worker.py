"""The process in which one contender runs: it builds steps and takes its turns on command.

Two libraries with thread pools of their own disturb each other in one process (idle threads spin
for a while, waiting for work): a dense training step of PyTorch took 1.7 times as long when NumPy
products ran between the steps of the same process. So each contender has a process, and the
harness lets one of them work at a time.

The protocol is one JSON object a line: a command on standard input, its answer on standard output
(whatever the libraries print goes to standard error).

    {"do": "rehearse", "workload": "vae:batch=8", "contender": "torch", "setting": {…}}
    {"do": "build", "key": K, "workload": "vae:batch=8", "contender": "torch", "setting": {…}}
    {"do": "warm_up", "key": K, "seconds": 0.5}          -> {"seconds": time of a step}
    {"do": "turn", "key": K, "steps": 20, "discard": 2}  -> {"times": […], "value": last loss}
    {"do": "drop", "key": K}
    {"do": "memory"}                                     -> {"process_mib": …, "step_mib": …}
    {"do": "quit"}
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import math
import os
import sys
import time
from typing import IO, Any

from benchmarks.contenders import CONTENDERS, FLOOR
from benchmarks.machine import blas, version
from benchmarks.memory import forget_peak, give_back, peak_mib, resident_mib
from benchmarks.workload import Step
from benchmarks.workloads import workload_from

REHEARSALS = 3  # steps: the first compiles, the second may still be recorded


class Worker:
    """Holds the steps that were built, by key, and answers commands."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self.loaded_mib: float | None = None
        self.most_mib = 0.0

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command."""
        action = getattr(self, f"do_{command.pop('do')}")
        result: dict[str, Any] = action(**command)
        return result

    def do_rehearse(self, workload: str, contender: str, setting: dict[str, Any]) -> dict[str, Any]:
        """Build a step, run it, forget it: what is still there belongs to the libraries.

        Some load all of their code when they are imported, others when it is first called, and
        some compile it then. Memory is counted from behind all that.
        """
        key = "rehearsal"
        self.do_build(key, workload, contender, setting)
        for _ in range(REHEARSALS):
            timed(self.steps[key])
        self.do_drop(key)
        give_back()
        self.most_mib, self.loaded_mib = peak_mib() or 0.0, resident_mib()
        forget_peak()
        return {}

    def do_build(
        self, key: str, workload: str, contender: str, setting: dict[str, Any]
    ) -> dict[str, Any]:
        """Build a step."""
        entry = FLOOR if contender == FLOOR.name else CONTENDERS[contender]
        library = importlib.import_module(entry.library)
        for other in entry.needs:
            importlib.import_module(other)
        self.steps[key] = getattr(workload_from(workload), entry.side)(setting)
        return {"version": getattr(library, "__version__", ""), "blas": blas_of(entry.library)}

    def do_drop(self, key: str) -> dict[str, Any]:
        """Forget a step and free what it held."""
        del self.steps[key]
        gc.collect()
        return {}

    def do_warm_up(self, key: str, seconds: float) -> dict[str, Any]:
        """At least three steps and at least so many seconds; answers with the last step's time."""
        started, taken, count = time.perf_counter(), 0.0, 0
        while count < 3 or time.perf_counter() - started < seconds:
            taken, _ = timed(self.steps[key])
            count += 1
        return {"seconds": taken}

    def do_turn(self, key: str, steps: int, discard: int) -> dict[str, Any]:
        """Time each step of a turn; the first ``discard`` ones only wake caches and threads."""
        times, value = [], None
        for _ in range(discard + steps):
            taken, value = timed(self.steps[key])
            times.append(taken)
        return {"times": times[discard:], "value": checked_value(value)}

    def do_memory(self) -> dict[str, Any]:
        """Peak resident memory of this process; and its peak since the rehearsal, above that."""
        peak = peak_mib()
        if peak is None:
            return {"process_mib": None, "step_mib": None}
        step = None if self.loaded_mib is None else peak - self.loaded_mib
        return {"process_mib": max(peak, self.most_mib), "step_mib": step}


def blas_of(library: str) -> str | None:
    """Whose matrix products a step of the library uses, where it is NumPy's or minigen's."""
    if library == "minigen" and importlib.util.find_spec("minigen.backends.compiled.mkl"):
        mkl: Any = importlib.import_module("minigen.backends.compiled.mkl")
        if mkl.available():
            return f"mkl {version('mkl') or ''}".strip()
    return blas() if library in ("minigen", "numpy") else None


def timed(step: Step) -> tuple[float, Any]:
    """Seconds that one run took, and what it returned."""
    if step.prepare is None:
        started = time.perf_counter()
        value = step.run()
        return time.perf_counter() - started, value
    prepared = step.prepare()
    started = time.perf_counter()
    value = step.run(prepared)
    return time.perf_counter() - started, value


def checked_value(value: Any) -> float | None:
    """The loss as a number; a step that computes NaN is no measurement."""
    if value is None:
        return None
    number = float(value.item())
    if not math.isfinite(number):
        raise ValueError(f"loss must stay finite, got {number}")
    return number


def serve(commands: IO[str], answers: IO[str]) -> None:
    """Answer commands until ``quit`` or the end of the input."""
    worker = Worker()
    for line in commands:
        command = json.loads(line)
        if command["do"] == "quit":
            return
        try:
            answer = worker.answer(command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    # The real standard output is for answers; anything printed meanwhile goes to standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers)
