"""All scores of images at once: their names, and that they tell good samples from bad ones."""

import numpy as np
import pytest

from minigen.data import load
from minigen.data.resize import resize
from minigen.errors import UserError
from minigen.metrics.features import EXTRACTOR
from minigen.metrics.frechet import frechet_distance
from minigen.metrics.image_scores import ImageScores, unit_images


@pytest.fixture(scope="module")
def digits():
    return resize(unit_images(load("digits", "train"), 600), 28)


@pytest.fixture(scope="module")
def scores(digits):
    return ImageScores(digits[:300])


def test_every_name_says_which_network_measured(scores, digits):
    names = ("fid", "kid", "precision", "recall", "rarest_class_percent", "commonest_class_percent")
    assert list(scores(digits[300:320])) == [f"{name}_{EXTRACTOR}" for name in names]


def test_the_distance_is_that_of_the_features(scores, digits):
    fake = digits[300:400]
    expected = frechet_distance(scores.features, scores.extractor.features(fake))
    assert scores(fake)[f"fid_{EXTRACTOR}"] == scores.fid(fake) == expected


def test_other_real_digits_are_better_than_blurred_ones_and_those_better_than_noise(scores, digits):
    real = digits[300:]
    blurred = resize(resize(real, 5), 28)
    noise = np.random.default_rng(0).random(real.shape)
    found = [scores(fake) for fake in (real, blurred, noise)]
    fid, kid, precision, recall = (
        [one[f"{name}_{EXTRACTOR}"] for one in found]
        for name in ("fid", "kid", "precision", "recall")
    )
    assert 2 * fid[0] < fid[1] < fid[2]
    assert kid[0] < kid[1] < kid[2]
    assert precision[0] > 0.6 > precision[2]
    assert recall[0] > 0.6 > recall[2]


def test_one_digit_for_ever_shows_in_recall_and_in_the_shares(scores, digits):
    labels = scores.extractor.labels(digits[300:])
    zeros = digits[300:][labels == 0]
    found = scores(zeros)
    assert found[f"rarest_class_percent_{EXTRACTOR}"] == 0
    assert found[f"commonest_class_percent_{EXTRACTOR}"] == 100
    assert found[f"recall_{EXTRACTOR}"] < 0.3
    assert scores.shares(zeros).tolist() == [1.0] + 9 * [0.0]


def test_a_data_set_is_mapped_to_the_unit_interval():
    digits = load("digits", "val")
    scores = ImageScores(digits, count=50)
    np.testing.assert_allclose(
        scores.features, ImageScores(digits.data[:50] / np.float32(16)).features, rtol=1e-5
    )


def test_data_without_images_are_refused():
    with pytest.raises(UserError, match="scores of images need images, and wine has rows"):
        ImageScores(load("wine", "val"))
