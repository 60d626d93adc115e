"""The Fréchet distance between two sets of features, each seen as a Gaussian.

    d² = ‖μ₁ − μ₂‖² + tr( Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½ )                     (Dowson & Landau 1982)

This is the squared Wasserstein-2 distance of N(μ₁, Σ₁) and N(μ₂, Σ₂). With the features of a
classifier it is the score of Heusel et al. 2017, "GANs trained by a two time-scale update rule",
section 4: theirs is the Inception network, ours `minigen.metrics.features`, so that the two numbers
have nothing to do with each other.

**The square root.** Σ₁Σ₂ is not symmetric, and a general matrix square root of it returns complex
numbers when a covariance is singular. But with R = Σ₁^½,

    tr (Σ₁Σ₂)^½ = tr (R Σ₂ R)^½ = ∑_i √λ_i(R Σ₂ R)

since Σ₁Σ₂ and RΣ₂R have the same eigenvalues, and RΣ₂R is symmetric and positive semidefinite:
`eigh` does it, and what rounding makes of an eigenvalue 0 is cut off at 0.

**Bias.** The estimate from N samples is too high by about a constant over N (Bińkowski et al. 2018,
"Demystifying MMD GANs", section 4.2): compare at the same N only. The distance between two halves
of the data is what is left of it at that N.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError

__all__ = ["feature_rows", "frechet_distance", "gaussian_frechet_distance", "moments"]

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float64]


def frechet_distance(real: Array, fake: Array) -> float:
    """d² of two sets of features, (N, D) and (M, D), in float64; ≥ 0 and symmetric.

    Raises UserError for other shapes, for less than two rows, and for numbers that are not finite.
    """
    real, fake = feature_rows(real, fake)
    return gaussian_frechet_distance(*moments(real), *moments(fake))


def moments(features: Array) -> tuple[Matrix, Matrix]:
    """Mean (D,) and unbiased covariance (D, D) of features (N, D), N ≥ 2, in float64."""
    features = np.asarray(features, dtype=np.float64)
    mean = features.mean(axis=0)
    away = features - mean
    return mean, away.T @ away / (len(features) - 1)


def gaussian_frechet_distance(
    mean_1: Array, covariance_1: Array, mean_2: Array, covariance_2: Array
) -> float:
    """d² of two Gaussians: means (D,), symmetric positive semidefinite covariances (D, D)."""
    gap = np.asarray(mean_1, dtype=np.float64) - mean_2
    first = np.asarray(covariance_1, dtype=np.float64)
    second = np.asarray(covariance_2, dtype=np.float64)
    spread = np.trace(first) + np.trace(second) - 2 * _trace_of_root(first, second)
    return max(float(gap @ gap + spread), 0.0)  # of equal Gaussians rounding leaves ±1e-13


def feature_rows(real: Array, fake: Array, least: int = 2) -> tuple[Matrix, Matrix]:
    """Both sets in float64; UserError where they cannot be compared."""
    rows = []
    for name, features in (("real", real), ("fake", fake)):
        features = np.asarray(features, dtype=np.float64)
        if features.ndim != 2 or len(features) < least or features.shape[1] == 0:
            raise UserError(
                f"{name} must be features of shape (N, D), N >= {least}, got {features.shape}"
            )
        if not np.isfinite(features).all():
            raise UserError(f"{name} must be finite features, got NaN or infinity among them")
        rows.append(features)
    if rows[0].shape[1] != rows[1].shape[1]:
        columns = f"{rows[0].shape[1]} and {rows[1].shape[1]}"
        raise UserError(f"real and fake must have the same number of columns, got {columns}")
    return rows[0], rows[1]


def _trace_of_root(first: Matrix, second: Matrix) -> float:
    """tr (Σ₁Σ₂)^½."""
    root = _square_root(first)
    product = root @ second @ root
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)  # symmetric but for rounding
    return float(np.sqrt(np.maximum(eigenvalues, 0)).sum())


def _square_root(matrix: Matrix) -> Matrix:
    """The symmetric R ≥ 0 with R·R = matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
