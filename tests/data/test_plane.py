"""The drawn points have the density that they are said to have, and always are the same."""

import numpy as np
import pytest

from minigen.data import SPLITS, load, plane


@pytest.mark.parametrize("name", ["moons", "eight-gaussians", "ring", "grid"])
def test_the_splits_are_drawn_apart_and_always_alike(name):
    parts = [load(name, split) for split in SPLITS]
    assert [len(part) for part in parts] == [50_000, 10_000, 10_000]
    points = np.concatenate([part.data for part in parts])
    assert points.dtype == np.float32
    assert len(np.unique(points, axis=0)) > 69_990  # no row is in two splits, but by chance
    assert not set(map(bytes, parts[0].data)) & set(map(bytes, parts[1].data))
    for part in parts:
        np.testing.assert_array_equal(part.data, load(name, part.split).data)


def test_the_moons_are_standardised_by_their_exact_moments():
    points = load("moons").data
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=0.015)  # 3 σ of 50,000
    np.testing.assert_allclose(points.std(axis=0), 1, atol=0.01)


def test_a_moon_s_points_are_noise_away_from_its_half_circle():
    moons = load("moons")
    assert moons.labels is not None
    raw = moons.data * plane.MOON_DEVIATION + plane.MOON_MEAN
    for moon, (centre, side) in enumerate([((0, 0), 1), ((1, 0.5), -1)]):
        arm = raw[moons.labels == moon] - centre
        away = np.hypot(*arm.T) - 1
        assert away.std() == pytest.approx(0.05, rel=0.02)
        assert (side * arm[:, 1] > -0.3).all()
    assert moons.labels.mean() == pytest.approx(0.5, abs=0.01)


def test_the_eight_gaussians_lie_where_they_should_with_the_deviation_that_they_should():
    data = load("eight-gaussians")
    assert data.labels is not None
    for label in range(8):
        points = data.data[data.labels == label]
        angle = label * np.pi / 4
        centre = [2 * np.cos(angle), 2 * np.sin(angle)]
        np.testing.assert_allclose(points.mean(axis=0), centre, atol=0.015)
        np.testing.assert_allclose(points.std(axis=0), 0.2, atol=0.01)
        assert len(points) / len(data) == pytest.approx(1 / 8, abs=0.01)


@pytest.mark.parametrize(("name", "deviation"), [("ring", 0.02), ("grid", 0.05)])
def test_every_mode_is_as_likely_as_wide_and_where_it_should_be(name, deviation):
    data = load(name)
    centres, sigma = plane.MIXTURES[name]
    assert sigma == deviation
    assert data.labels is not None
    for label, centre in enumerate(centres):
        points = data.data[data.labels == label]
        np.testing.assert_allclose(points.mean(axis=0), centre, atol=4 * sigma / 40)
        np.testing.assert_allclose(points.std(axis=0), sigma, rtol=0.1)
        assert len(points) / len(data) == pytest.approx(1 / len(centres), rel=0.1)


def test_the_grid_is_five_by_five_and_the_ring_a_circle_of_eight():
    grid, ring = plane.MIXTURES["grid"].centres, plane.MIXTURES["ring"].centres
    assert {tuple(c) for c in grid} == {(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}
    np.testing.assert_allclose(np.hypot(*ring.T), 2)
    assert len(ring) == 8
