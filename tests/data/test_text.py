"""Texts: the split, files that are none, and the stream of windows."""

import gzip
import hashlib

import numpy as np
import pytest

from minigen.data import load, text
from minigen.data.text import TextBatches, load_text, text_of
from minigen.errors import UserError


def test_the_first_nine_tenths_are_train_and_the_rest_is_val(tmp_path):
    content = "Ärger über\r\nnaïve – 𝄞 texts" * 10
    (tmp_path / "own.txt").write_bytes(content.encode())
    train, val = (load(tmp_path / "own.txt", split) for split in ("train", "val"))
    assert text_of(train) + text_of(val) == content
    assert len(train) == int(0.9 * len(content))
    assert (train.kind, train.name, train.value_range) == ("text", "own", None)


def test_shakespeare_is_looked_for_in_the_folder_and_its_subfolder(tmp_path, monkeypatch):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / text.FILE).write_text("To be, or not to be")
    assert text_of(load("shakespeare", "train", tmp_path)) == "To be, or not to "
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path))
    assert text_of(load("shakespeare", "val")) == "be"


def test_shakespeare_is_downloaded_once_and_checked(tmp_path, monkeypatch, serve):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "input.txt").write_text("To be, or not to be")
    address, asked = serve(tmp_path / "mirror")
    monkeypatch.setattr(text, "MIRRORS", (address + "input.txt",))
    with pytest.raises(UserError, match="MD5 of the content is"):
        load("shakespeare")
    md5 = hashlib.md5(b"To be, or not to be", usedforsecurity=False).hexdigest()
    monkeypatch.setattr(text, "MD5", md5)
    assert len(load("shakespeare")) == 17
    count = len(asked)
    assert len(load("shakespeare")) == 17
    assert len(asked) == count


def test_a_compressed_text_is_read_and_a_file_may_have_any_ending(tmp_path):
    (tmp_path / "book.md").write_bytes(gzip.compress(b"ten chars."))
    assert text_of(load_text(tmp_path / "book.md", "val")) == "."


@pytest.mark.parametrize(
    ("content", "split", "message"),
    [
        (None, "train", "must be an existing text file, got none"),
        (b"", "train", "at least two characters, got 0"),
        (b"abc\xff\xfe", "train", "must be UTF-8 text, got other bytes at 3"),
        (b"enough text", "test", "split must be train or val for the text"),
    ],
)
def test_what_is_no_text_is_named_in_one_line(tmp_path, content, split, message):
    if content is not None:
        (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path / "own.txt", split)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- windows


def stream(length=1000, **changes):
    options = {"context": 16, "batch_size": 5, "seed": 3, **changes}
    return TextBatches(np.arange(length), **options)


def test_targets_are_the_inputs_moved_on_by_one():
    inputs, targets = next(stream())
    assert inputs.shape == targets.shape == (5, 16)
    np.testing.assert_array_equal(targets, inputs + 1)


def test_an_epoch_shows_no_token_twice_and_nearly_all_once():
    batches = stream()
    for _ in range(2):
        seen = np.concatenate([next(batches)[0] for _ in range(batches.batches_per_epoch)]).ravel()
        assert len(set(seen)) == len(seen)
        assert len(seen) >= 1000 - 16 * (1 + 5)


def test_epochs_begin_at_different_tokens():
    batches = stream()
    phases = {int(next(batches)[0][0, 0]) % 16 for _ in range(batches.batches_per_epoch * 8)}
    assert len(phases) > 3


def test_a_stream_goes_on_where_its_state_was_taken():
    one, two = stream(), stream(seed=99)
    for _ in range(17):
        next(one)
    two.load_state(one.state())
    for _ in range(30):
        for a, b in zip(next(one), next(two)):
            np.testing.assert_array_equal(a, b)


def test_the_state_of_another_text_is_refused():
    with pytest.raises(UserError, match="same tokens: it was saved with 900"):
        stream().load_state(stream(900).state())
    with pytest.raises(UserError, match="state must be a dict with keys"):
        stream().load_state({"epoch": 1})


@pytest.mark.parametrize("length", [17, 18, 31, 32, 33])
def test_the_shortest_texts_make_small_batches(length):
    batches = stream(length)
    for _ in range(40):
        inputs, targets = next(batches)
        assert inputs.shape[1] == 16
        assert targets.max() < length


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 16}, "must be longer than the context of 16 tokens, got 16"),
        ({"context": 0}, "context must be an integer >= 1, got 0"),
        ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
        ({"seed": -1}, "seed must be an integer >= 0, got -1"),
    ],
)
def test_windows_that_cannot_be_are_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        stream(**changes)
