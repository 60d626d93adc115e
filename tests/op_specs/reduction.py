"""Descriptions of reductions, running sums and the softmax family."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg

from .core import (
    DISTINCT,
    REAL,
    Case,
    Domain,
    Spec,
    arrays,
    binary,
    integer_arrays,
    masks,
    one_axis,
    shapes,
    some_axes,
    torch,
)


@st.composite
def along(
    draw: Any,
    domain: Domain = REAL,
    several: bool = True,
    empty: bool = False,
    keepdim: bool = True,
    optional: bool = True,
    **limits: int,
) -> Case:
    """An array, ``dim`` and ``keepdim``; a reduced dimension has length 0 only if ``empty``."""
    x = draw(arrays(draw(shapes(**limits)), domain))
    if several:
        dim = draw(some_axes(x.ndim))
    else:
        dim = draw(st.none() | one_axis(x.ndim)) if optional else draw(one_axis(x.ndim))
    if not empty and 0 in x.shape:
        reduced = range(x.ndim) if dim is None else np.atleast_1d(dim)
        if any(x.shape[d] == 0 for d in reduced):
            lengths = tuple([n or 2 for n in x.shape])
            x = draw(arrays(lengths, domain))
    options = {"dim": dim}
    if keepdim:
        options["keepdim"] = draw(st.booleans())
    return Case((x,), options)


def _np(function: Any, **fixed: Any) -> Any:
    """A NumPy reduction with PyTorch's argument names."""

    def call(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        return function(x, axis=dim, keepdims=keepdim, **fixed)

    return call


def _torch_all_dims(name: str) -> Any:
    """``amax`` and friends want every dimension named."""
    return lambda x, dim, keepdim: getattr(torch, name)(
        x, dim=tuple(range(x.ndim)) if dim is None else dim, keepdim=keepdim
    )


def _np_logsumexp(x: Any, dim: Any, keepdim: bool) -> Any:
    return np.log(np.exp(x).sum(axis=dim, keepdims=keepdim))


def _np_softmax(x: Any, dim: int) -> Any:
    return np.exp(x) / np.exp(x).sum(axis=dim, keepdims=True) if x.ndim else np.ones_like(x)


def _np_log_softmax(x: Any, dim: int) -> Any:
    if not x.size or not x.ndim:
        return np.zeros_like(x)
    return x - np.log(np.exp(x).sum(axis=dim, keepdims=True))


_CORRECTIONS = [
    {"unbiased": True},
    {"unbiased": False},
    {"correction": 0},
    {"correction": 1},
    {"correction": 1.5},
    {},
]


@st.composite
def _spread_case(draw: Any) -> Case:
    """For var and std: at least two values along ``dim``."""
    case = draw(along(min_side=2, min_dims=1, max_dims=3))
    return Case(case.arrays, {**case.options, **draw(st.sampled_from(_CORRECTIONS))})


def _np_var(
    x: Any, dim: Any, keepdim: bool, unbiased: bool = True, correction: float | None = None
) -> Any:
    taken = int(unbiased) if correction is None else correction
    return np.var(x, axis=dim, ddof=taken, keepdims=keepdim)


def _np_with_mean(spread: Any) -> Any:
    def both(x: Any, **options: Any) -> Any:
        shape = {"axis": options["dim"], "keepdims": options["keepdim"]}
        return spread(_np_var(x, **options)), np.mean(x, **shape)

    return both


@st.composite
def _converted(draw: Any) -> Case:
    """Integers, whose sum in another dtype is asked for."""
    x = draw(integer_arrays(draw(shapes(min_dims=1, min_side=1, max_side=3)), -3, 4))
    return Case((x,), {"dim": draw(one_axis(x.ndim)), "dtype": "float64"})


def _in_torch(name: str) -> Any:
    return lambda x, dim, dtype: getattr(torch, name)(x, dim=dim, dtype=getattr(torch, dtype))


def _in_float64(function: Any) -> Any:
    return lambda x, dim, dtype: function(x.astype(dtype), axis=dim)


CONVERTED = [
    Spec(
        name,
        _converted(),
        numpy=_in_float64(numpy),
        torch=_in_torch(name),
        differentiable=False,
        keeps_dtype=False,
    )
    for name, numpy in [
        ("sum", np.sum),
        ("mean", np.mean),
        ("prod", np.prod),
        ("cumsum", np.cumsum),
        ("cumprod", np.cumprod),
        ("softmax", lambda x, axis: np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)),
        (
            "log_softmax",
            lambda x, axis: x - np.log(np.exp(x).sum(axis=axis, keepdims=True)),
        ),
    ]
]

