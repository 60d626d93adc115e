"""Histograms: shares of each group, a line for one score, a panel for each heading."""

from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from minigen.plots import save_histograms
from minigen.plots.figure import COLOURS


def inked(path: Path, colour: str) -> int:
    """How many pixels have the colour."""
    return int((np.abs(imread(path)[..., :3] - to_rgb(colour)).max(axis=2) < 0.02).sum())


def test_every_group_is_drawn_in_its_colour_and_a_single_score_as_a_line(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    groups = {"many": random.normal(size=500), "one": np.array([0.5])}
    save_histograms(tmp_path / "both.png", {"panel": groups}, "nats", "t")
    save_histograms(tmp_path / "many.png", {"panel": {"many": groups["many"]}})
    assert inked(tmp_path / "both.png", COLOURS[0]) > 30
    assert inked(tmp_path / "both.png", COLOURS[1]) > 30  # the line, 2 points wide
    assert inked(tmp_path / "many.png", COLOURS[1]) == 0


def test_a_group_counts_as_shares_so_that_small_ones_stand_as_high(tmp_path: Path) -> None:
    scores = np.linspace(0, 1, 400)
    save_histograms(tmp_path / "a.png", {"p": {"g": scores}})
    save_histograms(tmp_path / "b.png", {"p": {"g": np.tile(scores, 10)}})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_panels_lie_below_one_another(tmp_path: Path) -> None:
    group = {"g": np.arange(9.0)}
    save_histograms(tmp_path / "1.png", {"p": group})
    save_histograms(tmp_path / "2.png", {"p": group, "q": {"g": -group["g"]}})
    one, two = (imread(tmp_path / f"{n}.png").shape for n in (1, 2))
    assert two[0] - one[0] == 210
