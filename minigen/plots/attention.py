"""Attention maps: for each block and head, which earlier character each character looks at."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from minigen.plots.figure import INK, new_figure, save_figure

__all__ = ["save_attention"]

VISIBLE = {"\n": "↵", " ": "·", "\t": "⇥"}


def save_attention(
    path: str | os.PathLike[str],
    maps: np.ndarray,
    text: Sequence[str],
    title: str | None = None,
) -> None:
    """A grid of attention maps, a row for each block and a column for each head.

    Args:
        path: the PNG to write.
        maps: (L, h, T, T): row t says how position t divides its attention over positions 0 … T−1.
        text: the T tokens, as labels.
        title: a line above.
    """
    layers, heads, length, _ = maps.shape
    figure = new_figure(90 + 230 * heads, 60 + 240 * layers)
    grid = figure.subplots(layers, heads, squeeze=False)
    figure.subplots_adjust(
        left=0.05, right=0.99, bottom=0.05, top=0.97 - 30 / (60 + 240 * layers),
        wspace=0.15, hspace=0.18,
    )  # fmt: skip
    labels = [VISIBLE.get(token, token) for token in text]
    for layer in range(layers):
        for head in range(heads):
            axes = grid[layer, head]
            # The square root shows the many small weights beside the few large ones.
            axes.imshow(np.sqrt(maps[layer, head]), cmap="Blues", vmin=0, vmax=1)
            axes.set_title(f"block {layer + 1}, head {head + 1}", fontsize=8, color=INK, loc="left")
            axes.set_xticks(range(length), labels if layer == layers - 1 else [""] * length)
            axes.set_yticks(range(length), labels if head == 0 else [""] * length)
            axes.tick_params(labelsize=5, length=0, pad=1, colors=INK)
            axes.spines[:].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=11, color=INK, x=0.05, ha="left")
    save_figure(figure, path)
