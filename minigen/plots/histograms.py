"""Histograms of scores, several groups over one another: what a detector has to tell apart."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from minigen.plots.figure import COLOURS, INK, new_figure, save_figure, style_axes

__all__ = ["save_histograms"]

BINS = 50


def save_histograms(
    path: str | os.PathLike[str],
    panels: Mapping[str, Mapping[str, np.ndarray]],
    xlabel: str = "",
    title: str | None = None,
) -> None:
    """One panel below the other, each with its own axis; groups as shares of their own samples.

    Args:
        path: the PNG to write.
        panels: a panel's title → a group's name → its scores (N,), at least one, finite. A group
            with the same name has the same colour everywhere; one of a single score is a line.
        xlabel: what the scores are, and their unit.
        title: a line above.
    """
    names = list(dict.fromkeys(name for groups in panels.values() for name in groups))
    colour_of = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    height = 90 + 210 * len(panels)
    figure = new_figure(760, height)
    grid = figure.add_gridspec(
        len(panels), 1, left=0.08, right=0.98, bottom=55 / height, top=1 - 66 / height, hspace=0.55
    )
    for row, (heading, groups) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[row, 0])
        style_axes(axes)
        scores = np.concatenate(list(groups.values()))
        edges = np.linspace(scores.min(), scores.max() + 1e-9, BINS + 1)
        for name, values in groups.items():
            colour = colour_of[name]
            if len(values) == 1:
                axes.axvline(float(values[0]), color=colour, linewidth=2, label=name)
                continue
            weights = np.full(len(values), 1 / len(values))
            axes.hist(values, bins=list(edges), weights=weights, color=colour, alpha=0.35)
            axes.hist(
                values, bins=list(edges), weights=weights, color=colour, histtype="step",
                linewidth=1.3, label=name,
            )  # fmt: skip
        axes.set_title(heading, fontsize=10, color=INK, loc="left")
        axes.set_ylabel("share", fontsize=9, color=INK)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xlabel(xlabel, fontsize=9, color=INK)
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=len(groups), borderaxespad=0.1,
            fontsize=9, frameon=False, labelcolor=INK, handlelength=1.4,
        )  # fmt: skip
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.08, ha="left")
    save_figure(figure, path)
