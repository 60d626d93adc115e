"""The `Dataset` value object."""

import numpy as np
import pytest

from minigen.data import Dataset
from minigen.errors import UserError


def make(data, labels=None, split="train", value_range=None):
    return Dataset("toy", split, data, labels, "rows", value_range)


def test_data_and_labels_are_read_only_and_the_callers_array_is_not():
    mine = np.zeros((3, 2))
    dataset = make(mine, np.arange(3))
    with pytest.raises(ValueError, match="read-only"):
        dataset.data[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        dataset.labels[0] = 1
    mine[0] = 1


def test_selecting_rows_takes_their_labels_along():
    dataset = make(np.arange(8).reshape(4, 2), np.arange(4))
    some = dataset.select(np.array([3, 1]), split="val")
    assert some.data.tolist() == [[6, 7], [2, 3]]
    assert some.labels.tolist() == [3, 1]
    assert (some.split, some.name, len(some)) == ("val", "toy", 2)


def test_levels_count_the_values_of_a_pixel():
    assert make(np.zeros((1, 2), np.uint8), value_range=(0, 16)).levels == 17
    assert make(np.zeros((1, 2), np.float32), value_range=(0, 1)).levels is None
    assert make(np.zeros((1, 2), np.int64)).levels is None


@pytest.mark.parametrize("shape", [(0, 2), ()])
def test_an_empty_data_set_is_refused(shape):
    with pytest.raises(UserError, match="at least one sample"):
        make(np.zeros(shape))


def test_labels_of_another_length_are_refused():
    with pytest.raises(UserError, match=r"labels must have shape \(3,\).*got \(2,\)"):
        make(np.zeros((3, 2)), np.zeros(2, int))


def test_a_split_of_another_name_is_refused():
    with pytest.raises(UserError, match="split must be one of"):
        make(np.zeros((3, 2)), split="valid")


def test_clips_of_different_lengths_lie_one_after_the_other():
    lengths = np.array([3, 1, 4])
    sounds = Dataset(
        "toy",
        "train",
        np.arange(8, dtype=np.int16),
        np.array([7, 8, 9]),
        "audio",
        None,
        lengths,
        8000,
    )
    assert len(sounds) == 3
    assert [clip.tolist() for clip in sounds.clips()] == [[0, 1, 2], [3], [4, 5, 6, 7]]
    some = sounds.select(np.array([2, 0]))
    assert [clip.tolist() for clip in some.clips()] == [[4, 5, 6, 7], [0, 1, 2]]
    assert (some.labels.tolist(), some.rate) == ([9, 7], 8000)
    (whole,) = make(np.arange(6).reshape(3, 2)).clips()
    assert whole.shape == (3, 2)


@pytest.mark.parametrize("lengths", [[3, 4], [8, 0], [9, -1]])
def test_lengths_that_do_not_fit_the_data_are_refused(lengths):
    with pytest.raises(UserError, match="lengths must be >= 1 with the sum 8, the length"):
        Dataset("toy", "train", np.zeros(8), None, "audio", None, np.array(lengths), 8000)
