"""MNIST: where its files are looked for, how it is split, what is refused."""

import gzip
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from minigen.data import Batches, load, mnist
from minigen.data.idx import read_idx
from minigen.errors import UserError


def refusal(*args, **kwargs):
    with pytest.raises(UserError) as caught:
        load("mnist", *args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def only(files, part):
    return {name: content for name, content in files.items() if name.startswith(part)}


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("subfolder", ["", "mnist"])
def test_train_and_val_are_the_first_and_last_images_of_the_training_file(
    tmp_path, small_mnist, put_files, gz, subfolder
):
    folder = put_files(tmp_path / "data" / subfolder, only(small_mnist, "train"), gz)
    stem = "train-images-idx3-ubyte"
    published = read_idx(folder / (f"{stem}.gz" if gz else stem))
    train = load("mnist", "train", tmp_path / "data")
    val = load("mnist", "val", tmp_path / "data")
    np.testing.assert_array_equal(train.data, published[:4, None])
    np.testing.assert_array_equal(val.data, published[4:, None])
    assert train.labels.tolist() == [5, 0, 4, 1]
    assert val.labels.tolist() == [9, 2]
    assert (train.kind, train.value_range, train.levels) == ("image", (0, 255), 256)
    assert (train.sample_shape, train.data.dtype) == ((1, 28, 28), np.uint8)


def test_the_test_split_is_the_t10k_file_and_needs_no_other(tmp_path, small_mnist, put_files):
    put_files(tmp_path / "data", only(small_mnist, "t10k"))
    test = load("mnist", "test", tmp_path / "data")
    assert test.labels.tolist() == [7, 2, 1]
    assert len(test) == 3


def test_names_with_a_dot_as_unpacking_makes_them_are_found(tmp_path, small_mnist, put_files):
    files = {name.replace("-idx", ".idx"): content for name, content in small_mnist.items()}
    put_files(tmp_path / "data", files, gz=False)
    assert len(load("mnist", "train", tmp_path / "data")) == 4


def test_minigen_data_names_the_folder_where_no_data_dir_is_given(
    tmp_path, small_mnist, put_files, monkeypatch
):
    put_files(tmp_path / "here", small_mnist)
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path / "here"))
    assert len(load("mnist", "test")) == 3
    (tmp_path / "elsewhere").mkdir()
    assert "t10k-images" in refusal("test", tmp_path / "elsewhere")


def test_a_missing_split_is_told_in_one_line_with_every_place_and_the_remedy(
    tmp_path, small_mnist, put_files
):
    put_files(tmp_path / "data", only(small_mnist, "train"))
    message = refusal("test", tmp_path / "data")
    for part in ("t10k-images-idx3-ubyte", str(tmp_path / "data"), "data_dir", "MINIGEN_DATA"):
        assert part in message
    assert len(load("mnist", "val", tmp_path / "data")) == 2


def test_a_data_dir_that_does_not_exist_is_named_with_where_it_came_from(tmp_path, monkeypatch):
    missing = tmp_path / "typo"
    assert f"data_dir must be an existing folder, got '{missing}'" in refusal("train", missing)
    monkeypatch.setenv("MINIGEN_DATA", str(missing))
    assert refusal("train").startswith("MINIGEN_DATA must be an existing folder")


def test_a_bad_local_file_is_refused_and_not_replaced_by_a_download(
    tmp_path, small_mnist, put_files, serve, monkeypatch
):
    put_files(tmp_path / "mirror", small_mnist)
    address, asked = serve(tmp_path / "mirror")
    monkeypatch.setattr(mnist, "MIRRORS", (address,))
    folder = put_files(tmp_path / "data", small_mnist)
    broken = folder / "train-images-idx3-ubyte.gz"
    broken.write_bytes(broken.read_bytes()[:-20])
    message = refusal("train", folder)
    assert str(broken) in message
    assert "truncated gzip" in message
    assert asked == []


def test_fewer_labels_than_images_are_refused(tmp_path, small_mnist, put_files):
    folder = put_files(tmp_path / "data", small_mnist)
    five = bytes.fromhex("00000801 00000005") + bytes(5)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(five))
    message = refusal("train", folder)
    assert "train-labels-idx1-ubyte.gz must hold uint8 (6,), its header says uint8 (5,)" in message


