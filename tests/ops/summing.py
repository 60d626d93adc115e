"""The three ways on which a sum can be made, for tests that try all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import minigen as mg
from minigen.backends import compiled
from minigen.backends.compiled import support

WAYS = ["plain", "strict", *(["compiled"] if compiled.available() else [])]

BOUND = 1e-6
"""The largest error of a float32 sum, as a share of Σ|x|."""


@contextmanager
def running(way: str) -> Iterator[None]:
    """With plain kernels, on the strict backend, or with compiled kernels for every array."""
    with pytest.MonkeyPatch.context() as patch, mg.use("numpy") as backend:
        patch.setattr(support, "SMALL", 0)
        patch.setattr(backend, "kernels", dict(compiled.KERNELS) if way == "compiled" else {})
        with mg.use("strict" if way == "strict" else "numpy"):
            yield


def assert_summed(found: mg.Tensor, terms: np.ndarray, axis: object = None) -> None:
    """``found`` is the float32 ``Σ terms`` over ``axis``, to within :data:`BOUND`."""
    wide = terms.astype(np.float64)
    assert found.dtype == np.float32
    off = np.abs(found.numpy().astype(np.float64) - wide.sum(axis=axis))
    assert (off <= BOUND * np.abs(wide).sum(axis=axis)).all(), f"off by {off.max()}"
