"""Animations: pictures of a training's progress, one after another, in a GIF file.

A GIF shows at most 256 colours. Pictures here are grids of grey digits or point clouds in a few
colours, for which that is enough; one palette is made from some of the frames and used for all, so
that nothing flickers.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError
from minigen.files import write_bytes
from minigen.plots.images import mosaic

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["save_animation"]

PALETTE_FRAMES = 8

Frame = npt.NDArray[Any] | str | os.PathLike[str]


def save_animation(
    path: str | os.PathLike[str],
    frames: Sequence[Frame],
    seconds: float = 0.25,
    hold: float = 2.0,
    columns: int | None = None,
) -> None:
    """Write frames as a GIF that repeats for ever, atomically.

    Of equal frames one after another only one is stored, and shown for as long as all of them.

    Args:
        path: the GIF to write.
        frames: in their order; each a grid's images (N, C, H, W) with values in [0, 1], laid out
            as `save_grid` does, or the path of a picture. The first frame's size is everyone's.
        seconds: how long a frame is shown; the file counts in hundredths.
        hold: how long the last one is shown.
        columns: images in a row of a grid; as square as their number allows when None.

    Raises:
        UserError: for no frames, a time that is not positive, or a picture that cannot be read.
    """
    from PIL.Image import Dither

    if not frames:
        raise UserError("frames must be at least one picture, got none")
    if not (seconds > 0 and hold > 0):
        raise UserError(f"seconds and hold must be > 0, got {seconds} and {hold}")
    pictures = [_picture(frame, columns) for frame in frames]
    size = pictures[0].size
    pictures = [picture if picture.size == size else picture.resize(size) for picture in pictures]
    palette = _palette(pictures)
    indexed = [picture.quantize(palette=palette, dither=Dither.NONE) for picture in pictures]
    times = [round(1000 * seconds)] * (len(indexed) - 1) + [round(1000 * hold)]  # milliseconds
    buffer = io.BytesIO()
    indexed[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=times if len(times) > 1 else times[0],
        loop=0,
        optimize=False,
        disposal=1,
    )
    write_bytes(path, buffer.getvalue())


def _palette(pictures: Sequence[Image]) -> Image:
    """An indexed picture with the 256 colours that suit the first, the last and some between."""
    from PIL import Image

    chosen = np.unique(np.linspace(0, len(pictures) - 1, PALETTE_FRAMES).round().astype(int))
    width, height = pictures[0].size
    strip = Image.new("RGB", (width, height * len(chosen)))
    for row, index in enumerate(chosen):
        strip.paste(pictures[index], (0, row * height))
    return strip.quantize(256)


def _picture(frame: Frame, columns: int | None) -> Image:
    """A frame in RGB."""
    from PIL import Image

    if isinstance(frame, np.ndarray):
        across = columns or max(1, int(np.ceil(np.sqrt(len(frame)))))
        return Image.fromarray(np.rint(255 * mosaic(frame, across)).astype(np.uint8))
    try:
        with Image.open(Path(frame)) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{os.fspath(frame)} cannot be read as an image: {error}") from None
