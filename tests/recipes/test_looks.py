"""Scores and pictures of samples: what the data themselves get, and what a collapse gets."""

from pathlib import Path

import numpy as np
import pytest

from minigen.data import Dataset, load
from minigen.metrics.image_scores import unit_images
from minigen.recipes.looks import FID, Looks


def looks_at(name: str) -> tuple[Looks, Dataset]:
    train = load(name)
    return Looks(Looks.describe(train)), load(name, "val")


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_points_of_a_mixture_get_what_its_oracles_say(name: str, modes: int) -> None:
    looks, val = looks_at(name)
    metrics = looks.metrics(load(name).data[:10_000], val, thorough=True)
    oracles = {oracle.metric: oracle.value for oracle in looks.oracles(val, None)}
    assert looks.headline == "modes" == next(iter(metrics))
    assert metrics["modes"] == oracles["modes"] == metrics["modes_total"] == modes
    assert metrics["within_3_sigma_percent"] == pytest.approx(
        oracles["within_3_sigma_percent"], abs=0.5
    )
    assert metrics["spread"] == pytest.approx(1, abs=0.02)


def test_one_point_for_ever_has_no_spread() -> None:
    looks, val = looks_at("ring")
    metrics = looks.metrics(np.full((500, 2), 0.1, dtype="f4"), val, thorough=False)
    assert metrics["spread"] == pytest.approx(0, abs=1e-6)
    assert metrics["modes"] == 0


def test_digits_are_judged_by_a_classifier_s_features_and_labels(tmp_path: Path) -> None:
    looks, val = looks_at("digits")
    train = load("digits")
    real, one = unit_images(train), np.repeat(unit_images(val)[:1], 50, axis=0)
    good, bad = (looks.metrics(x, val, thorough=True) for x in (real, one))
    assert looks.headline == FID == next(iter(good))
    assert good[FID] == looks.oracles(val, train)[0].value
    assert good[FID] < 0.2 * bad[FID]
    assert good["spread"] == pytest.approx(1, abs=0.05)
    assert bad["spread"] == pytest.approx(0, abs=1e-5)
    assert set(looks.metrics(real, val, thorough=False)) == {FID, "spread"}
    (commonest,) = [bad[name] for name in bad if name.startswith("commonest_class_percent")]
    assert commonest == 100
    looks.draw_labels(tmp_path / "labels.png", real, val, "labels")
    assert (tmp_path / "labels.png").exists()


def test_everything_else_is_judged_by_its_spread(tmp_path: Path) -> None:
    looks, val = looks_at("moons")
    assert looks.headline == "spread"
    metrics = looks.metrics(3.0 * val.data, val, thorough=True)
    assert metrics == {"spread": pytest.approx(3)}
    assert looks.oracles(val, None) == []
    looks.draw(tmp_path / "points.png", val.data, "points")
    looks.draw_labels(tmp_path / "labels.png", val.data, val, "none")
    assert [path.name for path in tmp_path.iterdir()] == ["points.png"]


def test_facts_are_json_and_say_where_points_lie() -> None:
    data = np.array([[1.0, 5.0], [3.0, 5.0]], dtype="f4")
    facts = Looks.describe(Dataset("own", "train", data, None, "rows", None))
    assert facts == {
        "kind": "rows", "shape": [2], "mixture": None, "headline": "spread",
        "centre": [2.0, 5.0], "scale": pytest.approx(np.sqrt(0.5)),
    }  # fmt: skip
    same = np.ones((4, 2), dtype="f4")
    assert Looks.describe(Dataset("own", "train", same, None, "rows", None))["scale"] == 1.0
