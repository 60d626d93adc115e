"""Descriptions of diagonals and triangles."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg

from .core import Case, Spec, arrays, shapes

_offsets = st.integers(-3, 3)


@st.composite
def _diagonal(draw: Any) -> Case:
    """Any two dimensions, or the first two by default."""
    x = draw(arrays(draw(shapes(min_dims=2, max_dims=4))))
    if draw(st.booleans()):
        return Case((x,), {"offset": draw(_offsets)} if draw(st.booleans()) else {})
    first, second = draw(st.permutations(range(x.ndim)))[:2]
    dims = {"dim1": first - x.ndim * draw(st.booleans()), "dim2": second}
    return Case((x,), {"offset": draw(_offsets), **dims})


def _np_diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    rows, columns = x.shape[dim1], x.shape[dim2]
    if not -rows <= offset <= columns:  # NumPy takes less than nothing there
        return np.diagonal(x, 0, dim1, dim2)[..., :0]
    return np.diagonal(x, offset, dim1, dim2)


@st.composite
def _diag(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=1, max_dims=2))))
    return Case((x,), {"diagonal": draw(_offsets)})


@st.composite
def _triangle(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=2))))
    return Case((x,), {"diagonal": draw(_offsets)})


@st.composite
def _matrix(draw: Any) -> Case:
    return Case((draw(arrays(draw(shapes(min_dims=2, max_dims=2)))),))


SPECS = [
    Spec("diagonal", _diagonal(), torch="diagonal", numpy=_np_diagonal),
    Spec("linalg.diagonal", _matrix(), torch="linalg.diagonal", call=mg.linalg.diagonal,
         numpy=np.diagonal),
    Spec("diag", _diag(), torch="diag",
         numpy=lambda x, diagonal: np.diag(x, diagonal) if x.ndim == 1 else
         _np_diagonal(x, diagonal)),
    Spec("trace", _matrix(), torch="trace", numpy=np.trace),
    Spec("tril", _triangle(), numpy=lambda x, diagonal: np.tril(x, diagonal), torch="tril",
         integers=True),
    Spec("triu", _triangle(), numpy=lambda x, diagonal: np.triu(x, diagonal), torch="triu",
         integers=True),
]  # fmt: skip
