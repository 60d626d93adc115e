"""Stacked MNIST: three digits of the same split, and the number that they spell."""

import numpy as np
import pytest

from minigen.data import load, mnist


@pytest.fixture
def folder(small_mnist, put_files, tmp_path):
    return put_files(tmp_path / "files", small_mnist)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_channel_is_a_digit_of_the_same_split_and_the_label_spells_them(folder, split):
    stacked, digits = load("stacked-mnist", split, folder), mnist.load(split, folder)
    assert stacked.data.shape == (len(digits), 3, 28, 28)
    assert stacked.data.dtype == np.uint8
    assert stacked.value_range == (0, 255)
    assert stacked.labels is not None
    assert digits.labels is not None
    label_of = {
        image.tobytes(): label for image, label in zip(digits.data, digits.labels, strict=True)
    }
    for image, label in zip(stacked.data, stacked.labels, strict=True):
        red, green, blue = (label_of[channel.tobytes()] for channel in image)
        assert label == int(f"{red}{green}{blue}")


def test_it_is_always_the_same(folder):
    first, second = (load("stacked-mnist", "train", folder) for _ in range(2))
    np.testing.assert_array_equal(first.data, second.data)
