"""DiffAugment: what each word does, and that a gradient comes back through it."""

import numpy as np
import pytest

import minigen as mg
from minigen.models.diffaugment import AUGMENTATIONS, diff_augment
from minigen.testing import check_grads

pytestmark = pytest.mark.usefixtures("backend")


def images(n: int = 64, channels: int = 3, size: int = 16, seed: int = 0) -> mg.Tensor:
    return mg.randn(n, channels, size, size, dtype="float64", generator=mg.Generator(seed))


def test_translation_shifts_each_image_by_its_own_step_and_fills_with_zeros() -> None:
    x = images(64)
    y = diff_augment(x, ["translation"], mg.Generator(0)).numpy()
    x, shifts = x.numpy(), set()
    for one, moved in zip(x, y, strict=True):
        padded = np.pad(one, ((0, 0), (2, 2), (2, 2)))
        found = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if np.array_equal(moved, padded[:, 2 - down : 18 - down, 2 - right : 18 - right])
        ]
        assert len(found) == 1
        shifts.add(found[0])
    assert {down for down, _ in shifts} == {right for _, right in shifts} == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("size", [8, 15])
def test_cutout_clears_one_square_of_half_the_side(size: int) -> None:
    y = diff_augment(images(200, 1, size), ["cutout"], mg.Generator(1)).numpy()[:, 0]
    side = round(size / 2)
    areas = []
    for one in y:
        rows, columns = (one == 0).any(axis=1), (one == 0).any(axis=0)
        assert ((one == 0) == np.outer(rows, columns)).all()
        assert max(rows.sum(), columns.sum()) <= side
        areas.append(rows.sum() * columns.sum())
    assert max(areas) == side * side  # inside the image
    assert min(areas) < side * side  # hanging over the edge


def test_colour_is_one_affine_change_for_each_image() -> None:
    x = images(8, 1)
    y = diff_augment(x, ["colour"], mg.Generator(2)).numpy()
    factors = []
    for one, changed in zip(x.numpy().reshape(8, -1), y.reshape(8, -1), strict=True):
        factor, shift = np.polyfit(one, changed, 1)
        np.testing.assert_allclose(changed, factor * one + shift, atol=1e-9)
        assert 0.5 <= factor <= 1.5
        factors.append(factor)
    assert np.std(factors) > 0.05


def test_saturation_keeps_the_grey_of_each_pixel_in_place() -> None:
    x = images(4, 3)
    y = diff_augment(x, ["colour"], mg.Generator(2)).numpy()
    grey, got = x.numpy().mean(axis=1).reshape(4, -1), y.mean(axis=1).reshape(4, -1)
    for one, changed in zip(grey, got, strict=True):
        assert np.corrcoef(one, changed)[0, 1] == pytest.approx(1)


def test_gradients_flow_back_through_all_of_them() -> None:
    x = images(2, 3, 6)
    check_grads(lambda x: diff_augment(x, tuple(AUGMENTATIONS), mg.Generator(4)), [x], order=2)


def test_dtype_and_shape_stay_and_no_word_changes_nothing() -> None:
    x = mg.randn(3, 1, 9, 7)
    y = diff_augment(x, tuple(AUGMENTATIONS), mg.Generator(0))
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert diff_augment(x, ()) is x


def test_another_word_and_points_are_refused() -> None:
    with pytest.raises(ValueError, match=r"policy must be out of colour, .*, got 'rotation'"):
        diff_augment(images(1), ["rotation"])
    with pytest.raises(ValueError, match=r"x must be images \(N, C, H, W\), got shape \(3, 2\)"):
        diff_augment(mg.zeros(3, 2), ["cutout"])


@pytest.mark.parametrize("word", ["translation", "cutout"])
def test_what_an_image_loses_is_0_even_if_it_was_infinite(word: str) -> None:
    x = mg.full((64, 1, 16, 16), np.inf)
    y = AUGMENTATIONS[word](x, mg.Generator(0)).numpy()
    assert ((y == 0) | (y == np.inf)).all()
    assert (y == 0).any()
