"""The toy densities of the plane, exactly: their logarithm, and their entropy.

No model's mean −log p(x) on fresh points can be lower than the differential entropy

    H = −∫ p(x) log p(x) dx

of the density they come from (Gibbs' inequality), so H is the floor under a flow's curve: what is
clearly under it is a wrong log-determinant, a wrong unit or other data.

**The densities.** Both toys of `minigen.data.plane` are Gaussian noise of one deviation σ around a
centre c that is drawn from a curve or a set: p(x) = E_c N(x; c, σ²I). For the eight Gaussians the
mean runs over eight centres, exactly. For the moons it is an integral over the angle, done by
Gauss-Legendre quadrature with 200 angles on each half circle: centres at most σ/2 apart, at which
the rule is exact to twelve digits.

**The integral** of p log p is a sum over a grid of cells σ/5 wide that reaches 8σ beyond all
centres. For a function as smooth as this the sum converges faster than any power of the cell.

The noise is a product, N(x; c, σ²I) = N(x₁; c₁, σ²)·N(x₂; c₂, σ²); so p on all grid points is one
matrix product, (points of axis 1 × centres) · (centres × points of axis 2).
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minigen.data import plane
from minigen.errors import unknown_name

__all__ = ["PLANE_DENSITIES", "density_on_grid", "entropy", "log_density"]

PLANE_DENSITIES = ("moons", "eight-gaussians")

ANGLES = 200  # of the quadrature, on each moon
REACH, CELL = 8.0, 0.2  # of the grid, in units of the noise

Array = npt.NDArray[Any]


class _Mixture(NamedTuple):
    """The density of (c + σ·ε − shift) / scale, c = centres[k] with probability weights[k]."""

    centres: Array  # (K, 2)
    weights: Array  # (K,)
    sigma: float
    shift: Array  # (2,)
    scale: Array  # (2,)


@functools.cache
def _mixture(name: str) -> _Mixture:
    if name == "moons":
        nodes, weights = np.polynomial.legendre.leggauss(ANGLES)  # on [−1, 1], Σ weights = 2
        angle = 0.5 * np.pi * (nodes + 1)
        centres = np.concatenate([plane.moon_curve(angle, moon) for moon in (0, 1)])
        weights = np.concatenate([weights, weights]) / 4
        shift, scale = np.array(plane.MOON_MEAN), np.array(plane.MOON_DEVIATION)
        return _Mixture(centres, weights, plane.MOON_NOISE, shift, scale)
    if name == "eight-gaussians":
        centres = plane.gaussian_centres()
        weights = np.full(len(centres), 1 / len(centres))
        return _Mixture(centres, weights, plane.GAUSSIAN_DEVIATION, np.zeros(2), np.ones(2))
    raise unknown_name("density", name, PLANE_DENSITIES)


def density_on_grid(name: str, first: Array, second: Array) -> npt.NDArray[np.float64]:
    """p at all pairs of the two axes' values: (A,), (B,) → (A, B), [i, j] at (first_i, second_j).

    name: ``"moons"`` or ``"eight-gaussians"``; the axes are in the units of that data set.
    """
    centres, weights, sigma, shift, scale = _mixture(name)
    # (A,), (K,) -> (A, K): the noise's density along one axis, for every centre
    one = _normal(first * scale[0] + shift[0], centres[:, 0], sigma)
    two = _normal(second * scale[1] + shift[1], centres[:, 1], sigma)
    # (A, K) · (K, B) -> (A, B). Squeezing space by `scale` makes the density that much larger.
    return (one * weights) @ two.T * scale.prod()


def log_density(name: str, points: Array) -> npt.NDArray[np.float64]:
    """log p in nats at points (N, 2) in the units of the data set: (N,)."""
    centres, weights, sigma, shift, scale = _mixture(name)
    result = np.empty(len(points))
    for start in range(0, len(points), 500):  # (500, K) at a time fits into the cache
        x = np.asarray(points[start : start + 500], np.float64) * scale + shift
        squares = ((x[:, np.newaxis] - centres) ** 2).sum(axis=-1)  # (500, K)
        least = squares.min(axis=1, keepdims=True)
        mean = np.exp((least - squares) / (2 * sigma**2)) @ weights  # (500, K) -> (500,)
        result[start : start + 500] = np.log(mean) - least[:, 0] / (2 * sigma**2)
    return result - math.log(2 * math.pi * sigma**2) + float(np.log(scale).sum())


@functools.cache
def entropy(name: str) -> float:
    """−∫ p log p in nats, of ``"moons"`` (1.131) or ``"eight-gaussians"`` (1.698).

    Raises UserError for another name.
    """
    centres, _, sigma, shift, scale = _mixture(name)
    low, high = centres.min(axis=0) - REACH * sigma, centres.max(axis=0) + REACH * sigma
    axes = [(np.arange(low[d], high[d], CELL * sigma) - shift[d]) / scale[d] for d in (0, 1)]
    p = density_on_grid(name, axes[0], axes[1])
    cell = (CELL * sigma) ** 2 / scale.prod()
    return float(-np.sum(p * np.log(np.where(p > 0, p, 1.0))) * cell)


def _normal(x: Array, centres: Array, sigma: float) -> Array:
    z = (x[:, np.newaxis] - centres) / sigma
    return np.exp(-0.5 * z * z) / (sigma * math.sqrt(2 * math.pi))
