"""The toy densities against what needs no grid: their formulas, their points, their bounds."""

import math

import numpy as np
import pytest

from minigen.data import load
from minigen.errors import UserError
from minigen.metrics.entropy import PLANE_DENSITIES, density_on_grid, entropy, log_density


@pytest.mark.parametrize("name", PLANE_DENSITIES)
def test_the_density_integrates_to_1(name):
    axis = np.linspace(-4, 4, 801)
    cell = (axis[1] - axis[0]) ** 2
    assert density_on_grid(name, axis, axis).sum() * cell == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", PLANE_DENSITIES)
def test_the_density_on_a_grid_is_the_density_at_its_points(name):
    first, second = np.linspace(-2, 2, 7), np.linspace(-1.5, 2.5, 5)
    grid = density_on_grid(name, first, second)
    assert grid.shape == (7, 5)
    points = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(np.exp(log_density(name, points)), grid.ravel(), rtol=1e-9)


@pytest.mark.parametrize("name", PLANE_DENSITIES)
def test_the_entropy_is_the_mean_over_the_data_of_minus_log_p(name):
    surprise = np.concatenate([-log_density(name, load(name, s).data) for s in ("val", "test")])
    error = surprise.std() / math.sqrt(len(surprise))
    assert error < 0.01
    assert abs(surprise.mean() - entropy(name)) < 4 * error


def test_the_entropy_of_eight_gaussians_is_just_under_that_of_eight_which_do_not_touch():
    apart = math.log(8) + math.log(2 * math.pi * math.e * 0.2**2)
    assert apart - 0.001 < entropy("eight-gaussians") < apart


def test_the_published_entropies_are_within_a_hundredth():
    # Published beside the targets, as means over drawn points; these here are integrals.
    assert entropy("moons") == pytest.approx(1.123, abs=0.01)
    assert entropy("eight-gaussians") == pytest.approx(1.703, abs=0.01)


def test_far_from_everything_the_logarithm_stays_finite():
    far = log_density("eight-gaussians", np.array([[100.0, 0.0]]))
    # The nearest of eight centres, 98 away: −½·(98/0.2)² and the constants.
    expected = -0.5 * (98 / 0.2) ** 2 - math.log(8) - math.log(2 * math.pi * 0.2**2)
    assert far[0] == pytest.approx(expected, rel=1e-12)


def test_another_name_is_refused():
    with pytest.raises(UserError, match="density must be one of moons, eight-gaussians, got 'm'"):
        entropy("m")
