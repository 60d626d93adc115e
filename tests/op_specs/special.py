"""Descriptions of logit, x·ln y and the inverse of the error function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg

from .core import (
    POSITIVE,
    REAL,
    UNIT,
    Case,
    Domain,
    Spec,
    arrays,
    binary,
    shapes,
    torch,
    torch_scalar,
    unary,
    with_scalars,
)

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _np_logit(x: Any, eps: float | None) -> Any:
    x = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.log(x / (1 - x))


def _np_erfinv(x: Any) -> Any:
    """By bisection, which needs nothing but erf itself."""
    low, high = np.full_like(x, -6.0), np.full_like(x, 6.0)
    for _ in range(70):
        middle = (low + high) / 2
        below = _erf(middle) < x
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


@st.composite
def _entropy(draw: Any) -> Case:
    """Probabilities, some of them 0, and numbers under their logarithm."""
    shape = draw(shapes())
    p = draw(arrays(shape, UNIT))
    return Case((np.asarray(np.where(p < 0.3, 0.0, p)), draw(arrays(shape, POSITIVE))))


SPECS = [
    Spec("logit", unary(Domain(0.1, 0.9, avoid=(0.25, 0.75)),
                        {"eps": st.sampled_from([None, 0.25])}),
         numpy=_np_logit, torch="logit", ops=("logit",)),
    Spec("xlogy", binary(REAL, POSITIVE), call=with_scalars(mg.xlogy), ops=("xlogy",),
         numpy=with_scalars(lambda x, y: x * np.log(y)),
         torch=with_scalars(lambda x, y: torch.xlogy(x, y), torch_scalar)),
    Spec("xlogy", _entropy(), numpy=lambda x, y: np.where(x == 0, 0, x * np.log(y)),
         torch="xlogy"),
    Spec("erfinv", unary(Domain(-0.97, 0.97)), numpy=_np_erfinv, torch="erfinv",
         ops=("erfinv",)),
]  # fmt: skip
