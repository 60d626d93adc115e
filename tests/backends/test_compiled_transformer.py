"""The compiled kernels of a transformer against their plain versions, in one thread and in several.

In this module every array counts as large, so that small cases reach the compiled loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigen as mg
from minigen.backends import get_backend
from minigen.backends.compiled import KERNELS, loops, support
from minigen.backends.compiled.loops import together
from minigen.ops.kernel import defaults

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True, params=["one thread", "several"])
def compiled(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compiled kernels for arrays of any size, by either set of loops."""
    chosen = loops if request.param == "one thread" else together
    with pytest.MonkeyPatch.context() as patch, mg.use("numpy"):
        patch.setattr(support, "SMALL", 0)
        for module in ("attention", "normalization"):
            patch.setattr(f"minigen.backends.compiled.{module}.loops_for", lambda x: chosen)
        patch.setattr(support, "loops_for", lambda x: chosen)
        yield


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


def both(name: str, *arrays: Any, **options: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """(plain, compiled) for each result; for a kernel that works in place, of its first array."""
    plain, fast = ([x.copy() if isinstance(x, np.ndarray) else x for x in arrays] for _ in range(2))
    expected = defaults[name](get_backend("numpy"), *plain, **options)
    got = KERNELS[name](get_backend("numpy"), *fast, **options)
    assert got is not NotImplemented
    if expected is None:
        return [(plain[0], fast[0])]
    pairs = zip(expected, got) if isinstance(expected, tuple) else [(expected, got)]
    return list(pairs)


def agree(pairs: list[tuple[np.ndarray, np.ndarray]], precision: float = 4e-6) -> None:
    for expected, got in pairs:
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(got, expected, rtol=precision, atol=precision)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(("keys", "queries"), [(1, 1), (20, 20), (33, 33), (7, 40), (40, 50)])
def test_the_softmax_of_attention_and_its_way_back_equal_the_plain_ones(keys, queries, is_causal):
    scores = 5 * normal(3, 2, keys, queries)
    options = {"scale": 0.4, "is_causal": is_causal}
    agree(both("softmax_over_keys", scores, **options))
    weights = scores.copy()
    defaults["softmax_over_keys"](get_backend("numpy"), weights, **options)
    agree(both("softmax_over_keys_backward", normal(3, 2, keys, queries), weights, **options))


def test_a_hidden_score_weighs_exactly_nothing_and_a_row_without_any_is_0():
    scores = normal(1, 4, 3)
    scores[0, 2, 0] = scores[0, :, 1] = -np.inf
    KERNELS["softmax_over_keys"](get_backend("numpy"), scores, scale=1.0, is_causal=False)
    assert scores[0, 2, 0] == 0.0
    np.testing.assert_array_equal(scores[0, :, 1], 0)
    np.testing.assert_allclose(scores[0].sum(0)[[0, 2]], 1, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "precision"), [("float32", 4e-6), ("float64", 1e-13)])
@pytest.mark.parametrize(("rows", "columns"), [(1, 3), (5, 16), (40, 37)])
def test_layer_norm_by_rows_and_its_way_back_equal_the_plain_ones(rows, columns, dtype, precision):
    x, g = normal(2, rows, columns, dtype=dtype)
    weight, bias = normal(2, columns, dtype=dtype)
    agree(both("normalize_rows", x, weight, bias, eps=1e-5), precision)
    _, mean, inverse = defaults["normalize_rows"](get_backend("numpy"), x, weight, bias, eps=1e-5)
    agree(both("normalize_rows_backward", g, x, mean, inverse, weight), 10 * precision)


def test_gelu_and_its_slope_are_right_to_single_precision():
    x = np.linspace(-12, 12, 4001, dtype=np.float32)
    agree(both("gelu_by_tanh", x))
    agree(both("gelu_by_tanh_backward", np.ones_like(x), x))
    b, wide = get_backend("numpy"), x.astype(np.float64)
    value, slope = [
        KERNELS["gelu_by_tanh"](b, x),
        KERNELS["gelu_by_tanh_backward"](b, np.ones_like(x), x),
    ]
    right = [
        defaults["gelu_by_tanh"](b, wide),
        defaults["gelu_by_tanh_backward"](b, np.ones_like(wide), wide),
    ]
    np.testing.assert_allclose(value, right[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(slope, right[1], rtol=1e-6, atol=1e-6)


def test_cross_entropy_and_its_gradient_equal_the_plain_ones():
    x, target = 3 * normal(30, 17), RNG.integers(0, 17, 30)
    target[4] = -100
    agree(both("cross_entropy_and_gradient", x, target, ignore_index=-100))
    target[4] = 17
    kernel = KERNELS["cross_entropy_and_gradient"]
    assert np.isnan(kernel(get_backend("numpy"), x, target, ignore_index=-100)[0])


@pytest.mark.parametrize("rows", [5, 1000])
def test_rows_are_added_up_by_their_number(rows):
    agree(both("rows_summed_at", normal(60, 8), RNG.integers(0, 5, 60), rows=rows))


def test_what_a_loop_cannot_take_is_left_to_numpy():
    b, wide = get_backend("numpy"), normal(4, 6, 6, dtype="float64")
    causal = {"scale": 1.0, "is_causal": True}
    assert KERNELS["softmax_over_keys"](b, wide, **causal) is NotImplemented
    assert KERNELS["softmax_over_keys_backward"](b, wide, wide[:1], **causal) is NotImplemented
    assert KERNELS["normalize_rows"](b, wide[0], None, None, eps=1e-5) is NotImplemented
    assert KERNELS["gelu_by_tanh"](b, wide) is NotImplemented
    target = np.zeros(6, np.int32)
    assert (
        KERNELS["cross_entropy_and_gradient"](b, wide[0].astype("f4"), target, ignore_index=-100)
        is NotImplemented
    )
