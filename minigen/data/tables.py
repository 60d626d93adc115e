"""Small tables of measurements inside the package: rows of numbers, to be modelled as a density.

`wine.md` and `breast-cancer.md` beside this file say who measured them, and under which licence.

The rows are shuffled once by a fixed permutation and cut into train, val and test, so that no row
is in two of them.  Each column is standardised by the mean and deviation of the *training* rows:
val and test have no say in it.  A likelihood in nats therefore refers to these standardised
columns; in the units of the measurements it would be larger by Σ log deviation, for every model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.dataset import Dataset

FOLDER = Path(__file__).parent
SPLIT_SEED = 0
# name -> rows in (val, test); the rest is train
HELD_OUT = {"wine": (30, 30), "breast-cancer": (85, 85)}


def load_wine(split: str, data_dir: Path | None) -> Dataset:
    """UCI wine: 13 chemical measurements of 178 wines, inside the package, standardised."""
    return _load("wine", split)


def load_breast_cancer(split: str, data_dir: Path | None) -> Dataset:
    """Wisconsin breast cancer: 30 measurements of 569 cell images, inside the package."""
    return _load("breast-cancer", split)


def row_numbers(name: str, count: int) -> dict[str, npt.NDArray[np.int64]]:
    """The rows of the published table that make up each split: disjoint, and together all."""
    val, test = HELD_OUT[name]
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    parts = np.split(order, [count - val - test, count - test])
    return dict(zip(("train", "val", "test"), parts, strict=True))


def _load(name: str, split: str) -> Dataset:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        rows: npt.NDArray[Any] = file["rows"]
        labels = file["labels"]
    numbers = row_numbers(name, len(rows))
    train = rows[numbers["train"]]
    rows = (rows - train.mean(axis=0)) / train.std(axis=0)
    chosen = numbers[split]
    return Dataset(name, split, rows[chosen].astype(np.float32), labels[chosen], "rows", None)
