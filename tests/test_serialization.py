"""mg.save and mg.load: tensors in a safetensors file, whole or not at all, never a pickle."""

from __future__ import annotations

import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import minigen as mg
from minigen import nn
from minigen.errors import UserError


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "bool"])
def test_what_was_saved_is_loaded_with_its_dtype_and_shape(tmp_path, backend, dtype):
    tensors = {
        "matrix": mg.tensor(np.arange(6).reshape(2, 3)).to(dtype),
        "turned": mg.tensor(np.arange(6).reshape(2, 3)).to(dtype).T,
        "number": mg.tensor(1).to(dtype),
        "empty": mg.zeros(0, 3, dtype=dtype),
    }
    mg.save(tensors, tmp_path / "x.safetensors")
    loaded = mg.load(tmp_path / "x.safetensors")
    assert set(loaded) == set(tensors)
    for name, x in tensors.items():
        assert isinstance(loaded[name].data, mg.backends.active.backend.array_type)
        assert loaded[name].dtype == x.dtype
        np.testing.assert_array_equal(loaded[name].numpy(), x.numpy())


def test_a_model_and_dicts_in_dicts_come_back(tmp_path):
    model, other = nn.Linear(2, 3), nn.Linear(2, 3)
    file = os.fspath(tmp_path / "m.safetensors")
    mg.save({"model": model.state_dict(), "step": mg.tensor(7)}, file)
    state = mg.load(file)
    other.load_state_dict(state["model"])
    np.testing.assert_array_equal(other.weight.numpy(), model.weight.numpy())
    assert state["step"].item() == 7


def test_other_programs_read_the_file_and_theirs_is_read(tmp_path):
    mg.save({"a": mg.tensor([1.0, 2.0])}, tmp_path / "ours.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "ours.safetensors")["a"], [1, 2])
    save_file({"a/b": np.arange(3)}, tmp_path / "theirs.safetensors")
    np.testing.assert_array_equal(mg.load(tmp_path / "theirs.safetensors")["a/b"].numpy(), range(3))


def test_a_failed_save_leaves_the_old_file(tmp_path):
    file = tmp_path / "x.safetensors"
    mg.save({"a": mg.ones(2)}, file)
    with pytest.raises(UserError, match="save: model/lr must be a tensor, got float"):
        mg.save({"a": mg.zeros(2), "model": {"lr": 0.1}}, file)
    assert mg.load(file)["a"].tolist() == [1.0, 1.0]
    assert os.listdir(tmp_path) == ["x.safetensors"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda folder: mg.save([1], folder / "x"), "obj must be a dict of tensors, got list"),
        (lambda folder: mg.save({"a/b": mg.ones(1)}, folder / "x"), "without '/', got 'a/b'"),
        (lambda folder: mg.save({3: mg.ones(1)}, folder / "x"), "names must be strings"),
        (lambda folder: mg.save({"a": mg.ones(1)}, folder / "no" / "x"), "cannot write"),
        (lambda folder: mg.load(folder / "nothing"), "no file at"),
        (lambda folder: mg.load(folder), "no file at"),
        (lambda folder: mg.load(_damaged(folder)), "is damaged or is no safetensors file"),
    ],
)
def test_what_cannot_be_saved_or_loaded_is_said_in_one_line(tmp_path, wrong, words):
    with pytest.raises(UserError, match=words) as caught:
        wrong(tmp_path)
    assert "\n" not in str(caught.value)


def _damaged(folder):
    mg.save({"a": mg.ones(100)}, folder / "x")
    (folder / "x").write_bytes((folder / "x").read_bytes()[:-7])
    return folder / "x"
