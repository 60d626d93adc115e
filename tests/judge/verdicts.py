"""The verdicts on one op, module or optimizer, and the check that each is explained."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable

import pytest

from .deviations import DEVIATIONS
from .outcome import Outcome


class Verdicts:
    """Collects outcomes under one name; those that stand in ``DEVIATIONS`` are explained."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: collections.Counter[str] = collections.Counter()
        self.unexplained: dict[str, list[str]] = {}  # what is alike: its text, then its inputs
        self.own = dict(DEVIATIONS.get(name, {}))
        self.lent = dict(DEVIATIONS.get(_base(name), {})) if _base(name) != name else {}
        self.used: set[str] = set()

    def add(self, outcome: Outcome, sample: str) -> None:
        """Count one outcome; ``sample`` says at which input."""
        text = f"{outcome.kind}: {outcome.text}"
        if outcome.kind != "equal":
            pattern = next((p for p in {**self.own, **self.lent} if re.search(p, text)), None)
            if pattern is not None:
                self.used.add(pattern)
                self.counts["on purpose"] += 1
                return
            alike = re.sub(r"[-+.\w]*\d[-+.\w]*|\bnan\b|\binf\b", "N", text.split("(given")[0])
            self.unexplained.setdefault(alike, [text]).append(sample)
        self.counts[outcome.kind] += 1

    def leave_out(self) -> None:
        """Count a sample of a kind that minigen does not have at all."""
        self.counts["left out"] += 1

    def settle(self, record_property: Callable[[str, object], None]) -> None:
        """Hand the counts to the final table; fail if a verdict is open."""
        lines = self.report()
        row = {"name": self.name, "counts": dict(self.counts), "failures": lines}
        record_property("judge", row)
        if lines:
            pytest.fail("\n".join([self.name, *lines[:30]]), pytrace=False)

    def report(self) -> list[str]:
        """One line for each unexplained verdict and each stale entry."""
        lines = [
            f"{text}  ({len(samples)}×, first at {samples[0]})"
            for text, *samples in self.unexplained.values()
        ]
        stale = set(self.own) - self.used
        return lines + [f"no longer needed in deviations.py: {p!r}" for p in sorted(stale)]


def _base(name: str) -> str:
    """The function behind a method: ``Tensor.add_`` is ``add``."""
    return name.removeprefix("Tensor.").removeprefix("operator ").rstrip("_")
