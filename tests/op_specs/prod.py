"""Descriptions of products and of the recurrence that their gradients walk."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigen.autograd.operation import registry

from .core import NONZERO, Case, Domain, Spec, arrays, one_axis, shapes, torch
from .reduction import along

_SOME_ZEROS = Domain(-1.4, 1.4, whole=True)


def _np_prod(x: Any, dim: Any, keepdim: bool) -> Any:
    return np.prod(x, axis=dim, keepdims=keepdim)


def _torch_prod(x: Any, dim: Any, keepdim: bool) -> Any:
    if dim is not None:
        return torch.prod(x, dim, keepdim)
    return torch.prod(x).reshape((1,) * x.ndim if keepdim else ())


def _running(domain: Domain) -> Any:
    return along(domain, several=False, empty=True, keepdim=False, optional=False, max_side=3)


def _np_cumprod(x: Any, dim: int) -> Any:
    return np.cumprod(x, axis=dim) if x.ndim else x


@st.composite
def _recurrence(draw: Any) -> Case:
    shape = draw(shapes(min_dims=1, max_dims=3))
    dim = draw(one_axis(len(shape))) % len(shape)
    both = (draw(arrays(shape)), draw(arrays(shape)))
    return Case(both, {"dim": dim, "reverse": draw(st.booleans())})


def _np_recurrence(x: Any, factor: Any, dim: int, reverse: bool) -> Any:
    if reverse:
        return np.flip(_np_recurrence(np.flip(x, dim), np.flip(factor, dim), dim, False), dim)
    out, factor = np.moveaxis(x.copy(), dim, 0), np.moveaxis(factor, dim, 0)
    for i in range(1, len(out)):
        out[i] += factor[i] * out[i - 1]
    return np.moveaxis(out, 0, dim)


SPECS = [
    Spec("prod", along(NONZERO, several=False, empty=True, max_side=3),
         numpy=_np_prod, torch=_torch_prod, ops=("prod", "cumprod")),
    Spec("prod", along(_SOME_ZEROS, several=False, max_side=3, max_dims=2),
         numpy=_np_prod, torch=_torch_prod, ops=("prod",)),
    Spec("cumprod", _running(NONZERO), numpy=_np_cumprod, torch="cumprod",
         ops=("cumprod", "linear_recurrence"), integers=True),
    Spec("cumprod", _running(_SOME_ZEROS), numpy=_np_cumprod, torch="cumprod", ops=("cumprod",)),
    Spec("linear_recurrence", _recurrence(), call=registry["linear_recurrence"],
         numpy=_np_recurrence, ops=("linear_recurrence",)),
]  # fmt: skip
