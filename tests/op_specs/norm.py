"""Descriptions of the norms of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg

from .core import NONZERO, Case, Domain, Spec, arrays, shapes, torch
from .reduction import along

_SIZES = Domain(0.1, 2, distinct=True)


@st.composite
def _vectors(draw: Any, domain: Domain, name: str, *orders: Any) -> Case:
    case = draw(along(domain))
    return Case(case.arrays, {**case.options, name: draw(st.sampled_from(orders))})


def _np_norm(x: Any, dim: Any, keepdim: bool, ord: Any) -> Any:
    size = np.abs(x)
    if math.isinf(ord):
        return (np.max if ord > 0 else np.min)(size, axis=dim, keepdims=keepdim)
    if ord == 0:
        return (x != 0).sum(axis=dim, keepdims=keepdim).astype(float)
    return (size**ord).sum(axis=dim, keepdims=keepdim) ** (1 / ord)


def _torch_norm(x: Any, dim: Any, keepdim: bool, ord: Any) -> Any:
    return torch.linalg.vector_norm(x, ord=ord, dim=dim, keepdim=keepdim)


def _frobenius(norm: Any) -> Any:
    return lambda x, dim, keepdim, p: norm(x, dim=dim, keepdim=keepdim, ord=2 if p == "fro" else p)


VECTORS = [
    Spec("linalg.vector_norm", _vectors(NONZERO, "ord", 1, 2, 3, 0.5, -1, -2.0),
         numpy=_np_norm, torch=_torch_norm),
    Spec("linalg.vector_norm", _vectors(_SIZES, "ord", math.inf, -math.inf),
         numpy=_np_norm, torch=_torch_norm),
    Spec("linalg.vector_norm", _vectors(Domain(whole=True), "ord", 0),
         numpy=_np_norm, torch=_torch_norm, differentiable=False),
    Spec("norm", _vectors(NONZERO, "p", "fro", 1, 2, 0.5),
         numpy=_frobenius(_np_norm), torch=_frobenius(_torch_norm)),
]  # fmt: skip


@st.composite
def _matrices(draw: Any) -> Case:
    """Sizes all different, so that no two rows or columns have the same sum."""
    x = draw(arrays(draw(shapes(min_dims=2, min_side=1, max_side=3)), _SIZES))
    dim = tuple(draw(st.permutations(range(x.ndim)))[:2])
    options = {"ord": draw(st.sampled_from(["fro", 1, -1, math.inf, -math.inf])), "dim": dim}
    return Case((x,), {**options, "keepdim": draw(st.booleans())})


@st.composite
def _either(draw: Any) -> Case:
    """A vector or a matrix, and an order that means something for both, or none."""
    x = draw(arrays(draw(shapes(min_dims=1, max_dims=2, min_side=1, max_side=3)), _SIZES))
    options = {"ord": draw(st.sampled_from([None, 1, math.inf, -math.inf]))}
    if draw(st.booleans()):
        dim = draw(st.permutations(range(x.ndim)))
        options["dim"] = draw(st.sampled_from([dim[0], tuple(dim)]))
    return Case((x,), options)


def _np_matrix_norm(x: Any, ord: Any, dim: Any, keepdim: bool = False) -> Any:
    return np.linalg.norm(x, ord, axis=dim, keepdims=keepdim)


MATRICES = [
    Spec("linalg.matrix_norm", _matrices(), numpy=_np_matrix_norm, torch="linalg.matrix_norm"),
    Spec("linalg.norm", _either(), torch="linalg.norm",
         numpy=lambda x, ord, dim=None: np.linalg.norm(x, ord, axis=dim)),
    Spec("linalg.norm", _matrices().filter(lambda case: case.options["ord"] != "fro"),
         call=mg.linalg.norm, numpy=_np_matrix_norm, torch="linalg.norm"),
]  # fmt: skip

SPECS = [*VECTORS, *MATRICES]
