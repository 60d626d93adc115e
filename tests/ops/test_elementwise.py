"""Elementwise functions where two infinities meet, at 0, and where two are equal."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")

INF, NAN = math.inf, math.nan


def gradients(function, *values, order=1, dtype="float64"):
    xs = [mg.tensor(np.asarray(v, dtype)).requires_grad_() for v in values]
    y = function(*xs)
    found = mg.grad(y.sum(), xs, create_graph=order == 2, allow_unused=True)
    if order == 2:
        total = sum(g.sum() for g in found if g is not None)
        found = mg.grad(total, xs, allow_unused=True)
    return [None if g is None else g.numpy() for g in found]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("function", "first"),
    [(mg.maximum, [0.5, 0.5, 1, 0, 1, 0.5]), (mg.minimum, [0.5, 0.5, 0, 1, 0, 0.5])],
)
def test_the_larger_and_the_smaller_of_two_share_where_they_are_equal(function, first, dtype):
    x, y = [INF, -INF, INF, -INF, 3, 2], [INF, -INF, -INF, 0, -INF, 2]
    by_x, by_y = gradients(function, x, y, dtype=dtype)
    np.testing.assert_array_equal(by_x, first)
    np.testing.assert_array_equal(by_y, 1 - np.array(first))


def test_what_loses_gets_no_gradient_even_if_an_infinite_one_arrives():
    x, y = mg.tensor([1.0]).requires_grad_(), mg.tensor([2.0]).requires_grad_()
    by_x, by_y = mg.grad(mg.maximum(x, y), [x, y], mg.tensor([INF]))
    assert by_x.numpy() == 0
    assert by_y.numpy() == INF


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradients_of_logaddexp_are_the_weights_of_the_two_whatever_their_size(dtype):
    x = [1000.0, 1e30, -1e30, INF, -INF, INF, -INF, 0.0, 5000.0]
    y = [1000.0, 1e30, -1e30, INF, -INF, -INF, INF, -40.0, 4980.0]
    by_x, by_y = gradients(mg.logaddexp, x, y, dtype=dtype)
    small, smaller = 1 / (1 + math.exp(40)), 1 / (1 + math.exp(20))
    np.testing.assert_allclose(by_x, [0.5] * 5 + [1, 0, 1, 1 - smaller], rtol=1e-6)
    np.testing.assert_allclose(by_y, [0.5] * 5 + [0, 1, small, smaller], rtol=1e-6)


def test_the_second_derivative_of_logaddexp_of_two_equal_numbers_is_a_quarter():
    x = mg.tensor([0.0, 700.0]).requires_grad_()
    (g,) = mg.grad(mg.logaddexp(x, mg.tensor([0.0, 700.0])).sum(), [x], create_graph=True)
    np.testing.assert_allclose(mg.grad(g.sum(), [x])[0].numpy(), 0.25)


def test_a_power_of_0_by_its_exponent():
    by_x, by_e = gradients(mg.pow, [0.0, 0.0, 0.0, 2.0], [2.0, 0.0, 1.0, 3.0])
    np.testing.assert_allclose(by_x, [0, 0, 1, 12])
    np.testing.assert_allclose(by_e, [0, 0, 0, 8 * math.log(2)])
    x = mg.tensor([0.0]).requires_grad_()
    e = mg.tensor([-1.0]).requires_grad_()
    with np.errstate(all="ignore"):
        _, by_e = mg.grad(mg.pow(x, e).sum(), [x, e])
    assert by_e.numpy() == -INF


def test_the_constant_power_0_has_no_slope_even_of_infinities():
    by_x, by_e = gradients(mg.pow, [INF, 0.0, 4.0], [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(by_x, [0, 0, 0])
    np.testing.assert_allclose(by_e, [INF, 0, math.log(4)])
    (by_x,) = gradients(lambda x: mg.pow(x, mg.tensor([0.0, 2.0])), [-3.0, 0.0], order=2)
    np.testing.assert_allclose(by_x, [0, 2])


def test_an_angle_at_the_origin_has_the_gradient_0():
    by_y, by_x = gradients(mg.arctan2, [0.0, 1.0, 0.0], [0.0, 0.0, 2.0])
    np.testing.assert_allclose(by_y, [0, 0, 0.5])
    np.testing.assert_allclose(by_x, [0, -1, 0])


def test_a_line_meets_both_its_ends_and_may_begin_at_infinity():
    start, end = mg.tensor([1e8, 3.0]), mg.tensor([0.1, 3.0])
    np.testing.assert_array_equal(mg.lerp(start, end, 1.0).numpy(), np.float32([0.1, 3]))
    np.testing.assert_array_equal(mg.lerp(start, end, 0.0).numpy(), np.float32([1e8, 3]))
    np.testing.assert_array_equal(mg.lerp(start, end, mg.tensor([1.0, 0.0])).numpy(), end.numpy())
    assert mg.lerp(mg.tensor(-INF), mg.tensor(5.0), 0.9).numpy() == -INF
    weight = mg.tensor([0.25, 0.9, 0.75])
    x, y, w = (v.requires_grad_() for v in (mg.tensor([1.0, 2, 3]), mg.tensor([3.0, 4, 7]), weight))
    by_x, by_y, by_w = mg.grad(mg.lerp(x, y, w).sum(), [x, y, w])
    np.testing.assert_allclose(by_x.numpy(), [0.75, 0.1, 0.25], rtol=1e-6)
    np.testing.assert_allclose(by_y.numpy(), [0.25, 0.9, 0.75], rtol=1e-6)
    np.testing.assert_allclose(by_w.numpy(), [2, 2, 4], rtol=1e-6)
