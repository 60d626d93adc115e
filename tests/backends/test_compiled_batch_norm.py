"""The compiled kernels of batch norm against their plain versions, in one thread and in several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigen as mg
from minigen.backends import get_backend
from minigen.backends.compiled import KERNELS, loops, support
from minigen.backends.compiled.loops import together
from minigen.ops.kernel import defaults

SHAPES = [(1, 3), (5, 16), (17, 2), (33, 8), (400, 37)]
EITHER = [("float32", 4e-6), ("float64", 1e-13)]


@pytest.fixture(autouse=True, params=["one thread", "several"])
def _compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compiled kernels for arrays of any size, by either set of loops."""
    chosen = loops if request.param == "one thread" else together
    monkeypatch.setattr(support, "SMALL", 0)
    monkeypatch.setattr("minigen.backends.compiled.normalization.loops_for", lambda x: chosen)
    with mg.use("numpy"):
        yield


def values(rows: int, columns: int, dtype: str) -> list[np.ndarray]:
    """g, x far from 0, weight, bias."""
    rng = np.random.default_rng(rows)
    shapes = [(rows, columns)] * 2 + [(columns,)] * 2
    g, x, weight, bias = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    return [g, x * 2 + 5, weight, bias]


def run(kernels: Any, dtype: str, g: Any, x: Any, weight: Any, bias: Any) -> list[np.ndarray]:
    """What the kernels give forward and back."""
    b = get_backend("numpy")
    forward = kernels["normalize_channels"](b, x, weight, bias, eps=1e-3)
    assert forward is not NotImplemented
    _, mean, _, inverse = forward
    back = kernels["normalize_channels_backward"](b, g, x, mean, inverse, weight)
    assert back is not NotImplemented
    return [*forward, *back]


@pytest.mark.parametrize(("dtype", "precision"), EITHER)
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_batch_norm_and_its_way_back_equal_the_plain_ones(rows, columns, dtype, precision):
    arrays = values(rows, columns, dtype)
    for got, expected in zip(run(KERNELS, dtype, *arrays), run(defaults, dtype, *arrays)):
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
        size = max(1, np.abs(expected).max())
        np.testing.assert_allclose(got, expected, rtol=precision, atol=20 * precision * size)


def test_one_thread_and_several_give_the_same_bits(monkeypatch):
    arrays, found = values(400, 37, "float32"), []
    for chosen in (loops, together, together):
        monkeypatch.setattr(
            "minigen.backends.compiled.normalization.loops_for", lambda x, chosen=chosen: chosen
        )
        found.append(run(KERNELS, "float32", *arrays))
    for one, *others in zip(*found):
        for other in others:
            np.testing.assert_array_equal(one, other)


def test_the_variance_of_values_far_from_0_is_not_lost_in_single_precision():
    rng = np.random.default_rng(0)
    x = (1000 + rng.normal(size=(4000, 4))).astype("float32")
    one = np.ones(4, "float32")
    _, mean, variance, _ = KERNELS["normalize_channels"](
        get_backend("numpy"), x, one, one, eps=1e-5
    )
    np.testing.assert_allclose(mean, x.mean(0, dtype="f8"), rtol=1e-6)
    np.testing.assert_allclose(variance, x.var(0, dtype="f8"), rtol=1e-5)


def test_without_weight_or_gaps_it_is_left_to_numpy():
    b, wide = get_backend("numpy"), np.ones((4, 6))
    vector = np.ones(6)
    assert KERNELS["normalize_channels"](b, wide, None, None, eps=1e-5) is NotImplemented
    back = KERNELS["normalize_channels_backward"]
    assert back(b, wide, wide, vector, vector, None) is NotImplemented
    assert back(b, wide[:, ::2], wide, vector, vector, vector) is NotImplemented
