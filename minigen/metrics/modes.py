"""Mode coverage: which parts of the data a generator's samples reach, and how many hit.

A generator that makes one perfect digit for ever has a low loss and looks fine one sample at a
time. Data whose modes are *known* show what is missing:

**Gaussians of the plane** (`ring`, `grid`; `minigen.data.plane.MIXTURES`). A sample within 3σ of a
centre hits that mode; of the data themselves 98.9 % do, 1 − exp(−9/2). A mode is *found* when at
least `FOUND` of its fair share of all samples hits it: with K modes and a share of 1/10, at least
N/(10·K) of N samples. (The literature counts a mode as found from the first sample on, Lin et al.
2018, "PacGAN", section 4.1, which a thin bridge between two modes satisfies; `found=0` counts so.)

**Stacked MNIST** (`stacked-mnist`). A classifier reads the digit in each colour, and the three
spell one of 1,000 modes. A mode is found from the first sample on, as is the custom with 26 samples
for each mode, and the Kullback-Leibler divergence of the modes' shares from the data's,
KL(samples ‖ uniform) in nats, tells how evenly they are hit (Metz et al. 2017, section 3.3.1;
their number of samples: `STACKED_SAMPLES`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minigen.data.plane import MIXTURES
from minigen.errors import UserError, unknown_name

__all__ = [
    "FOUND",
    "REACH",
    "STACKED_SAMPLES",
    "Coverage",
    "coverage_metrics",
    "mode_coverage",
    "stacked_coverage",
    "stacked_modes",
]

REACH = 3.0  # σ
FOUND = 0.1  # of a mode's fair share of the samples
STACKED_SAMPLES = 25_600

Array = npt.NDArray[Any]


class Coverage(NamedTuple):
    """What `mode_coverage` counts."""

    modes: int
    """Modes found."""
    share: float
    """Share of all samples that hit a mode, 0 … 1."""
    hits: npt.NDArray[np.int64]
    """(K,) samples that hit each mode."""
    found: npt.NDArray[np.bool_]
    """(K,) which modes are found."""


def mode_coverage(
    points: Array, centres: Array, deviation: float, found: float = FOUND, reach: float = REACH
) -> Coverage:
    """Count the samples (N, 2) within `reach`·`deviation` of their nearest centre out of (K, 2).

    found: share of its fair part, N/K, that a mode needs to count; at least one sample in any case.

    A point with a number that is not finite hits nothing. Raises UserError for no points, other
    shapes, and a deviation or reach that is not positive.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or len(points) == 0 or points.shape[1:] != centres.shape[1:]:
        raise UserError(f"points must have shape (N, {centres.shape[1]}), got {points.shape}")
    if not (deviation > 0 and reach > 0):
        raise UserError(f"deviation and reach must be > 0, got {deviation} and {reach}")
    points = np.where(np.isfinite(points), points, np.inf)
    squares = ((points[:, np.newaxis] - centres) ** 2).sum(axis=-1)  # (N, K)
    nearest = squares.argmin(axis=1)  # (N,)
    hit = squares[np.arange(len(points)), nearest] <= (reach * deviation) ** 2
    hits = np.bincount(nearest[hit], minlength=len(centres))  # (K,)
    is_found = hits >= max(1.0, found * len(points) / len(centres))
    return Coverage(int(is_found.sum()), float(hit.mean()), hits, is_found)


def coverage_metrics(name: str, points: Array) -> dict[str, float]:
    """The metrics of samples of a mixture of `minigen.data.plane`, ``"ring"`` or ``"grid"``, say.

    `modes`                 modes found
    `within_3_sigma_percent` share of samples that hit a mode

    Raises UserError for another name, and as `mode_coverage`.
    """
    if name not in MIXTURES:
        raise unknown_name("data", name, MIXTURES)
    coverage = mode_coverage(points, *MIXTURES[name])
    return {"modes": float(coverage.modes), "within_3_sigma_percent": 100 * coverage.share}


def stacked_modes(digits: Array) -> npt.NDArray[np.int64]:
    """The number that three digits spell: (N, 3) integers 0 … 9 → (N,), 0 … 999."""
    digits = np.asarray(digits)
    if digits.ndim != 2 or digits.shape[1] != 3:
        raise UserError(f"digits must have shape (N, 3), got {digits.shape}")
    return digits.astype(np.int64) @ np.array([100, 10, 1])


def stacked_coverage(modes: Array) -> dict[str, float]:
    """The metrics of stacked digits from the mode of each sample, (N,) integers 0 … 999.

    `modes`    different ones among the samples
    `kl_nats`  KL(shares of the samples ‖ 1/1000 each) = ln 1000 − H(shares); 0 is even

    Both depend on N: compare at `STACKED_SAMPLES`. Of that many *even* draws all 1,000 modes are
    found, and the divergence is 0.02.

    Raises UserError for no samples and for modes out of range.
    """
    modes = np.asarray(modes)
    if modes.ndim != 1 or len(modes) == 0 or modes.min() < 0 or modes.max() > 999:
        raise UserError(f"modes must be N whole numbers 0 … 999, got {modes}")
    shares = np.bincount(modes, minlength=1000) / len(modes)
    there = shares[shares > 0]
    return {
        "modes": float(len(there)),
        "kl_nats": float(np.log(1000) + (there * np.log(there)).sum()),
    }
