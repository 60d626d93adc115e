"""``check_grads``: gradients of any order against finite differences.

A gradient of n numbers need not be checked number by number. Along a random direction u the
directional derivative ⟨∇φ, u⟩ is one number, two evaluations of φ estimate it, and a wrong
entry anywhere in ∇φ shows in it with probability one (the idea of Chainer's
``check_backward``). An output that is not a scalar is first made one by a random weight v::

    order 1:   φ(x)    = ⟨f(x), v⟩                  ⟨∇φ, u⟩  against  dφ(x + t·u)/dt
    order 2:   ψ(x, v) = ⟨∇ₓ⟨f(x), v⟩, u⟩           the same check, of ψ by x and by v
    order 3:   … and so on: the function checked at one order is the gradient of the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigen.autograd.gradients import grad
from minigen.autograd.mode import enable_grad, no_grad
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.numeric import integer
from minigen.testing.differences import Slope, Sum, slope

Function = Callable[..., Any]
_PLACES = 256  # entries looked at one by one to find the worst, after a check has failed


def check_grads(
    f: Function,
    inputs: Sequence[Any],
    order: int = 2,
    *,
    parameters: Sequence[Tensor] = (),
    rtol: float = 1e-6,
    atol: float = 1e-8,
    directions: int = 1,
    seed: int = 0,
) -> None:
    """Compare the gradients of ``f`` with finite differences, in float64.

    Args:
        f: takes ``len(inputs)`` tensors and returns a tensor or a tuple of them. It must
            give the same result each time: a dropout needs a fresh ``Generator(seed)`` inside.
        inputs: tensors or arrays of any shape. Floating-point ones are copied to float64 and
            checked; integers and booleans are passed on as they are.
        order: 1 checks the gradient, 2 also the gradient of the gradient (with respect to
            the inputs *and* to the gradient that arrives at the output), and so on.
        parameters: further float64 leaf tensors that ``f`` reads by itself, such as those of
            a layer. They are moved in place and put back.
        rtol: allowed difference relative to the derivative.
        atol: allowed absolute difference. The rounding error of the finite differences,
            estimated from the size of what was summed, comes on top of both.
        directions: how many random directions to try for each input.
        seed: of the directions and weights.

    Kinks: the step starts at 1e-3 and shrinks to 1e-6 while two step sizes disagree, so that
    only a kink within about 1e-6 of an input is in the way. There no derivative exists to
    compare with: the check fails and says so. Choose inputs that keep away from kinks.

    Raises:
        AssertionError: a gradient is wrong. The one-line message says of which order, for
            which input, what came and what the differences say, and the worst entry.
        ValueError, TypeError: ``f`` is not deterministic or does not depend on an input, or the
            arguments make no sense.
    """
    order = integer("order", order, 1)
    arguments, variables = _variables(inputs, parameters)
    rng = np.random.default_rng(seed)

    def outputs(record: bool) -> list[Tensor]:
        out = f(*arguments)
        return [y for y in _as_list(out) if y.dtype.kind == "f"]

    with enable_grad():
        _check_deterministic(outputs)
        level: Callable[[bool], list[Tensor]] = outputs
        for current in range(1, order + 1):
            weights = [_leaf(_signs(rng, y.shape)) for y in level(False)]
            check = _Check(level, weights, variables, current, rtol, atol)
            for _ in range(directions):
                check.run(rng)
            level, variables = _next_level(level, weights, variables, current, rng)


def _variables(
    inputs: Sequence[Any], parameters: Sequence[Tensor]
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The tensors to call ``f`` with, and those of them (and parameters) to check, by label."""
    if not isinstance(inputs, (list, tuple)):
        raise TypeError(f"inputs must be a list or tuple of tensors, got {type(inputs).__name__}")
    arguments, variables = [], {}
    for position, x in enumerate(inputs):
        raw = x.data if isinstance(x, Tensor) else active.backend.asarray(x)
        if raw.dtype.kind == "f":
            leaf = Tensor(raw.astype(np.float64)).requires_grad_()
            variables[f"input {position}"] = leaf
        else:
            leaf = Tensor(raw)
        arguments.append(leaf)
    for position, p in enumerate(parameters):
        if p.dtype != np.float64 or not p.requires_grad or p.node is not None:
            raise TypeError(
                f"parameters[{position}] must be a float64 leaf that requires grad, got {p.dtype}"
            )
        variables[f"parameter {position}"] = p
    if not variables:
        raise ValueError("inputs must hold at least one floating-point tensor, got none")
    return arguments, variables


def _check_deterministic(outputs: Callable[[bool], list[Tensor]]) -> None:
    first, second = outputs(False), outputs(False)
    if not first:
        raise ValueError("f must return a floating-point tensor, got none")
    for one, other in zip(first, second):
        if not np.array_equal(one.numpy(), other.numpy(), equal_nan=True):
            raise ValueError("f must be deterministic, got two results from the same inputs")


def _next_level(
    level: Callable[[bool], list[Tensor]],
    weights: list[Tensor],
    variables: dict[str, Tensor],
    order: int,
    rng: np.random.Generator,
) -> tuple[Callable[[bool], list[Tensor]], dict[str, Tensor]]:
    """The gradient of this level along random directions, as the function to check next."""
    by = list(variables.values())
    along = [_leaf(_signs(rng, x.shape)).detach() for x in by]

    def derivative(record: bool) -> list[Tensor]:
        grads = _gradient(level(True), weights, by, record)
        # ⟨∇, u⟩ is summed up later, entry by entry, so that its rounding error is known.
        return [g * u for g, u in zip(grads, along) if g is not None]

    further = {f"grad_output {i} of order {order}": w for i, w in enumerate(weights)}
    return derivative, {**variables, **further}


