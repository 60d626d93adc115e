"""The mixing picture: every block has its rows, with the sources on the left."""

from pathlib import Path

import numpy as np
import pytest

from minigen.plots import save_mixing


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mixing_grid_grows_with_its_rows_and_shows_its_sources(
    channels: int, tmp_path: Path
) -> None:
    from matplotlib.image import imread

    across, down = np.zeros((3, channels, 16, 16)), np.full((4, channels, 16, 16), 0.5)
    grids = {name: np.zeros((2, 3, channels, 16, 16)) for name in ("coarse", "fine")}
    save_mixing(tmp_path / "two.png", across, down, grids, title="styles")
    save_mixing(tmp_path / "one.png", across, down[:2], {"coarse": grids["coarse"]})
    two, one = imread(tmp_path / "two.png"), imread(tmp_path / "one.png")
    assert two.shape[0] - one.shape[0] == 2 * 64 + 2 + 12  # two rows, the gap, one between blocks
    assert two.shape[1] >= 4 * 64
    grey = np.abs(two[:, :, 0] - 0.5).max(axis=1) < 2
    assert grey.all()
    shown = (np.abs(two[:, 36:100, 0] - 0.5) < 0.01).mean(axis=1) > 0.8  # the left column
    assert 4 * 60 < shown.sum() < 4 * 68
