"""Images of another size: enlarged, shrunk, or with a border.

A resampled pixel is a weighted mean of old ones, and the weights along the two axes are independent
of each other, so resizing is two matrix products, out = R_y · image · R_xᵀ. Row i of such a matrix
says what new pixel i is made of. Pixels are little squares: with s = old size / new size, the
middle of new pixel i lies at (i + ½)·s − ½ in the old image's counting (PyTorch's
`align_corners=False`).

``nearest``
    the old pixel in which that middle lies: hard edges, no new values.
``bilinear``
    a triangle round the middle, max(0, 1 − |distance| / max(1, s)). Enlarging, that is a straight
    line between two neighbours; shrinking, the triangle grows with s, so that every old pixel is
    counted (PyTorch's `antialias=True`) and thin strokes do not fall between the samples.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.dataset import Dataset
from minigen.errors import UserError, unknown_name
from minigen.numeric import integer

__all__ = ["RESIZE_MODES", "centre_crop", "pad_to", "resize", "resized"]

RESIZE_MODES = ("nearest", "bilinear", "pad")

Array = npt.NDArray[Any]
Size = int | tuple[int, int]


def resize(images: Array, size: Size, mode: str = "bilinear") -> Array:
    """Return images of another size: (N, C, H, W) → (N, C, height, width), the type unchanged.

    size: (height, width), or one number for both, >= 1.
    mode: ``"nearest"`` or ``"bilinear"``, see above; ``"pad"`` is `pad_to` with zeros.

    Integers are rounded to the nearest. Raises UserError for another mode, size or shape.
    """
    if mode not in RESIZE_MODES:
        raise unknown_name("mode", mode, RESIZE_MODES)
    height, width = _size(images, size)
    if (height, width) == images.shape[2:]:
        return images.copy()
    if mode == "pad":
        return pad_to(images, (height, width))
    if mode == "nearest":
        rows, columns = (_middles(old, new) for old, new in zip(images.shape[2:], (height, width)))
        return images[:, :, np.rint(rows).astype(int)][:, :, :, np.rint(columns).astype(int)]
    dtype = images.dtype if images.dtype.kind == "f" else np.dtype(np.float32)
    down, across = (
        _triangles(old, new).astype(dtype) for old, new in zip(images.shape[2:], (height, width))
    )
    result = np.empty((*images.shape[:2], height, width), images.dtype)
    for start in range(0, len(images), 1000):  # no float copy of a whole data set
        part = down @ images[start : start + 1000].astype(dtype) @ across.T
        result[start : start + 1000] = part if images.dtype.kind == "f" else np.rint(part)
    return result


def pad_to(images: Array, size: Size, value: float = 0) -> Array:
    """Put a border of `value` round images: (N, C, H, W) → (N, C, height, width).

    The image is in the middle; where the border cannot be even, the lower and right side get the
    odd pixel. Raises UserError for a size that is less than the image's.
    """
    height, width = _size(images, size)
    spare = height - images.shape[2], width - images.shape[3]
    if min(spare) < 0:
        raise UserError(
            f"size must be at least {images.shape[2]}×{images.shape[3]} to pad, "
            f"got {height}×{width}"
        )
    sides = [(0, 0), (0, 0), *((extra // 2, extra - extra // 2) for extra in spare)]
    return np.pad(images, sides, constant_values=value)


def centre_crop(images: Array, size: Size) -> Array:
    """Cut the middle out of images, what `pad_to` undoes: (N, C, H, W) → (N, C, height, width).

    Raises UserError for a size that is more than the image's.
    """
    height, width = _size(images, size)
    spare = images.shape[2] - height, images.shape[3] - width
    if min(spare) < 0:
        raise UserError(
            f"size must be at most {images.shape[2]}×{images.shape[3]} to crop, "
            f"got {height}×{width}"
        )
    top, left = spare[0] // 2, spare[1] // 2
    return images[:, :, top : top + height, left : left + width]


def resized(dataset: Dataset, size: Size, mode: str = "bilinear") -> Dataset:
    """Return a data set of images with all of them resized; labels, name and range stay.

    Raises UserError for a data set without images.
    """
    if dataset.kind != "image":
        raise UserError(f"only images can be resized, and {dataset.name} has {dataset.kind}")
    return replace(dataset, data=resize(np.asarray(dataset.data), size, mode))


def _middles(old: int, new: int) -> Array:
    """Where the middle of each new pixel lies among the old ones, in pixels: (new,)."""
    # Half way between two old pixels the one with the greater index is taken, as rounding down
    # of (i + ½)·s does; the tiny shift keeps np.rint from choosing the even one instead.
    middles = (np.arange(new) + 0.5) * old / new - 0.5
    return np.clip(middles + 1e-9, 0, old - 1)


def _triangles(old: int, new: int) -> Array:
    """R of the triangle filter, (new, old); each row sums to 1."""
    middles = (np.arange(new) + 0.5) * old / new - 0.5
    away = np.abs(np.arange(old) - middles[:, np.newaxis])  # (new, old)
    weights = np.maximum(0.0, 1.0 - away / max(1.0, old / new))
    # Over the edge there are no pixels: the weights of those that are there share the whole.
    return weights / weights.sum(axis=1, keepdims=True)


def _size(images: Array, size: Size) -> tuple[int, int]:
    if images.ndim != 4:
        raise UserError(f"images must have shape (N, C, H, W), got {images.shape}")
    height, width = size if isinstance(size, (tuple, list)) else (size, size)
    height, width = integer("size", height), integer("size", width)
    if min(height, width) < 1:
        raise UserError(f"size must be at least 1 pixel each way, got {height}×{width}")
    return height, width
