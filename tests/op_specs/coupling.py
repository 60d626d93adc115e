"""Description of the affine coupling; the truth is its definition, written in NumPy and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from .core import Case, Spec, arrays, torch


@st.composite
def _coupling(draw: Any) -> Case:
    n, moved, kept = draw(st.integers(0, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rest = draw(st.sampled_from([(), (2,), (2, 3)]))
    swap, limit = draw(st.booleans()), draw(st.sampled_from([0.5, 2.0]))
    x, said = (draw(arrays((n, c, *rest))) for c in (moved + kept, 2 * moved))
    return Case((x, said), {"swap": swap, "limit": limit})


def _numpy(x: Any, said: Any, swap: bool, limit: float) -> Any:
    moved = said.shape[1] // 2
    s = limit * np.tanh(said[:, moved:] / limit)
    z = x.copy()
    place = slice(None, moved) if swap else slice(x.shape[1] - moved, None)
    z[:, place] = x[:, place] * np.exp(s) + said[:, :moved]
    return z, s.sum(tuple(range(1, x.ndim)))


def _torch(x: Any, said: Any, swap: bool, limit: float) -> Any:
    moved = said.shape[1] // 2
    s = limit * torch.tanh(said[:, moved:] / limit)
    cut = moved if swap else x.shape[1] - moved
    first, second = x[:, :cut], x[:, cut:]
    b = (first if swap else second) * torch.exp(s) + said[:, :moved]
    z = torch.cat([b, second] if swap else [first, b], 1)
    return z, s.sum(tuple(range(1, x.ndim)))


SPECS = [
    Spec(
        "affine_coupling",
        _coupling(),
        numpy=_numpy,
        torch=_torch,
        ops=("affine_coupling",),
    )
]
