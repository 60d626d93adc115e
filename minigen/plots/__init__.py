"""Pictures, as PNG files: grids of images, learning curves with their oracles, latent spaces."""

from minigen.plots.curves import save_curves, save_scatter
from minigen.plots.images import mosaic, save_grid, save_manifold, save_pairs, save_strips

__all__ = [
    "mosaic",
    "save_curves",
    "save_grid",
    "save_manifold",
    "save_pairs",
    "save_scatter",
    "save_strips",
]
