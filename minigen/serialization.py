"""Tensors in a file: ``mg.save(model.state_dict(), "model.safetensors")`` and ``mg.load``.

The format is safetensors: a length, a JSON header and raw numbers. Reading it can run no code,
which a pickle can, and other programs that know the format read the same tensors. The file is
written whole or not at all. (A run's own checkpoints: ``minigen.training.checkpoint``.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.backends import active, to_host
from minigen.errors import UserError
from minigen.files import write_bytes

__all__ = ["load", "save"]


def save(obj: Mapping[str, Any], f: str | os.PathLike[str]) -> None:
    """Write the tensors of a dict to the file ``f``; the one that stood there is replaced whole.

    Args:
        obj: tensors or NumPy arrays by name. A dict inside it, as in
            ``{"model": model.state_dict(), "ema": …}``, is laid flat: ``model/0.weight``.
        f: a path, ``….safetensors``.

    Raises:
        UserError: something is no tensor, or the file cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    if not isinstance(obj, Mapping):
        raise UserError(f"save: obj must be a dict of tensors, got {type(obj).__name__}")
    arrays: dict[str, np.ndarray] = {}
    _lay_flat(obj, "", arrays)
    write_bytes(f, to_bytes(arrays, {"format": "minigen"}))


def _lay_flat(branch: Mapping[Any, Any], path: str, arrays: dict[str, np.ndarray]) -> None:
    for name, value in branch.items():
        if not isinstance(name, str) or "/" in name:
            raise UserError(f"save: names must be strings without '/', got {name!r}")
        if isinstance(value, Mapping):
            _lay_flat(value, f"{path}{name}/", arrays)
            continue
        array = value.data if isinstance(value, Tensor) else value
        if not isinstance(array, (np.ndarray, active.backend.array_type)):
            raise UserError(
                f"save: {path}{name} must be a tensor, got {type(value).__name__} "
                f"(mg.tensor makes one of a number)"
            )
        arrays[path + name] = np.array(to_host(array), order="C")


def load(f: str | os.PathLike[str]) -> dict[str, Any]:
    """The tensors of a safetensors file, by name, on the active backend; dicts in it again dicts.

    Raises:
        UserError: one line for a file that is missing, damaged, or holds other types than NumPy's.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(f)
    if not path.is_file():
        raise UserError(f"no file at {path}")
    found: dict[str, Any] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            ours = (file.metadata() or {}).get("format") == "minigen"
            for name in file.keys():  # noqa: SIM118
                array = Tensor(active.backend.asarray(file.get_tensor(name)))
                *folders, last = name.split("/") if ours else [name]
                branch = found
                for folder in folders:
                    branch = branch.setdefault(folder, {})
                branch[last] = array
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged or is no safetensors file: {error}") from error
    return found
