"""The chart: one bar for each contender and workload, as a ratio to the best peer.

Without a peer the ratio is to the floor. The line at 1 is where minigen draws level. Behind
the bars come the curves of `growth`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = {
    "minigen": "#e8a49c",
    "minigen-numba": "#d9604f",
    "minigen-captured": "#a3221a",
    "jax": "#5c8a4f",
    "torch": "#2c6fbb",
    "torch-kept-memory": "#6fa3d8",
    "torch-compile": "#17406d",
    "floor": "#9a9a9a",
}


def bars(measured: dict[str, Any]) -> tuple[str, list[tuple[str, dict[str, float], float]]]:
    """(what the ratio is to, [(contender, ratio with quartiles, median time)])."""
    present = {
        name: result for name, result in measured["results"].items() if "missing" not in result
    }
    for key, reference in [("to_best_peer", "best peer"), ("to_floor", measured["floor_name"])]:
        rows = [
            (name, result[key], result["median"])
            for name, result in present.items()
            if key in result
        ]
        if rows:
            return reference, rows
    return "", []


def draw(report: dict[str, Any], path: Path) -> bool:
    """Write the chart; False where no workload has anything to compare."""
    panels = [
        (measured, *bars(measured)) for measured in report["measured"] if "results" in measured
    ]
    panels = [panel for panel in panels if panel[2]]
    curves = [one for measured in report["measured"] for one in measured.get("curves", [])]
    if not panels and not curves:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    count = len(panels) + len(curves)
    across = min(3, count)
    down = -(-count // across)
    figure, axes = pyplot.subplots(
        down, across, figsize=(5.6 * across, 3.3 * down + 0.4), squeeze=False, layout="constrained"
    )
    for axis, (measured, reference, rows) in zip(axes.flat, panels):
        _bars(axis, measured, reference, rows)
    for axis, curve in zip(axes.flat[len(panels) :], curves):
        _curve(axis, curve)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    figure.suptitle(report["machine"]["processor"], fontsize=8, ha="left", x=0.01)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return True


def _bars(
    axis: Any, measured: dict[str, Any], reference: str, rows: list[tuple[str, Any, float]]
) -> None:
    """One workload: a bar for each contender, its quartiles and its median time."""
    for position, (name, ratio, median) in enumerate(reversed(rows)):
        middle = ratio["median"]
        whiskers = [
            [max(middle - ratio["lower_quartile"], 0.0)],
            [max(ratio["upper_quartile"] - middle, 0.0)],
        ]
        axis.barh(
            position,
            middle,
            xerr=whiskers,
            color=COLOURS.get(name, "#5c8a4f"),
            error_kw={"elinewidth": 1, "capsize": 2},
        )
        axis.annotate(
            f"{middle:.2f}   {median:.3g} {measured['unit']}",
            (max(middle, ratio["upper_quartile"]), position),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    labels = [measured["floor_name"] if name == "floor" else name for name, _, _ in rows]
    axis.set_yticks(range(len(rows)), labels[::-1], fontsize=8)
    axis.set_title(f"{measured['specification']}: {measured['title']}", fontsize=9, loc="left")
    axis.set_xlabel(f"time ÷ {reference}", fontsize=8)
    axis.tick_params(axis="x", labelsize=8)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.margins(x=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _curve(axis: Any, curve: dict[str, Any]) -> None:
    """The cost of growth: a line for each contender, log-log."""
    from matplotlib.ticker import NullLocator

    for name, slope in curve["exponents"].items():
        medians = [figures[name]["median"] for figures in curve["points"]]
        axis.loglog(
            curve["sizes"],
            medians,
            "o-",
            color=COLOURS.get(name, "#5c8a4f"),
            markersize=4,
            linewidth=1.2,
            label=f"{name}: {curve['what']}^{slope:.2f}",
        )
    axis.set_title(f"growth of {curve['workload']} in {curve['what']}", fontsize=9, loc="left")
    axis.set_xticks(curve["sizes"], [str(size) for size in curve["sizes"]], fontsize=8)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(axis="y", labelsize=8)
    axis.set_xlabel(curve["field"], fontsize=8)
    axis.set_ylabel("ms a step", fontsize=8)
    axis.grid(True, which="major", linewidth=0.4, alpha=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False, loc="upper left")
