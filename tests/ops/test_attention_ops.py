"""Attention where some may look nowhere: their result is 0, and nobody's gradient is spoiled."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")

SIZES = pytest.mark.parametrize(("queries", "keys"), [(3, 4), (40, 48)], ids=["plain", "compiled"])


def inputs(queries, keys, dtype):
    rng = np.random.default_rng(5)
    return [
        mg.tensor(rng.standard_normal((2, n, 8)).astype(dtype)).requires_grad_()
        for n in (queries, keys, keys)
    ]


def definition(q, k, v, mask):
    """Row by row; a row of the mask without any True gives 0."""
    out = np.zeros((*q.shape[:2], v.shape[2]))
    for n in range(len(q)):
        for t in range(q.shape[1]):
            if mask[t].any():
                scores = k[n, mask[t]].astype(float) @ q[n, t] / math.sqrt(q.shape[2])
                e = np.exp(scores - scores.max())
                out[n, t] = e @ v[n, mask[t]] / e.sum()
    return out


@SIZES
@pytest.mark.parametrize("kind", ["boolean", "added"])
@pytest.mark.parametrize("dropout_p", [0.0, 1e-9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_query_that_may_look_nowhere_gets_0_and_gradients_stay_finite(
    queries, keys, kind, dropout_p, dtype
):
    q, k, v = inputs(queries, keys, dtype)
    mask = np.random.default_rng(1).uniform(size=(queries, keys)) < 0.6
    mask[1] = False
    given = mask if kind == "boolean" else np.where(mask, 0, -np.inf).astype(dtype)
    y = mg.scaled_dot_product_attention(q, k, v, mg.tensor(given), dropout_p)
    expected = definition(*(x.numpy() for x in (q, k, v)), mask)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(y.numpy()[:, 1], 0)
    plain = mg.grad((y * y).sum(), [q, k, v], retain_graph=True)
    recorded = mg.grad((y * y).sum(), [q, k, v], create_graph=True)
    for one, other in zip(plain, recorded):
        assert np.isfinite(one.numpy()).all()
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(plain[0].numpy()[:, 1], 0)
    for second in mg.grad(sum((g * g).sum() for g in recorded), [q, k, v]):
        assert np.isfinite(second.numpy()).all()


@SIZES
def test_a_boolean_mask_hides_scores_that_are_not_finite(queries, keys):
    q, k, v = inputs(queries, keys, "float32")
    wild = k.numpy().copy()
    wild[:, 2] = np.nan
    mask = np.ones((queries, keys), bool)
    mask[:, 2] = False
    y = mg.scaled_dot_product_attention(q, mg.tensor(wild), v, mg.tensor(mask))
    expected = definition(q.numpy(), k.numpy(), v.numpy(), mask)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-6)


@SIZES
def test_a_nan_among_the_scores_is_not_hidden(queries, keys):
    q, k, v = inputs(queries, keys, "float32")
    wild = k.numpy().copy()
    wild[0, 2] = np.nan
    y = mg.scaled_dot_product_attention(q, mg.tensor(wild), v).numpy()
    assert np.isnan(y[0]).all()
    assert np.isfinite(y[1]).all()


def test_whole_numbers_cannot_attend():
    x = mg.tensor(np.ones((1, 2, 4), np.int64))
    with pytest.raises(TypeError, match="query must be a floating-point tensor, got int64"):
        mg.scaled_dot_product_attention(x, x, x)


@pytest.mark.parametrize(
    ("shape", "num_heads", "words"),
    [
        ((2, 0, 12), 2, "needs at least one position"),
        ((2, 3, 12), 0, "with E divisible by num_heads 0"),
        ((2, 3, 12), 3, "with E divisible by num_heads 3"),
        ((2, 3, 10), 1, "with E divisible by num_heads 1"),
        ((2, 3, 0), 1, "with E divisible by num_heads 1"),
        ((3, 12), 2, "must be .N, T, 3·E."),
    ],
)
def test_packed_attention_names_a_shape_that_does_not_fit(shape, num_heads, words):
    with pytest.raises(ValueError, match=words):
        mg.packed_attention(mg.ones(*shape), num_heads)
