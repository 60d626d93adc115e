"""The independent-pixel line, against sums written out by hand."""

import math

import numpy as np
import pytest

from minigen.data import Dataset, binarize, eval_batches, load
from minigen.errors import UserError
from minigen.metrics.baselines import independent_pixel_nats


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
