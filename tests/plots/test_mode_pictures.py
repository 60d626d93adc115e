"""Pictures of modes and labels, and animations."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from minigen import plots
from minigen.errors import UserError

CENTRES = np.array([[-1.0, 0.0], [1.0, 0.0]])


def green(path: Path) -> np.ndarray:
    picture = imread(path)[..., :3]
    return (np.abs(picture - [0, 0x9E / 255, 0x73 / 255]) < 0.1).all(axis=-1)


def test_found_modes_have_green_circles_where_they_are(tmp_path: Path) -> None:
    points, path = np.array([[1.0, 0.0]] * 5), tmp_path / "m.png"
    plots.save_modes(path, points, CENTRES, 0.1, np.array([False, True]), "one of two")
    columns = np.flatnonzero(green(path).any(axis=0))
    assert len(columns)
    assert columns.min() > 640 / 2  # the right one only
    plots.save_modes(path, points, CENTRES, 0.1, np.array([False, False]))
    assert not green(path).any()


def test_samples_outside_of_the_picture_and_broken_ones_do_no_harm(tmp_path: Path) -> None:
    points = np.array([[1e6, 0.0], [np.nan, 0.0], [0.0, np.inf], [0.0, 0.0]])
    for name, some in (("far.png", points), ("near.png", points[-1:])):
        plots.save_modes(tmp_path / name, some, CENTRES, 0.1)
    corner = [imread(tmp_path / name)[-80:-45, -220:, 0] for name in ("far.png", "near.png")]
    assert corner[0].min() < 0.5  # "1 of 2 samples outside"
    assert corner[1].min() > 0.5


def test_bars_are_as_high_as_the_shares(tmp_path: Path) -> None:
    path = tmp_path / "bars.png"
    plots.save_label_bars(path, {"data": np.array([0.8, 0.2])})
    blue = (np.abs(imread(path)[..., :3] - [0, 0x72 / 255, 0xB2 / 255]) < 0.02).all(axis=-1)
    left, right = blue[:, 250].sum(), blue[:, 500].sum()  # pixels of either bar, one above another
    assert left / right == pytest.approx(4, rel=0.05)


def grids(count: int) -> list[np.ndarray]:
    return [np.full((4, 1, 8, 8), index / (count - 1)) for index in range(count)]


def test_an_animation_opens_and_has_the_frames_in_their_order_and_time(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    plots.save_animation(path, grids(5), seconds=0.1, hold=1.5)
    with Image.open(path) as animation:
        assert animation.format == "GIF"
        assert animation.n_frames == 5
        assert animation.info["loop"] == 0
        size = plots.mosaic(grids(5)[0], 2).shape
        assert animation.size == (size[1], size[0])
        times, greys = [], []
        for index in range(5):
            animation.seek(index)
            times.append(animation.info["duration"])
            greys.append(animation.convert("L").getpixel((5, 5)))
    assert times == [100, 100, 100, 100, 1500]
    np.testing.assert_allclose(greys, [0, 64, 128, 191, 255], atol=3)


def test_pictures_from_files_are_animated_too(tmp_path: Path) -> None:
    paths = []
    for index, grid in enumerate(grids(3)):
        paths.append(tmp_path / f"{index}.png")
        plots.save_grid(paths[-1], grid, title=f"step {index}")
    plots.save_animation(tmp_path / "a.gif", paths)
    with Image.open(tmp_path / "a.gif") as animation, Image.open(paths[0]) as first:
        assert animation.n_frames == 3
        assert animation.size == first.size


def test_a_single_frame_and_frames_of_several_sizes_work(tmp_path: Path) -> None:
    plots.save_animation(tmp_path / "one.gif", grids(2)[:1])
    plots.save_animation(tmp_path / "two.gif", [grids(2)[0], np.ones((9, 1, 8, 8))])
    with Image.open(tmp_path / "two.gif") as animation:
        assert animation.n_frames == 2


def test_what_cannot_be_animated_is_refused_and_an_old_file_stays(tmp_path: Path) -> None:
    path, broken = tmp_path / "a.gif", tmp_path / "broken.png"
    plots.save_animation(path, grids(2))
    before = path.read_bytes()
    broken.write_bytes(b"no picture")
    with pytest.raises(UserError, match="frames must be at least one picture, got none"):
        plots.save_animation(path, [])
    with pytest.raises(UserError, match="seconds and hold must be > 0, got 0"):
        plots.save_animation(path, grids(2), seconds=0)
    with pytest.raises(UserError, match=r"broken\.png cannot be read as an image"):
        plots.save_animation(path, [broken])
    assert path.read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".tmp"]
