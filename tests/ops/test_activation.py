"""Activations at the ends of the line: tails to the last digit, infinities, NaN, whole numbers."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")

SIZES = pytest.mark.parametrize("count", [700, 9000], ids=["plain", "compiled"])
ENDS = {"float32": 103.5, "float64": 740.0}
"""Where e^-x is about the smallest number that there is."""


def sigmoid(x):
    """1/(1 + e⁻ˣ) with more digits than float64 has."""
    return 1 / (1 + np.exp(-x.astype(np.longdouble)))


def units(found, truth):
    """How many units in the last place a result is off."""
    nearest = truth.astype(found.dtype)
    off = np.abs(found.astype(np.longdouble) - truth)
    return float((off / np.spacing(np.abs(nearest)).astype(np.longdouble)).max())


def line(count, dtype):
    """The whole range of the sigmoid, dense around 0."""
    end = ENDS[dtype]
    near = np.geomspace(1e-6, end, count // 4)
    return np.concatenate([np.linspace(-end, end, count - 2 * len(near)), near, -near]).astype(
        dtype
    )


@SIZES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sigmoid_keeps_its_digits_over_the_whole_range(dtype, count):
    x = line(count, dtype)
    found = mg.sigmoid(mg.tensor(x)).numpy()
    assert found.dtype == dtype
    assert units(found, sigmoid(x)) <= 3


@SIZES
def test_the_tail_of_the_sigmoid_that_a_loss_lives_from(count):
    x = mg.tensor(np.full(count, -18.17, "float32"))
    np.testing.assert_allclose(mg.sigmoid(x).numpy(), 1.2848996e-8, rtol=1e-6)
    y = mg.tensor(np.full(count, -316.0))
    np.testing.assert_allclose(mg.sigmoid(y).numpy(), 5.7935361e-138, rtol=1e-6)


@SIZES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_and_silu_at_the_infinities(dtype, count):
    ends = np.resize(np.array([-np.inf, np.inf, np.nan], dtype), count)
    np.testing.assert_array_equal(
        mg.sigmoid(mg.tensor(ends)).numpy(), np.resize([0, 1, np.nan], count)
    )
    # ∞ · 0: PyTorch's answer as well
    with np.errstate(invalid="ignore"):
        found = mg.silu(mg.tensor(ends)).numpy()
    np.testing.assert_array_equal(found, np.resize([np.nan, np.inf, np.nan], count))


@SIZES
def test_a_sigmoid_with_its_cross_entropy_still_learns_far_out(count):
    x = mg.tensor(np.full(count, -80.0, "float32")).requires_grad_()
    loss = mg.binary_cross_entropy(mg.sigmoid(x), mg.ones(count), reduction="sum")
    np.testing.assert_allclose(loss.numpy(), 80.0 * count, rtol=1e-5)
    (g,) = mg.grad(mg.binary_cross_entropy_with_logits(x, mg.ones(count), reduction="sum"), [x])
    np.testing.assert_allclose(g.numpy(), -1.0, rtol=1e-6)


@SIZES
def test_tanh_has_its_digits_near_0_also_inside_other_ops(count):
    x = np.geomspace(1e-8, 1.0, count // 2)
    x = np.concatenate([x, -x]).astype("float32").reshape(-1, 2)
    truth = np.tanh(x.astype(np.longdouble))
    assert units(mg.tanh(mg.tensor(x)).numpy(), truth) <= 3
    dense = mg.dense(mg.tensor(x), mg.eye(2), mg.zeros(2), "tanh").numpy()
    assert units(dense, truth) <= 3
    both = mg.gated_tanh(mg.tensor(np.concatenate([x, np.full_like(x, np.inf)], 1))).numpy()
    assert units(both, truth) <= 3


@SIZES
def test_sigmoids_inside_other_ops_have_their_tails(count):
    x = np.linspace(-100, 100, count).astype("float32").reshape(-1, 2)
    truth = sigmoid(x)
    assert units(mg.dense(mg.tensor(x), mg.eye(2), mg.zeros(2), "sigmoid").numpy(), truth) <= 3
    ones = np.full_like(x, np.inf)  # whose tanh is 1
    assert units(mg.gated_tanh(mg.tensor(np.concatenate([ones, x], 1))).numpy(), truth) <= 3
    glu = mg.glu(mg.tensor(np.concatenate([np.ones_like(x), x], 1))).numpy()
    assert units(glu, truth) <= 3


@SIZES
def test_softplus_logsigmoid_and_elu_keep_the_digits_of_small_slopes(count):
    x = np.resize(np.float32([-80, -40, -18.17, -3]), count)
    truth = np.exp(x.astype(np.longdouble))
    for function, slope in (
        (mg.softplus, truth / (1 + truth)),
        (lambda v: mg.logsigmoid(-v), -truth / (1 + truth)),
        (mg.elu, truth),
    ):
        v = mg.tensor(x).requires_grad_()
        (g,) = mg.grad(function(v).sum(), [v])
        np.testing.assert_allclose(g.numpy(), slope.astype(float), rtol=1e-6)


def test_softplus_and_logsigmoid_at_the_infinities():
    x = mg.tensor([-np.inf, np.inf]).requires_grad_()
    y = mg.softplus(x)
    np.testing.assert_array_equal(y.numpy(), [0, np.inf])
    np.testing.assert_array_equal(mg.grad(y.sum(), [x])[0].numpy(), [0, 1])
    y = mg.logsigmoid(x)
    np.testing.assert_array_equal(y.numpy(), [-np.inf, 0])
    np.testing.assert_array_equal(mg.grad(y.sum(), [x])[0].numpy(), [1, 0])


def test_softplus_beyond_the_threshold_is_x_itself_and_its_slope_1():
    """In float64 too, where e^-20 could still be seen beside 20, as in PyTorch."""
    x = mg.tensor([19.0, 20.5], dtype="float64").requires_grad_()
    y = mg.softplus(x)
    np.testing.assert_array_equal(y.numpy(), [19 + np.log1p(np.exp(-19.0)), 20.5])
    np.testing.assert_array_equal(mg.grad(y.sum(), [x])[0].numpy(), [1 / (1 + np.exp(-19.0)), 1])
    assert mg.softplus(x, beta=2, threshold=40).tolist() == pytest.approx([19, 20.5], abs=1e-15)
    assert mg.softplus(mg.tensor(3.0), threshold=2.5).item() == 3


def test_prelu_of_a_number_is_a_number():
    assert mg.prelu(mg.tensor(-2.0), mg.tensor([0.25])).tolist() == -0.5


@SIZES
def test_gelu_by_tanh_far_out_is_x_or_0_and_its_slope_1_or_0(count):
    x = mg.tensor(
        np.resize(np.float32([-1e30, -1e20, -50, 50, 1e20, 1e30]), count)
    ).requires_grad_()
    y = mg.gelu(x, approximate="tanh")
    np.testing.assert_array_equal(y.numpy(), np.maximum(x.numpy(), 0))
    np.testing.assert_array_equal(mg.grad(y.sum(), [x])[0].numpy(), (x.numpy() > 0) * 1.0)


def test_relu6_has_the_slope_0_at_its_kinks_and_keeps_nan():
    x = mg.tensor([0.0, 6.0, 3.0, -1.0, 7.0, np.nan]).requires_grad_()
    y = mg.relu6(x)
    np.testing.assert_array_equal(y.numpy(), [0, 6, 3, 0, 6, np.nan])
    np.testing.assert_array_equal(mg.grad(y.sum(), [x])[0].numpy(), [0, 0, 1, 0, 0, 1])


@SIZES
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_whole_numbers_are_not_negated_in_their_own_dtype(dtype, count):
    x = np.resize(np.array([0, 1, 5]), count).astype(dtype)
    v = x.astype(float)
    for function, truth in ((mg.sigmoid, 1 / (1 + np.exp(-v))), (mg.softplus, np.log1p(np.exp(v)))):
        found = function(mg.tensor(x)).numpy()
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, truth, rtol=1e-6)
