"""A folder of images: order, classes, sizes, colours, and files that are broken."""

import numpy as np
import pytest
from PIL import Image

from minigen.data import SPLITS, load
from minigen.data.arrays import split_rows
from minigen.errors import UserError


def put(path, pixels, **options):
    """An image file of uint8 (H, W) or (H, W, 3 or 4)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def fill(folder, count=20, shape=(6, 5), suffix=".png"):
    """`count` images whose pixels all have the image's number as value."""
    for number in range(count):
        put(folder / f"{number:03d}{suffix}", np.full(shape, number, np.uint8))
    return folder


def refusal(folder, split="train"):
    with pytest.raises(UserError) as caught:
        load(folder, split)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_images_of_one_size_stay_as_they_are_in_the_order_of_their_names(tmp_path):
    folder = fill(tmp_path / "own")
    for split in SPLITS:
        part, rows = load(folder, split), split_rows(20)[split]
        assert (part.name, part.kind, part.value_range) == ("own", "image", (0, 255))
        assert part.sample_shape == (1, 6, 5)
        assert part.labels is None
        np.testing.assert_array_equal(part.data[:, 0, 0, 0], rows)


def test_colours_come_first_and_a_single_coloured_file_makes_all_of_them_rgb(tmp_path):
    folder = fill(tmp_path / "own", 19)
    pixels = np.zeros((6, 5, 3), np.uint8)
    pixels[..., 0] = 200
    put(folder / "zzz.png", pixels)
    parts = [load(folder, split).data for split in SPLITS]
    data = np.concatenate(parts)
    assert data.shape == (20, 3, 6, 5)
    (red,) = data[data[:, 0, 0, 0] == 200]
    assert red[:, 3, 3].tolist() == [200, 0, 0]


def test_subfolders_are_classes_in_alphabetical_order(tmp_path):
    fill(tmp_path / "own" / "b", 10)
    fill(tmp_path / "own" / "a", 10)
    (tmp_path / "own" / "empty").mkdir()
    part = load(tmp_path / "own", "train")
    numbers = split_rows(20)["train"]
    assert part.labels is not None
    np.testing.assert_array_equal(part.labels, numbers // 10)
    np.testing.assert_array_equal(part.data[:, 0, 0, 0], numbers % 10)


def test_other_files_and_hidden_ones_are_passed_over(tmp_path):
    folder = fill(tmp_path / "own", 10)
    (folder / "readme.txt").write_text("pictures")
    (folder / "._001.png").write_bytes(b"\0")
    assert sum(len(load(folder, split)) for split in SPLITS) == 10


def test_images_of_several_sizes_become_squares_of_the_greatest_power_of_two(tmp_path):
    folder = fill(tmp_path / "own", 10, (40, 50))
    wide = np.zeros((33, 99), np.uint8)
    wide[:, 33:66] = 255  # the square in the middle is white
    put(folder / "wide.png", wide)
    data = np.concatenate([load(folder, split).data for split in SPLITS])
    assert data.shape == (11, 1, 32, 32)
    assert data[data[:, 0, 0, 0] > 100].min() > 240  # its edge is mixed with the black beside it


def test_large_images_are_made_smaller(tmp_path):
    folder = fill(tmp_path / "own", 10, (300, 310), ".jpg")
    assert load(folder, "train").sample_shape == (1, 64, 64)


def test_transparent_parts_are_white_and_sixteen_bits_become_eight(tmp_path):
    clear = np.zeros((4, 4, 4), np.uint8)
    deep = np.full((4, 4), 0x8001, np.uint16)
    for number in range(10):
        put(tmp_path / "clear" / f"{number}.png", clear)
        put(tmp_path / "deep" / f"{number}.png", deep)
    assert load(tmp_path / "clear", "train").data.min() == 255
    deep_data = load(tmp_path / "deep", "train").data
    assert deep_data.shape[1:] == (1, 4, 4)
    assert (deep_data == 0x80).all()


@pytest.mark.parametrize("damage", ["no image", "cut off", "empty", "header"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_broken_file_is_named_in_one_line(tmp_path, damage, suffix):
    folder = fill(tmp_path / "own", 30, (40, 40), suffix)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    row = split_rows(30)["train"][3]
    broken = put(folder / f"{row:03d}{suffix}", noise)
    content = broken.read_bytes()
    broken.write_bytes(
        {
            "no image": b"These are no pixels.",
            "cut off": content[: len(content) // 2],
            "empty": b"",
            "header": content[:20] + b"\xff" * 30 + content[50:],
        }[damage]
    )
    assert str(broken) in refusal(folder)


def test_a_picture_larger_than_any_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    folder = fill(tmp_path / "own", 10)
    assert "000.png" in refusal(folder)


def test_too_few_images_an_empty_folder_and_a_mixed_one_are_refused(tmp_path):
    assert "at least 10 images are needed, got 3" in refusal(fill(tmp_path / "few", 3), "val")
    (tmp_path / "none").mkdir()
    assert "must hold images (.png, .jpg, .jpeg), got none" in refusal(tmp_path / "none")
    fill(fill(tmp_path / "both") / "class")
    assert "got both" in refusal(tmp_path / "both")
