"""Lengths and distances: vectors made of length 1, their angle, and how far points lie apart.

All are made of ``vector_norm``, whose gradient at 0 is 0: two equal points are no NaN.
"""

from __future__ import annotations

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.ops.elementwise import clamp
from minigen.ops.norm import vector_norm
from minigen.ops.reduction import sum as sum_over
from minigen.ops.shape import broadcast_to

__all__ = ["cdist", "cosine_similarity", "normalize"]


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """``x / max(‖x‖, eps)`` along ``dim``: vectors of length 1, and 0 for 0."""
    return input / clamp(vector_norm(input, p, dim, keepdim=True), min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """``x1 · x2 / (max(‖x1‖, eps) · max(‖x2‖, eps))`` along ``dim``; both broadcast."""
    first, second = (
        x / clamp(vector_norm(x, 2, dim, keepdim=True), min=eps) for x in _broadcast(x1, x2)
    )
    return sum_over(first * second, dim)


def _broadcast(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    shape = np.broadcast_shapes(x1.shape, x2.shape)
    return broadcast_to(x1, shape), broadcast_to(x2, shape)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """All distances ``‖x1ᵢ - x2ⱼ‖_p``: (…, P, M), (…, R, M) -> (…, P, R).

    Raises:
        ValueError: fewer than two dimensions, points of different lengths, or p < 0.
    """
    if min(x1.ndim, x2.ndim) < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"cdist: x1 {x1.shape} (…, P, M) does not fit x2 {x2.shape} (…, R, M)")
    if not p >= 0:
        raise ValueError(f"cdist: p must be ≥ 0, got {p}")
    # (…, P, 1, M) - (…, 1, R, M) -> (…, P, R, M) -> (…, P, R)
    return vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)