SUMS = [
    Spec("sum", along(empty=True), numpy=_np(np.sum), torch="sum", ops=("sum",), integers=True),
    Spec("mean", along(), numpy=_np(np.mean), torch="mean", ops=("mean",)),
    Spec("var", _spread_case(), numpy=_np_var, torch="var"),
    Spec("var_mean", _spread_case(), numpy=_np_with_mean(np.copy), torch="var_mean"),
    Spec("std_mean", _spread_case(), numpy=_np_with_mean(np.sqrt), torch="std_mean"),
    Spec(
        "std",
        _spread_case(),
        numpy=lambda x, **k: np.sqrt(_np_var(x, **k)),
        torch="std",
        ops=("safe_sqrt",),
    ),
    Spec(
        "cumsum",
        along(several=False, empty=True, keepdim=False, optional=False),
        numpy=lambda x, dim: np.cumsum(x, axis=dim) if x.ndim else x,
        torch="cumsum",
        ops=("cumsum",),
        integers=True,
    ),
]


def _both(name: str, values: Any, places: Any) -> Any:
    """NumPy's version of ``(values, indices)`` along one dim, or just the value of all."""

    def call(x: Any, dim: Any, keepdim: bool) -> Any:
        if dim is None:
            return values(x)
        return (
            values(x, axis=dim, keepdims=keepdim),
            places(x, axis=dim, keepdims=keepdim) if x.ndim else np.zeros((), np.int64),
        )

    return call


def _torch_both(name: str) -> Any:
    return lambda x, dim, keepdim: (
        getattr(torch, name)(x) if dim is None else tuple(getattr(torch, name)(x, dim, keepdim))
    )


def _max_or_min(name: str) -> Any:
    return lambda x, dim, keepdim: getattr(mg, name)(x, dim, keepdim)


_TIES = Domain(-1.4, 1.4, whole=True)

EXTREMES = [
    *[
        Spec(
            name,
            along(DISTINCT),
            numpy=_np(getattr(np, name)),
            torch=_torch_all_dims(name),
            ops=(name,),
        )
        for name in ("amax", "amin")
    ],
    *[
        Spec(
            name,
            along(DISTINCT, several=False),
            numpy=_both(name, getattr(np, name), getattr(np, f"arg{name}")),
            torch=_torch_both(name),
            call=_max_or_min(name),
        )
        for name in ("max", "min")
    ],
    *[
        Spec(
            name,
            binary(Domain(-2, -0.1), Domain(0, 2), scalars=False),
            numpy=numpy,
            torch=name,
        )
        for name, numpy in (("max", np.maximum), ("min", np.minimum))
    ],
    *[
        Spec(
            name,
            along(_TIES, several=False),
            numpy=lambda x, dim, keepdim, name=name: getattr(np, name)(
                x, axis=dim if x.ndim else None, keepdims=keepdim
            ),
            ops=(name,),
            differentiable=False,
        )
        for name in ("argmax", "argmin")
    ],
]


@st.composite
def _truths(draw: Any) -> Case:
    case = draw(along(empty=True))
    return Case((draw(masks(case.arrays[0].shape)),), case.options)


LOGICAL = [
    Spec(
        name,
        _truths(),
        numpy=_np(getattr(np, name)),
        torch=name,
        ops=(name,),
        differentiable=False,
    )
    for name in ("any", "all")
]

SOFTMAX = [
    Spec(
        "logsumexp",
        along(Domain(-5, 5)),
        numpy=_np_logsumexp,
        torch=lambda x, dim, keepdim: torch.logsumexp(
            x, tuple(range(x.ndim)) if dim is None else dim, keepdim
        ),
        ops=("logsumexp",),
    ),
    Spec(
        "softmax",
        along(Domain(-5, 5), several=False, keepdim=False, optional=False, empty=True),
        numpy=_np_softmax,
        torch=lambda x, dim: torch.softmax(x, dim),
        ops=("softmax",),
    ),
    Spec(
        "log_softmax",
        along(Domain(-5, 5), several=False, keepdim=False, optional=False, empty=True),
        numpy=_np_log_softmax,
        torch=lambda x, dim: torch.log_softmax(x, dim),
        ops=("log_softmax",),
    ),
]

SPECS = [*SUMS, *CONVERTED, *EXTREMES, *LOGICAL, *SOFTMAX]
