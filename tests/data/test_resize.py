"""Resizing: by hand, by its definition, and what must not change."""

import numpy as np
import pytest

from minigen.data import load
from minigen.data.resize import centre_crop, pad_to, resize, resized
from minigen.errors import UserError

RANDOM = np.random.default_rng(5)


def images(shape, dtype=np.float64):
    return RANDOM.random(shape).astype(dtype)


def test_nearest_repeats_pixels_when_the_factor_is_whole():
    x = images((2, 3, 4, 5))
    np.testing.assert_array_equal(
        resize(x, (12, 10), "nearest"), x.repeat(3, axis=2).repeat(2, axis=3)
    )


def test_bilinear_by_a_half_is_the_weighted_mean_by_hand():
    # Two to one: the triangle of half width 2 round the middle between pixels 2i and 2i + 1 gives
    # 1/8, 3/8, 3/8, 1/8, and 3/7, 3/7, 1/7 where one of the four is missing.
    x = np.arange(6.0) ** 2
    row = np.broadcast_to(x, (1, 1, 6, 6))
    expected = [(3 * 0 + 3 * 1 + 4) / 7, (1 + 3 * 4 + 3 * 9 + 16) / 8, (9 + 3 * 16 + 3 * 25) / 7]
    np.testing.assert_allclose(resize(row, 3)[0, 0, 1], expected)


SIZES = pytest.mark.parametrize("size", [(3, 11), (28, 28), (5, 4), (1, 1), (8, 8)])


def weights_of(i: int, old: int, new: int, mode: str) -> np.ndarray:
    """What new pixel i of a row is made of, by the definition at the top of `data/resize.py`."""
    s = old / new
    distance = np.abs(np.arange(old) - ((i + 0.5) * s - 0.5))
    if mode == "nearest":
        return (np.arange(old) == int((i + 0.5) * s)).astype(float)
    triangle = np.maximum(0, 1 - distance / max(1, s))
    return triangle / triangle.sum()


@SIZES
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_every_new_pixel_is_the_weighted_mean_of_its_definition(size, mode):
    x = images((2, 3, 8, 8))
    expected = np.zeros((2, 3, *size))
    for i, j in np.ndindex(*size):
        down, across = weights_of(i, 8, size[0], mode), weights_of(j, 8, size[1], mode)
        expected[:, :, i, j] = (x * down[:, None] * across).sum((2, 3))
    np.testing.assert_allclose(resize(x, size, mode), expected, atol=1e-12)


@pytest.mark.torch
@SIZES
def test_it_agrees_with_pytorch(size):
    import torch

    x = images((2, 3, 8, 8))
    theirs = torch.nn.functional.interpolate
    bilinear = theirs(torch.tensor(x), size, mode="bilinear", antialias=True)
    np.testing.assert_allclose(resize(x, size), bilinear.numpy(), atol=1e-12)
    nearest = theirs(torch.tensor(x), size, mode="nearest-exact")
    np.testing.assert_array_equal(resize(x, size, "nearest"), nearest.numpy())


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_constant_stays_constant_and_so_does_the_type(mode, dtype):
    x = np.full((1, 1, 7, 9), 17, dtype)
    for size in (3, 20):
        y = resize(x, size, mode)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, 17, rtol=1e-6)


def test_integers_are_rounded_not_cut():
    x = np.array([[0, 3], [0, 3]], np.uint8).reshape(1, 1, 2, 2)
    assert resize(x, 1).item() == 2  # 1.5, rounded to even


def test_padding_and_cropping_undo_each_other_and_the_middle_is_the_middle():
    x = images((2, 1, 28, 27))
    padded = pad_to(x, 32)
    assert padded.shape == (2, 1, 32, 32)
    np.testing.assert_array_equal(padded[:, :, 2:30, 2:29], x)
    assert padded.sum() == pytest.approx(x.sum())
    np.testing.assert_array_equal(centre_crop(padded, (28, 27)), x)
    np.testing.assert_array_equal(resize(x, 32, "pad"), padded)


def test_a_data_set_keeps_its_labels_and_range():
    digits = load("digits", "val")
    large = resized(digits, 28)
    assert large.sample_shape == (1, 28, 28)
    assert large.value_range == (0, 16)
    assert large.data.dtype == np.uint8
    np.testing.assert_array_equal(large.labels, digits.labels)


def test_what_cannot_be_is_refused_in_one_line():
    x = images((1, 1, 4, 4))
    with pytest.raises(UserError, match="size must be at least 4×4 to pad, got 3×8"):
        pad_to(x, (3, 8))
    with pytest.raises(UserError, match="size must be at most 4×4 to crop, got 5×5"):
        centre_crop(x, 5)
    with pytest.raises(UserError, match="at least 1 pixel"):
        resize(x, 0)
    with pytest.raises(UserError, match="mode must be one of nearest, bilinear, pad, got 'cubic'"):
        resize(x, 8, "cubic")
    with pytest.raises(UserError, match="only images can be resized, and wine has rows"):
        resized(load("wine", "val"), 8)
    with pytest.raises(UserError, match=r"shape \(N, C, H, W\)"):
        resize(x[0], 8)
