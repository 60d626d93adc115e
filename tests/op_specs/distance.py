"""Descriptions of lengths and distances."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from .core import NONZERO, Case, Domain, Spec, arrays, broadcastable, one_axis, shapes, torch


def _np_norm(x: Any, p: float, dim: int) -> Any:
    return (np.abs(x) ** p).sum(axis=dim, keepdims=True) ** (1 / p)


@st.composite
def _vectors(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=2, min_side=1)), NONZERO))
    if draw(st.booleans()):
        return Case((x,))
    return Case((x,), {"p": draw(st.sampled_from([1.0, 2.0, 3.0])), "dim": draw(one_axis(x.ndim))})


@st.composite
def _two(draw: Any) -> Case:
    one, two = draw(broadcastable(2, min_side=1).filter(lambda s: min(map(len, s)) > 1))
    pair = draw(arrays(one, NONZERO)), draw(arrays(two, NONZERO))
    return Case(pair, {"dim": draw(st.sampled_from([-1, -2]))})


def _np_cosine(x: Any, y: Any, dim: int) -> Any:
    x, y = np.broadcast_arrays(x, y)
    return (x * y / (_np_norm(x, 2, dim) * _np_norm(y, 2, dim))).sum(axis=dim)


@st.composite
def _points(draw: Any) -> Case:
    """Two sets of points that keep away from one another in every coordinate."""
    lead = draw(st.sampled_from([((), ()), ((2,), (2,)), ((2,), ()), ((1, 2), (3, 1))]))
    n, m, size = (draw(st.integers(1, 3)) for _ in range(3))
    left = draw(arrays((*lead[0], n, size), Domain(-2, -0.2)))
    return Case((left, draw(arrays((*lead[1], m, size), Domain(0.2, 2)))),
                {"p": draw(st.sampled_from([1.0, 2.0, 3.0]))})  # fmt: skip


def _np_cdist(x: Any, y: Any, p: float) -> Any:
    return _np_norm(x[..., :, None, :] - y[..., None, :, :], p, -1)[..., 0]


SPECS = [
    Spec("normalize", _vectors(), torch="nn.functional.normalize",
         numpy=lambda x, p=2.0, dim=1: x / _np_norm(x, p, dim)),
    Spec("cosine_similarity", _two(), torch="nn.functional.cosine_similarity", numpy=_np_cosine),
    Spec("cdist", _points(), numpy=_np_cdist,  # PyTorch's own has no second derivative
         torch=lambda x, y, p: torch.linalg.vector_norm(
             x.unsqueeze(-2) - y.unsqueeze(-3), p, -1)),
]  # fmt: skip
