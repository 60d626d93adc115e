"""Speech: spoken digits by name, a folder of WAV files or a single one by path.

The Free Spoken Digit Dataset (Jackson et al.; CC BY-SA 4.0) holds English digits, spoken 50 times
each, as `{digit}_{speaker}_{index}.wav`: 8,000 samples a second, 16 bits, trimmed. Used here are
the speakers george and jackson, 1,000 clips or 8 minutes. The split is by index::

    test    0 to 4, as its authors have it
    val     5 to 9
    train   10 to 49

The archive is looked for as `fsdd-jackson-george.zip` in `data_dir` (or the folder `MINIGEN_DATA`)
and its subfolder `speech`, then in the cache, then on the internet (where the other speakers come
with it, and are ignored). Archives differ in packing, so a download is checked by the clips in it.

One's own sounds are a folder of WAV files, all of one rate. Where every name is like those above,
the number in front is the label and the split is by index, as above; otherwise there are no labels,
and of the files in the order of their names the first of every ten is test, the second val. A
single file is cut in time: 80 % train, 10 % val, 10 % test. The split `all` is every sound.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from minigen.data.dataset import WHOLE, Dataset
from minigen.data.download import find_or_download
from minigen.data.wav import read_wav, wav_samples
from minigen.errors import UserError

__all__ = ["is_sound", "load", "load_sounds"]

FILE = "fsdd-jackson-george.zip"
SPEAKERS = ("george", "jackson")
MD5 = "375b7eb013a07129aed52781af6eacc5"  # of the 1,000 files in the order of their names
MIRRORS = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip",
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/master.zip",
)
NAME = re.compile(r"(\d{1,3})_(.+)_(\d+)")  # label, speaker, index
TEST_BELOW, VAL_BELOW = 5, 10

Sound = npt.NDArray[np.int16]


def load(split: str, data_dir: Path | None) -> Dataset:
    """Spoken digits 0 to 9, two speakers, 8 kHz: 800 clips train, 100 val, 100 test."""
    path = find_or_download("spoken-digits", FILE, "speech", data_dir, MIRRORS, MD5, _digest)
    clips, labels, rate = [], [], 0
    for name, content in sorted(_members(path, split).items()):
        samples, rate = wav_samples(content, f"{path}: {name}")
        if rate != 8000:
            raise UserError(f"{path}: {name} must have 8000 samples a second, got {rate}")
        clips.append(samples)
        labels.append(int(name.split("_")[0]))
    return _dataset("spoken-digits", split, clips, labels, rate)


def is_sound(path: Path) -> bool:
    """Whether `path` is a WAV file, by its ending, or a folder that holds one."""
    if path.is_dir():
        return any(_wav_files(path))
    return path.suffix.lower() == ".wav"


def load_sounds(path: Path, split: str) -> Dataset:
    """A split of one's own sounds; see the top of this file.

    Raises:
        UserError: one line for a file that is missing, damaged or has another rate than the
            first, and for a split without sounds.
    """
    if not path.is_dir():
        samples, rate = read_wav(path)
        first, second = int(0.8 * len(samples)), int(0.9 * len(samples))
        part = {
            "train": samples[:first],
            "val": samples[first:second],
            "test": samples[second:],
            WHOLE: samples,
        }[split]
        return _dataset(path.stem, split, [part] if len(part) else [], None, rate)
    files = sorted(_wav_files(path), key=lambda file: file.name)
    names = [NAME.fullmatch(file.stem) for file in files]
    sounds = [read_wav(file) for file in files]
    for file, (_, rate) in zip(files, sounds):
        if rate != sounds[0][1]:
            raise UserError(
                f"{file} must have {sounds[0][1]} samples a second, as {files[0].name} has, "
                f"got {rate}"
            )
    labelled = [match for match in names if match is not None]
    named = len(labelled) == len(files)
    if named:
        splits = [_split_of(int(match[3])) for match in labelled]
    else:
        splits = [{0: "test", 1: "val"}.get(i % 10, "train") for i in range(len(files))]
    chosen = [i for i, one in enumerate(splits) if split in (one, WHOLE)]
    labels = [int(labelled[i][1]) for i in chosen] if named else None
    return _dataset(path.name, split, [sounds[i][0] for i in chosen], labels, sounds[0][1])


def _dataset(
    name: str, split: str, clips: list[Sound], labels: list[int] | None, rate: int
) -> Dataset:
    if not clips:
        raise UserError(f"{name} has no sound for the split {split!r}")
    return Dataset(
        name,
        split,
        np.concatenate(clips),
        None if labels is None else np.array(labels),
        "audio",
        None,
        lengths=np.array([len(clip) for clip in clips]),
        rate=rate,
    )


def _split_of(index: int) -> str:
    return "test" if index < TEST_BELOW else "val" if index < VAL_BELOW else "train"


def _wav_files(folder: Path) -> Iterable[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() == ".wav")


def _members(path: Path, split: str | None) -> dict[str, bytes]:
    """The clips of the two speakers in an archive, by name; of one split only, where it is given.

    Raises:
        UserError: it is no ZIP archive, is damaged, or holds none of them.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                name = member.rsplit("/", 1)[-1]
                match = NAME.fullmatch(name.removesuffix(".wav")) if name[-4:] == ".wav" else None
                if match is None or match[2] not in SPEAKERS:
                    continue
                if split is None or _split_of(int(match[3])) == split:
                    found[name] = archive.read(member)
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{path} must be a whole ZIP archive: {error}") from None
    if not found:
        raise UserError(f"{path} must hold clips like 7_jackson_32.wav, got none")
    return found


def _digest(path: Path) -> str:
    """The MD5 of the clips that are used, one after the other."""
    digest = hashlib.md5(usedforsecurity=False)
    for _, content in sorted(_members(path, None).items()):
        digest.update(content)
    return digest.hexdigest()
