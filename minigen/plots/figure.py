"""What all pictures share: a figure without global state, colours, and atomic saving.

`matplotlib.pyplot` keeps every figure in a global list and picks a window system; a library that
draws in the background wants neither. So figures are made as objects, on the Agg canvas (pixels in
memory), and reach the disk by the same all-or-nothing way as checkpoints.

A figure is measured in pixels here, at 100 dots per inch.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from minigen.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "new_figure", "save_figure", "style_axes"]

DPI = 100

# A palette that the colour-blind can read too (Okabe & Ito 2008), in the order of use.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B6B6B")
INK, FAINT = "#222222", "#D9D9D9"


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of `width` × `height` pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: Axes) -> None:
    """Take away the ink that says nothing: upper and right spine, hard grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9, length=3, color=FAINT)
    axes.grid(True, color=FAINT, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)


def save_figure(figure: Figure, path: str | os.PathLike[str], **options: Any) -> None:
    """Write the figure as PNG, atomically, without a time stamp: one input, one file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "minigen"}, **options)
    write_bytes(path, buffer.getvalue())
