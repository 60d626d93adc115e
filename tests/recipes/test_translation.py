"""`minigen translate`: files, folders and arrays, there and back, and refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minigen.cli import main
from minigen.recipes.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey 12×12 to RGB 12×12, hardly trained."""
    folder = tmp_path_factory.mktemp("translate")
    random = np.random.default_rng(0)
    for name, channels in (("a", 1), ("b", 3)):
        np.save(folder / f"{name}.npy", random.random((20, channels, 12, 12)).astype(np.float32))
    options = {"width": 2, "blocks": 1, "patch_width": 2, "patch_depth": 1, "batch_size": 2}
    data = f"{folder / 'a.npy'}::{folder / 'b.npy'}"
    Run.create("cyclegan", data=data, out=folder / "run", steps=1, options=options).train()
    return folder / "run"


def picture(path: Path, side: int = 12, mode: str = "L", seed: int = 0) -> np.ndarray:
    shape = (side, side) if mode == "L" else (side, side, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_an_image_becomes_what_the_network_makes_of_it(
    run: Path, tmp_path: Path, capsys: Any
) -> None:
    pixels = picture(tmp_path / "in.png")
    out = tmp_path / "out.png"
    assert (
        main(["translate", str(run), "--direction", "ab", str(tmp_path / "in.png"), str(out)]) == 0
    )
    assert capsys.readouterr().out == f"{out}: 1 image\n"
    expected = Run.open(run).translate(pixels[None, None] / np.float32(255), "ab")[0]
    got = np.asarray(Image.open(out))
    assert got.shape == (12, 12, 3)
    np.testing.assert_array_equal(got, np.rint(255 * expected).transpose(1, 2, 0))
    back = tmp_path / "back.png"
    assert main(["translate", str(run), "--direction", "ba", str(out), str(back)]) == 0
    assert np.asarray(Image.open(back)).shape == (12, 12)


def test_a_folder_becomes_a_folder_of_the_same_names(run: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    for index, name in enumerate(("zero", "one")):
        (source / name).mkdir(parents=True)
        picture(source / name / "x.jpg", 9 + index, "RGB", index)
    out = tmp_path / "out"
    assert main(["translate", str(run), "--direction", "ab", str(source), str(out)]) == 0
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*.png"))
    assert found == ["one/x.png", "zero/x.png"]
    assert Image.open(out / "one" / "x.png").size == (12, 12)


def test_an_array_becomes_an_array(run: Path, tmp_path: Path) -> None:
    grey = np.random.default_rng(1).integers(0, 256, (3, 12, 12)).astype(np.uint8)
    np.save(tmp_path / "in.npy", grey)
    command = ["translate", str(run), "--direction", "ab", str(tmp_path / "in.npy")]
    assert main([*command, str(tmp_path / "out.npy")]) == 0
    got = np.load(tmp_path / "out.npy")
    expected = Run.open(run).translate(grey[:, None] / np.float32(255), "ab")
    np.testing.assert_array_equal(got, expected)
    assert got.shape == (3, 3, 12, 12)


@pytest.mark.parametrize(
    ("direction", "source", "target", "message"),
    [
        ("ab", "none.png", "out.png", "there is no"),
        ("ab", "broken.png", "out.png", "broken.png is no image, or a damaged one"),
        ("ab", "good.png", "out.npy", "OUT must end in .png where IN is an image"),
        ("ab", "good.npy", "out.png", "OUT must end in .npy where IN is an array"),
        ("ab", "text.txt", "out.png", "IN must end in .png, .jpg, .jpeg or .npy"),
        ("ba", "good.npy", "out.npy", "images must have shape (N, 3, H, W)"),
        ("ab", "bright.npy", "out.npy", "bright.npy must lie in 0 … 1, got 0 … 7"),
        ("ab", "nan.npy", "out.npy", "nan.npy must lie in 0 … 1, got nan … nan"),
        ("ab", "rows.npy", "out.npy", "rows.npy must have shape (N, C, H, W)"),
        ("ab", "broken.npy", "out.npy", "broken.npy cannot be read as an array"),
        ("ab", "empty", "out", "empty must hold images"),
        ("ab", "folder", "folder", "OUT must be a new or an empty folder"),
        ("ab", "twice", "out", "two images that would both become x.png"),
        ("up", "good.png", "out.png", "--direction must be one of ab, ba, got 'up'"),
    ],
)
def test_what_cannot_be_translated_is_one_line_and_nothing_is_written(
    direction: str, source: str, target: str, message: str, run: Path, tmp_path: Path, capsys: Any
) -> None:
    picture(tmp_path / "good.png")
    np.save(tmp_path / "good.npy", np.zeros((2, 1, 12, 12)))
    np.save(tmp_path / "bright.npy", np.eye(12)[None] * 7)
    np.save(tmp_path / "nan.npy", np.full((1, 12, 12), np.nan))
    np.save(tmp_path / "rows.npy", np.zeros((3, 4)))
    for name in ("broken.png", "broken.npy", "text.txt"):
        (tmp_path / name).write_text("nothing of the kind")
    for name in ("empty", "folder", "twice"):
        (tmp_path / name).mkdir()
    picture(tmp_path / "folder" / "x.png")
    picture(tmp_path / "twice" / "x.png")
    picture(tmp_path / "twice" / "x.jpg")
    command = ["translate", str(run), "--direction", direction]
    assert main([*command, str(tmp_path / source), str(tmp_path / target)]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert target == "folder" or not (tmp_path / target).exists()


def test_other_models_translate_nothing(tmp_path: Path, capsys: Any) -> None:
    Run.create("vae", out=tmp_path / "vae", steps=1, options={"hidden": (4,)}).train()
    picture(tmp_path / "in.png")
    command = ["translate", str(tmp_path / "vae"), "--direction", "ab", str(tmp_path / "in.png")]
    assert main([*command, str(tmp_path / "out.png")]) == 2
    assert "vae translates nothing" in capsys.readouterr().err
