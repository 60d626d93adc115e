"""Checkpoints: all state of a run in one safetensors file, with its JSON inside.

**What.** `state` is a nested dict whose leaves are arrays (weights, moments, an image pool) or
JSON values (a step counter, a generator's state). Arrays are stored as tensors under their path,
`model/encoder.0.weight`; everything else becomes one JSON text in the file's `__metadata__`. They
travel in *one* file, so that weights of step 2,000 can never meet the counter of step 1,000.

**Why safetensors.** It is a length, a JSON header, and raw numbers: reading it can run no code,
which a pickle can. Any other program that knows the format reads the weights too.

**Why arrays only on the host.** A checkpoint written on a GPU must load on a laptop: Tensors and
device arrays are brought to NumPy here, and `load` returns NumPy arrays, always.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.errors import UserError
from minigen.files import write_bytes, write_json

__all__ = ["FORMAT", "join", "load", "save", "separate"]

FORMAT = "minigen checkpoint 1"
SEPARATOR = "/"


def save(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write `state` to `path` (`….safetensors`) atomically, and a readable `….json` beside it.

    The `.json` is for people (what is in there, which shapes, which step); it is never read back.

    Raises:
        UserError: when the file cannot be written; the previous checkpoint is kept.
    """
    from safetensors.numpy import save as to_bytes

    arrays, rest = separate(state)
    metadata = {"format": FORMAT, "state": json.dumps(rest)}
    write_bytes(path, to_bytes(arrays, metadata))
    shapes = {name: f"{array.dtype} {list(array.shape)}" for name, array in arrays.items()}
    write_json(Path(path).with_suffix(".json"), {"format": FORMAT, "state": rest, "arrays": shapes})


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The nested state that `save` was given, its arrays as NumPy arrays.

    Raises:
        UserError: one line for a missing, truncated or foreign file.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is damaged or is no safetensors file: {_one_line(error)}"
        ) from error
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "no format at all")
        raise UserError(f"{path} is no minigen checkpoint: expected '{FORMAT}', found {found!r}")
    try:
        rest = json.loads(metadata["state"])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is damaged: its JSON state cannot be read") from error
    return join(arrays, rest)


def separate(state: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Split a nested state into (path → array, the same nesting with the JSON leaves only).

    >>> separate({"model": {"weight": np.ones(2)}, "step": 3})
    ({'model/weight': array([1., 1.])}, {'model': {}, 'step': 3})
    """
    arrays: dict[str, np.ndarray] = {}

    def walk(branch: Mapping[str, Any], path: str) -> dict[str, Any]:
        rest: dict[str, Any] = {}
        for key, value in branch.items():
            if not isinstance(key, str) or SEPARATOR in key:
                raise ValueError(f"state keys must be strings without '{SEPARATOR}', got {key!r}")
            if isinstance(value, Mapping):
                rest[key] = walk(value, f"{path}{key}{SEPARATOR}")
            elif (array := _as_host_array(value)) is not None:
                arrays[f"{path}{key}"] = array
            else:
                rest[key] = value
        return rest

    return arrays, walk(state, "")


def join(arrays: Mapping[str, np.ndarray], rest: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `separate`: put every array back at its path. Changes and returns `rest`."""
    for path, array in arrays.items():
        *folders, name = path.split(SEPARATOR)
        branch = rest
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[name] = array
    return rest


def _as_host_array(value: Any) -> np.ndarray | None:
    """A C-ordered NumPy array of a host or device array or a Tensor; None for a JSON value."""
    if isinstance(value, np.ndarray | np.generic):
        return np.ascontiguousarray(value).reshape(np.shape(value))
    if isinstance(value, Tensor):
        return _as_host_array(value.numpy())
    if isinstance(value, active.backend.array_type):
        return _as_host_array(active.backend.to_host(value))
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
