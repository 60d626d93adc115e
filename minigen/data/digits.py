"""The 1,797 handwritten digits of UCI's optical recognition set, 8×8 pixels, in the package.

They need no download, so the first run of every model works anywhere.  Pixels count the dark dots
in 4×4 blocks of a 32×32 bitmap: integers 0..16, seventeen levels.  `digits.md` beside this file
says who made them and under which licence.

The file keeps the published order, in which one writer follows another.  The splits are blocks of
that order, so that val and test hold (but for the writers at the borders) hands that training has
not seen::

    train   samples    0..1296   (1,297)
    val     samples 1297..1546     (250)
    test    samples 1547..1796     (250)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minigen.data.dataset import Dataset

FILE = Path(__file__).with_name("digits.npz")
ROWS = {"train": slice(0, 1297), "val": slice(1297, 1547), "test": slice(1547, 1797)}


def load(split: str, data_dir: Path | None) -> Dataset:
    """UCI digits, 8×8 grey, inside the package: 1,297 train, 250 val, 250 test."""
    with np.load(FILE, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    images = images[:, np.newaxis]  # (N, 8, 8) -> (N, 1, 8, 8)
    rows = ROWS[split]
    return Dataset("digits", split, images[rows], labels[rows], "image", (0, 16))
