"""The chart: one bar for each contender and workload, as a ratio to the best peer.

Without a peer the ratio is to the floor. The line at 1 is where minigen draws level.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = {
    "minigen": "#c0392b",
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
    if not panels:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    heights = [0.9 + 0.36 * len(rows) for _, _, rows in panels]
    figure, axes = pyplot.subplots(
        len(panels),
        1,
        figsize=(8, sum(heights) + 0.4),
        squeeze=False,
        height_ratios=heights,
        layout="constrained",
    )
    for axis, (measured, reference, rows) in zip(axes[:, 0], panels):
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
        axis.margins(x=0.2)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(report["machine"]["processor"], fontsize=8, ha="left", x=0.01)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return True
