"""The picture of a game: drawn from any log, the same log the same picture."""

from pathlib import Path
from typing import Any

import numpy as np

from minigen.plots import save_game


def log(alarm: bool) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [
        {"step": 0, "split": "oracle", "metric": "modes", "label": "all", "value": 8.0}
    ]
    for step in range(50, 1001, 50):
        train = {"discriminator_loss": 1.2, "generator_loss": 0.8 + step / 1e4}
        train |= {"real_accuracy": 0.7, "fake_accuracy": 0.6, "generator_grad_norm": 0.1}
        records.append({"step": step, "split": "train", **train})
        records.append({"step": step, "split": "val", "modes": min(8.0, step / 100)})
    if alarm:
        records.append({"step": 500, "split": "verdict", "sign": "collapse", "text": "collapse"})
    return records


def pixels(path: Path) -> np.ndarray:
    from matplotlib import image

    return image.imread(path)


def test_an_alarm_and_its_sentence_are_in_the_picture(tmp_path: Path) -> None:
    save_game(tmp_path / "well.png", log(False), "modes", "gan")
    save_game(tmp_path / "ill.png", log(True), "modes", "gan", ["collapse at step 500: …"])
    red = [
        ((p[..., 0] > 0.75) & (p[..., 1] < 0.5) & (p[..., 2] < 0.3)).sum()
        for p in (pixels(tmp_path / "well.png"), pixels(tmp_path / "ill.png"))
    ]
    assert red[0] == 0
    assert red[1] > 100


def test_one_log_is_one_file_and_an_empty_log_is_a_picture(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_game(tmp_path / f"{name}.png", log(True), "modes")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    save_game(tmp_path / "none.png", [], "modes")
    assert pixels(tmp_path / "none.png").shape[:2] == (560, 1000)
