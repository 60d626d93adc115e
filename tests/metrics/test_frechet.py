"""The Fréchet distance against its closed forms, and what must leave it alone."""

import numpy as np
import pytest

from minigen.errors import UserError
from minigen.metrics.frechet import frechet_distance, gaussian_frechet_distance, moments

RANDOM = np.random.default_rng(11)


def rows(count, features, scale=1.0):
    mixing = RANDOM.standard_normal((features, features))
    return scale * RANDOM.standard_normal((count, features)) @ mixing + RANDOM.random(features)


def rotation(features):
    return np.linalg.qr(RANDOM.standard_normal((features, features)))[0]


def test_of_gaussians_on_a_line_it_is_the_squared_gap_of_means_and_of_deviations():
    one = gaussian_frechet_distance(np.array([1.0]), np.array([[4.0]]), [3.0], np.array([[9.0]]))
    assert one == pytest.approx((1 - 3) ** 2 + (2 - 3) ** 2)


def test_of_gaussians_with_common_axes_it_is_the_sum_over_the_axes():
    axes = rotation(4)
    first, second = np.array([1.0, 4.0, 0.0, 2.0]), np.array([9.0, 4.0, 1.0, 0.5])
    got = gaussian_frechet_distance(
        np.zeros(4), axes @ np.diag(first) @ axes.T, np.zeros(4), axes @ np.diag(second) @ axes.T
    )
    assert got == pytest.approx(((np.sqrt(first) - np.sqrt(second)) ** 2).sum())


def test_of_two_by_two_covariances_that_do_not_commute_it_is_the_formula_of_the_root_s_trace():
    # For 2×2: tr √M = √(tr M + 2 √det M), M = Σ₁Σ₂, whatever the axes.
    for _ in range(5):
        first, second = moments(rows(9, 2))[1], moments(rows(9, 2))[1]
        product = first @ second
        assert np.abs(product - product.T).max() > 1e-3
        root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
        expected = np.trace(first) + np.trace(second) - 2 * root
        got = gaussian_frechet_distance(np.zeros(2), first, np.zeros(2), second)
        assert got == pytest.approx(expected, rel=1e-9)


def test_the_moments_are_those_of_numpy():
    x = rows(50, 6)
    mean, covariance = moments(x)
    np.testing.assert_allclose(mean, x.mean(axis=0))
    np.testing.assert_allclose(covariance, np.cov(x.T))


def test_a_shift_adds_its_squared_length_and_nothing_else():
    x, shift = rows(60, 5), np.array([1.0, -2.0, 0.0, 0.5, 3.0])
    assert frechet_distance(x, x + shift) == pytest.approx(shift @ shift, rel=1e-9)


def test_it_is_zero_for_equal_sets_symmetric_and_blind_to_order_rotation_and_common_shift():
    x, y = rows(80, 6), rows(70, 6, 2.0)
    distance = frechet_distance(x, y)
    assert distance > 1
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-9)
    turn = rotation(6)
    for one, other in ((y, x), (x[::-1], y), (x @ turn, y @ turn), (x + 100, y + 100)):
        assert frechet_distance(one, other) == pytest.approx(distance, rel=1e-8)


def test_it_scales_with_the_square():
    x, y = rows(40, 4), rows(40, 4)
    assert frechet_distance(3 * x, 3 * y) == pytest.approx(9 * frechet_distance(x, y))


def test_fewer_samples_than_features_and_dead_features_give_a_finite_real_number():
    x, y = rows(5, 30), rows(6, 30)
    x[:, 3] = y[:, 3] = 0.0
    distance = frechet_distance(x, y)
    assert np.isfinite(distance)
    assert distance > 0


def test_drawn_gaussians_come_near_the_distance_of_their_laws():
    x = RANDOM.standard_normal((20_000, 3)) * [1.0, 2.0, 3.0]
    y = RANDOM.standard_normal((20_000, 3)) * [2.0, 2.0, 1.0] + [1.0, 0.0, 0.0]
    assert frechet_distance(x, y) == pytest.approx(1 + 1 + 4, rel=0.03)


def test_what_cannot_be_compared_is_refused():
    x = rows(5, 3)
    with pytest.raises(UserError, match=r"fake must be features of shape \(N, D\), N >= 2"):
        frechet_distance(x, x[:1])
    with pytest.raises(UserError, match="same number of columns, got 3 and 2"):
        frechet_distance(x, x[:, :2])
    with pytest.raises(UserError, match="real must be finite features"):
        frechet_distance(np.full((4, 3), np.nan), x)
