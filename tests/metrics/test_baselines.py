"""The baselines, against sums written out by hand."""

import math

import numpy as np
import pytest

from minigen.data import Dataset, binarize, eval_batches, load
from minigen.errors import UserError
from minigen.metrics.baselines import (
    gaussian_nats,
    histogram_bits,
    independent_pixel_nats,
    pixel_histograms,
)


def test_a_small_case_equals_the_sum_worked_out_by_hand():
    train = np.array([[1, 0], [1, 0], [0, 0]], np.float32)  # smoothed means 3/5 and 1/5
    held_out = np.array([[1, 0], [0, 1]], np.float32)
    first = -math.log(3 / 5) - math.log(4 / 5)
    second = -math.log(2 / 5) - math.log(1 / 5)
    assert independent_pixel_nats(train, held_out) == pytest.approx((first + second) / 2, rel=1e-14)


def test_pixels_that_are_coin_flips_cost_log_2_each():
    flips = np.random.default_rng(0).integers(0, 2, (20_000, 50)).astype(np.float32)
    assert independent_pixel_nats(flips, flips) == pytest.approx(50 * math.log(2), rel=1e-3)


def test_the_value_for_dynamic_is_the_mean_over_many_draws():
    train, val = load("digits"), load("digits", "val")
    exact = independent_pixel_nats(train, val, "dynamic")
    draws = [
        independent_pixel_nats(
            train.data / 16, next(eval_batches(val, 250, binarization="dynamic", seed=seed)).x
        )
        for seed in range(40)
    ]
    error = np.std(draws) / math.sqrt(len(draws))
    assert abs(np.mean(draws) - exact) < 5 * error
    assert independent_pixel_nats(train, val, "none") == exact


@pytest.mark.parametrize("binarization", ["static", "threshold"])
def test_the_value_for_a_fixed_binarization_is_that_of_the_binary_images(binarization):
    train, val = load("digits"), load("digits", "val")
    binary = [binarize(part, binarization).data for part in (train, val)]
    assert independent_pixel_nats(train, val, binarization) == independent_pixel_nats(*binary)


def test_a_pixel_never_dark_in_train_does_not_cost_infinity():
    value = independent_pixel_nats(np.zeros((98, 1)), np.ones((1, 1)))
    assert value == pytest.approx(math.log(100))


def test_bad_input_is_refused_in_one_line():
    train = load("digits")
    rows = Dataset("wine", "train", np.zeros((3, 2), np.float32), None, "rows", None)
    with pytest.raises(UserError, match="wine has none"):
        independent_pixel_nats(rows, rows)
    with pytest.raises(UserError, match=r"train's shape \(1, 8, 8\), got \(2,\)"):
        independent_pixel_nats(train, np.zeros((3, 2)))
    with pytest.raises(UserError, match="smoothing must be a number > 0, got 0"):
        independent_pixel_nats(train, train, smoothing=0)
    with pytest.raises(UserError, match="at least one sample"):
        independent_pixel_nats(train, np.zeros((0, 1, 8, 8)))


def test_the_gaussian_on_its_own_rows_costs_half_the_logarithm_of_2_pi_e_sigma():
    rows = np.random.default_rng(0).normal(size=(500, 3)) @ [[2, 1, 0], [0, 1, 0], [0, 0, 0.1]] + 5
    covariance = np.cov(rows.T, bias=True)
    expected = 0.5 * np.linalg.slogdet(2 * math.pi * math.e * covariance)[1]
    assert gaussian_nats(rows, rows) == pytest.approx(expected, rel=1e-10)


def test_the_gaussian_is_fitted_on_train_and_judged_on_held_out():
    generator = np.random.default_rng(0)
    train, held_out = generator.normal(size=(60, 2)), generator.normal(1, 2, size=(9, 2))
    mean, covariance = train.mean(axis=0), np.cov(train.T, bias=True)
    total = 0.0
    for row in held_out:
        centred = row - mean
        total += 0.5 * centred @ np.linalg.inv(covariance) @ centred
        total += 0.5 * math.log(np.linalg.det(covariance)) + math.log(2 * math.pi)
    assert gaussian_nats(train, held_out) == pytest.approx(total / 9, rel=1e-12)


def test_a_change_of_units_shifts_the_gaussian_by_the_logarithm_of_the_scale():
    train, val = load("breast-cancer").data, load("breast-cancer", "val").data
    scale = np.logspace(-4, 4, 30)
    shift = gaussian_nats(train * scale, val * scale) - gaussian_nats(train, val)
    assert shift == pytest.approx(np.log(scale).sum(), abs=1e-6)


def test_rows_without_a_density_are_refused_in_one_line():
    rows = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(UserError, match=r"no constant column, .*: column 1 is 4 in all 20 rows"):
        gaussian_nats(rows * [1, 0, 1] + [0, 4, 0], rows)
    with pytest.raises(UserError, match="full rank"):
        gaussian_nats(rows @ [[1, 0, 1], [0, 1, 1], [0, 0, 0]], rows)
    with pytest.raises(UserError, match="full rank to fit a Gaussian: 3 rows of 3 columns"):
        gaussian_nats(rows[:3], rows)
    with pytest.raises(UserError, match=r"held_out must have 3 columns, as train, got \(20, 2\)"):
        gaussian_nats(rows, rows[:, :2])
    with pytest.raises(UserError, match=r"shape \(N, D\), got \(20,\)"):
        gaussian_nats(rows, rows[:, 0])


# ---------------------------------------------------------------- histograms of grey values


def greys(values: np.ndarray, levels: int = 4, split: str = "train") -> Dataset:
    return Dataset("own", split, values.astype(np.uint8), None, "image", (0, levels - 1))


def test_histogram_bits_are_the_literal_sum_over_pixels_and_images():
    random = np.random.default_rng(0)
    train, held_out = (random.integers(0, 4, (n, 1, 2, 3)) for n in (20, 7))
    total = 0.0
    for image in held_out:
        for place in np.ndindex(1, 2, 3):
            same = sum(other[place] == image[place] for other in train)
            total -= math.log2((same + 0.5) / (20 + 4 * 0.5))
    got = histogram_bits(greys(train), greys(held_out, split="val"), smoothing=0.5)
    assert got == pytest.approx(total / (7 * 6), rel=1e-12)


def test_even_values_cost_the_logarithm_of_their_number():
    values = np.repeat(np.arange(256), 40).reshape(-1, 1, 1, 1)
    data = Dataset("own", "train", values.astype(np.uint8), None, "image", (0, 255))
    assert histogram_bits(data, data) == pytest.approx(8, rel=1e-12)


def test_histograms_refuse_what_has_no_grey_values():
    with pytest.raises(UserError, match="smoothing must be a number > 0, got 0"):
        pixel_histograms(np.zeros((3, 2), np.uint8), 4, 0)
    with pytest.raises(UserError, match="values must be whole numbers from 0 to 3"):
        pixel_histograms(np.full((3, 2), 4), 4)
    small, large = greys(np.zeros((3, 1, 2, 2))), greys(np.zeros((3, 1, 2, 3)))
    with pytest.raises(UserError, match="held_out must have samples of train's shape"):
        histogram_bits(small, large)
    rows = Dataset("own", "train", np.zeros((3, 2)), None, "rows", None)
    with pytest.raises(UserError, match="fixed number of values, own has none"):
        histogram_bits(rows, rows)
