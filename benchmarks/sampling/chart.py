"""The growth of the cost over the length, cached and naive, a panel for each subject, log-log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WAYS = {"naive": "#2c6fbb", "cached": "#c0392b"}


def draw(report: dict[str, Any], path: Path) -> bool:
    """Write the chart; False where nothing was sampled."""
    subjects = [measured for measured in report["measured"] if "growth" in measured]
    if not subjects:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    across = min(3, len(subjects))
    down = -(-len(subjects) // across)
    figure, axes = pyplot.subplots(
        down, across, figsize=(4.2 * across, 3.6 * down), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(subjects) :]:
        axis.set_visible(False)
    for axis, measured in zip(axes.flat, subjects):
        _panel(axis, measured)
    figure.suptitle(report["machine"]["processor"], fontsize=8, ha="left", x=0.01)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return True


def _panel(axis: Any, measured: dict[str, Any]) -> None:
    from matplotlib.ticker import NullLocator

    growth = measured["growth"]
    lengths = [one["length"] for one in growth]
    for way, colour in WAYS.items():
        seconds = [one[f"{way}_seconds"]["median"] for one in growth]
        label = f"{way}: length^{measured['exponents'][way]:.2f}"
        axis.loglog(lengths, seconds, color=colour, label=label, linewidth=1.2)
        partly = [way == "naive" and one["naive_steps"] < one["length"] for one in growth]
        for length, value, hollow in zip(lengths, seconds, partly):
            face = "white" if hollow else colour
            axis.plot(length, value, "o", color=colour, markerfacecolor=face, markersize=5)
    if any(one["naive_steps"] < one["length"] for one in growth):
        axis.plot([], [], "o", color="grey", markerfacecolor="white", label="from a part of it")
    headline = measured["headline"]
    axis.annotate(
        f"{headline['times_as_fast']['median']:.3g} times as fast at {headline['length']}",
        (0.97, 0.03),
        xycoords="axes fraction",
        ha="right",
        fontsize=8,
    )
    axis.set_title(measured["title"], fontsize=8, loc="left")
    axis.set_xticks(lengths, [str(length) for length in lengths], fontsize=8)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(axis="y", labelsize=8)
    axis.set_xlabel(f"{measured['element']}s", fontsize=8)
    axis.set_ylabel("seconds", fontsize=8)
    axis.grid(True, which="major", linewidth=0.4, alpha=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False, loc="upper left")
