"""The picture of style mixing: sources above and on the left, what they give together between.

Laid out as figure 3 of Karras et al. 2019: every column begins with a picture, every row too, and
at their crossing is the column's picture with one level of the row's style. The levels are set
apart by a gap and named on the left.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from minigen.plots.figure import INK, new_figure, save_figure
from minigen.plots.images import mosaic

__all__ = ["save_mixing"]

HEAD, MARGIN, SIDE, GAP = 34, 10, 26, 12  # pixels: title, border, names, between blocks


def save_mixing(
    path: str | os.PathLike[str],
    across: np.ndarray,
    down: np.ndarray,
    grids: Mapping[str, np.ndarray],
    title: str | None = None,
) -> None:
    """Draw a mixing grid.

    Args:
        path: the PNG to write.
        across: the columns' sources, (columns, C, H, W) in [0, 1].
        down: the rows' sources, from above, (rows of all blocks, C, H, W).
        grids: name of a level → the block's images, (its rows, columns, C, H, W).
        title: a line above.
    """
    columns = len(across)
    empty = np.ones_like(across[:1])
    blocks = [mosaic(np.concatenate([empty, across]), columns + 1)]  # (h, w, 3)
    start = 0
    for grid in grids.values():
        sources = down[start : start + len(grid), np.newaxis]  # (rows, 1, C, H, W)
        start += len(grid)
        rows = np.concatenate([sources, grid], axis=1)  # (rows, 1 + columns, C, H, W)
        blocks.append(mosaic(rows.reshape(-1, *rows.shape[2:]), columns + 1))
    height = sum(len(block) for block in blocks) + GAP * (len(blocks) - 1)
    width = blocks[0].shape[1]
    full_height = height + HEAD + MARGIN
    full_width = max(width + SIDE, 7 * len(title or "")) + 2 * MARGIN
    figure = new_figure(full_width, full_height)
    top = HEAD
    for name, block in zip(["", *grids], blocks):
        bottom = 1 - (top + len(block)) / full_height
        left = MARGIN + SIDE
        box = (left / full_width, bottom, width / full_width, len(block) / full_height)
        axes = figure.add_axes(box)
        axes.imshow(block, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        middle = bottom + 0.5 * len(block) / full_height
        place = ((MARGIN + 0.4 * SIDE) / full_width, middle)
        figure.text(*place, name, rotation=90, va="center", ha="center", fontsize=8, color=INK)
        top += len(block) + GAP
    if title:
        place = (MARGIN / full_width, 1 - 0.5 * HEAD / full_height)
        figure.text(*place, title, va="center", ha="left", fontsize=11, color=INK)
    save_figure(figure, path)
