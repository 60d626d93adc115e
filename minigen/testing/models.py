"""``check_model``: are the gradients that a model learns from those of its loss?

One call checks a whole model: the gradient of every term of its loss with respect to every
parameter and every input, by differences along random directions as ``check_grads`` does it; that
the walk gives the same when it records itself; that the strict backend, which has CUDA's manners,
computes the same; and that the captured loss replays the same bits::

    model = VAE(16, hidden=(8,), latent=3)
    check_model(model, model.loss, images)

A wrong gradient seldom stops a model from learning; it learns something else, more slowly. What
shows here: a ``detach`` too many, a branch that leaves the tape, a term that is computed and never
differentiated, a rule of one's own that is wrong at the shapes at hand. What cannot show: a loss
that is not the one that was meant. A factor that is missing in the loss is missing in its gradient
as well; compare *values* with a formula, written a second time, for that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minigen.autograd.gradients import grad
from minigen.autograd.mode import enable_grad
from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import note_write
from minigen.backends import active, to_host, use
from minigen.capture import capture
from minigen.nn.module import Module
from minigen.ops.random import Generator, default_generator
from minigen.testing.differences import FIRST_STEP, Slope, Sum, slope

__all__ = ["ModelReport", "check_model"]

TRIES = 6  # directions for one tensor, until one has no kink
SECOND_STEP = 1e-5  # of differences that did not agree at the first step
_SAME = 1e-9  # of the same gradient computed in another way, relative to its largest entry
_CALLS = 3  # of a captured loss: as it is, recorded, replayed

Terms = dict[str, Tensor]
Arrays = dict[str, np.ndarray]
Gradients = dict[str, np.ndarray | None]


class ModelReport(NamedTuple):
    """What was compared.

    Attributes:
        compared: directional derivatives that were compared with differences: terms × tensors ×
            directions.
        redrawn: directions that met a kink, where no derivative exists, and were drawn again.
        unreached: parameters that no term depends on.
        undifferentiated: terms off the tape, such as an accuracy; nothing was compared for them.
    """

    compared: int
    redrawn: int
    unreached: tuple[str, ...]
    undifferentiated: tuple[str, ...]


def check_model(
    model: Module | Sequence[Module],
    loss: Callable[..., Any],
    *inputs: Any,
    generator: Generator | Sequence[Generator] | None = None,
    fixed: Module | Sequence[Module] = (),
    noise: float = 0.1,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    directions: int = 1,
    each: bool = True,
    seed: int = 0,
    strict: bool = True,
    captured: bool = True,
) -> ModelReport:
    """Compare every gradient of a model's loss with finite differences, in float64.

    For each term L of the loss, each tensor x (a parameter or an input) and a random direction u,

        ⟨∂L/∂x, u⟩   against   dL(x + t·u)/dt   at t = 0.

    Then once more with ``create_graph=True``, on the strict backend, and captured.

    Args:
        model: the module whose parameters are checked, or several. Parameters that do not require
            grad are left out. Everything is cast to float64 and put back as it was at the end:
            parameters, buffers, generators.
        loss: called with the inputs. Returns a tensor, or a tuple, list or dictionary of them, such
            as a loss and its terms; every one is checked by itself. One that is no scalar is
            weighted by random numbers.
        inputs: tensors or arrays. Floating-point ones are copied to float64 and checked too;
            others are passed on as they are.
        generator: what the loss draws from, one or several. Each, and the default generator that
            dropout draws from, begins anew from its seed at every evaluation, so that the loss is
            a function.
        fixed: modules that the loss runs through and does not teach (a GAN's other network): cast
            and put back like ``model``, not checked.
        noise: deviation of normal noise that is added to the checked parameters beforehand. A
            weight that starts at 0 hides what lies behind it, and zero biases put rectified units
            right at their kink. 0 checks the parameters as they are.
        rtol, atol: allowed difference, relative to the derivative and absolute.
        directions: how many for each tensor.
        each: True for directions that move one tensor at a time, at some seven evaluations of the
            loss for each. False moves all at once, which takes seven in all and is as sure to see
            a mistake that is no millionth of the whole; the tensor is then looked for.
        seed: of noise, directions and weights.
        strict: whether to compare with the strict backend. All that the loss needs must be in the
            modules and inputs, or be tensors that ``loss`` finds by their names.
        captured: whether to compare with `mg.capture`; False for a loss that looks at values.

    Returns:
        What was compared; see `ModelReport`.

    Kinks: of a direction along which the loss bends within a millionth, another one is taken. It is
    an error if none of six is smooth. Batch norm in training is fine, its memory is put back before
    every evaluation; so is a layer that sets itself up by the first batch, which sees it once,
    before the noise.

    Raises:
        AssertionError: something differs. One line names the term, the parameter, and both numbers.
        ValueError, TypeError: the loss is not deterministic, or the arguments make no sense.
    """
    modules, beside = _as_modules("model", model), _as_modules("fixed", fixed)
    generators = [generator] if isinstance(generator, Generator) else list(generator or ())
    if not noise >= 0:
        raise ValueError(f"noise must be a number >= 0, got {noise}")
    if isinstance(directions, bool) or not isinstance(directions, int) or directions < 1:
        raise ValueError(f"directions must be an integer >= 1, got {directions!r}")
    rng = np.random.default_rng(seed)
    with enable_grad(), _World([*modules, *beside], [*generators, default_generator()]) as world:
        arguments = [_argument(x) for x in inputs]
        study = _Study(world, loss, arguments, _variables(modules, arguments), rng)
        study.evaluate()  # layers that look at their first batch have seen it now
        for label, x in study.variables.items():
            if noise and not label.startswith("input "):
                _put(x, _host(x) + noise * rng.standard_normal(x.shape))
        world.remember()
        study.weigh()
        report = study.differences(rtol, atol, directions, each)
        study.recorded()
        if strict and active.backend.name == "numpy":
            study.on_strict()
        if captured:
            study.captured()
    return report


# ---------------------------------------------------------------- the model, and its way back


class _World:
    """All memory that the loss may read or change: in float64 inside, as it was afterwards."""

    def __init__(self, modules: Sequence[Module], generators: Sequence[Generator]) -> None:
        self.modules, self.generators = modules, generators

    def __enter__(self) -> _World:
        self.streams = [generator.state() for generator in self.generators]
        # An attribute that is a tensor and neither parameter nor buffer moves with the module too.
        held = [
            x
            for module in self.modules
            for one in module.modules()
            for x in vars(one).values()
            if isinstance(x, Tensor)
        ]
        self.tensors = list({id(x): x for x in held}.values())
        self.before = [(x, x.data, x.data.copy()) for x in self.tensors]
        self.buffers = [buffer for module in self.modules for buffer in module.buffers()]
        for x in self.tensors:
            if x.dtype.kind == "f":
                x.data = x.data.astype(np.float64)
        self.remember()
        return self

    def remember(self) -> None:
        """The values of the buffers that every evaluation begins with."""
        self.values = [_host(buffer) for buffer in self.buffers]

    def rewind(self) -> None:
        """Buffers as they were, generators at their seeds."""
        for buffer, values in zip(self.buffers, self.values):
            _put(buffer, values)
        for one in self.generators:
            one.load_state({"seed": one.seed, "streams": {}})

    def __exit__(self, *error: object) -> None:
        for x, array, values in self.before:
            array[...] = values  # it is the same memory, an optimizer may own it
            x.data = array
            note_write(array)
        for module in self.modules:
            for one in module.modules():
                one.state_loaded()
        for generator, state in zip(self.generators, self.streams):
            generator.load_state(state)

    @contextmanager
    def elsewhere(self, name: str, others: Iterable[Tensor]) -> Iterator[None]:
        """Every tensor, and ``others``, on another backend."""
        moved = [(x, x.data, _host(x)) for x in (*self.tensors, *others)]
        with use(name) as backend:
            try:
                for x, _, values in moved:
                    x.data = backend.asarray(values)
                yield
            finally:
                for x, array, _ in moved:
                    x.data = array


# ---------------------------------------------------------------- the comparisons


class _Study:
    """A loss as a function of its variables."""

    def __init__(
        self,
        world: _World,
        loss: Callable[..., Any],
        arguments: Sequence[Any],
        variables: dict[str, Tensor],
        rng: np.random.Generator,
    ) -> None:
        self.world, self.loss, self.arguments = world, loss, arguments
        self.variables, self.rng = variables, rng
        self.weights: Arrays = {}

    def evaluate(self) -> Terms:
        """The terms, computed from the same state every time."""
        self.world.rewind()
        return _terms(self.loss(*self.arguments))

    def weigh(self) -> None:
        """Choose the weights of the terms' elements; refuse a loss that is no function."""
        first = {name: _host(term) for name, term in self.evaluate().items()}
        again = self.evaluate()
        if not any(term.requires_grad for term in again.values()):
            raise AssertionError("the loss does not require grad: nothing of it was recorded")
        for name, values in first.items():
            if not np.isfinite(values).all():
                raise AssertionError(
                    f"{name!r} must be finite, got {values[~np.isfinite(values)][0]}"
                )
            if not np.array_equal(values, _host(again[name]), equal_nan=True):
                raise ValueError(
                    f"loss must be deterministic, got two values of {name!r} from the same state; "
                    "hand in the generator that it draws from"
                )
            self.weights[name] = np.ones(()) if values.ndim == 0 else self._signs(values.shape)

    def differences(self, rtol: float, atol: float, directions: int, each: bool) -> ModelReport:
        """Every term by every variable along random directions, against finite differences."""
        terms = self._on_tape()
        gradients = {name: self._gradient(terms[name], name) for name in terms}
        alone = [(label,) for label in self.variables]
        compared = redrawn = 0
        for moved in alone if each else [tuple(self.variables)]:
            for _ in range(directions):
                wrong, more, again = self._compare(gradients, moved, rtol, atol)
                if wrong and len(moved) > 1:  # which one is it?
                    found = (self._compare(gradients, label, rtol, atol)[0] for label in alone)
                    wrong = next(filter(None, found), wrong)
                if wrong:
                    raise AssertionError(wrong)
                compared, redrawn = compared + more, redrawn + again
        reached = {label for g in gradients.values() for label, x in g.items() if x is not None}
        return ModelReport(
            compared,
            redrawn,
            tuple(x for x in self.variables if x not in reached and not x.startswith("input ")),
            tuple(name for name in self.weights if name not in terms),
        )

    def _compare(
        self, gradients: dict[str, Gradients], moved: tuple[str, ...], rtol: float, atol: float
    ) -> tuple[str, int, int]:
        """All terms along one direction that moves the variables ``moved``.

        Returns what is wrong or "", how many terms were compared, how many directions redrawn.
        """
        left, redrawn = list(gradients), 0
        for _ in range(TRIES):
            along = {label: self._signs(self.variables[label].shape) for label in moved}
            at = self._along(along)
            for name in list(left):
                ours = [(gradients[name][label], u) for label, u in along.items()]
                analytic = sum(float((g * u).sum()) for g, u in ours if g is not None)
                for first in (FIRST_STEP, SECOND_STEP):
                    numeric = slope(partial(at, name), rtol, atol, first)
                    bound = atol + rtol * max(abs(analytic), abs(numeric.value)) + numeric.error
                    if agree := abs(analytic - numeric.value) <= bound:  # False for NaN
                        break
                if agree:
                    left.remove(name)
                elif not numeric.kink or not np.isfinite(analytic):
                    unreached = all(g is None for g, _ in ours)
                    what = _difference(name, self._called(moved), analytic, numeric, unreached)
                    return what, 0, redrawn
            if not left:
                return "", len(gradients), redrawn
            redrawn += len(left)
        return (
            f"{left[0]!r} has a kink just here along {TRIES} directions of {self._called(moved)}, "
            "so that there is no derivative to compare with; move the inputs, or give more noise",
            0,
            redrawn,
        )

    def _called(self, moved: tuple[str, ...]) -> str:
        if len(moved) > 1:
            return f"all {len(moved)} tensors together"
        return f"{moved[0]} {self.variables[moved[0]].shape}"

    def recorded(self) -> None:
        """The gradients of a walk that records itself, against those of one that does not."""
        terms = self._on_tape()
        plain = {name: self._gradient(terms[name], name) for name in terms}
        terms = self._on_tape()
        for name, term in terms.items():
            again = self._gradient(term, name, create_graph=True)
            self._same(f"with create_graph the gradient of {name!r}", plain[name], again)

    def on_strict(self) -> None:
        """Values and gradients of the strict backend, against those of this one."""
        values, gradients = self._all()
        others = [x for x in self.arguments if isinstance(x, Tensor)]
        others += [x for x in _named_by(self.loss) if all(x is not y for y in self.world.tensors)]
        with self.world.elsewhere("strict", others):
            try:
                strict_values, strict_gradients = self._all()
            except Exception as error:
                raise AssertionError(
                    "on the strict backend, which has CUDA's manners, the loss fails with "
                    f"{type(error).__name__}: {error} (tensors that it needs must be inputs or in "
                    "the modules; strict=False leaves this out)"
                ) from error
        self._same("on the strict backend the value", values, strict_values)
        self._same("on the strict backend the gradient", gradients, strict_gradients)

    def captured(self) -> None:
        """Three calls of the captured loss, one of them a replay, bit for bit."""
        given = [x for x in self.arguments if isinstance(x, Tensor)]

        def step(*tensors: Tensor) -> list[Tensor]:
            arguments = iter(tensors)
            terms = _terms(
                self.loss(
                    *(next(arguments) if isinstance(x, Tensor) else x for x in self.arguments)
                )
            )
            moved = [x for x in tensors if x.requires_grad]
            by = [x for k, x in self.variables.items() if not k.startswith("input ")] + moved
            gradients = grad(self._total(terms), by, allow_unused=True)
            return [*terms.values(), *(g for g in gradients if g is not None)]

        self.world.rewind()
        eager = [_host(x) for x in step(*given)]
        recorded = capture(step)
        for call in range(1, _CALLS + 1):
            self.world.rewind()
            try:
                replayed = [_host(x) for x in recorded(*given)]
            except Exception as error:
                raise AssertionError(
                    f"captured, the loss fails with {type(error).__name__}: {error} "
                    "(captured=False leaves this out)"
                ) from error
            for place, (one, other) in enumerate(zip(eager, replayed)):
                if not np.array_equal(one, other, equal_nan=True):
                    raise AssertionError(
                        f"captured, result {place} of the loss's terms and gradients differs in "
                        f"call {call} by {np.abs(one - other).max():.3g}"
                    )
        if recorded.replays < 1:
            raise AssertionError(f"captured, the loss was not replayed once in {_CALLS} calls")

    # Small steps of the above ----------------------------------------------------------------

    def _on_tape(self) -> Terms:
        return {name: term for name, term in self.evaluate().items() if term.requires_grad}

    def _gradient(self, term: Tensor, name: str, create_graph: bool = False) -> Gradients:
        """∂⟨term, weights⟩ by every variable; None where the tape knows of no way."""
        weights = Tensor(active.backend.asarray(self.weights[name]))
        found = grad(
            [term],
            list(self.variables.values()),
            [weights],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
        for (label, x), g in zip(self.variables.items(), found):
            if g is not None and g.shape != x.shape:
                raise AssertionError(
                    f"the gradient of {name!r} by {label} has shape {g.shape} and must have "
                    f"{x.shape}"
                )
        return {label: None if g is None else _host(g) for label, g in zip(self.variables, found)}

    def _along(self, along: Arrays) -> Callable[[str, float], Sum]:
        """(term, t) → its value where every x has moved by t·u; each t is computed once."""
        origins = {label: _host(self.variables[label]) for label in along}
        known: dict[float, dict[str, Sum]] = {}

        def move(t: float) -> None:
            for label, u in along.items():
                _put(self.variables[label], origins[label] + t * u)

        def at(name: str, t: float) -> Sum:
            if t not in known:
                move(t)
                try:
                    found = {
                        k: _host(term) * self.weights[k] for k, term in self.evaluate().items()
                    }
                finally:
                    move(0.0)
                known[t] = {
                    k: Sum(float(values.sum()), float(np.abs(values).sum()))
                    for k, values in found.items()
                }
            return known[t][name]

        return at

    def _all(self) -> tuple[dict[str, Any], dict[str, Any]]:
        terms = self.evaluate()
        values = {name: _host(term) for name, term in terms.items()}
        found = grad(self._total(terms), list(self.variables.values()), allow_unused=True)
        gradients = {k: None if g is None else _host(g) for k, g in zip(self.variables, found)}
        return values, gradients

    def _total(self, terms: Terms) -> Tensor:
        """One scalar that all terms have a part in, each another one."""
        parts = [
            (term * Tensor(active.backend.asarray(self.weights[name]))).sum() * (1.0 + 0.25 * place)
            for place, (name, term) in enumerate(terms.items())
            if term.requires_grad
        ]
        return sum(parts[1:], start=parts[0])

    def _same(self, what: str, ours: Mapping[str, Any], others: Mapping[str, Any]) -> None:
        for label, one in ours.items():
            other = others.get(label)
            one = np.zeros(()) if one is None else one
            other = np.zeros(()) if other is None else other
            allowed = _SAME * max(1.0, float(np.abs(one).max(initial=0)))
            off = np.abs(one - other)
            if np.isnan(one).any() != np.isnan(other).any() or (off > allowed).any():
                raise AssertionError(f"{what} by {label} differs by {off.max():.3g}")

    def _signs(self, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers of size ½ to 1 and either sign: every entry has a say, none dominates."""
        return self.rng.uniform(0.5, 1, shape) * self.rng.choice([-1.0, 1.0], shape)


def _difference(name: str, by: str, analytic: float, numeric: Slope, unreached: bool) -> str:
    """The failure in one line."""
    text = (
        f"the gradient of {name!r} by {by} is wrong: along a random direction it is "
        f"{analytic:.10g}, finite differences say {numeric.value:.10g} (off by "
        f"{abs(analytic - numeric.value):.3g})"
    )
    return f"{text}; the tape knows of no way there: is something detached?" if unreached else text


# ---------------------------------------------------------------- small things


def _as_modules(name: str, given: Module | Sequence[Module]) -> list[Module]:
    modules = [given] if isinstance(given, Module) else list(given)
    for one in modules:
        if not isinstance(one, Module):
            raise TypeError(f"{name} must be a Module, or several, got {type(one).__name__}")
    return modules


def _variables(modules: Sequence[Module], arguments: Sequence[Any]) -> dict[str, Tensor]:
    """Every parameter that requires grad and every floating-point input, by name."""
    found: dict[str, Tensor] = {}
    for place, module in enumerate(modules):
        prefix = f"{type(module).__name__} {place} " if len(modules) > 1 else ""
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and all(parameter is not x for x in found.values()):
                found[prefix + name] = parameter
    for place, x in enumerate(arguments):
        if isinstance(x, Tensor) and x.requires_grad:
            found[f"input {place}"] = x
    if not found:
        raise ValueError("model and inputs must hold something to differentiate by, got nothing")
    return found


def _argument(x: Any) -> Any:
    """Tensors and arrays as new leaves, floats in float64; anything else as it is."""
    if not isinstance(x, (Tensor, np.ndarray, active.backend.array_type)):
        return x
    raw = x.data if isinstance(x, Tensor) else active.backend.asarray(x)
    if raw.dtype.kind != "f":
        return Tensor(raw.copy())
    return Tensor(raw.astype(np.float64)).requires_grad_()


def _terms(result: Any) -> Terms:
    """What a loss returned, by name; floating-point tensors only."""
    found: Terms = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, Tensor):
            if value.dtype.kind == "f" and all(value is not x for x in found.values()):
                found[name] = value
        elif isinstance(value, Mapping):
            for key, part in value.items():
                add(str(key), part)
        elif isinstance(value, (tuple, list)):
            for place, part in enumerate(value):
                add("loss" if place == 0 else f"result {place}", part)

    add("loss", result)
    if not found:
        raise TypeError(f"loss must return a floating-point tensor, got {type(result).__name__}")
    return found


def _named_by(loss: Callable[..., Any]) -> list[Tensor]:
    """Tensors that a function finds outside of itself by their names."""
    function = getattr(loss, "__func__", loss)
    if not inspect.isfunction(function):
        return []
    names = inspect.getclosurevars(function)
    return [x for x in (*names.nonlocals.values(), *names.globals.values()) if type(x) is Tensor]


def _host(x: Tensor) -> np.ndarray:
    """The values, copied."""
    return np.array(to_host(x.data))


def _put(x: Tensor, values: np.ndarray) -> None:
    """Overwrite the values in place."""
    x.data[...] = active.backend.asarray(values)
    note_write(x.data)
