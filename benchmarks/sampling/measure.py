"""The two ways take turns, and the growth of their cost over the length.

A round is one drawing with the cache and one without, the order reversed from round to round;
figures are medians over rounds, the ratio is taken within a round. Where the naive way would take
longer than `NAIVE_SECONDS`, steps evenly spread over the length are taken and their time is scaled
up: naive steps grow evenly or not at all, so their mean is that of all. How many were taken is
part of the result.

    python -c "from benchmarks.sampling.measure import main; main('gpt', False)"
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minigen as mg
from benchmarks.sampling.subjects import SUBJECTS, Subject
from benchmarks.statistics import spread

NAIVE_SECONDS = 1.5  # in a round, unless `LEAST_STEPS` take longer
LEAST_STEPS = 16
ROUNDS, GROWTH_ROUNDS = 3, 1
GROWTH_SHARE = 0.25  # of the naive seconds, for each length of the growth


def seconds_of(work: Callable[[], Any]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def naive_steps(subject: Subject, length: int, seconds: float) -> list[int]:
    """The steps to take in about so many seconds: all, or evenly spread ones."""
    middle = length // 2
    subject.naive(middle)
    one = seconds_of(lambda: subject.naive(middle))
    count = max(LEAST_STEPS, int(seconds / max(one, 1e-9)))
    if count >= length:
        return list(range(length))
    return [int((i + 0.5) * length / count) for i in range(count)]


def naive_seconds(subject: Subject, length: int, steps: Sequence[int]) -> float:
    """Seconds of the whole naive drawing, from the steps that are taken."""

    def walk() -> None:
        for step in steps:
            subject.naive(step)

    return seconds_of(walk) * length / len(steps)


def compare(kind: type[Subject], length: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Both ways at one length: seconds of a whole drawing, and how many times as fast."""
    subject = kind(length)
    cached: list[float] = []
    naive: list[float] = []
    with mg.no_grad():
        subject.cached()  # warms up
        steps = naive_steps(subject, length, seconds)
        for number in range(rounds):
            turns = [
                lambda: cached.append(seconds_of(subject.cached)),
                lambda: naive.append(naive_seconds(subject, length, steps)),
            ]
            for turn in turns[:: 1 if number % 2 == 0 else -1]:
                turn()
    return {
        "length": length,
        "naive_steps": len(steps),
        "cached_seconds": spread(cached),
        "naive_seconds": spread(naive),
        "times_as_fast": spread([slow / fast for slow, fast in zip(naive, cached)]),
    }


def exponent(lengths: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope in the log-log plane, by least squares: cost ~ length^slope."""
    return float(np.polyfit(np.log(lengths), np.log(seconds), 1)[0])


def measure(name: str, quick: bool) -> dict[str, Any]:
    """Everything about one subject, as it goes into the JSON."""
    kind = SUBJECTS[name]
    lengths = kind.small if quick else kind.lengths
    rounds, growth_rounds = (1, 1) if quick else (ROUNDS, GROWTH_ROUNDS)
    seconds = 0.0 if quick else NAIVE_SECONDS
    headline = compare(kind, kind.small[-1] if quick else kind.length, rounds, seconds)
    growth = [
        compare(kind, length, growth_rounds, seconds * GROWTH_SHARE)
        for length in lengths
        if length != headline["length"]
    ]
    growth = sorted([*growth, headline], key=lambda one: one["length"])
    drawn = headline["length"] * kind.batch
    return {
        "specification": f"sampling-{name}",
        "title": kind.title,
        "element": kind.element,
        "batch": kind.batch,
        "headline": {
            **headline,
            "cached_per_second": drawn / headline["cached_seconds"]["median"],
            "naive_per_second": drawn / headline["naive_seconds"]["median"],
        },
        "growth": growth,
        "exponents": {
            way: exponent(
                [one["length"] for one in growth],
                [one[f"{way}_seconds"]["median"] for one in growth],
            )
            for way in ("cached", "naive")
        },
    }


def main(name: str, quick: bool) -> None:
    """Print the result as JSON; for a fresh process."""
    print(json.dumps(measure(name, quick)))


def share(one: dict[str, Any]) -> str:
    """How much of the naive drawing was measured, in words."""
    taken, length = one["naive_steps"], one["length"]
    return "all" if taken == length else f"{taken} of {length}, {math.ceil(100 * taken / length)} %"