def _gradient(
    outs: list[Tensor], weights: list[Tensor], by: list[Tensor], record: bool
) -> list[Tensor | None]:
    """``∇ Σ ⟨out, weight⟩`` by each of ``by``; None where nothing depends on it."""
    pairs = [(y, w) for y, w in zip(outs, weights) if y.edge is not None]
    if not pairs:
        return [None] * len(by)
    return list(
        grad(
            [y for y, _ in pairs],
            by,
            [w if record else w.detach() for _, w in pairs],
            create_graph=record,
            allow_unused=True,
        )
    )


class _Check:
    """One order: the gradient of ``⟨level(), weights⟩`` against differences, input by input."""

    def __init__(
        self,
        level: Callable[[bool], list[Tensor]],
        weights: list[Tensor],
        variables: dict[str, Tensor],
        order: int,
        rtol: float,
        atol: float,
    ) -> None:
        self.level, self.weights, self.variables = level, weights, variables
        self.order, self.rtol, self.atol = order, rtol, atol
        self.fixed = [w.numpy().copy() for w in weights]

    def run(self, rng: np.random.Generator) -> None:
        """Check every variable along one random direction."""
        grads = _gradient(self.level(True), self.weights, list(self.variables.values()), False)
        for (label, x), g in zip(self.variables.items(), grads):
            ours = np.zeros(x.shape) if g is None else g.numpy()
            if ours.shape != x.shape:
                raise AssertionError(f"{self._what(label, x)}: the gradient has shape {ours.shape}")
            u = _signs(rng, x.shape)
            analytic = float((ours * u).sum())
            along = self._along(x, u)
            unused = self.order == 1 and g is None and x.numel()
            if unused and along(-100) == along(0) == along(100):
                raise ValueError(
                    f"f must depend on every input, got a result without {label}: there is "
                    "nothing to compare (weights that f reads by itself go into parameters)"
                )
            numeric = slope(along, self.rtol, self.atol)
            if not self._close(analytic, numeric):
                raise AssertionError(self._report(label, x, ours, analytic, numeric))

    def _along(self, x: Tensor, u: np.ndarray) -> Callable[[float], Sum]:
        """``t -> ⟨level at x + t·u, weights⟩``."""
        origin = x.numpy().copy()

        def phi(t: float) -> Sum:
            _write(x, origin + t * u)
            try:
                # Copies, because an output may be a view of the input that is moved back.
                outs = [y.numpy().copy() for y in self.level(False)]
            finally:
                _write(x, origin)
            terms = [y * w for y, w in zip(outs, self.fixed)]
            return Sum(
                float(sum(term.sum() for term in terms)),
                float(sum(np.abs(term).sum() for term in terms)),
            )

        return phi

    def _close(self, analytic: float, numeric: Slope) -> bool:
        bound = self.atol + self.rtol * max(abs(analytic), abs(numeric.value)) + numeric.error
        return abs(analytic - numeric.value) <= bound  # False for NaN

    def _what(self, label: str, x: Tensor) -> str:
        return f"gradient of order {self.order} is wrong for {label} of shape {x.shape}"

    def _report(
        self, label: str, x: Tensor, ours: np.ndarray, analytic: float, numeric: Slope
    ) -> str:
        """The failure in one line."""
        text = (
            f"{self._what(label, x)}: along a random direction it is {analytic:.10g}, finite "
            f"differences say {numeric.value:.10g} (off by {abs(analytic - numeric.value):.3g})"
        )
        if numeric.kink:
            text += (
                f"; the function seems to have a kink there, with slopes "
                f"{numeric.left:.6g} and {numeric.right:.6g} on its sides"
            )
        place, entry, expected = self._worst(x, ours)
        return f"{text}; worst entry {list(place)}: {entry:.10g}, differences say {expected:.10g}"

    def _worst(self, x: Tensor, ours: np.ndarray) -> tuple[tuple[int, ...], float, float]:
        """The entry of the gradient that is farthest off, among at most 256 of them."""
        worst: tuple[float, tuple[int, ...], float, float] = (-1.0, (), 0.0, 0.0)
        for place in list(np.ndindex(*x.shape))[:_PLACES]:
            u = np.zeros(x.shape)
            u[place] = 1
            expected = slope(self._along(x, u), self.rtol, self.atol).value
            entry = float(ours[place])
            off = abs(entry - expected)
            off = off if np.isfinite(off) else float("inf")
            if off > worst[0]:
                worst = (off, place, entry, expected)
        return worst[1:]


# ---------------------------------------------------------------- small things


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers of size ½ to 1 and either sign: every entry has a say, none dominates."""
    return rng.uniform(0.5, 1, shape) * rng.choice([-1.0, 1.0], shape)


def _leaf(values: np.ndarray) -> Tensor:
    return Tensor(active.backend.asarray(values)).requires_grad_()


def _write(x: Tensor, values: np.ndarray) -> None:
    with no_grad():
        x.copy_(values)


def _as_list(out: Any) -> list[Tensor]:
    return list(out) if isinstance(out, (list, tuple)) else [out]
