"""Optimizer: what SGD, Adam and the others have in common.

An optimizer is one formula applied to every parameter; the formula is a kernel in the
optimizer's own file. Here is the rest: groups of parameters with options of their own, which
parameters have a gradient, and the state that a checkpoint needs. The interface is PyTorch's::

    optimizer = mg.optim.Adam(model.parameters(), lr=1e-3)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

Building an optimizer moves the values of its parameters into a flat buffer (see ``flat.py``);
from then on ``parameter.data`` is a view. The gradient of a parameter, ``parameter.grad``, is a
view too and is overwritten by the next backward pass after ``zero_grad()``: copy it to keep it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import note_write
from minigen.backends import Array, active, repeat
from minigen.errors import UserError
from minigen.ops.foreign import as_backend_array
from minigen.optim.flat import FlatParameters, Run

__all__ = ["Optimizer", "check_number"]


def check_number(
    name: str, value: Any, low: float = 0.0, below: float = math.inf, above: bool = False
) -> None:
    """Raise unless ``value`` is a number in [low, below), or in (low, below) if ``above``."""
    accepted = f"a number {'>' if above else '≥'} {low:g}"
    if below != math.inf:
        accepted += f" and < {below:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be {accepted}, got {value!r}")
    if not (low < value if above else low <= value) or not value < below:
        raise ValueError(f"{name} must be {accepted}, got {value!r}")


class Optimizer:
    """The base of all optimizers.

    Args:
        params: parameters, or groups of them: dictionaries with the list ``params`` and any
            options that shall differ from the default ones.
        defaults: name → value of the options.

    Attributes:
        param_groups: a dictionary for each group: ``params`` and every option. Changing an
            option there (``group["lr"] = 1e-4``) takes effect at the next step.
    """

    def __init__(
        self, params: Iterable[Tensor] | Iterable[Mapping[str, Any]], defaults: dict[str, Any]
    ) -> None:
        self.defaults = defaults
        self.check_options(defaults)
        self.param_groups: list[dict[str, Any]] = []
        self._flat: list[list[FlatParameters]] = []  # for each group, one for each dtype
        if isinstance(params, (Tensor, Mapping)):
            raise TypeError(f"params must be a list of tensors or groups, got one {_kind(params)}")
        given = list(params)
        if not given:
            raise ValueError("params must have at least one parameter, got none")
        if isinstance(given[0], Mapping):
            for group in given:
                self.add_param_group(group)  # type: ignore[arg-type]
        else:
            self.add_param_group({"params": given})

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise if an option is out of range; each optimizer knows its own."""

    def update(
        self, flat: FlatParameters, part: slice, step: int, options: Mapping[str, Any]
    ) -> None:
        """Apply the formula to the stretch ``part`` of the buffers, for the ``step``-th time."""
        raise TypeError(f"{type(self).__name__} has no update method")

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters with their own options: ``{"params": [...], "lr": 1e-4}``."""
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError("a group must be a dictionary with the key params")
        group = {**self.defaults, **param_group}
        unknown = set(group) - set(self.defaults) - {"params"}
        if unknown:
            raise ValueError(
                f"a group's options must be among {', '.join(self.defaults)}, "
                f"got {', '.join(sorted(map(str, unknown)))}"
            )
        self.check_options(group)
        params = [group["params"]] if isinstance(group["params"], Tensor) else group["params"]
        group["params"] = list(params)
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        by_dtype: dict[Any, tuple[list[Tensor], list[str]]] = {}
        for place, parameter in enumerate(group["params"]):
            name = f"params[{place}]" + (f" of group {len(self._flat)}" if self._flat else "")
            _check_parameter(name, parameter)
            if id(parameter) in taken:
                raise ValueError(f"{name} was given to this optimizer already")
            taken.add(id(parameter))
            parameters, names = by_dtype.setdefault(parameter.dtype, ([], []))
            parameters.append(parameter)
            names.append(name)
        self.param_groups.append(group)
        self._flat.append([FlatParameters(*pair) for pair in by_dtype.values()])

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next backward pass starts from nothing."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group, flats in zip(self.param_groups, self._flat):
            for flat in flats:
                for run in flat.runs():
                    repeat(self._step, flat, run, group)

    def _step(self, flat: FlatParameters, run: Run, group: Mapping[str, Any]) -> None:
        """Count and update one stretch, with the group's options of this moment."""
        step = flat.count(run.places)
        if run.part.stop > run.part.start:
            self.update(flat, run.part, step, group)
            note_write(flat.values[run.part])

    # ------------------------------------------------------------------ state

    def _members(self) -> list[tuple[FlatParameters, int]]:
        """Where the k-th parameter of all groups lies: its buffer and its place there."""
        found = {
            id(parameter): (flat, place)
            for flats in self._flat
            for flat in flats
            for place, parameter in enumerate(flat.parameters)
        }
        return [found[id(p)] for group in self.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """All state as a flat dictionary of numbers and arrays (copies).

        ``state.K.step`` and ``state.K.NAME`` belong to the K-th parameter (one that was never
        updated has none), ``param_groups.G.OPTION`` to the G-th group.
        """
        state: dict[str, Any] = {}
        for number, group in enumerate(self.param_groups):
            for option, value in group.items():
                prefix = f"param_groups.{number}.{option}"
                if option == "params":
                    state[prefix] = len(value)
                elif isinstance(value, tuple):
                    state.update({f"{prefix}.{i}": entry for i, entry in enumerate(value)})
                else:
                    state[prefix] = value
        for number, (flat, place) in enumerate(self._members()):
            if not flat.steps[place]:
                continue
            state[f"state.{number}.step"] = flat.steps[place]
            shape = flat.parameters[place].shape
            for name, buffer in flat.moments.items():
                state[f"state.{number}.{name}"] = buffer[flat.parts[place]].copy().reshape(shape)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict()`` was taken, bit for bit.

        Raises:
            UserError: the state is of other parameters or of another optimizer, in one line.
                Nothing has been changed then.
        """
        groups = [self._options_from(state_dict, number) for number in range(len(self._flat))]
        members = self._members()
        moments: list[tuple[int, str, Array]] = []
        for key, value in state_dict.items():
            head, _, rest = key.partition(".")
            number, _, name = rest.partition(".")
            if head == "param_groups" and number.isdigit() and int(number) < len(groups):
                continue
            if head != "state" or not number.isdigit() or int(number) >= len(members):
                raise UserError(f"optimizer state: {key} belongs to no parameter of this optimizer")
            if name == "step":
                continue
            array = as_backend_array(key, value)
            flat, place = members[int(number)]
            if tuple(array.shape) != flat.parameters[place].shape:
                raise UserError(
                    f"optimizer state: {key} must have shape {flat.parameters[place].shape}, "
                    f"got {tuple(array.shape)}"
                )
            moments.append((int(number), name, array))

        for group, options in zip(self.param_groups, groups):
            group.update(options)
        for flats in self._flat:
            for flat in flats:
                for buffer in flat.moments.values():
                    buffer[...] = 0
        for k, (flat, place) in enumerate(members):
            flat.steps[place] = int(state_dict.get(f"state.{k}.step", 0))
        for k, name, array in moments:
            flat, place = members[k]
            flat.moment(name)[flat.parts[place]] = array.reshape(-1)

    def _options_from(self, state: Mapping[str, Any], number: int) -> dict[str, Any]:
        """The options of one group as the state has them, checked."""
        group = self.param_groups[number]
        options: dict[str, Any] = {}
        for option, value in group.items():
            key = f"param_groups.{number}.{option}"
            size = len(value) if isinstance(value, tuple) else 0
            for wanted in [f"{key}.{i}" for i in range(size)] or [key]:
                if wanted not in state:
                    raise UserError(f"optimizer state: {wanted} is missing")
            if option == "params":
                if state[key] != len(value):
                    raise UserError(
                        f"optimizer state: group {number} must have {len(value)} parameters, "
                        f"got {state[key]}"
                    )
                continue
            options[option] = (
                tuple(state[f"{key}.{i}"] for i in range(size)) if size else state[key]
            )
        self.check_options({**group, **options})
        return options

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v}" for k, v in self.param_groups[0].items() if k != "params")
        return f"{type(self).__name__}({options})"


def _check_parameter(name: str, parameter: Any) -> None:
    if not isinstance(parameter, Tensor):
        raise TypeError(f"{name} must be a tensor, got {_kind(parameter)}")
    if parameter.node is not None:
        raise ValueError(f"{name} must be a leaf, got the result of {parameter.node.op.name}")
    if parameter.dtype.kind != "f":
        raise TypeError(f"{name} must be floating-point, got {parameter.dtype}")
    if not isinstance(parameter.data, active.backend.array_type):
        raise TypeError(
            f"{name} lies in {_kind(parameter.data)}, but the active backend is "
            f"{active.backend.name}; build the model and the optimizer under the same backend"
        )


def _kind(value: Any) -> str:
    return type(value).__name__
