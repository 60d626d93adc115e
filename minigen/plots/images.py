"""Pictures of pictures: grids, rows of pairs, strips, and the latent manifold.

Images come as (N, C, H, W) or (N, H, W), C = 1 or 3, values in [0, 1]. Small ones are enlarged by
a whole factor with hard edges: a pixel of an 8×8 digit is shown as what it is.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np

from minigen.plots.figure import INK, new_figure, save_figure

__all__ = ["mosaic", "save_grid", "save_manifold", "save_pairs", "save_strips"]

TILE = 56  # pixels on the screen that an image should at least get


def mosaic(
    images: np.ndarray, columns: int, gap: int = 2, tile: int = TILE, between: float = 1.0
) -> np.ndarray:
    """Lay images out in rows: (N, C, H, W) → (rows·h + …, columns·w + …, 3), values in [0, 1].

    Each image is enlarged by the smallest whole factor that makes it `tile` pixels high; `gap`
    pixels of the colour `between` (1: white) lie between the tiles; a last row that is not full
    ends in the same colour.
    """
    pixels = _as_rgb(images)  # (N, H, W, 3)
    factor = max(1, math.ceil(tile / pixels.shape[1]))
    pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2)  # (N, h, w, 3)
    count, height, width, _ = pixels.shape
    rows = math.ceil(count / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    canvas = np.full(shape, between, dtype=np.float32)
    for index in range(count):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = pixels[index]
    return canvas


def save_grid(
    path: str | os.PathLike[str],
    images: np.ndarray,
    columns: int | None = None,
    title: str | None = None,
) -> None:
    """A grid of images, as square as their number allows, and a title above."""
    columns = columns or max(1, math.ceil(math.sqrt(len(images))))
    _save_canvas(path, mosaic(images, columns), title)


def save_pairs(
    path: str | os.PathLike[str],
    above: np.ndarray,
    below: np.ndarray,
    title: str | None = None,
    columns: int = 10,
) -> None:
    """Data over reconstruction, pair by pair, with a grey line between the two."""
    upper, lower = _as_rgb(above), _as_rgb(below)
    line = np.full_like(upper[:, :1], 0.5)
    # (N, H, W, 3) twice -> (N, 3, 2H + 1, W): a pair is one tall image.
    tall = np.concatenate([upper, line, lower], axis=1).transpose(0, 3, 1, 2)
    _save_canvas(path, mosaic(tall, columns, gap=4, tile=2 * TILE), title)


def save_strips(
    path: str | os.PathLike[str], strips: Sequence[np.ndarray], title: str | None = None
) -> None:
    """One row for each sequence of images, such as a walk from one digit to another."""
    _save_canvas(path, mosaic(np.concatenate(strips), columns=len(strips[0])), title)


def save_manifold(
    path: str | os.PathLike[str],
    images: np.ndarray,
    coordinates: np.ndarray,
    title: str | None = None,
) -> None:
    """What a decoder makes of a square of the plane (Kingma & Welling 2014, figure 4).

    Args:
        path: the PNG to write.
        images: (side², C, H, W); row by row, the first row being the *largest* second coordinate.
        coordinates: (side,) the values of z along both axes, ascending.
        title: a line above.
    """
    side = len(coordinates)
    canvas = mosaic(images, columns=side, gap=3, tile=36, between=0.25)
    pixels = canvas.shape[0]
    figure = new_figure(pixels + 110, pixels + 110)
    axes = figure.add_axes(
        (70 / (pixels + 110), 55 / (pixels + 110), *(2 * [pixels / (pixels + 110)]))
    )
    axes.imshow(canvas, interpolation="nearest", extent=(0, side, 0, side))
    shown = np.unique(np.linspace(0, side - 1, min(side, 7)).round().astype(int))
    labels = [f"{coordinates[index]:+.1f}" for index in shown]
    axes.set_xticks(shown + 0.5, labels)
    axes.set_yticks(shown + 0.5, labels)
    axes.tick_params(labelsize=9, colors=INK)
    axes.set_xlabel("z₁", color=INK)
    axes.set_ylabel("z₂", color=INK, rotation=0)
    if title:
        axes.set_title(title, fontsize=11, color=INK)
    save_figure(figure, path)


def _as_rgb(images: np.ndarray) -> np.ndarray:
    """(N, H, W) or (N, C, H, W), C = 1 or 3 → (N, H, W, 3) in [0, 1]."""
    images = np.clip(np.asarray(images, dtype=np.float32), 0.0, 1.0)
    if images.ndim == 3:
        images = images[:, None]  # (N, H, W) -> (N, 1, H, W)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be (N, 1 or 3, H, W) or (N, H, W), got {images.shape}")
    channels_last = images.transpose(0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C)
    return np.broadcast_to(channels_last, (*channels_last.shape[:3], 3))


def _save_canvas(path: str | os.PathLike[str], canvas: np.ndarray, title: str | None) -> None:
    """The canvas pixel for pixel, with a margin and a title."""
    margin, head = 10, 34 if title else 10
    height, width = canvas.shape[:2]
    full_height, full_width = height + head + margin, max(width, 7 * len(title or "")) + 2 * margin
    figure = new_figure(full_width, full_height)
    box = (margin / full_width, margin / full_height, width / full_width, height / full_height)
    axes = figure.add_axes(box)
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    if title:
        place = (margin / full_width, 1 - 0.5 * head / full_height)
        figure.text(*place, title, va="center", ha="left", fontsize=11, color=INK)
    save_figure(figure, path)
