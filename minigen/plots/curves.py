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
    from matplotlib.figure import Figure

__all__ = ["save_curves", "save_scatter"]

Records = Sequence[Mapping[str, Any]]

LABEL_SIZE = 8  # points, of the text beside an oracle's line
LABEL_GAP, LEADER = 13.0, 12.0  # pixels: between the middles of two labels; from line to label


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
    save_figure(curves_figure(records, metrics, title), path)


def curves_figure(records: Records, metrics: Sequence[str], title: str | None = None) -> Figure:
    """The picture that `save_curves` saves."""
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
    return figure


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
    oracles = [(str(o["label"]), float(o["value"])) for o in _oracles(records, name)]
    ends.extend(value for _, value in oracles)
    if ends and max(ends) > min(ends):
        spread = max(ends) - min(ends)
        axes.set_ylim(min(ends) - 0.06 * spread, max(ends) + 0.1 * spread)
    if oracles:
        _draw_lines(axes, oracles)
    axes.set_title(name, fontsize=10 if large else 9, color=INK, loc="left")
    if large:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 0.985), ncols=2, borderaxespad=0.2,
            fontsize=9, frameon=False, labelcolor=INK, handlelength=1.4,
        )  # fmt: skip
    elif last:
        axes.set_title(last, fontsize=8, color=COLOURS[0], loc="right")


def _draw_lines(axes: Axes, lines: Sequence[tuple[str, float]]) -> None:
    """Horizontal lines, each with its label to the right of the panel, where no curve runs.

    The panel gives up the room for that. Labels of lines that lie close together are moved apart,
    and a thin leader goes from each line to its own. The limits of y must be settled before.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    texts = [f"{label}: {value:.2f}" for label, value in lines]
    box, width = axes.get_position(), figure.get_size_inches()[0] * figure.dpi
    room = LEADER + 4 + max(_text_width(figure, text) for text in texts)
    axes.set_position((box.x0, box.y0, box.width - room / width, box.height))
    values = np.array([value for _, value in lines])
    heights = axes.transData.transform(np.stack([np.zeros(len(values)), values], axis=1))[:, 1]
    panel = axes.get_window_extent()
    places = spread_out(heights, LABEL_GAP, panel.y0, panel.y1)
    for index, (text, value) in enumerate(zip(texts, values, strict=True)):
        colour = COLOURS[1 + index % 4]
        axes.axhline(value, color=colour, linestyle="--", linewidth=1.2)
        offset = (LEADER * 72 / figure.dpi, (places[index] - heights[index]) * 72 / figure.dpi)
        axes.annotate(
            text, (1.0, value), offset, color=colour, fontsize=LABEL_SIZE,
            xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8,
                        "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)},
        )  # fmt: skip


def spread_out(places: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Move `places` (N,) as little as possible until they are `gap` apart, in their order.

    The least sum of squares under y_{i+1} − y_i ≥ gap is isotonic regression of y_i − i·gap: blocks
    of neighbours in the wrong order take their mean (the pool-adjacent-violators algorithm; Barlow
    et al. 1972). All end between `low` and `high` where there is room for that.
    """
    order = np.argsort(places, kind="stable")
    slots = gap * np.arange(len(places))
    blocks: list[list[float]] = []  # [mean, how many], rising means
    for place in places[order] - slots:
        blocks.append([float(place), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (first, n), (second, m) = blocks.pop(-2), blocks.pop()
            blocks.append([(n * first + m * second) / (n + m), n + m])
    means = np.concatenate([np.full(int(count), mean) for mean, count in blocks])
    moved = np.empty(len(places))
    moved[order] = np.clip(means, low, max(low, high - slots[-1])) + slots
    return moved


def _text_width(figure: Figure, text: str) -> float:
    """Width of a label in pixels."""
    probe = figure.text(0, 0, text, fontsize=LABEL_SIZE)
    width = float(probe.get_window_extent().width)
    probe.remove()
    return width


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
