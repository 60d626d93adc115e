"""Checkpoints: nothing is lost, nothing foreign gets in, and a failed write leaves the old file."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from minigen import files
from minigen.errors import UserError
from minigen.training import checkpoint

STATE = {
    "recipe": {
        "model": {"encoder.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3)},
        "optimizer": {"step": 7, "empty": np.zeros((0, 3), np.float64), "flag": np.array(True)},
        "random": {"words": [2**127 + 1, 3], "kind": "PCG64"},
    },
    "loop": {"step": 7, "line": {"loss": [0.1, 1e-300]}, "nothing": None},
}


def equal(first: object, second: object) -> bool:
    if isinstance(first, dict):
        assert isinstance(second, dict)
        return set(first) == set(second) and all(equal(first[k], second[k]) for k in first)
    if isinstance(first, np.ndarray):
        assert isinstance(second, np.ndarray)
        return first.dtype == second.dtype and np.array_equal(first, second)
    return first == second


def test_what_is_saved_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, STATE)
    assert equal(checkpoint.load(path), STATE)


def test_an_array_that_is_not_contiguous_is_saved_with_its_values(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    turned = np.arange(12.0).reshape(3, 4).T
    checkpoint.save(path, {"a": turned, "b": turned[::2]})
    loaded = checkpoint.load(path)
    np.testing.assert_array_equal(loaded["a"], turned)
    np.testing.assert_array_equal(loaded["b"], turned[::2])


def test_the_readable_json_names_step_and_shapes(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "checkpoint.safetensors", STATE)
    beside = json.loads((tmp_path / "checkpoint.json").read_text())
    assert beside["state"]["loop"]["step"] == 7
    assert beside["arrays"]["recipe/model/encoder.0.weight"] == "float32 [2, 3]"


@pytest.mark.parametrize("kept", [0, 5, 40, 0.5, -1])
def test_a_truncated_checkpoint_is_one_line(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, STATE)
    content = path.read_bytes()
    size = int(len(content) * kept) if isinstance(kept, float) else kept
    path.write_bytes(content[:size])
    with pytest.raises(UserError, match=r"c\.safetensors") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


def test_a_foreign_safetensors_file_is_refused_by_its_format(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_file({"weight": np.ones(3)}, path)
    with pytest.raises(UserError, match="is no minigen checkpoint"):
        checkpoint.load(path)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(UserError, match="damaged or is no safetensors file"):
        checkpoint.load(path)
    assert not Path("ran").exists()


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint at"):
        checkpoint.load(tmp_path / "c.safetensors")


def test_a_full_disk_keeps_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, STATE)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        checkpoint.save(path, {"recipe": {}, "loop": {"step": 8}})
    monkeypatch.undo()
    assert equal(checkpoint.load(path), STATE)
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")] == []


def test_a_crash_just_before_the_rename_keeps_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, STATE)

    def crash(source: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, {"loop": {"step": 8}})
    monkeypatch.undo()
    assert equal(checkpoint.load(path), STATE)


def test_a_key_with_a_slash_is_refused_because_it_could_not_come_back(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without '/'"):
        checkpoint.save(tmp_path / "c.safetensors", {"a/b": 1})


def test_an_existing_file_keeps_the_permissions_that_umask_gives(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        files.write_bytes(tmp_path / "x", b"1")
    finally:
        os.umask(old)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644
