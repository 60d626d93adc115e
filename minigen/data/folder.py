"""Your own images: a folder of PNG or JPEG files.

Every file with one of the endings in `SUFFIXES` is an image; other files and hidden ones are passed
over. Images that lie in subfolders have the subfolder as their class, in alphabetical order; a
folder has either images or subfolders with images. A file that cannot be read, or is no image,
ends the loading with one line that names it: a data set that silently shrank would be worse.

**One size.** Images that all have the same size, of at most `MOST` pixels each way, stay as they
are. Otherwise each is cut to the square in its middle and resized, antialiased, to a side that is
the greatest power of two that the smallest of all images has, at most `SQUARE` pixels. (For another
size, resize the files, or the loaded data set with `minigen.data.resize`.)

**One kind of colour.** Grey if every file is grey, else RGB; transparent parts become white.
Samples are uint8, 0 … 255.

Files are sorted by name, and a fixed permutation gives 10 % of them to val and 10 % to test, as for
the user's own arrays (`minigen.data.arrays`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from minigen.data.arrays import split_rows
from minigen.data.dataset import Dataset
from minigen.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg")
MOST, SQUARE = 256, 64  # pixels

GREY_MODES = ("1", "L", "LA", "I", "I;16")  # Pillow's names of the kinds of images without colour


def load_folder(path: Path, split: str) -> Dataset:
    """Read a split of a folder of images; raises UserError, naming folder or file and the fault."""
    files, classes = _find(path)
    rows = split_rows(len(files))[split]
    if len(rows) == 0:
        raise UserError(
            f"split {split!r} of {path} must not be empty: every tenth image goes to val and to "
            f"test, so at least 10 images are needed, got {len(files)}"
        )
    # All headers are read, whichever split is asked for: size and colour are the folder's.
    headers = [_header(file) for file in files]
    sizes = {size for size, _ in headers}
    grey = all(mode in GREY_MODES for _, mode in headers)
    side = None if len(sizes) == 1 and max(next(iter(sizes))) <= MOST else _square_side(sizes)
    images = np.stack([_read(files[row], grey, side) for row in rows])  # (N, C, H, W)
    labels = None if classes is None else classes[rows]
    return Dataset(path.name, split, images, labels, "image", (0, 255))


def image_files(path: Path) -> list[Path]:
    """The images of a folder in a fixed order; raises UserError as `load_folder`."""
    return _find(path)[0]


def read_image(file: Path, grey: bool) -> npt.NDArray[np.uint8]:
    """One image in its own size, (1, H, W) if grey, else (3, H, W); UserError if it is none."""
    return _read(file, grey, None)


def _find(path: Path) -> tuple[list[Path], npt.NDArray[np.int64] | None]:
    """All images in a fixed order, and the class of each where there are subfolders."""
    try:
        direct = _images_in(path)
        folders = sorted(p for p in path.iterdir() if p.is_dir() and p.name[0] != ".")
        within = [found for folder in folders if (found := _images_in(folder))]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if direct and within:
        raise UserError(
            f"{path} must hold images or subfolders of images, one for each class, got both"
        )
    if not direct and not within:
        raise UserError(f"{path} must hold images ({', '.join(SUFFIXES)}), got none")
    if direct:
        return direct, None
    classes = np.repeat(np.arange(len(within)), [len(found) for found in within])
    return [file for found in within for file in found], classes


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and file.name[0] != "." and file.is_file()
    )


def _header(file: Path) -> tuple[tuple[int, int], str]:
    """(width, height) and Pillow's mode, without decoding the pixels."""
    return _opened(file, lambda image: (image.size, image.mode))


def _square_side(sizes: set[tuple[int, int]]) -> int:
    """The greatest power of two that fits into all images, at most `SQUARE`."""
    return min(SQUARE, 1 << (min(min(size) for size in sizes).bit_length() - 1))


def _read(file: Path, grey: bool, side: int | None) -> npt.NDArray[np.uint8]:
    """One image, (C, H, W)."""

    def decode(image: Image) -> npt.NDArray[np.uint8]:
        from PIL import Image, ImageOps

        if image.mode in ("I", "I;16"):  # sixteen bits: Pillow would cut off at 255, not scale
            deep = np.asarray(image).astype(np.uint16)
            image = Image.fromarray((deep >> 8).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if grey else "RGB")
        if side is not None:
            image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
        pixels = np.array(image, dtype=np.uint8)
        return pixels[np.newaxis] if grey else pixels.transpose(2, 0, 1)  # (H, W, 3) -> (3, H, W)

    return _opened(file, decode)


def _opened(file: Path, use: Any) -> Any:
    """`use` of the open image; whatever Pillow makes of a broken file becomes one line."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return use(image)
    except Image.UnidentifiedImageError:
        raise UserError(f"{file} is no image, or a damaged one: remove or replace it") from None
    # Pillow raises SyntaxError for a broken PNG header, and an error of its own for a file whose
    # header promises more pixels than any picture has.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UserError(f"{file} cannot be read as an image: {error}") from None
