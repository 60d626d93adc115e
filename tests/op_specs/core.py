"""What a description of an op is, and how Hypothesis draws inputs for it.

A :class:`Spec` says what a public function is supposed to do: the function, how to draw its
inputs (shapes, values that keep away from kinks, options), and who knows the truth: NumPy,
PyTorch, or both. A :class:`Case` is one draw. Everything else (``checks.py``) follows from
that, for every op in the same way. The idea is MyGrad's.

Hypothesis draws *structure* (shapes, memory layout, axes, options) and a seed; the numbers
themselves come from the seed. Shrinking then finds the smallest shape that fails.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigen as mg

try:
    import torch
except ImportError:  # PyTorch is an optional oracle
    torch = None


@dataclasses.dataclass
class Case:
    """One draw: the input arrays (float64, integer or bool) and the options of the call."""

    arrays: tuple[np.ndarray, ...]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        shown = ", ".join(f"{a.dtype}{a.shape} strides {a.strides}" for a in self.arrays)
        return f"Case({shown}, {self.options})"


@dataclasses.dataclass
class Spec:
    """A description of one public function (or internal op) and who knows its truth.

    Attributes:
        name: the public name, ``conv2d`` for ``mg.conv2d``; or a label for an internal op.
        cases: the strategy that draws a :class:`Case`.
        call: ``call(*tensors, **options)``; by default the public function of that name.
        numpy: the same on float64 arrays, or None.
        torch: the same on PyTorch tensors, or the dotted name of its function, or None.
        ops: the names in the registry of which this is the check.
        aliases: other public names of the same function.
        differentiable: whether there are gradients to check.
        integers: also run it on integer and boolean inputs, where PyTorch accepts them.
        order: up to which order the gradients are compared.
        keeps_dtype: whether floats come out as they went in.
    """

    name: str
    cases: st.SearchStrategy[Case]
    call: Callable[..., Any] | None = None
    numpy: Callable[..., Any] | None = None
    torch: Callable[..., Any] | str | None = None
    ops: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    differentiable: bool = True
    integers: bool = False
    order: int = 2
    keeps_dtype: bool = True

    def function(self) -> Callable[..., Any]:
        """The function on tensors."""
        return self.call or resolve(mg, self.name)

    def torch_function(self) -> Callable[..., Any] | None:
        """The function on PyTorch tensors; None if PyTorch has none or is not installed."""
        if torch is None or self.torch is None:
            return None
        return resolve(torch, self.torch) if isinstance(self.torch, str) else self.torch

    def __repr__(self) -> str:
        return f"<spec of {self.name}>"


def resolve(root: Any, dotted: str) -> Any:
    """``resolve(torch, "nn.functional.gelu")``."""
    for part in dotted.split("."):
        root = getattr(root, part)
    return root


# ---------------------------------------------------------------- values


@dataclasses.dataclass(frozen=True)
class Domain:
    """Where an op is defined and smooth: an interval, without the surroundings of its kinks.

    Attributes:
        low, high: the interval.
        avoid: kinks; values keep ``margin`` away from them.
        distinct: no two values nearer than about ``margin`` (for sorting and maxima).
        whole: whole numbers only, so that values coincide.
    """

    low: float = -2.0
    high: float = 2.0
    avoid: tuple[float, ...] = ()
    margin: float = 0.05
    distinct: bool = False
    whole: bool = False

    def fill(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Random float64 values that float32 can hold exactly."""
        size = int(np.prod(shape))
        if self.distinct:
            step = max((self.high - self.low) / max(size, 1), self.margin)
            x = self.low + step * (rng.permutation(size) + 0.5 + 0.2 * rng.uniform(-1, 1, size))
        else:
            x = rng.uniform(self.low, self.high, size)
        if self.whole:
            x = np.round(x)
        for kink in self.avoid:
            near = np.abs(x - kink) < self.margin
            x = np.where(near, kink + np.where(x < kink, -self.margin, self.margin) * 1.5, x)
        return x.astype(np.float32).astype(np.float64).reshape(shape)


REAL = Domain()
POSITIVE = Domain(0.3, 3.0)
NONZERO = Domain(avoid=(0.0,), margin=0.2)
SMOOTH_AT_0 = Domain(avoid=(0.0,))
DISTINCT = Domain(distinct=True)
UNIT = Domain(0.1, 0.9)

# ---------------------------------------------------------------- memory layouts


def _transposed(x: np.ndarray) -> np.ndarray:
    return np.asfortranarray(x)


