"""The few statistics of the tables: medians and quartiles, and ratios paired round by round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np


class Spread(TypedDict):
    """A median with its quartiles."""

    median: float
    lower_quartile: float
    upper_quartile: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of at least one number."""
    if not len(values):
        raise ValueError("values must hold at least one number, got none")
    lower, middle, upper = np.percentile(np.asarray(values, dtype=np.float64), [25, 50, 75])
    return {
        "median": float(middle),
        "lower_quartile": float(lower),
        "upper_quartile": float(upper),
    }


def paired_ratio(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Spread:
    """Ratio of medians within each round, then median and quartiles over the rounds.

    Both arguments hold one list of step times for each round. What slows a whole round (another
    program, a lower clock) slows both sides of it, and cancels.
    """
    return spread([a / b for a, b in _paired_medians(first, second)])


def paired_difference(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], scale: float = 1.0
) -> Spread:
    """Difference of medians within each round, times ``scale``, as :func:`paired_ratio` does."""
    return spread([(a - b) * scale for a, b in _paired_medians(first, second)])


def _paired_medians(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]
) -> list[tuple[float, float]]:
    if len(first) != len(second):
        raise ValueError(
            f"first and second must have the same number of rounds, "
            f"got {len(first)} and {len(second)}"
        )
    return [(float(np.median(a)), float(np.median(b))) for a, b in zip(first, second)]
