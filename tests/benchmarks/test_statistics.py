"""Medians, quartiles, and pairs within rounds."""

import pytest

from benchmarks.statistics import paired_difference, paired_ratio, spread


def test_spread_is_median_and_quartiles():
    assert spread([5, 1, 2, 4, 3]) == {"median": 3, "lower_quartile": 2, "upper_quartile": 4}


def test_spread_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one number, got none"):
        spread([])


def test_a_disturbed_round_does_not_move_the_paired_ratio():
    quiet = paired_ratio([[2, 2], [2, 2]], [[1, 1], [1, 1]])
    disturbed = paired_ratio([[2, 2], [20, 20]], [[1, 1], [10, 10]])
    assert quiet == disturbed
    assert quiet["median"] == 2


def test_the_paired_difference_is_in_the_unit_asked_for():
    assert paired_difference([[3.0], [5.0]], [[1.0], [3.0]], scale=1e3)["median"] == 2e3


def test_different_numbers_of_rounds_are_an_error():
    with pytest.raises(ValueError, match="same number of rounds, got 1 and 2"):
        paired_ratio([[1]], [[1], [1]])
