"""Pictures: right size, right pixels, and no global Matplotlib state."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from minigen import plots
from minigen.errors import UserError


def test_a_mosaic_puts_image_i_at_row_i_over_columns_and_enlarges_by_a_whole_factor() -> None:
    images = np.linspace(0, 1, 5 * 8 * 8).reshape(5, 1, 8, 8)
    canvas = plots.mosaic(images, columns=2, gap=2, tile=16)
    assert canvas.shape == (3 * 18 - 2, 2 * 18 - 2, 3)
    np.testing.assert_allclose(canvas[18:34:2, 18:34:2, 0], images[3, 0], rtol=1e-6)  # row 1, col 1
    np.testing.assert_allclose(canvas[19:34:2, 19:34:2, 2], images[3, 0], rtol=1e-6)
    assert (canvas[36:, 18:] == 1.0).all()  # the sixth tile is missing: white


def test_colour_images_keep_their_channels() -> None:
    image = np.zeros((1, 3, 4, 4))
    image[0, 1] = 1.0
    assert plots.mosaic(image, columns=1, tile=4)[2, 2].tolist() == [0.0, 1.0, 0.0]


def test_images_of_a_shape_that_is_no_picture_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images must be .* got \(2, 5, 4, 4\)"):
        plots.mosaic(np.zeros((2, 5, 4, 4)), columns=1)


def test_pairs_show_the_first_argument_above_the_second(tmp_path: Path) -> None:
    plots.save_pairs(tmp_path / "p.png", np.ones((1, 1, 8, 8)) * 0.5, np.zeros((1, 1, 8, 8)))
    picture = imread(tmp_path / "p.png")[..., 0]
    column = picture[10:-10, 30]
    assert column[5] == pytest.approx(0.5, abs=0.01)
    assert column[-5] == pytest.approx(0.0, abs=0.01)


def test_curves_show_a_line_for_each_oracle_and_drop_metrics_that_nobody_logged(
    tmp_path: Path,
) -> None:
    records = [
        {"step": 0, "split": "oracle", "metric": "nll_nats", "label": "floor", "value": 1.0},
        *({"step": s, "split": "train", "nll_nats": 9.0 / s} for s in range(1, 9)),
        {"step": 8, "split": "val", "nll_nats": 1.2},
    ]
    with_oracle, without = tmp_path / "a.png", tmp_path / "b.png"
    plots.save_curves(with_oracle, records, ["nll_nats", "nobody"], "t")
    plots.save_curves(without, records[1:], ["nll_nats"], "t")
    first, second = imread(with_oracle), imread(without)
    assert first.shape == second.shape
    assert np.abs(first - second).max() > 0.5


def test_a_picture_of_one_input_is_the_same_file_twice(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plots.save_grid(tmp_path / name, np.eye(8)[None], title="one")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_manifold_strips_and_scatter_are_written_as_png(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((9, 1, 8, 8))
    plots.save_manifold(tmp_path / "m.png", images, np.array([-1.0, 0.0, 1.0]), "m")
    plots.save_strips(tmp_path / "s.png", [images[:3], images[3:6]], "s")
    plots.save_scatter(tmp_path / "c.png", images[:, 0, 0, :2], np.arange(9), "c")
    for name in ("m", "s", "c"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        plots.save_grid(tmp_path / "missing" / "a.png", np.eye(8)[None])


def test_drawing_imports_no_pyplot_and_importing_plots_no_matplotlib() -> None:
    code = (
        "import sys, numpy as np, minigen.plots as plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.save_grid(sys.argv[1], np.eye(8)[None])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", code, f"{folder}/a.png"], check=True)


def test_a_heat_map_shows_the_first_coordinate_to_the_right_and_the_second_upwards(
    tmp_path: Path,
) -> None:
    density = np.zeros((4, 4))
    density[3, 0] = 1.0  # the largest first coordinate, the smallest second
    plots.save_density(tmp_path / "d.png", density, (0.0, 1.0, 0.0, 1.0))
    picture = imread(tmp_path / "d.png")[..., :3].sum(axis=2)
    axes = picture[120:560, 120:580]  # inside the frame
    height, width = axes.shape
    assert axes[-height // 5 :, -width // 5 :].mean() > 1.5
    assert axes[: height // 5, : width // 5].mean() < 0.1


def test_density_points_warped_grid_and_histograms_are_written(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(50, 2))
    extent = (-3.0, 3.0, -3.0, 3.0)
    plots.save_density(tmp_path / "d.png", np.ones((5, 6)), extent, points, "d")
    plots.save_point_clouds(tmp_path / "p.png", {"data": points, "samples": -points}, extent, "p")
    net = random.normal(size=(2, 3, 4, 2))
    plots.save_warped_grid(tmp_path / "w.png", net, {"after": 2 * net, "data": net**2}, "w")
    plots.save_marginals(tmp_path / "m.png", np.ones((5, 1)))
    plots.save_marginals(tmp_path / "n.png", points.reshape(5, 20), points.reshape(5, 20), "n")
    sizes = {path.name: imread(path).shape[:2] for path in tmp_path.iterdir()}
    assert sizes["p.png"] == (500, 940)
    assert sizes["w.png"] == (480, 1260)
    assert sizes["n.png"][0] > sizes["m.png"][0]
