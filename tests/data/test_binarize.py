"""Grey to binary: the four options do what their names say."""

import itertools

import numpy as np
import pytest
from PIL import Image

from minigen.data import (
    BINARIZATIONS,
    Batches,
    Dataset,
    binarize,
    eval_batches,
    load,
    to_unit_interval,
)
from minigen.data.binarize import draw_bernoulli
from minigen.errors import UserError


def images(data, value_range=(0, 255), split="train"):
    return Dataset("toy", split, np.asarray(data), None, "image", value_range)


def test_the_unit_interval_maps_low_to_0_and_high_to_1_in_float32():
    unit = to_unit_interval(np.array([-2, 0, 2], np.int8), (-2, 2))
    assert unit.dtype == np.float32
    assert unit.tolist() == [0, 0.5, 1]


def test_threshold_is_1_strictly_above_one_half():
    grey = np.array([[0, 8, 9, 16]], np.uint8)
    binary = binarize(images(grey, (0, 16)), "threshold")
    assert binary.data.tolist() == [[0, 0, 1, 1]]
    assert (binary.data.dtype, binary.value_range, binary.levels) == (np.uint8, (0, 1), 2)


def test_none_and_dynamic_leave_the_stored_values_alone():
    dataset = images(np.arange(8, dtype=np.uint8).reshape(2, 4))
    assert binarize(dataset, "none") is dataset
    assert binarize(dataset, "dynamic") is dataset


def test_the_static_draw_is_the_same_each_time_and_does_not_depend_on_later_rows():
    dataset = images(np.random.default_rng(0).integers(0, 256, (2500, 9), np.uint8))
    first = binarize(dataset, "static").data
    np.testing.assert_array_equal(first, binarize(dataset, "static").data)
    fewer = binarize(dataset.select(slice(0, 1234)), "static").data
    np.testing.assert_array_equal(first[:1234], fewer)


def test_the_static_draws_of_two_splits_are_independent():
    grey = np.full((100, 9), 128, np.uint8)
    train = binarize(images(grey), "static").data
    val = binarize(images(grey, split="val"), "static").data
    assert 0.4 < (train == val).mean() < 0.6


def test_static_pixels_are_1_as_often_as_they_are_dark():
    grey = np.tile(np.arange(0, 256, 15, dtype=np.uint8), (20_000, 1))
    mean = binarize(images(grey), "static").data.mean(axis=0)
    p = grey[0] / 255
    # Five standard deviations of a mean of 20,000 draws; exactly 0 and 1 at the ends.
    assert (np.abs(mean - p) <= 5 * np.sqrt(p * (1 - p) / 20_000)).all()
    assert (mean[0], mean[-1]) == (0, 1)


def test_one_draw_for_all_equals_draws_for_consecutive_parts():
    p = np.random.default_rng(0).random((10, 7), dtype=np.float32)
    p[p < 0.2] = 0
    whole = draw_bernoulli(p.copy(), np.random.default_rng(3))
    generator = np.random.default_rng(3)
    parts = [draw_bernoulli(part.copy(), generator) for part in np.split(p, [1, 4, 5])]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


# ---------------------------------------------------------------- memory in another order


def reversed_memory(x):
    every = (slice(None, None, -1),) * x.ndim
    return x[every].copy()[every]


def with_gaps(x):
    room = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    room[..., ::2] = x
    return room[..., ::2]


LAYOUTS = {
    "colours last": lambda x: x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
    "Fortran": np.asfortranarray,
    "backwards": reversed_memory,
    "gaps": with_gaps,
    "samples last": lambda x: x.transpose(1, 2, 3, 0).copy().transpose(3, 0, 1, 2),
}
IN_ANY_ORDER = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def colour_images():
    grey = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 4), np.uint8)
    return np.where(grey < 60, 0, np.where(grey > 200, 255, grey)).astype(np.uint8)


@IN_ANY_ORDER
def test_draws_overwrite_every_grey_value_wherever_it_lies_in_memory(layout):
    p = colour_images().astype(np.float32) / 255
    expected = draw_bernoulli(p.copy(), np.random.default_rng(1))
    moved = layout(p)
    drawn = draw_bernoulli(moved, np.random.default_rng(1))
    assert drawn is moved
    assert set(np.unique(expected)) == {0.0, 1.0}
    np.testing.assert_array_equal(drawn, expected)


@IN_ANY_ORDER
@pytest.mark.parametrize("option", BINARIZATIONS)
def test_equal_pixels_give_equal_batches_whatever_their_order_in_memory(layout, option):
    pixels = colour_images()
    lists = []
    for dataset in (images(layout(pixels)), images(pixels)):
        training = Batches(dataset, 7, seed=3, binarization=option)
        evaluation = eval_batches(dataset, 7, seed=3, binarization=option)
        lists.append([*evaluation, *itertools.islice(training, 9)])
    for batch, twin in zip(*lists, strict=True):
        if option != "none":
            assert set(np.unique(batch.x)) == {0.0, 1.0}
        np.testing.assert_array_equal(batch.x, twin.x)
        assert batch.x.strides == twin.x.strides


@pytest.mark.parametrize("option", ["static", "dynamic", "threshold"])
def test_a_file_with_colours_last_and_one_with_colours_first_are_one_data_set(tmp_path, option):
    pixels = colour_images()
    np.save(tmp_path / "first.npy", pixels)
    np.save(tmp_path / "last.npy", pixels.transpose(0, 2, 3, 1).copy())
    first, last = (
        np.concatenate(
            [b.x for b in eval_batches(load(tmp_path / f"{name}.npy"), 7, binarization=option)]
        )
        for name in ("first", "last")
    )
    assert set(np.unique(first)) == {0.0, 1.0}
    np.testing.assert_array_equal(first, last)


@pytest.mark.parametrize("option", ["static", "dynamic", "threshold"])
def test_a_folder_of_colour_images_becomes_black_and_white_in_each_colour(tmp_path, option):
    for number, pixels in enumerate(colour_images()):
        Image.fromarray(pixels.transpose(1, 2, 0).copy()).save(tmp_path / f"{number:03d}.png")
    for batch in eval_batches(load(tmp_path), 7, binarization=option):
        assert set(np.unique(batch.x)) == {0.0, 1.0}


def test_an_unknown_option_lists_the_known_ones():
    with pytest.raises(UserError, match=r"none, static, dynamic, threshold.*mean 'static'"):
        binarize(load("digits"), "statik")


@pytest.mark.parametrize("option", [name for name in BINARIZATIONS if name != "none"])
def test_numbers_without_a_range_cannot_be_binarized(option):
    rows = Dataset("wine", "train", np.zeros((3, 2), np.float32), None, "rows", None)
    with pytest.raises(UserError, match=f"must be none for wine.*got '{option}'"):
        binarize(rows, option)
