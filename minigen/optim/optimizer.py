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
view too: the next backward pass after ``zero_grad()`` writes there. (Who has kept the tensor
``parameter.grad`` keeps its values; a raw array, ``parameter.grad.numpy()``, is overwritten.)

``param_groups`` is what counts, and may be changed by hand: options, the parameters of a group,
whole groups. The buffers follow at the next step, and so do they when the model was converted to
another dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from operator import is_not
from typing import Any

from minigen.autograd.gradients import forget_gradients
from minigen.autograd.mode import enable_grad
from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import extent, note_places, note_write
from minigen.backends import active, repeat
from minigen.numeric import number
from minigen.optim.flat import FlatParameters, ParameterState, Run
from minigen.optim.state import collect, read

_CONSTANT = frozenset({float, int, bool, str, tuple, type(None)})
_MOST_KNOWN = 64

__all__ = ["Optimizer", "beta_pair", "ignore_how", "switch"]


def switch(name: str, value: Any) -> bool:
    """``value`` if it is True or False."""
    if type(value) is not bool:
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def beta_pair(betas: Any) -> tuple[float, float]:
    """β₁ and β₂, two numbers in [0, 1), as a tuple."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"betas must be a pair of numbers, got {betas!r}")
    first, second = betas
    return number("betas[0]", first, below=1.0), number("betas[1]", second, below=1.0)


def ignore_how(
    foreach: bool | None = None,
    fused: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
) -> None:
    """PyTorch's switches for *how* an update runs. Here there is one way: a pass over the buffer,
    which ``mg.capture`` can record. They are accepted, and without effect.

    Raises:
        ValueError: ``foreach`` and ``fused`` together, as in PyTorch; ``differentiable``, because a
            step is off the tape.
    """
    for name, value in (("foreach", foreach), ("fused", fused)):
        if value is not None:
            switch(name, value)
    switch("capturable", capturable)
    if foreach and fused:
        raise ValueError("`fused` and `foreach` cannot be `True` together")
    if switch("differentiable", differentiable):
        raise ValueError("differentiable must be False: an optimizer's step is not on the tape")


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
        self.defaults = self.checked(defaults)
        self.param_groups: list[dict[str, Any]] = []
        self._known_options: dict[Any, dict[str, Any]] = {}  # as given -> checked
        self._arranged: list[list[Tensor]] = []  # each group's parameters that the buffers hold
        self._flat: list[list[FlatParameters]] = []  # for each group, one for each dtype
        if isinstance(params, (Tensor, Mapping)):
            raise TypeError(f"params must be a list of tensors or groups, got one {_kind(params)}")
        given = list(params)
        if not given:
            raise ValueError("params must have at least one parameter, got none")
        groups: list[Any] = given if isinstance(given[0], Mapping) else [{"params": given}]
        groups = [self._checked_group(group) for group in groups]
        self._arrange(groups)
        self.param_groups = groups

    # ------------------------------------------------------------------ what each one defines

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options as plain Python values; raises in one line if one is out of range."""
        return dict(options)

    moments: tuple[str, ...] = ()
    """The names of the buffers that the formula may keep."""

    numbers: tuple[str, ...] = ()
    """The names of the numbers that it keeps for each parameter, beside the count."""

    def needs(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Which of ``moments`` the formula keeps with these options: ordinarily all."""
        return self.moments

    def follow(self, flat: FlatParameters, options: Mapping[str, Any]) -> None:
        """Adapt what is kept to options that changed since the last step, if it depends on them."""

    def update(self, flat: FlatParameters, run: Run, step: int, options: Mapping[str, Any]) -> None:
        """Apply the formula to ``run.part`` of the buffers, for the ``step``-th time."""
        raise TypeError(f"{type(self).__name__} has no update method")

    def check_parameter(self, name: str, parameter: Any) -> None:
        """Raise, in one line, unless the optimizer can take this parameter."""
        _check_parameter(name, parameter)

    # ------------------------------------------------------------------ groups and buffers

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters with their own options: ``{"params": [...], "lr": 1e-4}``."""
        groups = [*self.param_groups, self._checked_group(param_group)]
        self._arrange(groups)
        self.param_groups.append(groups[-1])

    def _checked_group(self, param_group: Any) -> dict[str, Any]:
        """A group with all options."""
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError("a group must be a dictionary with the key params")
        group = {**self.defaults, **param_group}
        unknown = set(group) - set(self.defaults) - {"params"}
        if unknown:
            raise ValueError(
                f"a group's options must be among {', '.join(self.defaults)}, "
                f"got {', '.join(sorted(map(str, unknown)))}"
            )
        group.update(self.options_of(group))
        params = [group["params"]] if isinstance(group["params"], Tensor) else group["params"]
        group["params"] = list(params)
        return group

    def options_of(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """A group's options as they are now, checked: people change them by hand."""
        try:
            given = tuple([group[name] for name in self.defaults])
        except KeyError as error:
            raise ValueError(f"a group must have the option {error.args[0]}, got none") from None
        kinds = tuple([type(value) for value in given])  # True equals 1, and is no number
        if not _CONSTANT.issuperset(kinds):  # a list may be another one tomorrow
            return self.checked(dict(zip(self.defaults, given)))
        if (given, kinds) not in self._known_options:
            if len(self._known_options) >= _MOST_KNOWN:  # a schedule brings a new rate every step
                self._known_options.clear()
            self._known_options[given, kinds] = self.checked(dict(zip(self.defaults, given)))
        return self._known_options[given, kinds]

    @property
    def flat(self) -> list[list[FlatParameters]]:
        """For each group its buffers, one for each dtype.

        It is another list when groups or dtypes have changed, and only then.
        """
        if not self._is_arranged():
            self._arrange(self.param_groups)
        return self._flat

    def _is_arranged(self) -> bool:
        groups, arranged = self.param_groups, self._arranged
        if len(groups) != len(arranged):
            return False
        for group, known, flats in zip(groups, arranged, self._flat):
            params = group["params"]
            if len(params) != len(known) or any(map(is_not, params, known)):
                return False
            for flat in flats:
                if not flat.fits():
                    return False
        return True

    def _arrange(self, groups: list[dict[str, Any]]) -> None:
        """Lay the parameters of ``groups`` into buffers; those that had a state keep it."""
        self._check_parameters(groups)
        held = {
            id(parameter): (flat, flat.state(place))
            for flats in self._flat
            for flat in flats
            for place, parameter in enumerate(flat.parameters)
        }
        kept = {
            tuple(map(id, known)): flats
            for known, flats in zip(self._arranged, self._flat)
            if all(flat.fits() for flat in flats)
        }
        arranged = [list(group["params"]) for group in groups]
        self._flat = [
            kept.get(tuple(map(id, params))) or self._new_buffers(count, params, held)
            for count, params in enumerate(arranged)
        ]
        self._arranged = arranged

    def _check_parameters(self, groups: list[dict[str, Any]]) -> None:
        """Every parameter is fit to be one, and given once; no two lie in the same memory."""
        taken: set[int] = set()
        places: list[tuple[tuple[int, int], str]] = []
        for count, group in enumerate(groups):
            for place, parameter in enumerate(group["params"]):
                name = _name_of(count, place)
                self.check_parameter(name, parameter)
                if id(parameter) in taken:
                    raise ValueError(f"{name} was given to this optimizer already")
                taken.add(id(parameter))
                if parameter.numel():
                    places.append((extent(parameter.data), name))
        for (before, one), (after, other) in pairwise(sorted(places)):
            if after[0] < before[1]:
                raise ValueError(
                    f"{one} and {other} lie in the same memory; to tie the two, use one Parameter "
                    f"in both places, else give one of them a copy"
                )

    def _new_buffers(
        self,
        count: int,
        params: list[Tensor],
        held: Mapping[int, tuple[FlatParameters, ParameterState]],
    ) -> list[FlatParameters]:
        """Buffers for a group, one for each dtype, with what was kept for its parameters so far."""
        by_dtype: dict[Any, tuple[list[Tensor], list[str]]] = {}
        for place, parameter in enumerate(params):
            name = _name_of(count, place)
            if id(parameter) in held:
                _check_kept(name, parameter, *held[id(parameter)])
            parameters, names = by_dtype.setdefault(parameter.dtype, ([], []))
            parameters.append(parameter)
            names.append(name)
        flats = [FlatParameters(*pair) for pair in by_dtype.values()]
        for flat in flats:
            for place, parameter in enumerate(flat.parameters):
                if id(parameter) in held:
                    source, state = held[id(parameter)]
                    flat.set_state(place, state)
                    flat.scales = source.scales
        return flats

    # ------------------------------------------------------------------ training

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, so that the next backward pass starts from nothing.

        Args:
            set_to_none: False fills them with zeros instead, so that the next step updates a
                parameter that got no gradient too (by its momentum).
        """
        for group in self.param_groups:
            forget_gradients(group["params"], set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the loss and its gradients anew; called first. Its result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if active.recorder is not None:
            active.recorder.guard(self, "flat")
        for group, flats in zip(self.param_groups, self.flat):
            for flat in flats:
                self._check_backend(flat)
                for run in flat.runs():
                    repeat(self._step, flat, run, group)
        return loss

    def _step(self, flat: FlatParameters, run: Run, group: Mapping[str, Any]) -> None:
        """Count and update one stretch, with the group's options of this moment."""
        options = self.options_of(group)
        self.follow(flat, options)
        step = flat.count(run.places)
        if run.part.stop <= run.part.start:
            return
        grads = flat.grads[run.part]
        uphill = options.get("maximize", False)
        place = note_write(flat.values[run.part])
        if uphill:
            active.backend.xp.negative(grads, out=grads)
        try:
            self.update(flat, run, step, options)
        finally:
            if uphill:
                active.backend.xp.negative(grads, out=grads)
        note_places([place])

    def _check_backend(self, flat: FlatParameters) -> None:
        if not isinstance(flat.values, active.backend.array_type):
            raise TypeError(
                f"the parameters lie in {_kind(flat.values)}, but the active backend is "
                f"{active.backend.name}; step under the backend that the optimizer was built under"
            )

    # ------------------------------------------------------------------ state

    def members(self) -> list[tuple[FlatParameters, int, dict[str, Any]]]:
        """Where the k-th parameter of all groups lies: its buffer, its place there, its group."""
        found = {
            id(parameter): (flat, place)
            for flats in self.flat
            for flat in flats
            for place, parameter in enumerate(flat.parameters)
        }
        return [(*found[id(p)], group) for group in self.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """All state as a flat dictionary of numbers and arrays (copies).

        ``state.K.step`` and ``state.K.NAME`` belong to the K-th parameter (one that was never
        updated has none), ``param_groups.G.OPTION`` to the G-th group.
        """
        return collect(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict()`` was taken, bit for bit.

        Raises:
            UserError: the state is of other parameters or of another optimizer; one line that
                names every entry that does not fit. Nothing has been changed then.
        """
        for flat, _, _ in self.members():
            self._check_backend(flat)
        groups, states = read(self, state_dict)
        for group, options in zip(self.param_groups, groups):
            group.update(options)
        for (flat, place, group), state in zip(self.members(), states):
            flat.set_state(place, state)
            flat.scales = None
            self.follow(flat, self.options_of(group))

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v}" for k, v in self.param_groups[0].items() if k != "params")
        return f"{type(self).__name__}({options})"


def _name_of(group: int, place: int) -> str:
    return f"params[{place}]" + (f" of group {group}" if group else "")


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


def _check_kept(name: str, parameter: Tensor, flat: FlatParameters, state: ParameterState) -> None:
    """A parameter may change its dtype; with moments of another shape no step could be taken."""
    for moment in state.moments.values():
        if state.step and moment.shape != parameter.shape:
            raise ValueError(
                f"{name} was {flat.dtype} {moment.shape} when it was last updated and is now "
                f"{parameter.dtype} {parameter.shape}; build the optimizer after changing the model"
            )


def _kind(value: Any) -> str:
    return type(value).__name__
