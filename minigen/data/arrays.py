"""Your own data: an array in a .npy file, or arrays named in a .npz file.

What an array is taken for follows from its axes and type:

=============================  =========================================================
(N, D)                         rows of numbers, as they are
(N, H, W)                      grey images
(N, C, H, W) or (N, H, W, C)   images, C = 1 or 3, C first where both fit; stored C first
=============================  =========================================================

=============  =========================================================================
bool           0 and 1
uint8          intensities 0..255, or 0..1 if the whole file holds nothing above 1
other numbers  stored as float32; images must lie in [0, 1], rows have no fixed range
=============  =========================================================================

A .npz file names its samples ``images``, ``data``, ``rows``, ``x`` or ``X`` (or holds one array
only) and may hold ``labels`` or ``y``, one integer for each sample.  Files are never unpickled.

Splits: a fixed permutation of the rows is cut into 10 % val, 10 % test and the rest train, each in
file order.  It depends on the number of rows alone, so the same file always gives the same split.
`all` is the whole file, in file order.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.dataset import WHOLE, Dataset
from minigen.errors import UserError

SUFFIXES = (".npy", ".npz")
SAMPLE_KEYS = ("images", "data", "rows", "x", "X")
LABEL_KEYS = ("labels", "y")
SPLIT_SEED = 0

Array = npt.NDArray[Any]


def load_arrays(path: Path, split: str) -> Dataset:
    """Read a split of the user's own .npy or .npz file; raises UserError, naming file and fault."""
    data, labels = _read(path)
    data, kind = _as_samples(data, path)
    data, value_range = _as_numbers(data, kind, path)
    if labels is not None:
        labels = _as_labels(labels, len(data), path)
    rows = split_rows(len(data))[split]
    if len(rows) == 0:
        raise UserError(
            f"split {split!r} of {path} must not be empty: every tenth row goes to val and to "
            f"test, so at least 10 rows are needed, got {len(data)}"
        )
    labels = None if labels is None else labels[rows]
    return Dataset(path.stem, split, data[rows], labels, kind, value_range)


def split_rows(count: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return the ascending row numbers of each split, disjoint and together those of `all`."""
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    val, test, train = np.split(order, [count // 10, 2 * (count // 10)])
    splits = {"train": np.sort(train), "val": np.sort(val), "test": np.sort(test)}
    return {**splits, WHOLE: np.arange(count)}


def _read(path: Path) -> tuple[Array, Array | None]:
    if path.suffix not in SUFFIXES:
        what = "a folder" if path.is_dir() else f"suffix {path.suffix!r}"
        raise UserError(f"{path} must be a .npy or .npz file, got {what}")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded as file:
            return _named_arrays(file, path)
    except FileNotFoundError:
        raise UserError(f"{path} must be an existing .npy or .npz file, got none") from None
    except UserError:
        raise
    # What NumPy raises for a file that is cut off, foreign, pickled, or whose header promises more
    # than there is.
    except (
        *(OSError, EOFError, ValueError, KeyError, MemoryError, OverflowError),
        *(zipfile.BadZipFile, zlib.error, NotImplementedError),
    ) as error:
        reason = str(error) or type(error).__name__
        if "pickle" in reason:
            reason = "it holds pickled objects, which are never loaded, or is no array file at all"
        raise UserError(f"{path} cannot be read as {path.suffix}: {reason}") from None


def _named_arrays(file: Any, path: Path) -> tuple[Array, Array | None]:
    label_key = next((key for key in LABEL_KEYS if key in file), None)
    others = [key for key in file if key != label_key]
    key = next((key for key in SAMPLE_KEYS if key in others), None)
    if key is None and len(others) == 1:
        key = others[0]
    if key is None:
        raise UserError(
            f"{path} must name its samples one of {', '.join(SAMPLE_KEYS)}, or hold one array "
            f"besides {' or '.join(LABEL_KEYS)}, got {', '.join(file) or 'no array'}"
        )
    return file[key], None if label_key is None else file[label_key]


def _as_samples(data: Array, path: Path) -> tuple[Array, str]:
    """Bring the axes into order; tell what a sample is."""
    if data.size == 0:
        raise UserError(f"{path} must hold at least one sample, got shape {data.shape}")
    if data.ndim == 2:
        return data, "rows"
    if data.ndim == 3:
        return data[:, np.newaxis], "image"  # (N, H, W) -> (N, 1, H, W)
    if data.ndim == 4 and data.shape[1] in (1, 3):
        return data, "image"
    if data.ndim == 4 and data.shape[3] in (1, 3):
        return data.transpose(0, 3, 1, 2), "image"  # (N, H, W, C) -> (N, C, H, W)
    raise UserError(
        f"{path} must have shape (N, D), (N, H, W), (N, C, H, W) or (N, H, W, C) with C = 1 or 3, "
        f"got {data.shape}"
    )


def _as_numbers(data: Array, kind: str, path: Path) -> tuple[Array, tuple[float, float] | None]:
    """Bring the type into order; tell the range of values."""
    if data.dtype == np.bool_:
        return data.astype(np.uint8), (0, 1)
    if data.dtype == np.uint8:
        return data, (0, 255) if data.max() > 1 else (0, 1)
    if not (np.issubdtype(data.dtype, np.integer) or np.issubdtype(data.dtype, np.floating)):
        raise UserError(f"{path} must hold real numbers, got dtype {data.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is found with the infinities
        numbers = data.astype(np.float32)
    bad = ~np.isfinite(numbers)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise UserError(
            f"{path} must hold finite float32 numbers, got {data[where]} at index {where} "
            f"(axes {'(N, D)' if kind == 'rows' else '(N, C, H, W)'}), {int(bad.sum())} such in all"
        )
    if kind == "rows":
        return numbers, None
    low, high = numbers.min(), numbers.max()
    if low < 0 or high > 1:
        raise UserError(
            f"{path} must hold images as uint8, or as numbers in [0, 1], "
            f"got {data.dtype} from {low:g} to {high:g}"
        )
    return numbers, (0, 1)


def _as_labels(labels: Array, count: int, path: Path) -> npt.NDArray[np.int64]:
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"labels in {path} must be integers of shape ({count},), one for each sample, "
            f"got {labels.dtype} {labels.shape}"
        )
    return labels.astype(np.int64)
