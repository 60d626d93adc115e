"""Reductions of rows that hold infinities, zeros or NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")

INF, NAN = math.inf, math.nan


def value_and_gradient(function, rows):
    x = mg.tensor(np.array(rows)).requires_grad_()
    y = function(x)
    return y.numpy(), mg.grad(y.sum(), [x])[0].numpy()


def test_logsumexp_of_infinities_and_its_gradient():
    rows = [[-INF, -INF], [-INF, 2.0], [1e4, 1e4]]
    with np.errstate(invalid="ignore"):  # the first row has no weights
        value, gradient = value_and_gradient(lambda x: mg.logsumexp(x, 1), rows)
    np.testing.assert_allclose(value, [-INF, 2.0, 1e4 + math.log(2)])
    np.testing.assert_allclose(gradient[1:], [[0, 1], [0.5, 0.5]])


@pytest.mark.parametrize("function", [mg.logsumexp, mg.softmax, mg.log_softmax, mg.amax, mg.amin])
def test_a_nan_in_a_row_is_not_hidden(function):
    y = function(mg.tensor([[NAN, 0.0], [1.0, NAN]]), 1)
    assert np.isnan(y.numpy()).all()


def test_a_softmax_of_nothing_but_minus_infinity_is_nan_and_one_beside_a_number_is_0():
    with np.errstate(invalid="ignore"):
        y = mg.softmax(mg.tensor([[-INF, -INF], [-INF, 3.0]]), 1)
    np.testing.assert_array_equal(y.numpy(), [[NAN, NAN], [0, 1]])


def test_the_winners_of_a_maximum_share_and_a_nan_wins():
    rows = [[INF, INF, 0.0], [NAN, 1.0, 2.0], [3.0, 3.0, 3.0]]
    for function in (lambda x: mg.amax(x, 1), mg.amax):
        _, gradient = value_and_gradient(function, rows)
        assert np.isfinite(gradient).all()
    _, gradient = value_and_gradient(lambda x: mg.amax(x, 1), rows)
    np.testing.assert_allclose(gradient, [[0.5, 0.5, 0], [1, 0, 0], [1 / 3] * 3])
    x = mg.tensor([1.0, 2.0]).requires_grad_()
    np.testing.assert_array_equal(mg.grad(mg.amax(x), [x], mg.tensor(INF))[0].numpy(), [0, INF])


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, INF])
def test_a_norm_of_numbers_with_a_0_among_them_has_a_finite_gradient(p):
    value, gradient = value_and_gradient(lambda x: mg.norm(x, p, dim=1), [[0.0, -2.0], [0.0, 0.0]])
    np.testing.assert_allclose(value, [2, 0])
    np.testing.assert_allclose(gradient, [[0, -1], [0, 0]])


def test_the_slope_of_a_deviation_is_0_where_it_is_0_and_nan_where_it_is_nan():
    _, gradient = value_and_gradient(lambda x: mg.std(x, 1), [[2.0, 2.0], [NAN, 1.0]])
    np.testing.assert_array_equal(gradient, [[0, 0], [NAN, NAN]])


@pytest.mark.parametrize("p", [-1, -0.5, -2])
def test_a_norm_of_negative_order_is_0_where_a_0_is_and_so_is_its_gradient(p):
    value, gradient = value_and_gradient(lambda x: mg.norm(x, p, dim=1), [[0.0, 3.0], [2.0, 2.0]])
    np.testing.assert_allclose(value, [0, 2 * 2 ** (1 / p)])
    np.testing.assert_allclose(gradient, [[0, 0], [2 ** (1 / p - 1) * 1.0] * 2])
