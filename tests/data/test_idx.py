"""IDX files, good ones and every kind of bad one."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from minigen.data.idx import read_idx
from minigen.errors import UserError

IMAGES = bytes.fromhex("00000803 00000002 00000002 00000003") + bytes(range(12))


def refusal(path, **accepted):
    with pytest.raises(UserError) as caught:
        read_idx(path, **accepted)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_the_bytes_of_the_format_description_are_read_as_the_array_they_mean(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(IMAGES)
    array = read_idx(path, np.uint8, (2, 2, 3))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, np.arange(12).reshape(2, 2, 3))


def test_gzip_is_recognised_by_content_whatever_the_name(tmp_path):
    plain, zipped = tmp_path / "plain.gz", tmp_path / "zipped"
    plain.write_bytes(IMAGES)
    zipped.write_bytes(gzip.compress(IMAGES))
    np.testing.assert_array_equal(read_idx(plain), read_idx(zipped))


@pytest.mark.parametrize(
    ("code", "pack", "dtype"),
    [
        (8, "B", "u1"),
        (9, "b", "i1"),
        (11, "h", "i2"),
        (12, "i", "i4"),
        (13, "f", "f4"),
        (14, "d", "f8"),
    ],
)
def test_every_number_type_is_read_from_big_endian_into_native_order(tmp_path, code, pack, dtype):
    path = tmp_path / "numbers"
    path.write_bytes(struct.pack(f">HBBI3{pack}", 0, code, 1, 3, 1, 2, 100))
    array = read_idx(path)
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative
    assert array.tolist() == [1, 2, 100]


def test_an_axis_of_length_zero_is_an_empty_array(tmp_path):
    path = tmp_path / "none"
    path.write_bytes(bytes.fromhex("00000803 00000000 0000001c 0000001c"))
    assert read_idx(path).shape == (0, 28, 28)


@pytest.mark.parametrize("length", [0, 3, 9, 16, 27])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, length):
    path = tmp_path / "cut"
    path.write_bytes(IMAGES[:length])
    assert "truncated" in refusal(path) or "not an IDX file" in refusal(path)


def test_a_truncated_idx_file_says_how_much_was_promised_and_how_much_came(tmp_path):
    path = tmp_path / "cut"
    path.write_bytes(IMAGES[:-1])
    assert "promises 12 bytes of uint8 (2, 2, 3), it has only 11" in refusal(path)


def test_a_file_with_more_bytes_than_its_header_says_is_refused(tmp_path):
    path = tmp_path / "long"
    path.write_bytes(IMAGES + b"\0")
    assert "too long" in refusal(path)


@pytest.mark.parametrize(
    "start", [b"<!DOCTYPE html>", b"\x89PNG\r\n", b"\0\0\x0a\x03", b"\0\0\x08\0", b"\0\x01\x08\x03"]
)
def test_a_foreign_file_is_refused_with_the_bytes_it_starts_with(tmp_path, start):
    path = tmp_path / "foreign.gz"
    path.write_bytes(start + bytes(40))
    message = refusal(path)
    assert "not an IDX file" in message
    assert start[:4].hex(" ") in message


def test_a_gzip_file_cut_off_or_damaged_is_refused(tmp_path):
    path = tmp_path / "images.gz"
    whole = gzip.compress(IMAGES)
    path.write_bytes(whole[:-12])
    assert "gzip" in refusal(path)
    path.write_bytes(whole[:12] + b"\xff\xff\xff\xff" + whole[16:])
    assert "gzip" in refusal(path)
    # The checksum at the end is looked at too, though every promised byte has come by then.
    path.write_bytes(whole[:-8] + bytes(4) + whole[-4:])
    assert "gzip" in refusal(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "nothing")
    assert "directory" in refusal(tmp_path)


def test_another_type_or_shape_than_accepted_is_named_beside_the_accepted_one(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(IMAGES)
    message = refusal(path, dtype=np.uint8, shape=(2, 28, 28))
    assert "must hold uint8 (2, 28, 28), its header says uint8 (2, 2, 3)" in message
    assert "must hold float32" in refusal(path, dtype=np.float32)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_header_that_promises_terabytes_costs_no_memory(tmp_path, zipped):
    content = bytes.fromhex("00000e03 ffffffff ffffffff ffffffff") + bytes(100)
    path = tmp_path / "liar"
    path.write_bytes(gzip.compress(content) if zipped else content)
    tracemalloc.start()
    assert "it has only 100" in refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
