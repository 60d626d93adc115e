"""Pictures, as PNG files: images, learning curves with oracles, latent spaces, attention."""

from minigen.plots.attention import save_attention
from minigen.plots.curves import save_curves, save_scatter
from minigen.plots.images import mosaic, save_grid, save_manifold, save_pairs, save_strips

__all__ = [
    "mosaic",
    "save_attention",
    "save_curves",
    "save_grid",
    "save_manifold",
    "save_pairs",
    "save_scatter",
    "save_strips",
]
