"""Pictures, as PNG files: images, curves with oracles, latent spaces, densities, sounds."""

from minigen.plots.animation import save_animation
from minigen.plots.attention import save_attention
from minigen.plots.curves import save_curves, save_scatter
from minigen.plots.game import save_game
from minigen.plots.histograms import save_histograms
from minigen.plots.images import mosaic, save_grid, save_manifold, save_pairs, save_strips
from minigen.plots.modes import save_label_bars, save_modes
from minigen.plots.plane import (
    save_density,
    save_marginals,
    save_point_clouds,
    save_warped_grid,
)
from minigen.plots.sound import save_spectrograms, save_waveforms
from minigen.plots.styles import save_mixing

__all__ = [
    "mosaic",
    "save_animation",
    "save_attention",
    "save_curves",
    "save_density",
    "save_game",
    "save_grid",
    "save_histograms",
    "save_label_bars",
    "save_manifold",
    "save_marginals",
    "save_mixing",
    "save_modes",
    "save_pairs",
    "save_point_clouds",
    "save_scatter",
    "save_spectrograms",
    "save_strips",
    "save_warped_grid",
    "save_waveforms",
]
