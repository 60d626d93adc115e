"""AUROC against its definition, by hand and by scikit-learn; typicality on a known Gaussian."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minigen.errors import UserError
from minigen.metrics.detection import auroc, untypicality

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEW_VALUES = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@UNHURRIED
@given(FEW_VALUES, FEW_VALUES)
def test_the_rank_formula_is_the_share_of_pairs_in_the_right_order(first, second):
    pairs = [(a > b) + 0.5 * (a == b) for a in first for b in second]
    assert auroc(np.array(first), np.array(second)) == pytest.approx(np.mean(pairs), abs=1e-12)


@UNHURRIED
@given(FEW_VALUES, FEW_VALUES)
def test_exchanging_the_two_turns_it_round(first, second):
    one, two = np.array(first), np.array(second)
    assert auroc(one, two) == pytest.approx(1 - auroc(two, one), abs=1e-12)


def test_what_is_known_by_hand():
    assert auroc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1
    assert auroc(np.array([1.0]), np.array([1.0, 1.0])) == 0.5
    assert auroc(np.array([1.0, 2.0]), np.array([2.0])) == 0.25
    assert auroc(np.array([np.inf, 0.0]), np.array([-np.inf, np.inf])) == pytest.approx(0.625)


def test_the_origin_of_many_normal_coordinates_is_likelier_than_any_sample_and_untypical():
    dimensions = 100
    draws = np.random.default_rng(0).standard_normal((2000, dimensions))
    log_p = -0.5 * (draws**2).sum(axis=1) - 0.5 * dimensions * np.log(2 * np.pi)
    train, test = log_p[:1000], log_p[1000:]
    origin = np.array([-0.5 * dimensions * np.log(2 * np.pi)])
    assert auroc(-origin, -test) == 0  # the detector by likelihood is upside down
    assert auroc(untypicality(origin, train), untypicality(test, train)) == 1
    assert untypicality(origin, train)[0] == pytest.approx(dimensions / 2, rel=0.02)


@pytest.mark.parametrize(
    ("anomalies", "normal", "message"),
    [
        ([], [1.0], r"anomalies must have shape \(N,\) with N >= 1, got shape \(0,\)"),
        ([1.0], [[1.0]], r"normal must have shape .*got shape \(1, 1\)"),
        ([1.0, np.nan], [1.0], "anomalies must be numbers, got nan at 1"),
    ],
)
def test_what_cannot_be_ranked_is_one_line(anomalies, normal, message):
    with pytest.raises(UserError, match=message):
        auroc(np.array(anomalies), np.array(normal))
