"""Does a state fit a module? Everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import extent
from minigen.backends import Array, active
from minigen.errors import UserError
from minigen.ops.foreign import as_backend_array

__all__ = ["check_state"]

_SHOWN = 8  # names in an error message; the rest is counted


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
        UserError: one line that lists missing and unexpected keys (when ``strict``) and every value
            that is no array of real numbers, or of the wrong shape or kind.
    """
    if not isinstance(state, Mapping):
        raise UserError(f"state_dict must be a dictionary, got {type(state).__name__}")
    missing = [key for key in own if key not in state]
    unexpected = [str(key) for key in state if key not in own]
    values: dict[str, Array] = {}
    unfit = []
    for key in own:
        if key in state:
            values[key], fault = _fitting(key, own[key], state[key])
            unfit += fault
    faults = []
    if strict and missing:
        faults.append(f"missing {_some(missing)}")
    if strict and unexpected:
        faults.append(f"unexpected {_some(unexpected)}")
    if unfit:
        faults.append(_some(unfit))
    if faults:
        raise UserError(f"state_dict does not fit {owner}: {'; '.join(faults)}")
    return _apart(values, own), missing, unexpected


def _fitting(key: str, own: Tensor, given: Any) -> tuple[Array, list[str]]:
    """The value as a raw array, and what is wrong with it (nothing, or one text)."""
    if not isinstance(own.data, active.backend.array_type):
        where = type(own.data).__name__
        return None, [f"{key} lies in {where}, the active backend is {active.backend.name}"]
    try:
        value = as_backend_array(key, given)
    except UserError as error:
        return None, [str(error)]
    if tuple(value.shape) != own.shape:
        return None, [f"{key} must be {own.shape}, got {tuple(value.shape)}"]
    if own.dtype.kind != "f" and value.dtype.kind == "f":
        return None, [f"{key} must be {own.dtype}, got {value.dtype}"]
    if not getattr(own.data.flags, "writeable", True):
        return None, [f"{key} lies in memory that is read-only"]
    return value, []


def _apart(values: dict[str, Array], own: Mapping[str, Tensor]) -> dict[str, Array]:
    """Values that lie in the module's own memory are copied, before any of it is overwritten."""
    places = sorted(extent(tensor.data) for tensor in own.values())
    for key, value in values.items():
        low, high = extent(value)
        if (low, high) == extent(own[key].data):
            continue
        if any(start < high and low < stop for start, stop in places):
            values[key] = value.copy()
    return values
