"""MNIST: 70,000 handwritten digits, 28×28 pixels (LeCun, Cortes, Burges; CC BY-SA 3.0).

The published training file is split once and for all::

    train   first 50,000 images of the training file
    val     last 10,000 images of the training file
    test    the 10,000 images of the t10k file

Each of the four files is looked for only when its split is asked for: in `data_dir` (or, where
that is not given, in the folder `MINIGEN_DATA`) and its subfolder `mnist`, plain or gzip; then in
the cache; then on the mirrors.  Files of the user's own are checked for form (type, shape, length),
so that Fashion-MNIST, say, works from its own folder; downloads are checked against the published
content.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.dataset import Dataset
from minigen.data.download import cache_folder, download, own_folders, report_missing
from minigen.data.idx import read_idx
from minigen.errors import UserError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
MD5 = {  # of the uncompressed files
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
COUNTS = {"train": 60_000, "t10k": 10_000}
VAL_COUNT = 10_000


def load(split: str, data_dir: Path | None) -> Dataset:
    """MNIST, 28×28 grey digits: 50,000 train, 10,000 val, 10,000 test."""
    part = "t10k" if split == "test" else "train"
    count = COUNTS[part]
    images = _read(f"{part}-images-idx3-ubyte", (count, 28, 28), data_dir)
    labels = _read(f"{part}-labels-idx1-ubyte", (count,), data_dir)
    images = images[:, np.newaxis]  # (N, 28, 28) -> (N, 1, 28, 28)
    rows = {
        "train": slice(0, count - VAL_COUNT),
        "val": slice(count - VAL_COUNT, count),
        "test": slice(0, count),
    }[split]
    return Dataset("mnist", split, images[rows], labels[rows], "image", (0, 255))


def _read(stem: str, shape: tuple[int, ...], data_dir: Path | None) -> npt.NDArray[Any]:
    folders = own_folders(data_dir, "mnist")
    for folder in folders:
        # Unpacking by hand often turns "-idx3" into ".idx3".
        for name in (stem, stem.replace("-idx", ".idx")):
            for suffix in ("", ".gz"):
                path = folder / f"{name}{suffix}"
                if path.exists():
                    return read_idx(path, np.uint8, shape)
    cached = cache_folder() / "mnist" / f"{stem}.gz"
    if cached.exists():
        try:
            return read_idx(cached, np.uint8, shape)
        except UserError:
            pass  # damaged since it was put there: fetch it again
    with report_missing("mnist", f"{stem}[.gz]", (*folders, cached.parent)):
        download([f"{mirror}{stem}.gz" for mirror in MIRRORS], cached, MD5[stem])
    return read_idx(cached, np.uint8, shape)
