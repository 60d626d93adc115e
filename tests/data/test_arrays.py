"""The user's own .npy and .npz files."""

import numpy as np
import pytest

from minigen.data import load
from minigen.data.arrays import split_rows
from minigen.errors import UserError


def refusal(path, split="train"):
    with pytest.raises(UserError) as caught:
        load(path, split)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def save(path, array):
    np.save(path, array)
    return path


@pytest.mark.parametrize("count", [1, 3, 10, 11, 99, 1000])
def test_the_splits_hold_every_row_once(count):
    rows = split_rows(count)
    assert rows.pop("all").tolist() == list(range(count))
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(count))
    assert len(rows["val"]) == len(rows["test"]) == count // 10
    assert all((np.diff(part) > 0).all() for part in rows.values())


def test_the_split_of_a_file_is_the_same_each_time_and_follows_the_labels(tmp_path):
    path = tmp_path / "own.npz"
    numbers = np.arange(50)
    np.savez(path, rows=np.stack([numbers, -numbers], 1).astype(float), labels=numbers)
    seen = []
    for split in ("train", "val", "test"):
        first, again = load(path, split), load(path, split)
        np.testing.assert_array_equal(first.data, again.data)
        np.testing.assert_array_equal(first.data[:, 0], first.labels)
        seen += first.labels.tolist()
    assert sorted(seen) == numbers.tolist()
    whole = load(path, "all")
    assert whole.labels.tolist() == whole.data[:, 0].tolist() == numbers.tolist()


def test_rows_are_float32_as_they_are_without_a_range(tmp_path):
    dataset = load(save(tmp_path / "wine.npy", np.array([[1, -20], [3, 4000]])))
    assert (dataset.name, dataset.kind, dataset.value_range) == ("wine", "rows", None)
    assert dataset.data.dtype == np.float32
    assert dataset.data.tolist() == [[1, -20], [3, 4000]]


@pytest.mark.parametrize(
    ("shape", "stored"),
    [
        ((4, 5, 6), (1, 5, 6)),
        ((4, 3, 5, 6), (3, 5, 6)),
        ((4, 1, 5, 6), (1, 5, 6)),
        ((4, 5, 6, 3), (3, 5, 6)),
        ((4, 3, 6, 3), (3, 6, 3)),
    ],
)
def test_images_of_every_accepted_layout_become_channels_first(tmp_path, shape, stored):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    dataset = load(save(tmp_path / "images.npy", array))
    assert dataset.sample_shape == stored
    assert (dataset.kind, dataset.value_range) == ("image", (0, 255))


def test_channels_last_images_keep_each_pixel_in_its_place(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)
    dataset = load(save(tmp_path / "images.npy", array))
    np.testing.assert_array_equal(dataset.data[3, 2], array[3, :, :, 2])


@pytest.mark.parametrize(
    ("array", "value_range", "dtype"),
    [
        (np.ones((3, 2, 2), bool), (0, 1), np.uint8),
        (np.ones((3, 2, 2), np.uint8), (0, 1), np.uint8),
        (np.full((3, 2, 2), 2, np.uint8), (0, 255), np.uint8),
        (np.full((3, 2, 2), 0.5), (0, 1), np.float32),
        (np.full((3, 4), 9, np.uint8), (0, 255), np.uint8),
    ],
)
def test_the_type_of_the_array_tells_the_range_of_its_values(tmp_path, array, value_range, dtype):
    dataset = load(save(tmp_path / "a.npy", array))
    assert dataset.value_range == value_range
    assert dataset.data.dtype == dtype


@pytest.mark.parametrize("keys", [("images", "labels"), ("x", "y"), ("anything", "y"), ("arr_0",)])
def test_the_arrays_of_an_npz_file_are_found_by_name(tmp_path, keys):
    path = tmp_path / "own.npz"
    arrays = [np.zeros((3, 2, 2), np.uint8), np.array([4, 5, 6])]
    np.savez(path, **dict(zip(keys, arrays)))
    dataset = load(path)
    assert dataset.sample_shape == (1, 2, 2)
    assert (dataset.labels is None) == (len(keys) == 1)


