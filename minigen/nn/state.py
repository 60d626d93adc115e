"""Does a state fit a module? Everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.backends import Array
from minigen.errors import UserError
from minigen.ops.foreign import as_backend_array

__all__ = ["check_state"]

_SHOWN = 5  # names in an error message; the rest is counted


def _some(names: Iterable[str]) -> str:
    names = list(names)
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def check_state(
    owner: str, own: Mapping[str, Tensor], state: Mapping[str, Any], strict: bool
) -> tuple[dict[str, Array], list[str], list[str]]:
    """Compare the state that came with the module's own.

    Returns:
        The values to write by key, the missing keys, the unexpected keys.

    Raises:
        UserError: one line that lists missing and unexpected keys (when ``strict``) and values
            of the wrong shape.
    """
    if not isinstance(state, Mapping):
        raise UserError(f"state_dict must be a dictionary, got {type(state).__name__}")
    missing = [key for key in own if key not in state]
    unexpected = [str(key) for key in state if key not in own]
    values = {key: as_backend_array(key, state[key]) for key in own if key in state}
    misshapen = [
        f"{key} must be {own[key].shape}, got {tuple(value.shape)}"
        for key, value in values.items()
        if tuple(value.shape) != own[key].shape
    ]
    faults = []
    if strict and missing:
        faults.append(f"missing {_some(missing)}")
    if strict and unexpected:
        faults.append(f"unexpected {_some(unexpected)}")
    if misshapen:
        faults.append(_some(misshapen))
    if faults:
        raise UserError(f"state_dict does not fit {owner}: {'; '.join(faults)}")
    return values, missing, unexpected
