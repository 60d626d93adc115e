"""The kernel distance against its definition, pair by pair, and its lack of bias."""

import itertools

import numpy as np
import pytest

from minigen.errors import UserError
from minigen.metrics import kid
from minigen.metrics.kid import kernel_distance

RANDOM = np.random.default_rng(12)


def by_definition(x, y):
    def k(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    def within(rows):
        return np.mean([k(a, b) for a, b in itertools.permutations(rows, 2)])

    return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])


@pytest.mark.parametrize(("n", "m"), [(2, 2), (7, 5), (4, 9)])
def test_it_is_the_sum_over_all_pairs_of_different_rows(n, m, monkeypatch):
    monkeypatch.setattr(kid, "BLOCK", 3)  # several blocks, the last one not full
    x, y = RANDOM.standard_normal((n, 3)), 1 + RANDOM.standard_normal((m, 3))
    assert kernel_distance(x, y) == pytest.approx(by_definition(x, y), rel=1e-10)


def test_it_has_no_bias_its_mean_over_draws_of_one_law_is_zero():
    values = [
        kernel_distance(RANDOM.standard_normal((12, 4)), RANDOM.standard_normal((15, 4)))
        for _ in range(600)
    ]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0  # what a biased estimate never is
    # With the diagonal left in, E k(x, x) > (1 + 1)³ would take part with 1/12 and 1/15.
    assert 4 * error < 0.1


def test_its_mean_is_the_distance_of_the_laws_where_that_is_known():
    # In one dimension, k = (ab + 1)³: MMD² = 3 (Δm₁)² + 3 (Δm₂)² + (Δm₃)² with raw moments m.
    x, y = RANDOM.standard_normal((2000, 1)), 0.5 + RANDOM.standard_normal((2000, 1))
    moments = [0.5, 1.25 - 1.0, 0.5**3 + 3 * 0.5]
    expected = 3 * moments[0] ** 2 + 3 * moments[1] ** 2 + moments[2] ** 2
    assert kernel_distance(x, y) == pytest.approx(expected, rel=0.2)


def test_it_is_symmetric_and_blind_to_order_and_rotation():
    x, y = RANDOM.random((30, 5)), RANDOM.random((20, 5)) + 0.3
    turn = np.linalg.qr(RANDOM.standard_normal((5, 5)))[0]
    distance = kernel_distance(x, y)
    for one, other in ((y, x), (x[::-1], y), (x @ turn, y @ turn)):
        assert kernel_distance(one, other) == pytest.approx(distance, rel=1e-8)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UserError, match="N >= 2, got"):
        kernel_distance(np.zeros((1, 3)), np.zeros((4, 3)))
