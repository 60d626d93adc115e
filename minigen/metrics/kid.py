"""The kernel distance between two sets of features (Bińkowski et al. 2018, "Demystifying MMD GANs",
section 4), which has no bias.

    MMD² = E k(x, x') + E k(y, y') − 2 E k(x, y),      k(a, b) = (a·b / D + 1)³

x, x' are independent draws of the one distribution, y, y' of the other. It is 0 when all moments up
to the third agree, and unlike the Fréchet distance it has an unbiased estimate (section 4 there):

    1/(N(N−1)) ∑_{i≠j} k(x_i, x_j) + 1/(M(M−1)) ∑_{i≠j} k(y_i, y_j) − 2/(NM) ∑_{i,j} k(x_i, y_j)

A pair of a sample with *itself* is not a pair of independent draws: with the diagonal left in, the
estimate is too high by a term of order 1/N. Unbiased means also that it can be a little negative.

The paper averages over a hundred subsets of 1,000 rows to save memory. Here all pairs count, block
by block, which has less noise and draws no random numbers.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from minigen.metrics.frechet import feature_rows

__all__ = ["kernel_distance"]

BLOCK = 1000  # rows at a time: 80 MB for 10,000 columns

Array = npt.NDArray[Any]


def kernel_distance(real: Array, fake: Array) -> float:
    """The unbiased MMD² of two sets of features, (N, D) and (M, D), in float64.

    Raises UserError for other shapes, for less than two rows, and for numbers that are not finite.
    """
    real, fake = feature_rows(real, fake)
    across = _kernel_sum(real, fake) / (len(real) * len(fake))
    return _mean_of_pairs(real) + _mean_of_pairs(fake) - 2 * across


def _mean_of_pairs(x: Array) -> float:
    """Mean of k over all pairs of *different* rows."""
    itself = _kernel((x * x).sum(axis=1), x.shape[1]).sum()  # the diagonal, ∑_i k(x_i, x_i)
    return float((_kernel_sum(x, x) - itself) / (len(x) * (len(x) - 1)))


def _kernel_sum(x: Array, y: Array) -> float:
    """∑_{i,j} k(x_i, y_j)."""
    starts = range(0, len(x), BLOCK)
    return float(sum(_kernel(x[i : i + BLOCK] @ y.T, x.shape[1]).sum() for i in starts))


def _kernel(products: Array, features: int) -> Array:
    """k from the inner products a·b."""
    base = products / features + 1
    return base * base * base  # ten times faster than a power
