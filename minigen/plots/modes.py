"""What a generator reaches: samples over the true modes, and how many there are of each class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minigen.plots.figure import COLOURS, FAINT, INK, new_figure, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["save_label_bars", "save_modes"]

BLUE, RED, GREEN = COLOURS[0], COLOURS[1], COLOURS[2]


def save_modes(
    path: str | os.PathLike[str],
    points: np.ndarray,
    centres: np.ndarray,
    deviation: float,
    found: np.ndarray | None = None,
    title: str | None = None,
    reach: float = 3.0,
) -> None:
    """Samples in the plane, and round each true centre the circle of `reach` deviations.

    Args:
        path: the PNG to write.
        points: (N, 2) samples; what lies outside of the picture is counted in its corner.
        centres: (K, 2) of the modes.
        deviation: σ of the modes.
        found: (K,) which modes count as found (`metrics.modes.mode_coverage`): their circles are
            green, the others red. All grey when None.
        title: a line above.
        reach: radius of the circles in deviations.
    """
    from matplotlib.collections import EllipseCollection

    figure = new_figure(640, 660)
    axes = figure.add_axes((0.07, 0.06, 0.89, 0.87))
    style_axes(axes)
    points = points[np.isfinite(points).all(axis=1)]
    axes.scatter(points[:, 0], points[:, 1], s=3, color=BLUE, alpha=0.35, linewidths=0)
    colours = INK if found is None else [GREEN if one else RED for one in found]
    # A circle of three narrow deviations would be a dot: it is drawn a few pixels wide at least.
    span = float(np.abs(centres).max()) * 2.6
    width = max(2 * reach * deviation, 0.02 * span)
    axes.add_collection(
        EllipseCollection(
            [width], [width], [0], units="xy", offsets=centres, transOffset=axes.transData,
            facecolors="none", edgecolors=colours, linewidths=1.5,
        )
    )  # fmt: skip
    middle = centres.mean(axis=0)
    axes.set_xlim(middle[0] - span / 2, middle[0] + span / 2)
    axes.set_ylim(middle[1] - span / 2, middle[1] + span / 2)
    axes.set_aspect("equal", adjustable="box")
    outside = int((np.abs(points - middle) > span / 2).any(axis=1).sum())
    if outside:
        axes.text(
            0.99, 0.01, f"{outside} of {len(points)} samples outside", ha="right", va="bottom",
            transform=axes.transAxes, fontsize=9, color=INK,
        )  # fmt: skip
    _title(axes, title)
    save_figure(figure, path)


def save_label_bars(
    path: str | os.PathLike[str],
    shares: dict[str, np.ndarray],
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> None:
    """The share of each class, as bars side by side: of the data and of the samples, say.

    Args:
        path: the PNG to write.
        shares: label → (classes,), each summing to 1.
        names: of the classes; their numbers when None.
        title: a line above.
    """
    figure = new_figure(720, 380)
    axes = figure.add_axes((0.08, 0.12, 0.89, 0.76))
    style_axes(axes)
    axes.grid(False, axis="x")
    classes = len(next(iter(shares.values())))
    width = 0.8 / len(shares)
    for index, (label, values) in enumerate(shares.items()):
        places = np.arange(classes) + (index - (len(shares) - 1) / 2) * width
        axes.bar(places, 100 * values, 0.92 * width, color=COLOURS[index], label=label)
    axes.axhline(100 / classes, color=FAINT, linewidth=1.2, zorder=0)
    axes.set_xticks(np.arange(classes), names or [str(number) for number in range(classes)])
    axes.set_ylabel("% of images", color=INK)
    axes.legend(frameon=False, fontsize=9)
    _title(axes, title)
    save_figure(figure, path)


def _title(axes: Axes, title: str | None) -> None:
    if title:
        axes.set_title(title, fontsize=11, color=INK, loc="left")
