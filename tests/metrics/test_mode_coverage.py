"""Mode coverage counts what it should, on points placed by hand and on the data themselves."""

import math

import numpy as np
import pytest

from minigen.data import load, plane
from minigen.errors import UserError
from minigen.metrics.modes import (
    STACKED_SAMPLES,
    coverage_metrics,
    mode_coverage,
    stacked_coverage,
    stacked_modes,
)

CENTRES = np.array([[0.0, 0.0], [10.0, 0.0]])


@pytest.mark.parametrize("name", ["ring", "grid", "eight-gaussians"])
def test_the_data_reach_every_mode_and_989_of_1000_samples_hit(name):
    metrics = coverage_metrics(name, load(name, "val").data)
    assert metrics["modes"] == len(plane.MIXTURES[name].centres)
    assert metrics["within_3_sigma_percent"] == pytest.approx(100 * (1 - math.exp(-4.5)), abs=0.4)


def test_a_sample_hits_within_three_deviations_of_its_nearest_centre_and_not_beyond():
    away = np.array([2.99, 3.01])
    points = np.array([[0.6 * r, 0.8 * r] for r in away] + [[10 - r, 0] for r in away])
    coverage = mode_coverage(points, CENTRES, 1.0)
    assert coverage.hits.tolist() == [1, 1]
    assert coverage.share == 0.5
    assert coverage.modes == 2


def test_a_mode_is_found_from_a_tenth_of_its_fair_share_on():
    # 200 samples, two modes: a fair share of 100, a tenth of it 10
    for hits, modes in ((9, 1), (10, 2)):
        points = np.concatenate([np.zeros((200 - hits, 2)), np.full((hits, 2), [10.0, 0.0])])
        assert mode_coverage(points, CENTRES, 1.0).modes == modes
    assert mode_coverage(np.zeros((200, 2)), CENTRES, 1.0, found=0.0).modes == 1  # one sample: yes
    assert mode_coverage(np.zeros((3, 2)), CENTRES, 1.0).found.tolist() == [True, False]


def test_points_between_the_modes_hit_nothing_and_neither_do_broken_numbers():
    bridge = np.linspace([3.1, 0], [6.9, 0], 50)
    broken = np.array([[np.nan, 0.0], [np.inf, 0.0], [0.0, -np.inf]])
    coverage = mode_coverage(np.concatenate([bridge, broken, np.zeros((47, 2))]), CENTRES, 1.0)
    assert coverage.share == 0.47
    assert coverage.modes == 1


def test_a_collapsed_generator_finds_one_mode_of_the_ring():
    points = plane.gaussian_centres()[[3] * 500]
    assert coverage_metrics("ring", points) == {"modes": 1, "within_3_sigma_percent": 100}


def test_digits_spell_their_number():
    assert stacked_modes(np.array([[0, 0, 0], [1, 2, 3], [9, 0, 7]])).tolist() == [0, 123, 907]


def test_stacked_modes_are_counted_and_their_divergence_is_that_of_the_definition():
    modes = np.array([5, 5, 7, 999])
    expected = 0.5 * math.log(0.5 * 1000) + 2 * 0.25 * math.log(0.25 * 1000)
    metrics = stacked_coverage(modes)
    assert metrics["modes"] == 3
    assert metrics["kl_nats"] == pytest.approx(expected)
    assert stacked_coverage(np.arange(1000))["kl_nats"] == pytest.approx(0, abs=1e-12)
    assert stacked_coverage(np.full(10, 3)) == {"modes": 1, "kl_nats": pytest.approx(math.log(1e3))}


def test_even_draws_of_the_customary_number_find_all_thousand_modes():
    drawn = np.random.default_rng(0).integers(0, 1000, STACKED_SAMPLES)
    metrics = stacked_coverage(drawn)
    assert metrics["modes"] == 1000
    assert metrics["kl_nats"] == pytest.approx(0.02, abs=0.003)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(UserError, match=r"points must have shape \(N, 2\), got \(4, 3\)"):
        mode_coverage(np.zeros((4, 3)), CENTRES, 1.0)
    with pytest.raises(UserError, match="points must have shape"):
        mode_coverage(np.zeros((0, 2)), CENTRES, 1.0)
    with pytest.raises(UserError, match="deviation and reach must be > 0, got 0"):
        mode_coverage(np.zeros((4, 2)), CENTRES, 0.0)
    with pytest.raises(UserError, match=r"data must be one of .*ring, grid, got 'rings'"):
        coverage_metrics("rings", np.zeros((4, 2)))
    with pytest.raises(UserError, match="whole numbers 0 … 999"):
        stacked_coverage(np.array([3, 1000]))
    with pytest.raises(UserError, match="digits must have shape"):
        stacked_modes(np.zeros((3, 2), int))
