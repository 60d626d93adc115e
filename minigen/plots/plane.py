"""Pictures of densities in the plane, and of what a flow does to it.

A likelihood says how good a density is; a heat map says *where* it is wrong (a bridge between two
modes, a tail that leaks), and the warped grid shows how the flow makes it out of a round Gaussian.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from minigen.plots.figure import COLOURS, FAINT, INK, new_figure, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["save_density", "save_marginals", "save_point_clouds", "save_warped_grid"]

Extent = tuple[float, float, float, float]


def save_density(
    path: str | os.PathLike[str],
    density: np.ndarray,
    extent: Extent,
    points: np.ndarray | None = None,
    title: str | None = None,
) -> None:
    """A heat map of p with the data on top.

    Args:
        path: the PNG to write.
        density: (A, B), [i, j] at the i-th value of the first coordinate, the j-th of the second.
        extent: (left, right, bottom, top) of the region.
        points: (N, 2), drawn as small dots.
        title: a line above.
    """
    figure = new_figure(720, 640)
    axes = figure.add_axes((0.08, 0.07, 0.78, 0.86))
    image = axes.imshow(
        density.T, origin="lower", extent=extent, cmap="magma", interpolation="bilinear", vmin=0.0
    )  # (A, B) -> (B, A): a row of a picture is one value of the *second* coordinate
    if points is not None:
        axes.scatter(points[:, 0], points[:, 1], s=3, color="#7FDBFF", alpha=0.5, linewidths=0)
    _frame(axes, extent)
    bar = figure.colorbar(image, cax=figure.add_axes((0.88, 0.07, 0.025, 0.86)))
    bar.ax.tick_params(labelsize=9, colors=INK)
    bar.set_label("p(x)", color=INK)
    _title(axes, title)
    save_figure(figure, path)


def save_point_clouds(
    path: str | os.PathLike[str],
    clouds: dict[str, np.ndarray],
    extent: Extent,
    title: str | None = None,
) -> None:
    """Sets of points (N, 2) side by side on the same axes, such as data and samples."""
    figure = new_figure(60 + 440 * len(clouds), 500)
    for index, (label, points) in enumerate(clouds.items()):
        axes = figure.add_subplot(1, len(clouds), index + 1)
        style_axes(axes)
        size = 3 if len(points) > 500 else 9
        axes.scatter(
            points[:, 0], points[:, 1], s=size, color=COLOURS[index], alpha=0.5, linewidths=0
        )
        _frame(axes, extent)
        _title(axes, label)
    _finish(figure, title, path)


def save_warped_grid(
    path: str | os.PathLike[str],
    noise: np.ndarray,
    stages: dict[str, np.ndarray],
    title: str | None = None,
) -> None:
    """A net of straight lines in the noise, and what becomes of it on the way to the data.

    Args:
        path: the PNG to write.
        noise: the net in the noise, (2, L, P, 2): vertical lines, then horizontal ones, L of P
            points. They are coloured by their place, so that each can be found again.
        stages: label → the same points after some of the flow's layers; one panel each.
        title: a line above.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    lines = noise.shape[1]
    figure = new_figure(60 + 400 * (1 + len(stages)), 480)
    for index, (label, net) in enumerate({"noise": noise, **stages}.items()):
        axes = figure.add_subplot(1, 1 + len(stages), index + 1)
        style_axes(axes)
        axes.grid(False)
        for family, palette in ((0, "viridis"), (1, "plasma")):
            colours = colormaps[palette](np.linspace(0.0, 0.9, lines))
            axes.add_collection(LineCollection(list(net[family]), colors=colours, linewidths=0.9))
        # A square round nearly all of it: a few lines may shoot far out.
        low, high = np.quantile(net.reshape(-1, 2), [0.005, 0.995], axis=0)
        middle, half = (low + high) / 2, 0.6 * float((high - low).max())
        left, bottom = middle - half
        _frame(axes, (left, left + 2 * half, bottom, bottom + 2 * half))
        _title(axes, label)
    _finish(figure, title, path)


def save_marginals(
    path: str | os.PathLike[str],
    data: np.ndarray,
    samples: np.ndarray | None = None,
    title: str | None = None,
    columns: int = 6,
    most: int = 30,
) -> None:
    """One histogram for each column of a table: data as bars, samples as a line.

    Args:
        path: the PNG to write.
        data: (N, D).
        samples: (M, D), or None.
        title: a line above.
        columns: panels in a row.
        most: how many columns are drawn at most, from the first on.
    """
    shown = min(data.shape[1], most)
    columns = min(columns, shown)
    rows = -(-shown // columns)
    figure = new_figure(170 * columns + 40, 140 * rows + 60)
    for index in range(shown):
        axes = figure.add_subplot(rows, columns, index + 1)
        style_axes(axes)
        axes.tick_params(labelsize=7, labelleft=False, length=2)
        values = data[:, index]
        low, high = np.quantile(values, [0.002, 0.998])
        margin = 0.15 * (high - low) or 1.0
        bins = np.linspace(low - margin, high + margin, 31).tolist()
        axes.hist(values, bins, density=True, color=COLOURS[5], alpha=0.6, label="data")
        if samples is not None:
            axes.hist(
                samples[:, index], bins, density=True, histtype="step", color=COLOURS[1],
                linewidth=1.3, label="samples",
            )  # fmt: skip
        axes.set_title(f"column {index}", fontsize=8, color=INK, loc="left", pad=2)
        if index == 0 and samples is not None:
            figure.legend(
                *axes.get_legend_handles_labels(), loc="upper right", ncols=2, frameon=False,
                fontsize=9,
            )  # fmt: skip
    _finish(figure, title, path)


def _frame(axes: Axes, extent: Extent) -> None:
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    axes.set_aspect("equal", adjustable="box")
    axes.tick_params(colors=INK, labelsize=9, length=3, color=FAINT)


def _title(axes: Axes, title: str | None) -> None:
    if title:
        axes.set_title(title, fontsize=11, color=INK, loc="left")


def _finish(figure: Figure, title: str | None, path: str | os.PathLike[str]) -> None:
    """Title at the upper left, panels spread over the rest."""
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.02, ha="left")
    figure.tight_layout()
    save_figure(figure, path)
