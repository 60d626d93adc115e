"""Learning curves with the oracles drawn in, and the scatter of a two-dimensional latent space.

A curve alone says "it went down". Beside the value that a model of independent pixels reaches, and
the value under which only a leak can explain it, it says whether the model learned anything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigen.plots.figure import COLOURS, FAINT, INK, new_figure, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["save_curves", "save_scatter"]

Records = Sequence[Mapping[str, Any]]


def save_curves(
    path: str | os.PathLike[str],
    records: Records,
    metrics: Sequence[str],
    title: str | None = None,
) -> None:
    """One panel for each metric: its `train` line, its `val` points, its oracles.

    Args:
        path: the PNG to write.
        records: the lines of `metrics.jsonl`.
        metrics: the names to draw, the headline first; its panel is the large one.
        title: a line above.
    """
    metrics = [name for name in metrics if any(name in record for record in records)]
    rest = len(metrics) - 1
    figure = new_figure(960 if rest > 0 else 720, 480)
    grid = figure.add_gridspec(
        max(rest, 1), 2 if rest > 0 else 1, width_ratios=[5, 3] if rest > 0 else [1],
        left=0.075, right=0.985, bottom=0.11, top=0.89, wspace=0.2, hspace=0.55,
    )  # fmt: skip
    for index, name in enumerate(metrics):
        axes = figure.add_subplot(grid[:, 0] if index == 0 else grid[index - 1, 1])
        _draw_metric(axes, records, name, large=index == 0)
        if index in (0, rest):
            axes.set_xlabel("step", fontsize=9, color=INK)
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.075, ha="left")
    save_figure(figure, path)


def _draw_metric(axes: Axes, records: Records, name: str, large: bool) -> None:
    style_axes(axes)
    colours = {"train": COLOURS[5], "val": COLOURS[0]}
    ends: list[float] = []
    last = ""
    for split, colour in colours.items():
        points = [(r["step"], r[name]) for r in records if r["split"] == split and name in r]
        if not points:
            continue
        steps, values = np.array(points, dtype=np.float64).T
        marker = "o" if split == "val" and len(points) <= 60 else None
        last = f"{split}: {values[-1]:.2f}"
        axes.plot(
            steps, values, color=colour, linewidth=1.6, marker=marker, markersize=3.5, label=last
        )
        # The first steps of a run are far above all that follows: they may leave the picture.
        ends.extend((values.min(), values[len(values) // 20 :].max()))
    for index, oracle in enumerate(_oracles(records, name)):
        colour = COLOURS[1 + index % 4]
        value = float(oracle["value"])
        ends.append(value)
        axes.axhline(value, color=colour, linestyle="--", linewidth=1.2)
        axes.annotate(
            f"{oracle['label']}: {value:.2f}", (1.0, value), (-4, 3), color=colour, fontsize=8,
            xycoords=("axes fraction", "data"), textcoords="offset points", ha="right", va="bottom",
        )  # fmt: skip
    if ends and max(ends) > min(ends):
        spread = max(ends) - min(ends)
        axes.set_ylim(min(ends) - 0.06 * spread, max(ends) + 0.1 * spread)
    axes.set_title(name, fontsize=10 if large else 9, color=INK, loc="left")
    if large:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 0.985), ncols=2, borderaxespad=0.2,
            fontsize=9, frameon=False, labelcolor=INK, handlelength=1.4,
        )  # fmt: skip
    elif last:
        axes.set_title(last, fontsize=8, color=COLOURS[0], loc="right")


def _oracles(records: Records, name: str) -> list[Mapping[str, Any]]:
    return [r for r in records if r["split"] == "oracle" and r.get("metric") == name]


def save_scatter(
    path: str | os.PathLike[str],
    points: np.ndarray,
    labels: np.ndarray | None = None,
    title: str | None = None,
) -> None:
    """Points of the plane (N, 2), coloured by their label where there is one."""
    figure = new_figure(640, 600)
    axes = figure.add_axes((0.09, 0.08, 0.78 if labels is not None else 0.88, 0.85))
    style_axes(axes)
    axes.set_aspect("equal", adjustable="datalim")
    size = 5 if len(points) > 1500 else 16
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], s=size, color=COLOURS[0], alpha=0.6, linewidths=0)
    else:
        from matplotlib import colormaps

        palette = colormaps["tab10"]
        for label in np.unique(labels):
            chosen = points[labels == label]
            colour = palette(int(label) % 10)
            axes.scatter(
                chosen[:, 0], chosen[:, 1], s=size, color=colour, alpha=0.7, linewidths=0,
                label=str(label),
            )  # fmt: skip
        axes.legend(
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            markerscale=8 / size**0.5,
            fontsize=9,
        )
    axes.set_xlabel("z₁", color=INK)
    axes.set_ylabel("z₂", color=INK, rotation=0)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.axvline(0, color=FAINT, linewidth=0.8)
    if title:
        axes.set_title(title, fontsize=11, color=INK, loc="left")
    save_figure(figure, path)
