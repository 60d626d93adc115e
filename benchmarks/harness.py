"""Measures a workload: contenders take turns, A B C, then B C A, then C A B … round after round.

A turn is several steps of one contender, while the others' processes wait idle; its first steps are
not counted, since they refill caches and wake threads. A short rest between turns lets the threads
of the one before stop spinning. Times of all rounds give the medians and quartiles; ratios are
taken within a round and their median shown, so that what disturbs a whole round cancels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.contenders import CONTENDERS, EAGER, FLOOR, Contender
from benchmarks.process import WorkerError, WorkerProcess
from benchmarks.statistics import paired_difference, paired_ratio, spread
from benchmarks.workload import Workload
from benchmarks.workloads import workload_from

UNITS = {"ms": 1e3, "µs": 1e6}


@dataclass(frozen=True)
class Effort:
    """How long to measure; all times in seconds."""

    rounds: int = 7
    turn: float = 0.25
    warm_up: float = 0.5
    rest: float = 0.04
    tuning_turn: float = 0.2
    finalists: int = 3


QUICK = Effort(rounds=3, turn=0.1, warm_up=0.1, rest=0.02, tuning_turn=0.05, finalists=1)

Say = Callable[[str], None]


def turn_length(step_seconds: float, turn_seconds: float) -> tuple[int, int]:
    """(counted steps, discarded steps): at least 3 counted, a fifth as many discarded before."""
    steps = min(max(3, math.ceil(turn_seconds / max(step_seconds, 1e-7))), 2000)
    return steps, max(1, steps // 5)


MEMORY_STEPS = 5


class Turns:
    """One contender's worker process on one workload, and the times of its rounds.

    ``memory``: peak resident memory (MiB) after five steps, when the process has done nothing else:
    ``process_mib`` all of it, ``step_mib`` above what the libraries hold once a rehearsal of the
    same step has loaded and compiled them. None where the system does not say.
    """

    def __init__(
        self,
        stack: ExitStack,
        specification: str,
        contender: Contender,
        setting: dict[str, Any],
        warm_up: float,
        turn: float,
    ) -> None:
        name = f"{contender.name} on {specification}"
        self.setting = setting
        self.rounds: list[list[float]] = []
        self.value: float | None = None
        self.worker = stack.enter_context(WorkerProcess(name, contender.environment))
        what = {"workload": specification, "contender": contender.name, "setting": setting}
        self.worker.ask("rehearse", **what)
        built = self.worker.ask("build", key="step", **what)
        self.version: str = built["version"]
        self.blas: str | None = built.get("blas")
        self.worker.ask("turn", key="step", steps=MEMORY_STEPS, discard=0)
        self.memory: dict[str, float | None] = self.worker.ask("memory")
        step_seconds = self.worker.ask("warm_up", key="step", seconds=warm_up)["seconds"]
        self.steps, self.discard = turn_length(step_seconds, turn)

    def take(self) -> None:
        """One turn."""
        answer = self.worker.ask("turn", key="step", steps=self.steps, discard=self.discard)
        self.rounds.append(answer["times"])
        self.value = answer["value"]

    @property
    def times(self) -> list[float]:
        """Step times of all rounds."""
        return [seconds for times in self.rounds for seconds in times]


def take_turns(turns: list[Turns], rounds: int, rest: float) -> None:
    """Rounds of turns; each round begins with another contender."""
    for number in range(rounds):
        first = number % len(turns)
        for one in turns[first:] + turns[:first]:
            time.sleep(rest)
            one.take()


def best_setting(
    specification: str, contender: Contender, settings: list[dict[str, Any]], effort: Effort
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The contender's fastest setting, and the trials that say so (seconds, fastest first).

    Every setting has a short turn in one process; the fastest few then take turns, each in a
    process of its own (what an earlier setting left on the heap changes the speed of a later one).
    """
    if len(settings) == 1:
        return settings[0], []
    trials: list[dict[str, Any]] = []
    with WorkerProcess(f"{contender.name} on {specification}", contender.environment) as worker:
        for setting in settings:
            key = {"key": "trial"}
            worker.ask(
                "build",
                workload=specification,
                contender=contender.name,
                setting=setting,
                **key,
            )
            seconds = worker.ask("warm_up", seconds=effort.tuning_turn / 3, **key)["seconds"]
            steps, discard = turn_length(seconds, effort.tuning_turn)
            answer = worker.ask("turn", steps=steps, discard=discard, **key)
            worker.ask("drop", **key)
            trials.append({"setting": setting, "seconds": spread(answer["times"])["median"]})
    trials.sort(key=lambda trial: trial["seconds"])
    if effort.finalists == 1:
        return trials[0]["setting"], trials
    with ExitStack() as stack:
        turns = [
            Turns(
                stack,
                specification,
                contender,
                trial["setting"],
                effort.warm_up / 3,
                effort.tuning_turn,
            )
            for trial in trials[: effort.finalists]
        ]
        take_turns(turns, 5, effort.rest)
    for trial, one in zip(trials, turns):
        trial["seconds"] = spread(one.times)["median"]
    finalists = sorted(trials[: effort.finalists], key=lambda trial: trial["seconds"])
    return finalists[0]["setting"], [*finalists, *trials[effort.finalists :]]


