"""Descriptions of the ops on sequences with time first."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from .core import Case, Spec, arrays, shapes, torch


@st.composite
def _sequence(draw: Any) -> Case:
    taps, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    n, channels, outputs = draw(st.integers(0, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    length = (taps - 1) * dilation + draw(st.integers(1, 4))
    bias = draw(st.sampled_from([(outputs,), (n, outputs)]))
    drawn = [draw(arrays(s)) for s in ((length, n, channels), (outputs, channels, taps), bias)]
    return Case(tuple(drawn), {"dilation": dilation})


def _np_conv(x: Any, weight: Any, bias: Any, dilation: int) -> Any:
    """The sum of the docstring, time step by time step."""
    taps = weight.shape[2]
    steps = range(len(x) - (taps - 1) * dilation)
    return np.stack(
        [sum(x[t + k * dilation] @ weight[:, :, k].T for k in range(taps)) + bias for t in steps]
    )


def _torch_conv(x: Any, weight: Any, bias: Any, dilation: int) -> Any:
    if not x.shape[1]:  # PyTorch's gradient of an empty batch is undefined here
        return x.sum() * weight.sum() + torch.zeros(
            len(x) - (weight.shape[2] - 1) * dilation, 0, len(weight), dtype=x.dtype
        )
    out = torch.nn.functional.conv1d(x.permute(1, 2, 0), weight, dilation=dilation)
    return out.permute(2, 0, 1) + bias


@st.composite
def _halves(draw: Any) -> Case:
    shape = draw(shapes(max_dims=3))
    return Case((draw(arrays((*shape, 2 * draw(st.integers(0, 3))))),))


def _gated(xp: Any, sigmoid: Any, x: Any) -> Any:
    half = x.shape[-1] // 2
    return xp.tanh(x[..., :half]) * sigmoid(x[..., half:])


SPECS = [
    Spec("conv_time_first", _sequence(), numpy=_np_conv, torch=_torch_conv,
         ops=("conv_time_first",)),
    Spec("gated_tanh", _halves(), numpy=lambda x: _gated(np, lambda v: 1 / (1 + np.exp(-v)), x),
         torch=lambda x: _gated(torch, torch.sigmoid, x), ops=("gated_tanh",)),
]  # fmt: skip
