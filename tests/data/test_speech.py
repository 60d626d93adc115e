"""Spoken digits and one's own sounds: the split, the labels, and what is refused."""

import hashlib
import io
import zipfile

import numpy as np
import pytest

from minigen.data import load, speech
from minigen.data.wav import write_wav
from minigen.errors import UserError


def sound(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-999, 999, length).astype(np.int16)


def wav_of(tmp_path, length: int, rate: int = 8000, seed: int = 0) -> bytes:
    write_wav(tmp_path / "one.wav", sound(length, seed), rate)
    content = (tmp_path / "one.wav").read_bytes()
    (tmp_path / "one.wav").unlink()
    return content


def archive(tmp_path, names, folder: str = "", rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for i, name in enumerate(names):
            file.writestr(folder + name, wav_of(tmp_path, 20 + i, rate, seed=i))
    return buffer.getvalue()


NAMES = [f"{d}_{s}_{i}.wav" for d in (3, 7) for s in speech.SPEAKERS for i in (0, 4, 5, 9, 10, 49)]
STRANGE = ["3_theo_10.wav", "README.md", "3_jackson.wav"]


@pytest.mark.parametrize("where", ["", "speech"])
def test_the_split_is_by_index_and_the_label_is_in_the_name(tmp_path, where):
    (tmp_path / where).mkdir(exist_ok=True)
    (tmp_path / where / speech.FILE).write_bytes(archive(tmp_path, [*NAMES, *STRANGE]))
    lengths = {"train": [], "val": [], "test": []}
    for i, name in enumerate(NAMES):
        index = int(name[:-4].split("_")[2])
        lengths["test" if index < 5 else "val" if index < 10 else "train"].append(20 + i)
    for split, expected in lengths.items():
        data = load("spoken-digits", split, tmp_path)
        assert (data.kind, data.rate, data.name, len(data)) == ("audio", 8000, "spoken-digits", 8)
        assert sorted(data.lengths.tolist()) == sorted(expected)
        np.testing.assert_array_equal(data.labels, [3] * 4 + [7] * 4)
        for clip, length in zip(data.clips(), data.lengths):
            np.testing.assert_array_equal(clip, sound(length, seed=length - 20))


def test_rows_of_sounds_can_be_chosen(tmp_path):
    (tmp_path / speech.FILE).write_bytes(archive(tmp_path, NAMES))
    data = load("spoken-digits", "train", tmp_path)
    some = data.select(np.array([5, 0]))
    np.testing.assert_array_equal(some.lengths, data.lengths[[5, 0]])
    np.testing.assert_array_equal(some.labels, [7, 3])
    np.testing.assert_array_equal(some.clips()[1], data.clips()[0])
    np.testing.assert_array_equal(data.select(slice(2, 4)).clips()[0], data.clips()[2])


def test_the_archive_of_all_speakers_is_downloaded_once_and_checked(tmp_path, monkeypatch, serve):
    (tmp_path / "mirror").mkdir()
    packed = archive(tmp_path, [*NAMES, *STRANGE], "free-spoken-digit-dataset-1/recordings/")
    (tmp_path / "mirror" / "all.zip").write_bytes(packed)
    address, asked = serve(tmp_path / "mirror")
    monkeypatch.setattr(speech, "MIRRORS", (address + "all.zip",))
    with pytest.raises(UserError, match="MD5 of the content is"):
        load("spoken-digits")
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(NAMES):
        i = NAMES.index(name)
        digest.update(wav_of(tmp_path, 20 + i, seed=i))
    monkeypatch.setattr(speech, "MD5", digest.hexdigest())
    assert len(load("spoken-digits")) == 8
    count = len(asked)
    assert len(load("spoken-digits", "test")) == 8
    assert len(asked) == count


def test_an_archive_that_is_none_or_empty_or_of_another_rate_is_named(tmp_path):
    file = tmp_path / speech.FILE
    file.write_bytes(b"no archive")
    with pytest.raises(UserError, match="must be a whole ZIP archive"):
        load("spoken-digits", "train", tmp_path)
    file.write_bytes(archive(tmp_path, STRANGE[:1]))
    with pytest.raises(UserError, match=r"must hold clips like 7_jackson_32.wav, got none"):
        load("spoken-digits", "train", tmp_path)
    file.write_bytes(archive(tmp_path, NAMES, rate=16000))
    with pytest.raises(UserError, match="must have 8000 samples a second, got 16000"):
        load("spoken-digits", "train", tmp_path)
    with pytest.raises(UserError, match="data_dir must be an existing folder"):
        load("spoken-digits", "train", tmp_path / "none")


# ---------------------------------------------------------------- one's own


def test_a_folder_with_names_like_the_digits_has_their_labels_and_split(tmp_path):
    for name in ("0_me_0.wav", "1_me_7.wav", "2_me_33.WAV", "0_me_10.wav"):
        write_wav(tmp_path / name, sound(30), 16000)
    train = load(tmp_path, "train")
    np.testing.assert_array_equal(train.labels, [0, 2])
    assert (train.rate, train.name) == (16000, tmp_path.name)
    assert [load(tmp_path, split).labels.tolist() for split in ("val", "test")] == [[1], [0]]
    assert load(tmp_path, "all").labels.tolist() == [0, 0, 1, 2]


def test_a_folder_of_other_names_has_no_labels_and_is_cut_by_tens(tmp_path):
    for i in range(12):
        write_wav(tmp_path / f"bird{i:02}.wav", sound(10 + i), 8000)
    lengths = {split: load(tmp_path, split).lengths.tolist() for split in ("val", "test")}
    assert lengths == {"test": [10, 20], "val": [11, 21]}
    assert len(load(tmp_path, "train")) == 8
    assert load(tmp_path, "train").labels is None


def test_a_single_file_is_cut_in_time(tmp_path):
    whole = sound(100)
    write_wav(tmp_path / "long.wav", whole, 22050)
    parts = [load(tmp_path / "long.wav", split) for split in ("train", "val", "test")]
    np.testing.assert_array_equal(np.concatenate([part.data for part in parts]), whole)
    assert [len(part.data) for part in parts] == [80, 10, 10]
    assert len(load(tmp_path / "long.wav", "all").data) == 100


def test_sounds_that_do_not_go_together_are_named_in_one_line(tmp_path):
    write_wav(tmp_path / "a.wav", sound(30), 8000)
    write_wav(tmp_path / "b.wav", sound(30), 16000)
    with pytest.raises(UserError, match=r"b.wav must have 8000 samples a second, as a.wav has"):
        load(tmp_path)
    (tmp_path / "b.wav").unlink()
    with pytest.raises(UserError, match="has no sound for the split 'train'"):
        load(tmp_path)
    with pytest.raises(UserError, match=r"cannot read .*none.wav"):
        load(tmp_path / "none.wav")
    write_wav(tmp_path / "short.wav", sound(3), 8000)
    with pytest.raises(UserError, match="short has no sound for the split 'val'"):
        load(tmp_path / "short.wav", "val")