def test_unnamed_arrays_are_refused_with_their_keys(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, np.zeros((3, 2)), np.zeros(3))
    assert "got arr_0, arr_1" in refusal(path)


@pytest.mark.parametrize("labels", [np.zeros(2, int), np.zeros(3), np.zeros((3, 1), int)])
def test_labels_that_do_not_fit_the_samples_are_refused(tmp_path, labels):
    path = tmp_path / "own.npz"
    np.savez(path, x=np.zeros((3, 2)), y=labels)
    assert f"got {labels.dtype} {labels.shape}" in refusal(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_a_number_that_is_not_finite_is_named_with_file_and_place(tmp_path, bad):
    array = np.zeros((5, 3))
    array[3, 1] = bad
    assert f"got {bad} at index (3, 1)" in refusal(save(tmp_path / "rows.npy", array))


def test_images_outside_0_to_1_are_refused_with_their_range(tmp_path):
    path = save(tmp_path / "a.npy", np.linspace(-1, 1, 12).reshape(3, 2, 2))
    assert "got float64 from -1 to 1" in refusal(path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5),
        np.float64(3),
        np.zeros((2, 2, 2, 2)),
        np.zeros((2, 1, 2, 2, 2)),
        np.zeros((0, 4)),
    ],
)
def test_arrays_of_another_shape_are_refused_with_it(tmp_path, array):
    assert f"got {'shape ' if array.size == 0 else ''}{array.shape}" in refusal(
        save(tmp_path / "a.npy", array)
    )


@pytest.mark.parametrize("array", [np.array([["a", "b"]]), np.zeros((2, 2), complex)])
def test_what_is_no_real_number_is_refused_with_its_type(tmp_path, array):
    assert f"got dtype {array.dtype}" in refusal(save(tmp_path / "a.npy", array))


class Bomb:
    """Unpickling this would raise something that is not a UserError."""

    def __reduce__(self):
        return (exec, ("raise KeyboardInterrupt",))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_pickled_object_is_refused_and_never_loaded(tmp_path, suffix):
    path = tmp_path / f"bomb{suffix}"
    array = np.array([[Bomb()]], dtype=object)
    np.save(path, array, allow_pickle=True) if suffix == ".npy" else np.savez(path, x=array)
    assert "pickled objects, which are never loaded" in refusal(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_cut_off_is_refused(tmp_path, suffix, share):
    path = tmp_path / f"cut{suffix}"
    rows = np.random.default_rng(0).normal(size=(20, 3))
    np.save(path, rows) if suffix == ".npy" else np.savez_compressed(path, x=rows)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "cannot be read" in refusal(path)


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path):
    path = save(tmp_path / "liar.npy", np.zeros((10, 10)))
    path.write_bytes(path.read_bytes().replace(b"(10, 10)", b"(9**9,1)"))
    assert "cannot be read" in refusal(path)
    save(path, np.zeros((10, 10)))
    path.write_bytes(path.read_bytes().replace(b"(10, 10), }  ", b"(99999, 9), }"))
    assert "cannot be read" in refusal(path)


def test_a_missing_file_a_folder_and_another_suffix_are_refused(tmp_path):
    assert "must be an existing" in refusal(tmp_path / "none.npz")
    assert "must hold images" in refusal(tmp_path)  # a folder is taken for one of images
    (tmp_path / "data.csv").write_text("1,2\n")
    assert "got suffix '.csv'" in refusal(tmp_path / "data.csv")


def test_three_images_train_and_an_empty_split_says_how_many_rows_it_needs(tmp_path):
    path = save(tmp_path / "three.npy", np.zeros((3, 8, 8), np.uint8))
    assert len(load(path, "train")) == 3
    assert "at least 10 rows are needed, got 3" in refusal(path, "val")
