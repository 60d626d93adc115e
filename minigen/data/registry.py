"""Names of data sets, and `load`, which turns a name or a path into a `Dataset`.

To add a data set, write one file with a function ``load(split, data_dir) -> Dataset`` whose
docstring's first line describes it, and add one line to `REGISTRY`.  The function may count on
`split` being one of the three names, and looks for its files only when called.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from minigen.data import arrays, digits, folder, mnist, plane, speech, stacked, tables, text
from minigen.data.dataset import SPLITS, WHOLE, Dataset
from minigen.errors import unknown_name

REGISTRY: dict[str, Callable[[str, Path | None], Dataset]] = {
    "digits": digits.load,
    "mnist": mnist.load,
    "stacked-mnist": stacked.load,
    "moons": plane.load_moons,
    "eight-gaussians": plane.load_eight_gaussians,
    "ring": plane.load_ring,
    "grid": plane.load_grid,
    "wine": tables.load_wine,
    "breast-cancer": tables.load_breast_cancer,
    "shakespeare": text.load,
    "spoken-digits": speech.load,
}


def available() -> dict[str, str]:
    """Return the known names, each with a line that describes it."""
    return {name: (load.__doc__ or "").splitlines()[0] for name, load in REGISTRY.items()}


def load(
    name_or_path: str | os.PathLike[str],
    split: str = "train",
    data_dir: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Load one split of a data set.

    name_or_path: a name out of `available()`, or the path of your own .npy or .npz file
                  (`minigen.data.arrays` tells what it may hold) or .txt file, or of a folder
                  of images (`minigen.data.folder`), or sound (`minigen.data.speech`): a .wav file
                  or a folder of them.
    split:        ``"train"``, ``"val"`` or ``"test"``; of one's own data also ``"all"``.
    data_dir:     folder with the files of a named data set; `MINIGEN_DATA` where it is not given.

    Raises UserError, one line, for an unknown name or split and for every fault of a file.
    """
    name = os.fspath(name_or_path)
    if split not in SPLITS and (split != WHOLE or name in REGISTRY):
        raise unknown_name("split", split, SPLITS)
    if name in REGISTRY:
        return REGISTRY[name](split, None if data_dir is None else Path(data_dir))
    path = Path(name).expanduser()
    if path.suffix == ".txt":
        return text.load_text(path, split)
    if speech.is_sound(path):
        return speech.load_sounds(path, split)
    if path.is_dir():
        return folder.load_folder(path, split)
    if path.suffix in arrays.SUFFIXES or len(path.parts) > 1 or path.exists():
        return arrays.load_arrays(path, split)
    raise unknown_name(
        "data",
        name,
        REGISTRY,
        also="the path of a .npy, .npz, .txt or .wav file or of a folder of images or sounds",
    )
