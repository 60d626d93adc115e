"""The digits inside the package are the published ones."""

import numpy as np

from minigen.data import SPLITS, load


def everything():
    parts = [load("digits", split) for split in SPLITS]
    return np.concatenate([p.data for p in parts]), np.concatenate([p.labels for p in parts])


def test_the_splits_are_1297_250_and_250_images_of_seventeen_levels():
    assert [len(load("digits", split)) for split in SPLITS] == [1297, 250, 250]
    train = load("digits")
    assert (train.sample_shape, train.data.dtype, train.levels) == ((1, 8, 8), np.uint8, 17)


def test_the_splits_together_are_the_published_digits():
    data, labels = everything()
    # Samples of each class in optdigits.tes, as its description lists them.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (data.min(), data.max()) == (0, 16)
    # The first line of the file: the zero that scikit-learn's documentation shows.
    assert data[0, 0, :2].tolist() == [[0, 0, 5, 13, 9, 1, 0, 0], [0, 0, 13, 15, 10, 15, 5, 0]]
    assert labels[:10].tolist() == list(range(10))


def test_no_image_is_in_two_splits():
    data, _ = everything()
    assert len(np.unique(data.reshape(1797, -1), axis=0)) == 1797


def test_every_class_is_in_every_split():
    for split in SPLITS:
        assert np.bincount(load("digits", split).labels, minlength=10).min() >= 20
