"""Descriptions of reductions, running sums and the softmax family."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg
from minigen.autograd.operation import registry

from .core import (
    DISTINCT,
    NONZERO,
    REAL,
    Case,
    Domain,
    Spec,
    arrays,
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


def _np_norm(x: Any, p: float, dim: Any, keepdim: bool) -> Any:
    size = np.abs(x)
    if p == math.inf:
        return size.max(axis=dim, keepdims=keepdim)
    return (size**p).sum(axis=dim, keepdims=keepdim) ** (1 / p)


def _np_logsumexp(x: Any, dim: Any, keepdim: bool) -> Any:
    return np.log(np.exp(x).sum(axis=dim, keepdims=keepdim))


def _np_softmax(x: Any, dim: int) -> Any:
    return np.exp(x) / np.exp(x).sum(axis=dim, keepdims=True) if x.ndim else np.ones_like(x)


def _np_log_softmax(x: Any, dim: int) -> Any:
    if not x.size or not x.ndim:
        return np.zeros_like(x)
    return x - np.log(np.exp(x).sum(axis=dim, keepdims=True))


def _with_option(cases: Any, **options: st.SearchStrategy[Any]) -> Any:
    """The cases with further options drawn."""
    return st.builds(
        lambda case, drawn: Case(case.arrays, {**case.options, **drawn}),
        cases,
        st.fixed_dictionaries(options),
    )


@st.composite
def _spread_case(draw: Any) -> Case:
    """For var and std: at least two values along ``dim``."""
    case = draw(along(min_side=2, min_dims=1, max_dims=3))
    return Case(case.arrays, {**case.options, "unbiased": draw(st.booleans())})


def _np_var(x: Any, dim: Any, unbiased: bool, keepdim: bool) -> Any:
    return np.var(x, axis=dim, ddof=int(unbiased), keepdims=keepdim)


def _torch_prod(x: Any, dim: Any, keepdim: bool) -> Any:
    if dim is not None:
        return torch.prod(x, dim, keepdim)
    return torch.prod(x).reshape((1,) * x.ndim if keepdim else ())


SUMS = [
    Spec("sum", along(empty=True), numpy=_np(np.sum), torch="sum", ops=("sum",), integers=True),
    Spec("mean", along(), numpy=_np(np.mean), torch="mean", ops=("mean",)),
    Spec("var", _spread_case(), numpy=_np_var, torch="var"),
    Spec(
        "std",
        _spread_case(),
        numpy=lambda x, **k: np.sqrt(_np_var(x, **k)),
        torch="std",
        ops=("safe_sqrt",),
    ),
    Spec(
        "norm",
        _with_option(along(NONZERO), p=st.sampled_from([1, 2, 3, 0.5])),
        numpy=_np_norm,
        torch=lambda x, p, dim, keepdim: torch.linalg.vector_norm(
            x, ord=p, dim=dim, keepdim=keepdim
        ),
        aliases=("linalg.norm",),
    ),
    Spec(
        "norm",
        _with_option(along(Domain(0.1, 2, distinct=True)), p=st.just(math.inf)),
        numpy=_np_norm,
        torch=lambda x, p, dim, keepdim: torch.linalg.vector_norm(
            x, ord=p, dim=dim, keepdim=keepdim
        ),
    ),
    Spec(
        "prod",
        along(NONZERO, several=False, empty=True, max_side=3),
        numpy=_np(np.prod),
        torch=_torch_prod,
        ops=("prod", "cumprod_exclusive"),
    ),
    Spec(
        "prod",
        along(Domain(-1.4, 1.4, whole=True), several=False, max_side=3, max_dims=2),
        numpy=_np(np.prod),
        torch=_torch_prod,
        ops=("prod",),
    ),
    Spec(
        "cumsum",
        along(several=False, empty=True, keepdim=False, optional=False),
        numpy=lambda x, dim: np.cumsum(x, axis=dim) if x.ndim else x,
        torch="cumsum",
        ops=("cumsum",),
        integers=True,
    ),
    Spec(
        "cumprod_exclusive",
        _with_option(
            along(NONZERO, several=False, keepdim=False, optional=False, min_dims=1, max_side=3),
            reverse=st.booleans(),
        ),
        call=lambda x, dim, reverse: registry["cumprod_exclusive"](
            x, dim=dim % x.ndim, reverse=reverse
        ),
        numpy=lambda x, dim, reverse: _np_exclusive(x, dim, reverse),
        ops=("cumprod_exclusive",),
    ),
]


def _np_exclusive(x: Any, dim: int, reverse: bool) -> Any:
    out = np.ones_like(x)
    length = x.shape[dim]
    at = lambda i: (slice(None),) * (dim % x.ndim) + (i,)
    for i in range(length):
        part = range(i + 1, length) if reverse else range(i)
        for j in part:
            out[at(i)] = out[at(i)] * x[at(j)]
    return out


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

SPECS = [*SUMS, *EXTREMES, *LOGICAL, *SOFTMAX]
