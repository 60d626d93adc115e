"""Descriptions of comparisons, of logic, and of what masks choose."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg

from .core import (
    REAL,
    UNIT,
    Case,
    Domain,
    Spec,
    arrays,
    binary,
    broadcastable,
    integer_arrays,
    masks,
    shapes,
    torch,
)
from .elementwise import one, two

_FEW = Domain(whole=True)


def _compared(name: str, numpy: Any, *aliases: str) -> Spec:
    return two(name, _FEW, _FEW, numpy, *aliases, differentiable=False)


COMPARISONS = [
    _compared("eq", np.equal),
    _compared("not_equal", np.not_equal, "ne"),
    _compared("less", np.less, "lt"),
    _compared("less_equal", np.less_equal, "le"),
    _compared("greater", np.greater, "gt"),
    _compared("greater_equal", np.greater_equal, "ge"),
    two("logical_and", REAL, REAL, np.logical_and, differentiable=False),
    two("logical_or", REAL, REAL, np.logical_or, differentiable=False),
    one("isnan", REAL, np.isnan, differentiable=False),
    one("isinf", REAL, np.isinf, differentiable=False),
    one("isfinite", REAL, np.isfinite, differentiable=False),
    one("logical_not", REAL, np.logical_not, differentiable=False),
]


@st.composite
def _whole(draw: Any, count: int = 2) -> Case:
    """Booleans or integers, which may be mixed and broadcast."""
    found = []
    for shape in draw(broadcastable(count)):
        some = integer_arrays(shape, -4, 5)
        found.append(draw(masks(shape) if draw(st.booleans()) else some))
    return Case(tuple(found))


_OPERATORS = {
    "bitwise_and": lambda x, y: x & y,
    "bitwise_or": lambda x, y: x | y,
    "bitwise_xor": lambda x, y: x ^ y,
}

BITS = [
    *[
        Spec(
            name,
            _whole(),
            call=operator,
            numpy=getattr(np, name),
            torch=name,
            ops=(name,),
            differentiable=False,
        )
        for name, operator in _OPERATORS.items()
    ],
    Spec(
        "bitwise_not",
        _whole(1),
        call=lambda x: ~x,
        numpy=np.invert,
        torch="bitwise_not",
        ops=("bitwise_not",),
        differentiable=False,
    ),
]

# ---------------------------------------------------------------- one answer


@st.composite
def _twins(draw: Any) -> Case:
    """Two arrays that are equal, or differ in shape or in one element."""
    x = draw(arrays(draw(shapes()), _FEW))
    change = draw(st.sampled_from(["none", "shape", "element"]))
    y = x[None] if change == "shape" else x.copy()
    if change == "element" and y.size:
        y.reshape(-1)[draw(st.integers(0, y.size - 1))] += 1
    return Case((x, np.array(y)))


ANSWERS = [
    Spec(
        "equal",
        _twins(),
        call=lambda x, y: mg.tensor(mg.equal(x, y)),
        numpy=np.array_equal,
        torch=lambda x, y: torch.tensor(torch.equal(x, y)),
        differentiable=False,
    ),
    Spec(
        "allclose",
        binary(UNIT, scalars=False),
        call=lambda x, y: mg.tensor(mg.allclose(x, y, rtol=0.5)),
        numpy=lambda x, y: np.allclose(x, y, rtol=0.5),
        differentiable=False,
    ),
]

# ---------------------------------------------------------------- masks


@st.composite
def _masked(draw: Any) -> Case:
    one, two = draw(broadcastable(2))
    return Case((draw(arrays(one)), draw(masks(two))))


@st.composite
def _filled(draw: Any) -> Case:
    case = draw(_masked())
    if draw(st.booleans()):
        return Case((*case.arrays, draw(arrays(()))))
    return Case(case.arrays, {"value": draw(st.sampled_from([0.0, 2, -np.inf]))})


@st.composite
def _sparse(draw: Any) -> Case:
    x = draw(arrays(draw(shapes()), _FEW))
    return Case((x,), {"as_tuple": draw(st.booleans())})


def _np_nonzero(x: Any, as_tuple: bool) -> Any:
    places = np.nonzero(np.atleast_1d(x))
    return places if as_tuple else np.stack(places, axis=1)[:, : x.ndim]


MASKS = [
    Spec(
        "masked_fill",
        _filled(),
        numpy=lambda x, mask, value: np.where(mask, value, x),
        torch="masked_fill",
    ),
    Spec(
        "masked_select",
        _masked(),
        numpy=lambda x, mask: np.broadcast_to(x, np.broadcast_shapes(x.shape, mask.shape))[
            np.broadcast_to(mask, np.broadcast_shapes(x.shape, mask.shape))
        ],
        torch="masked_select",
    ),
    Spec("nonzero", _sparse(), numpy=_np_nonzero, torch="nonzero", differentiable=False),
]

SPECS = [*COMPARISONS, *BITS, *ANSWERS, *MASKS]
