"""Precision and recall of samples (Kynkäänniemi et al. 2019, "Improved precision and recall metric
for assessing generative models").

A single distance cannot tell a blurred generator from one that has lost half of the digits. Two
numbers can. Each set of features, real and fake, spans a *manifold*: the union of balls round its
points, whose radius is the distance to the point's k-th nearest neighbour in the same set.

    precision = share of fake points in the manifold of the real ones       are samples realistic?
    recall    = share of real points in the manifold of the fake ones       is all of it covered?

A point is not its own neighbour. k = 3 as in the paper (section 2). Both numbers depend on the
number of points: compare at the same one, and with as many fake as real.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError
from minigen.metrics.frechet import feature_rows

__all__ = ["NEIGHBOURS", "PrecisionRecall", "neighbour_radii", "precision_recall"]

NEIGHBOURS = 3
BLOCK = 1000  # rows at a time: 80 MB for 10,000 columns

Array = npt.NDArray[Any]


class PrecisionRecall(NamedTuple):
    """Both are shares, 0 … 1."""

    precision: float
    recall: float


def precision_recall(real: Array, fake: Array, k: int = NEIGHBOURS) -> PrecisionRecall:
    """Precision and recall of features `fake` (M, D) against `real` (N, D), in float64.

    Raises UserError for other shapes, for k < 1, for k rows or fewer, and for numbers that are not
    finite.
    """
    if type(k) is not int or k < 1:
        raise UserError(f"k must be a whole number >= 1, got {k!r}")
    real, fake = feature_rows(real, fake, least=k + 1)
    middle = real.mean(axis=0)  # distances stay, and fewer digits cancel
    real, fake = real - middle, fake - middle
    radii = neighbour_radii(real, k), neighbour_radii(fake, k)
    return PrecisionRecall(_covered(fake, real, radii[0]), _covered(real, fake, radii[1]))


def neighbour_radii(points: Array, k: int = NEIGHBOURS) -> npt.NDArray[np.float64]:
    """The *squared* distance of each point to its k-th nearest other one: (N, D) → (N,)."""
    radii = np.empty(len(points))
    for start in range(0, len(points), BLOCK):
        squares = _squared_distances(points[start : start + BLOCK], points)  # (B, N)
        rows = np.arange(len(squares))
        squares[rows, start + rows] = np.inf  # a point is not its own neighbour
        radii[start : start + BLOCK] = np.partition(squares, k - 1, axis=1)[:, k - 1]
    return radii


def _covered(points: Array, centres: Array, radii: Array) -> float:
    """Share of `points` (M, D) that lie in a ball round one of `centres` (N, D)."""
    count = 0
    for start in range(0, len(points), BLOCK):
        squares = _squared_distances(points[start : start + BLOCK], centres)  # (B, N)
        count += int((squares <= radii).any(axis=1).sum())
    return count / len(points)


def _squared_distances(x: Array, y: Array) -> Array:
    """‖x_i − y_j‖² = ‖x_i‖² + ‖y_j‖² − 2 x_i·y_j: (B, D), (N, D) → (B, N), ≥ 0."""
    squares = -2 * (x @ y.T)
    squares += (x * x).sum(axis=1)[:, np.newaxis]
    squares += (y * y).sum(axis=1)
    return np.maximum(squares, 0, out=squares)
