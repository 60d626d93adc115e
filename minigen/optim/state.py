"""The state of an optimizer as a flat dictionary, and back.

``state.K.step`` and ``state.K.NAME`` belong to the K-th parameter, ``param_groups.G.OPTION`` to the
G-th group; a tuple has an entry for each of its parts, so that the whole is numbers and arrays.
What comes back may be of another model, another optimizer, or damaged: all of it is looked at, and
every fault named, before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minigen.backends import Array
from minigen.errors import UserError
from minigen.numeric import plain_number
from minigen.ops.foreign import as_backend_array
from minigen.optim.flat import ParameterState

if TYPE_CHECKING:
    from minigen.optim.optimizer import Optimizer

__all__ = ["collect", "read"]

_SHOWN = 5  # faults in an error message; the rest is counted


def collect(optimizer: Optimizer) -> dict[str, Any]:
    """The options of every group and what is kept for every parameter (copies)."""
    state: dict[str, Any] = {}
    for number, group in enumerate(optimizer.param_groups):
        prefix = f"param_groups.{number}"
        state[f"{prefix}.params"] = len(group["params"])
        for option, value in optimizer.options_of(group).items():
            if isinstance(value, tuple):
                state.update({f"{prefix}.{option}.{i}": part for i, part in enumerate(value)})
            else:
                state[f"{prefix}.{option}"] = value
    for number, (flat, place, group) in enumerate(optimizer.members()):
        if not flat.steps[place]:
            continue
        options = optimizer.options_of(group)
        optimizer.follow(flat, options)
        for name in optimizer.needs(options):
            flat.moment(name)
        kept = flat.state(place)
        state[f"state.{number}.step"] = kept.step
        state.update({f"state.{number}.{name}": x.copy() for name, x in kept.moments.items()})
        state.update({f"state.{number}.{name}": x for name, x in kept.numbers.items()})
    return state


def read(
    optimizer: Optimizer, state_dict: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[ParameterState]]:
    """Every group's options and every parameter's state, from what ``collect`` gave.

    Raises:
        UserError: one line that names all entries that do not fit.
    """
    if not isinstance(state_dict, Mapping):
        raise UserError(f"optimizer state must be a dictionary, got {type(state_dict).__name__}")
    rest, faults = dict(state_dict), []  # type: ignore[var-annotated]
    groups = [
        _read_group(optimizer, number, rest, faults)
        for number in range(len(optimizer.param_groups))
    ]
    of_group = {id(group): options for group, options in zip(optimizer.param_groups, groups)}
    states = []
    for number, (flat, place, group) in enumerate(optimizer.members()):
        options = of_group[id(group)]
        needed = () if options is None else optimizer.needs(options)
        states.append(_read_state(optimizer, number, rest, flat.shapes[place], needed, faults))
    faults += [f"{key} belongs to no parameter or option of this optimizer" for key in rest]
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise UserError(f"optimizer state: {'; '.join(faults[:_SHOWN])}{more}")
    return [options or {} for options in groups], states


def _read_group(
    optimizer: Optimizer, number: int, rest: dict[str, Any], faults: list[str]
) -> dict[str, Any] | None:
    """The options of one group, taken out of ``rest``; None, and the faults, if one is wrong."""
    group, prefix = optimizer.param_groups[number], f"param_groups.{number}"
    before, length = len(faults), len(group["params"])
    count = rest.pop(f"{prefix}.params", None)
    if plain_number(count) != length:
        faults.append(f"group {number} must have {length} parameters, got {count}")
    options: dict[str, Any] = {}
    for option, value in optimizer.options_of(group).items():
        key = f"{prefix}.{option}"
        parts = [f"{key}.{i}" for i in range(len(value))] if isinstance(value, tuple) else [key]
        faults += [f"{part} is missing" for part in parts if part not in rest]
        values = [rest.pop(part, None) for part in parts]
        options[option] = tuple(values) if isinstance(value, tuple) else values[0]
    if len(faults) == before:
        try:
            return optimizer.checked(options)
        except (TypeError, ValueError) as error:
            faults.append(f"{prefix}: {error}")
    return None


def _read_state(
    optimizer: Optimizer,
    number: int,
    rest: dict[str, Any],
    shape: tuple[int, ...],
    needed: tuple[str, ...],
    faults: list[str],
) -> ParameterState:
    """What is kept for the K-th parameter, taken out of ``rest``; nothing if it has no entry."""
    prefix = f"state.{number}."
    mine = {
        key.removeprefix(prefix): rest.pop(key)
        for key in [key for key in rest if isinstance(key, str) and key.startswith(prefix)]
    }
    if not mine:
        return ParameterState(0, {}, {})
    step = plain_number(given := mine.pop("step", None))
    if step is None or step != step // 1 or step < 0:
        faults.append(f"{prefix}step must be an integer ≥ 0, got {given!r}")
        step = 0
    numbers: dict[str, float] = {}
    for name in optimizer.numbers:
        value = plain_number(given := mine.pop(name, None))
        if value is None:
            faults.append(f"{prefix}{name} must be a number, got {given!r}")
        else:
            numbers[name] = float(value)
    faults += [f"{prefix}{name} is missing" for name in needed if step and name not in mine]
    moments: dict[str, Array] = {}
    for name, given in mine.items():
        if name not in optimizer.moments:
            faults.append(f"{prefix}{name} belongs to no parameter or option of this optimizer")
            continue
        try:
            moments[name] = as_backend_array(prefix + name, given)
        except UserError as error:
            faults.append(str(error))
            continue
        if tuple(moments[name].shape) != shape:
            got = tuple(moments[name].shape)
            faults.append(f"{prefix}{name} must have shape {shape}, got {got}")
    return ParameterState(int(step), moments, numbers)
