"""`load`: names, paths, and names that are neither."""

import numpy as np
import pytest

from minigen.data import REGISTRY, Dataset, available, load
from minigen.errors import UserError


def test_every_registered_name_has_a_line_that_describes_it():
    lines = available()
    assert {"digits", "mnist"} <= set(lines)
    assert all(line.endswith(".") for line in lines.values())


def test_an_unknown_name_lists_what_exists_and_offers_the_nearest():
    with pytest.raises(UserError) as caught:
        load("mnits")
    message = str(caught.value)
    assert "digits, mnist" in message
    assert "did you mean 'mnist'?" in message


def test_an_unknown_split_is_refused_before_any_file_is_looked_for():
    with pytest.raises(UserError, match="split must be one of train, val, test, got 'valid'"):
        load("mnist", "valid", data_dir="/nowhere")


def test_a_data_set_is_added_with_one_line(monkeypatch):
    def ring(split, data_dir):
        """Points."""
        return Dataset("ring", split, np.zeros((4, 2), np.float32), None, "rows", None)

    monkeypatch.setitem(REGISTRY, "ring", ring)
    assert load("ring", "val").split == "val"
    assert available()["ring"] == "Points."


def test_a_path_is_expanded_from_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "own.npy", np.zeros((3, 2)))
    assert len(load("~/own.npy")) == 3