def measure(
    specification: str, contenders: list[Contender], effort: Effort, say: Say
) -> dict[str, Any]:
    """All figures of one workload, as they go into the JSON."""
    workload = workload_from(specification)
    results: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        turns: dict[str, Turns] = {}
        tunings: dict[str, list[dict[str, Any]]] = {}
        entries = [*contenders, FLOOR] if workload.has_floor else contenders
        for contender in entries:
            reason, settings = why_not(contender, workload)
            if reason is not None:
                results[contender.name] = {"missing": reason}
                continue
            if contender.tuned_as in turns:
                settings = [turns[contender.tuned_as].setting]
            try:
                say(f"{specification}: {contender.name}, {len(settings)} setting(s) to try")
                setting, trials = best_setting(specification, contender, settings, effort)
                tunings[contender.name] = trials
                turns[contender.name] = Turns(
                    stack, specification, contender, setting, effort.warm_up, effort.turn
                )
            except WorkerError as error:
                results[contender.name] = {"missing": str(error)}
        rounds = min(effort.rounds, workload.most_rounds)
        say(f"{specification}: {rounds} rounds of {', '.join(turns) or 'nobody'}")
        if turns:
            take_turns(list(turns.values()), rounds, effort.rest)
    scale = UNITS[workload.unit] / workload.divisor
    for name, one in turns.items():
        results[name] = figures(one, scale) | {"tuning": in_unit(tunings[name], scale)}
        if name != FLOOR.name and workload.trains:
            results[name]["memory"] = one.memory
    add_ratios(results, turns, scale)
    return {
        "specification": specification,
        "title": workload.title,
        "unit": workload.unit,
        "floor_name": workload.floor_name,
        "floor_gflop": workload.floor_gflop,
        "results": results,
    }


def why_not(contender: Contender, workload: Workload) -> tuple[str | None, list[dict[str, Any]]]:
    """Why the contender cannot run the workload, or None and its settings."""
    missing = contender.missing()
    if missing is not None:
        return missing, []
    settings = contender.settings(workload)
    if not settings or not hasattr(workload, contender.side):
        return "does not take part in this workload", []
    return None, settings


def figures(turns: Turns, scale: float) -> dict[str, Any]:
    """A contender's times in the workload's unit."""
    in_units = [[seconds * scale for seconds in times] for times in turns.rounds]
    return {
        "version": turns.version,
        "blas": turns.blas,
        "setting": turns.setting,
        **spread([value for times in in_units for value in times]),
        "fastest": min(value for times in in_units for value in times),
        "steps": sum(map(len, in_units)),
        "round_medians": [spread(times)["median"] for times in in_units],
        "last_value": turns.value,
    }


def in_unit(trials: list[dict[str, Any]], scale: float) -> list[dict[str, Any]]:
    """Tuning trials with the workload's unit instead of seconds."""
    return [{"setting": trial["setting"], "median": trial["seconds"] * scale} for trial in trials]


def add_ratios(results: dict[str, dict[str, Any]], turns: dict[str, Turns], scale: float) -> None:
    """Ratios to the best peer, to PyTorch eager and to the floor, and what is above the floor.

    All are taken within rounds.
    """
    peers = [name for name in turns if name != FLOOR.name and CONTENDERS[name].is_peer]
    median = lambda name: results[name]["median"]
    best = min(peers, key=median, default=None)
    eager = min((name for name in peers if name in EAGER), key=median, default=None)
    for name, one in turns.items():
        if best is not None:
            results[name]["best_peer"] = best
            results[name]["to_best_peer"] = paired_ratio(one.rounds, turns[best].rounds)
        if eager is not None:
            results[name]["to_eager"] = paired_ratio(one.rounds, turns[eager].rounds)
        if FLOOR.name in turns:
            floor = turns[FLOOR.name].rounds
            results[name]["to_floor"] = paired_ratio(one.rounds, floor)
            results[name]["above_floor"] = paired_difference(one.rounds, floor, scale)