def test_labels_in_the_place_of_images_are_refused(tmp_path, small_mnist, put_files):
    swapped = dict(small_mnist)
    swapped["train-images-idx3-ubyte"] = small_mnist["train-labels-idx1-ubyte"]
    folder = put_files(tmp_path / "data", swapped)
    assert "must hold uint8 (6, 28, 28), its header says uint8 (6,)" in refusal("train", folder)


def test_what_the_data_folder_lacks_is_downloaded_once_and_then_cached(
    tmp_path, small_mnist, put_files, serve, monkeypatch
):
    address, asked = serve(put_files(tmp_path / "mirror", small_mnist))
    (tmp_path / "empty").mkdir()
    dead, _ = serve(tmp_path / "empty")
    monkeypatch.setattr(mnist, "MIRRORS", (dead, address))
    first = load("mnist", "test")
    assert sorted(asked) == ["/t10k-images-idx3-ubyte.gz", "/t10k-labels-idx1-ubyte.gz"]
    again = load("mnist", "test")
    assert len(asked) == 2
    np.testing.assert_array_equal(first.data, again.data)
    cached = tmp_path / "cache" / "mnist"
    assert sorted(path.name for path in cached.iterdir()) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]


def test_a_damaged_file_in_the_cache_is_downloaded_again(
    tmp_path, small_mnist, put_files, serve, monkeypatch
):
    address, asked = serve(put_files(tmp_path / "mirror", small_mnist))
    monkeypatch.setattr(mnist, "MIRRORS", (address,))
    load("mnist", "test")
    cached = tmp_path / "cache" / "mnist" / "t10k-images-idx3-ubyte.gz"
    cached.write_bytes(cached.read_bytes()[:100])
    assert len(load("mnist", "test")) == 3
    assert len(asked) == 3


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    """Training files of the published size: the real ones if MINIGEN_DATA has them.

    Otherwise blank images, but for the image's number in two pixels.
    """
    real = Path(os.environ.get("MINIGEN_DATA", "nowhere")) / "mnist"
    if (real / "train-images-idx3-ubyte.gz").exists():
        return real
    folder = tmp_path_factory.mktemp("full-size")
    images = np.zeros((60_000, 28, 28), np.uint8)
    numbers = np.arange(60_000)
    images[:, 0, 0], images[:, 0, 1] = numbers // 256, numbers % 256
    header = bytes.fromhex("00000803 0000ea60 0000001c 0000001c")
    with open(folder / "train-images-idx3-ubyte", "wb") as file:
        file.write(header)
        file.write(images)
    labels = bytes.fromhex("00000801 0000ea60") + (numbers % 10).astype(np.uint8).tobytes()
    (folder / "train-labels-idx1-ubyte").write_bytes(labels)
    return folder


def test_the_published_file_gives_50000_train_and_the_last_10000_val(full_size):
    train, val = load("mnist", "train", full_size), load("mnist", "val", full_size)
    (images,) = full_size.glob("train-images-idx3-ubyte*")
    (labels,) = full_size.glob("train-labels-idx1-ubyte*")
    published, classes = read_idx(images)[:, None], read_idx(labels)
    np.testing.assert_array_equal(train.data, published[:50_000])
    np.testing.assert_array_equal(val.data, published[50_000:])
    np.testing.assert_array_equal(np.concatenate([train.labels, val.labels]), classes)
    assert (len(train), len(val)) == (50_000, 10_000)


def test_walking_through_mnist_never_makes_a_float_copy_of_it(full_size):
    tracemalloc.start()
    train = load("mnist", "train", full_size)
    loaded = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    batches = Batches(train, 128, seed=0, binarization="dynamic")
    for _ in range(5):
        next(batches)
    grown = tracemalloc.get_traced_memory()[1] - loaded
    tracemalloc.stop()
    assert loaded < 60e6  # 47 MB of bytes; as float32 they would be 188 MB
    assert grown < 5e6
