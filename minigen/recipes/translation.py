"""Files through a translator: an image, a folder of images, or an array.

The output is of the input's kind, and in the size that the model was trained with:

* an image (.png, .jpg) becomes a .png;
* a folder becomes a new folder with a .png for each image, subfolders included;
* a .npy with (N, C, H, W), or (N, H, W) if grey, becomes a .npy with (N, C, H, W) float32. Whole
  numbers mean 0 … 255, others [0, 1].

Nothing is written before all of the input could be read and translated.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from minigen.data.folder import SUFFIXES, image_files, read_image
from minigen.errors import UserError
from minigen.files import make_folder, write_bytes
from minigen.recipes.base import Recipe

__all__ = ["translate_path"]


def translate_path(recipe: Recipe, direction: str, source: Path, target: Path) -> int:
    """Translate what lies at `source` into `target`; returns the number of images.

    Raises:
        UserError: one line for a model that does not translate, for an input that is missing,
            broken or of another kind, and for an output that is not of the input's kind.
    """
    grey = recipe.source_channels(direction) == 1
    if source.is_dir():
        return _folder(recipe, direction, grey, source, target)
    if not source.is_file():
        raise UserError(f"IN must be an image, a folder or a .npy file: there is no {source}")
    if source.suffix == ".npy":
        return _array(recipe, direction, source, target)
    if source.suffix.lower() not in SUFFIXES:
        raise UserError(f"IN must end in {', '.join(SUFFIXES)} or .npy, got {source.name!r}")
    _must_end(target, ".png", "an image")
    write_bytes(target, _png(_translated_file(recipe, direction, grey, source)))
    return 1


def _folder(recipe: Recipe, direction: str, grey: bool, source: Path, target: Path) -> int:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"OUT must be a new or an empty folder where IN is one, got {target}")
    files = image_files(source)
    names = [file.relative_to(source).with_suffix(".png") for file in files]
    seen: set[Path] = set()
    for name in names:
        if name in seen:
            raise UserError(f"{source} has two images that would both become {name}")
        seen.add(name)
    images = [_translated_file(recipe, direction, grey, file) for file in files]
    for name, image in zip(names, images, strict=True):
        make_folder((target / name).parent)
        write_bytes(target / name, _png(image))
    return len(files)


def _array(recipe: Recipe, direction: str, source: Path, target: Path) -> int:
    _must_end(target, ".npy", "an array")
    try:
        images = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{source} cannot be read as an array: {error}") from None
    if not isinstance(images, np.ndarray) or images.dtype.kind not in "uif":
        raise UserError(f"{source} must hold an array of numbers")
    if images.ndim == 3:
        images = images[:, np.newaxis]  # (N, H, W) -> (N, 1, H, W)
    if images.ndim != 4 or 0 in images.shape:
        raise UserError(f"{source} must have shape (N, C, H, W), N >= 1, got {images.shape}")
    top = 255 if images.dtype.kind in "ui" else 1
    if not (images.min() >= 0 and images.max() <= top):  # NaN fails as well
        raise UserError(f"{source} must lie in 0 … {top}, got {images.min():g} … {images.max():g}")
    translated = recipe.translate(images.astype(np.float32) / top, direction)
    buffer = io.BytesIO()
    np.save(buffer, translated, allow_pickle=False)
    write_bytes(target, buffer.getvalue())
    return len(images)


def _translated_file(recipe: Recipe, direction: str, grey: bool, file: Path) -> np.ndarray:
    """One image, (C, H, W) in [0, 1]."""
    pixels = read_image(file, grey)
    return recipe.translate(pixels[np.newaxis].astype(np.float32) / 255, direction)[0]


def _png(image: np.ndarray) -> bytes:
    """(C, H, W) in [0, 1] → the bytes of a file."""
    from PIL import Image

    pixels = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8).transpose(1, 2, 0)  # (H, W, C)
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _must_end(target: Path, suffix: str, what: str) -> None:
    if target.suffix != suffix:
        raise UserError(f"OUT must end in {suffix} where IN is {what}, got {target.name!r}")