def _sliced(x: np.ndarray) -> np.ndarray:
    room = np.full([2 * n + 1 for n in x.shape], 7.0).astype(x.dtype)
    view = room[tuple([slice(1, 2 * n + 1, 2) for n in x.shape])]
    view[...] = x
    return view


def _backwards(x: np.ndarray) -> np.ndarray:
    every = (slice(None, None, -1),) * x.ndim
    return x[every].copy()[every]


def _channels_last(x: np.ndarray) -> np.ndarray:
    if x.ndim < 3:
        return x
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": lambda x: x,
    "transposed": _transposed,
    "sliced": _sliced,
    "backwards": _backwards,
    "channels last": _channels_last,
}


def _lay_out(draw: Any, x: np.ndarray) -> np.ndarray:
    """``x`` in a memory layout that Hypothesis draws (a 0-d array has only one)."""
    x = np.asarray(x)
    return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](x) if x.ndim else x


@st.composite
def arrays(draw: Any, shape: tuple[int, ...], domain: Domain = REAL) -> np.ndarray:
    """Floating-point values from ``domain`` in some memory layout."""
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    return _lay_out(draw, domain.fill(shape, rng))


@st.composite
def integer_arrays(draw: Any, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    """int64 values in [low, high); all ``low`` if that is empty."""
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    return _lay_out(draw, rng.integers(low, max(high, low + 1), shape))


@st.composite
def masks(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Booleans."""
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    return _lay_out(draw, rng.uniform(size=shape) < draw(st.sampled_from([0.0, 0.5, 0.5, 1.0])))


# ---------------------------------------------------------------- shapes and axes


def shapes(
    min_dims: int = 0, max_dims: int = 4, min_side: int = 0, max_side: int = 4
) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes, by default with 0-d and 0-size among them."""
    return hnp.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
    )


def broadcastable(count: int, min_side: int = 0) -> st.SearchStrategy[Any]:
    """``count`` shapes that broadcast against one another."""
    return hnp.mutually_broadcastable_shapes(
        num_shapes=count, max_dims=4, min_side=min_side, max_side=3
    ).map(lambda drawn: drawn.input_shapes)


@st.composite
def one_axis(draw: Any, ndim: int) -> int:
    """One axis, counted from either end."""
    size = max(ndim, 1)
    return draw(st.integers(-size, size - 1))


@st.composite
def some_axes(draw: Any, ndim: int) -> Any:
    """None, one axis, or several, counted from either end."""
    kind = draw(st.sampled_from(["all", "one", "several"]))
    if kind == "all" or ndim == 0:
        return None
    if kind == "one":
        return draw(one_axis(ndim))
    chosen = draw(st.lists(st.integers(0, ndim - 1), min_size=1, unique=True))
    return tuple([d - ndim if draw(st.booleans()) else d for d in chosen])


@st.composite
def unary(draw: Any, domain: Domain = REAL, options: Any = None, **limits: int) -> Case:
    """One array of any shape; ``options`` maps names to strategies."""
    x = draw(arrays(draw(shapes(**limits)), domain))
    return Case((x,), {name: draw(s) for name, s in (options or {}).items()})


@st.composite
def binary(
    draw: Any, left: Domain = REAL, right: Domain | None = None, scalars: bool = True
) -> Case:
    """Two arrays that broadcast, or an array and a Python number on either side."""
    right = right or left
    kind = draw(st.sampled_from(["arrays", "arrays", "left", "right"] if scalars else ["arrays"]))
    if kind == "arrays":
        one, two = draw(broadcastable(2))
        return Case((draw(arrays(one, left)), draw(arrays(two, right))))
    domain, other = (left, right) if kind == "right" else (right, left)
    number = float(other.fill((1,), np.random.default_rng(draw(st.integers(0, 999))))[0])
    return Case((draw(arrays(draw(shapes()), domain)),), {kind: number})


def with_scalars(function: Callable[..., Any], wrap: Any = None) -> Callable[..., Any]:
    """Make ``f(x, y)`` take the options ``left`` and ``right`` that :func:`binary` draws."""

    def call(*xs: Any, left: Any = None, right: Any = None) -> Any:
        to = wrap or (lambda number, like: number)
        if left is not None:
            return function(to(left, xs[0]), xs[0])
        if right is not None:
            return function(xs[0], to(right, xs[0]))
        return function(*xs)

    return call


def torch_scalar(number: float, like: Any) -> Any:
    """A Python number as the 0-d tensor that PyTorch's two-tensor functions want."""
    return torch.tensor(number, dtype=like.dtype)
