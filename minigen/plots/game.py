"""The picture of a game between two networks: the score, both sides' losses, accuracies, gradients.

The two losses of an adversarial pair belong into one panel, since only their balance means
anything, and so do the accuracies on real and fake samples. What `metrics/verdict.py` found is
marked where the log first told it, and written below the score.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigen.plots.figure import COLOURS, INK, new_figure, save_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["save_game"]

Records = Sequence[Mapping[str, Any]]

PANELS: dict[str, dict[str, str]] = {
    "losses": {"discriminator_loss": "discriminator", "generator_loss": "generator"},
    "accuracy": {"real_accuracy": "real", "fake_accuracy": "fake"},
    "gradients": {
        "discriminator_grad_norm": "discriminator",
        "generator_grad_norm": "generator",
        "slope_norm": "slope",
    },
}
ALARM = COLOURS[1]


def save_game(
    path: str | os.PathLike[str],
    records: Records,
    headline: str,
    title: str | None = None,
    sentences: Sequence[str] = (),
) -> None:
    """The score on the left, the two sides on the right.

    Args:
        path: the PNG to write.
        records: the lines of `metrics.jsonl`: `train` and `val` numbers, `oracle` lines, and
            `verdict` lines, which are marked by a vertical line at their step.
        headline: the metric of the large panel.
        title: a line above.
        sentences: the verdict at the end, below the large panel.
    """
    figure = new_figure(1000, 560)
    low = 0.1 + 0.075 * len(sentences[:3])
    large = figure.add_axes((0.07, low + 0.03, 0.5, 0.86 - low))
    style_axes(large)
    _line(large, records, "val", headline, COLOURS[0], headline, "o")
    for place, oracle in enumerate(
        r for r in records if r["split"] == "oracle" and r.get("metric") == headline
    ):
        value, colour = float(oracle["value"]), COLOURS[2 + place % 3]
        label = f"{oracle['label']}: {value:.4g}"
        large.axhline(value, color=colour, linestyle="--", linewidth=1.2, label=label)
    if large.lines:
        large.legend(fontsize=9, frameon=False, labelcolor=INK, loc="best")
    large.set_title(headline, fontsize=10, color=INK, loc="left")
    _alarms(large, records)
    large.set_xlabel("step", fontsize=9, color=INK)
    for row, (name, metrics) in enumerate(PANELS.items()):
        axes = figure.add_axes((0.65, 0.7 - 0.3 * row, 0.335, 0.19))
        style_axes(axes)
        for colour, (metric, label) in zip((COLOURS[0], COLOURS[4], COLOURS[2]), metrics.items()):
            _line(axes, records, "train", metric, colour, label)
        if name == "accuracy":
            axes.set_ylim(-0.03, 1.03)
        if name == "gradients" and axes.lines:
            axes.set_yscale("log")
        _alarms(axes, records)
        axes.set_title(name, fontsize=9, color=INK, loc="left")
        if axes.lines:
            axes.legend(
                fontsize=7.5, frameon=False, labelcolor=INK, ncols=3, loc="lower right",
                bbox_to_anchor=(1.02, 0.94), handlelength=1.2, columnspacing=1.0,
            )  # fmt: skip
    for place, sentence in enumerate(sentences[:3]):
        lines = "\n".join(textwrap.wrap(sentence, 98)[:2])
        figure.text(0.03, low - 0.055 - 0.075 * place, lines, fontsize=8, color=ALARM, va="top")
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.03, ha="left")
    save_figure(figure, path)


def _line(
    axes: Axes, records: Records, split: str, name: str, colour: str, label: str, marker: str = ""
) -> None:
    points = [(r["step"], r[name]) for r in records if r["split"] == split and name in r]
    if points:
        steps, values = np.array(points, dtype=np.float64).T
        text = f"{label} {values[-1]:.3g}"
        axes.plot(
            steps, values, color=colour, linewidth=1.3, marker=marker, markersize=3.5, label=text
        )


def _alarms(axes: Axes, records: Records) -> None:
    for step in {r["step"] for r in records if r["split"] == "verdict"}:
        axes.axvline(step, color=ALARM, linestyle=":", linewidth=1.0)
