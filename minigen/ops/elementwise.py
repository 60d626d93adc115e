"""Elementwise functions: arithmetic, powers and exponentials, comparison, choice.

Each is three lines: what it computes, how, and the gradient rule. In a rule, ``g`` is the
gradient that arrived at the output, and the other parameter names say what the rule reads
(``out`` is the op's own result). Inputs broadcast against one another as in NumPy; the
engine sums the gradients back to the inputs' shapes.

Where a function has a kink, the subgradient at the kink is stated. Names and semantics are
PyTorch's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.autograd.operation import functions
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.numeric import plain_number
from minigen.ops._arguments import check_float
from minigen.ops.choice import or_zero

__all__ = [
    "abs",
    "absolute",
    "add",
    "arctan",
    "arctan2",
    "arctanh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "clamp",
    "clone",
    "cos",
    "cosh",
    "div",
    "divide",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "lerp",
    "log",
    "log1p",
    "log2",
    "logaddexp",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "neg",
    "negative",
    "pow",
    "power",
    "reciprocal",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tan",
    "where",
]

# ---------------------------------------------------------------- arithmetic


@primitive(name="add")
def _add(b, x, other):
    """``x + other``."""
    return b.xp.add(x, other)


_add.rules(
    x=lambda f, g: g,
    other=lambda f, g: g,
)


def add(input: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """``input + alpha · other``."""
    return _add(input, _times("add", input, other, alpha))


def _times(name: str, x: Any, other: Any, alpha: float) -> Any:
    """``alpha · other``; a broken ``alpha`` would turn whole numbers into broken ones unasked."""
    plain = plain_number(alpha)
    if plain is None:
        raise TypeError(f"{name}: alpha must be a number without grad, got {type(alpha).__name__}")
    alpha = plain
    if alpha == 1:
        return other
    if isinstance(alpha, float) and not _is_broken(x) and not _is_broken(other):
        raise TypeError(f"{name}: alpha must be an integer for integer tensors, got {alpha}")
    return alpha * other


def _is_broken(x: Any) -> bool:
    return x.dtype.kind == "f" if hasattr(x, "dtype") else isinstance(x, float)


@primitive(name="subtract")
def _subtract(b, x, other):
    """``x - other``."""
    return b.xp.subtract(x, other)


_subtract.rules(
    x=lambda f, g: g,
    other=lambda f, g: -g,
)


def subtract(input: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """``input - alpha · other``."""
    return _subtract(input, _times("subtract", input, other, alpha))


@primitive
def multiply(b, x, other):
    """``x · other``."""
    return b.xp.multiply(x, other)


multiply.rules(
    x=lambda f, g, other: g * other,
    other=lambda f, g, x: g * x,
)


@primitive(name="divide")
def _divide(b, x, other):
    """``x / other``; d/dother = -x/other² = -out/other."""
    return b.xp.true_divide(x, other)


_divide.rules(
    x=lambda f, g, other: g / other,
    other=lambda f, g, out, other: -g * out / other,
)


def divide(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """``input / other``; rounded down with ``floor``, towards zero with ``trunc``.

    The rounded quotients are piecewise constant, and stay integers where both operands are.
    """
    if rounding_mode is None:
        return _divide(input, other)
    if rounding_mode == "floor":
        return functions.floor_divide(input, other)
    if rounding_mode == "trunc":
        return functions.truncate_divide(input, other)
    raise ValueError(f"rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")


@primitive
def negative(b, x):
    """``-x``."""
    return b.xp.negative(x)


negative.rules(x=lambda f, g: -g)


@primitive
def alias(b, x):
    """``x`` itself, as a new place on the tape."""
    return x


alias.rules(x=lambda f, g: g)


@primitive
def clone(b, x):
    """A copy of ``x`` in memory of its own."""
    return x.copy()


clone.rules(x=lambda f, g: g)


@primitive
def cast(b, x, *, dtype):
    """``x`` in another dtype; the gradient is cast back."""
    return x.astype(dtype)


cast.rules(x=lambda f, g, x_dtype: f.cast(g, dtype=x_dtype))


@primitive
def floor_divide(b, x, other):
    """``⌊x / other⌋``; piecewise constant, so without a gradient."""
    _refuse_booleans(x, other)
    return b.xp.floor_divide(x, other)


@primitive
def truncate_divide(b, x, other):
    """``x / other`` without its fraction; piecewise constant, so without a gradient."""
    _refuse_booleans(x, other)
    xp = b.xp
    if _is_broken(x) or _is_broken(other):
        return xp.trunc(xp.true_divide(x, other))
    return xp.floor_divide(x - xp.fmod(x, other), other)  # the remainder has the sign of x


@primitive
def remainder(b, x, other):
    """``x - other·⌊x/other⌋``, with the sign of ``other``; slope 1 in x where it is smooth."""
    _refuse_booleans(x, other)
    return b.xp.remainder(x, other)


remainder.rules(
    x=lambda f, g: g,
    other=lambda f, g, x, other: -g * f.floor_divide(x, other),
)

# ---------------------------------------------------------------- powers, exponentials


@primitive(name="power")
def _power(b, x, other):
    """``x^other``. By x: other·x^(other-1), 0 for the constant x⁰; by other: x^other·ln x.

    0^e is 0 for every e > 0, a constant: its slope by e is 0. For e < 0 it is -∞.
    """
    _refuse_booleans(x, other)
    return b.xp.power(x, other)


_power.rules(
    x=lambda f, g, x, other: _by_base(f, g, x, other),
    other=lambda f, g, out, x, other: _by_exponent(f, g, out, x, other),
)


def pow(input: Any, exponent: Any) -> Tensor:
    """``input ^ exponent``; the slope of ``0 ^ exponent`` by the exponent is taken as 0."""
    return _power(input, exponent)


def _by_base(f: Any, g: Any, x: Any, exponent: Any) -> Any:
    """d(x^e)/dx = e·x^(e-1), with the constant x⁰ given the slope 0 whatever x is."""
    if isinstance(exponent, (int, float)):
        return g * (exponent * x ** (exponent - 1)) if exponent != 0 else f.zeros_like(x)
    constant = exponent == 0
    slope = exponent * f.power(f.where(constant, 1.0, x), exponent - 1)
    return f.where(constant, 0.0, g * slope)


def _by_exponent(f: Any, g: Any, out: Any, x: Any, exponent: Any) -> Any:
    """d(x^e)/de = x^e·ln x, and where x = 0 the slope of 0^e: 0 for e ≥ 0, else -∞."""
    at_zero = f.where(exponent >= 0, f.zeros_like(exponent), -math.inf)
    if isinstance(x, (int, float)):  # stays a Python number, which promotes nothing
        return g * (at_zero if x == 0 else out * (math.log(x) if x > 0 else math.nan))
    is_zero = x == 0
    slope = f.where(is_zero, 0.0, out) * f.log(f.where(is_zero, 1.0, x))
    return g * f.where(is_zero, at_zero, slope)


@primitive
def ones_like(b, x):
    """Ones of the shape and dtype of ``x``."""
    return b.xp.ones(getattr(x, "shape", ()), dtype=getattr(x, "dtype", None))


@primitive
def zeros_like(b, x):
    """Zeros of the shape and dtype of ``x``."""
    return b.xp.zeros(getattr(x, "shape", ()), dtype=getattr(x, "dtype", None))


@primitive
def square(b, x):
    """``x²``; of booleans in int64."""
    return b.xp.square(x.astype(np.int64) if _holds(x, "b") else x)


square.rules(x=lambda f, g, x: g * (2 * x))


@primitive
def sqrt(b, x):
    """``√x``; the slope at 0 is infinite (see ``mg.norm`` for a safe one)."""
    return b.xp.sqrt(x)


sqrt.rules(x=lambda f, g, out: g / (2 * out))


@primitive
def rsqrt(b, x):
    """``1/√x``; d/dx = -½·x^(-3/2) = -½·out³."""
    return 1 / b.xp.sqrt(x)


rsqrt.rules(x=lambda f, g, out: g * (-0.5 * out**3))


@primitive
def reciprocal(b, x):
    """``1/x``; d/dx = -out²."""
    return 1 / x


reciprocal.rules(x=lambda f, g, out: -g * f.square(out))


@primitive
def exp(b, x):
    """``eˣ``, its own derivative."""
    return b.xp.exp(x)


exp.rules(x=lambda f, g, out: g * out)


@primitive
def expm1(b, x):
    """``eˣ - 1``, exact near 0; d/dx = out + 1."""
    return b.xp.expm1(x)


expm1.rules(x=lambda f, g, out: g * (out + 1))


@primitive
def log(b, x):
    """``ln x``; d/dx = 1/x."""
    return b.xp.log(x)


log.rules(x=lambda f, g, x: g / x)


@primitive
def log1p(b, x):
    """``ln(1 + x)``, exact near 0."""
    return b.xp.log1p(x)


log1p.rules(x=lambda f, g, x: g / (1 + x))


@primitive
def log2(b, x):
    """``log₂ x``."""
    return b.xp.log2(x)


log2.rules(x=lambda f, g, x: g / (x * 0.6931471805599453))


@primitive
def logaddexp(b, x, other):
    """``ln(eˣ + eᵒ)`` without overflow; the gradients are the two softmax weights."""
    return b.xp.logaddexp(x, other)


logaddexp.rules(
    x=lambda f, g, x, other: g * _weight(f, x, other),
    other=lambda f, g, x, other: g * _weight(f, other, x),
)


def _weight(f: Any, one: Any, other: Any) -> Any:
    """``e¹/(e¹ + e²)`` = sigmoid(one - other); ½ of two that are equal, infinite ones too."""
    equal = f.logical_and(one == other, f.isinf(one))
    return f.sigmoid(f.where(equal, 0.0, f.where(equal, 0.0, one) - other))


# ---------------------------------------------------------------- trigonometric


@primitive
def sin(b, x):
    """``sin x``."""
    return b.xp.sin(x)


sin.rules(x=lambda f, g, x: g * f.cos(x))


@primitive
def cos(b, x):
    """``cos x``."""
    return b.xp.cos(x)


cos.rules(x=lambda f, g, x: -g * f.sin(x))


@primitive
def tan(b, x):
    """``tan x``; d/dx = 1 + tan²x."""
    return b.xp.tan(x)


tan.rules(x=lambda f, g, out: g * (1 + f.square(out)))


@primitive
def arctan(b, x):
    """The angle in (-π/2, π/2) whose tangent is ``x``."""
    return b.xp.arctan(x)


arctan.rules(x=lambda f, g, x: g / (1 + f.square(x)))


@primitive
def arctan2(b, x, other):
    """The angle of the point (other, x), in (-π, π]; ``x`` is the ordinate."""
    return b.xp.arctan2(x, other)


arctan2.rules(
    x=lambda f, g, x, other: g * other / _squared_distance(f, x, other),
    other=lambda f, g, x, other: -g * x / _squared_distance(f, x, other),
)


def _squared_distance(f: Any, x: Any, other: Any) -> Any:
    """``x² + other²``, and 1 at the origin: the gradient there, which does not exist, is 0."""
    squared = x * x + other * other
    return f.where(f.logical_and(x == 0, other == 0), 1.0, squared)


@primitive
def sinh(b, x):
    """``(eˣ - e⁻ˣ)/2``."""
    return b.xp.sinh(x)


sinh.rules(x=lambda f, g, x: g * f.cosh(x))


@primitive
def cosh(b, x):
    """``(eˣ + e⁻ˣ)/2``."""
    return b.xp.cosh(x)


cosh.rules(x=lambda f, g, x: g * f.sinh(x))


@primitive
def arctanh(b, x):
    """``½·ln((1+x)/(1-x))``, the inverse of tanh."""
    return b.xp.arctanh(x)


arctanh.rules(x=lambda f, g, x: g / (1 - f.square(x)))

# ---------------------------------------------------------------- kinks and steps


@primitive
def absolute(b, x):
    """``|x|``; subgradient 0 at 0."""
    return b.xp.absolute(x)


absolute.rules(x=lambda f, g, x: g * f.sign(x))


@primitive
def sign(b, x):
    """-1, 0 or 1; piecewise constant, so its gradient is 0."""
    return x.copy() if _holds(x, "b") else b.xp.sign(x)


sign.rules(x=lambda f, g: f.zeros_like(g))


@primitive
def floor(b, x):
    """The largest integer ≤ x; its gradient is 0."""
    return b.xp.floor(x) if x.dtype.kind == "f" else x.copy()


floor.rules(x=lambda f, g: f.zeros_like(g))


@primitive
def ceil(b, x):
    """The smallest integer ≥ x; its gradient is 0."""
    return b.xp.ceil(x) if x.dtype.kind == "f" else x.copy()


ceil.rules(x=lambda f, g: f.zeros_like(g))


@primitive(name="round")
def _round(b, x):
    """The nearest integer, halves to even; its gradient is 0."""
    return x.copy() if _holds(x, "iub") else b.xp.rint(x) if x.dtype.kind == "f" else x.copy()


_round.rules(x=lambda f, g: f.zeros_like(g))


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with so many ``decimals`` (tens, with -1), halves to even.

    Piecewise constant, so its gradient is 0.
    """
    if decimals == 0:
        return _round(input)
    scale = 10.0**-decimals if decimals < 0 else 10.0**decimals
    if decimals < 0:
        return _round(input / scale) * scale
    return _round(input * scale) / scale


@primitive(piecewise=True)
def maximum(b, x, other):
    """The larger of the two; where they are equal each gets half of the gradient."""
    return b.xp.maximum(x, other)


maximum.rules(
    x=lambda f, g, x, other: _share(f, g, x == other, x < other),
    other=lambda f, g, x, other: _share(f, g, x == other, x > other),
)


@primitive(piecewise=True)
def minimum(b, x, other):
    """The smaller of the two; where they are equal each gets half of the gradient."""
    return b.xp.minimum(x, other)


minimum.rules(
    x=lambda f, g, x, other: _share(f, g, x == other, x > other),
    other=lambda f, g, x, other: _share(f, g, x == other, x < other),
)


def _share(f: Any, g: Any, equal: Any, loses: Any) -> Any:
    """``g`` for the winner, half of it where the two are equal, 0 for the loser."""
    return f.where(equal, g * 0.5, f.where(loses, 0.0, g))


@primitive(name="where")
def _where(b, condition, x, other):
    """``x`` where ``condition`` holds, else ``other``; gradients follow the choice."""
    if type(other) in (float, bool) and other == 0 and _holds(x, "f"):
        return or_zero(b, condition, x)
    if type(x) in (float, bool) and x == 0 and _holds(other, "f"):
        return or_zero(b, b.xp.logical_not(condition), other)
    out = b.xp.where(condition, x, other)
    if out.dtype == np.float64 and not (hasattr(x, "dtype") or hasattr(other, "dtype")):
        return out.astype(np.float32)  # of two Python numbers, as everywhere
    return out


_where.rules(
    x=lambda f, g, condition: f.where(condition, g, 0.0),
    other=lambda f, g, condition: f.where(condition, 0.0, g),
)


def _holds(x: Any, kinds: str) -> bool:
    """Whether ``x`` is an array whose dtype is of one of the kinds: ``b``, ``i``, ``u``, ``f``."""
    return hasattr(x, "dtype") and x.dtype.kind in kinds


def _refuse_booleans(x: Any, other: Any) -> None:
    """NumPy takes two booleans for int8; PyTorch refuses them."""
    if (_holds(x, "b") or type(x) is bool) and (_holds(other, "b") or type(other) is bool):
        raise TypeError("one operand must hold numbers, got booleans for both")


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """``input`` where ``condition`` holds, else ``other``; numbers or tensors, which broadcast.

    With ``condition`` alone, the places where it holds: ``nonzero(condition, as_tuple=True)``.

    Raises:
        TypeError: ``condition`` is no boolean tensor, or only one of the others is given.
    """
    if input is None and other is None:
        from minigen.ops.masking import nonzero

        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise TypeError("where needs both input and other, or neither of them")
    if isinstance(condition, Tensor) and condition.dtype.kind != "b":
        raise TypeError(f"where: condition must be a boolean tensor, got {condition.dtype}")
    return _where(condition, input, other)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``input`` limited to [min, max]; the gradient is 1 inside, bounds included, and 0 outside.

    A bound is a number or a tensor that broadcasts; a tensor gets the gradient where it cuts.
    Where ``min`` is above ``max``, the result is ``max``.

    Raises:
        ValueError: neither bound is given.
    """
    if min is None and max is None:
        raise ValueError("clamp needs min or max, got neither")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return functions.clip_between(input, min, max)
    return functions.clip(input, min=_bound("min", min), max=_bound("max", max))


def _bound(name: str, value: Any) -> Any:
    """A bound of ``clamp`` as a Python number, which widens no dtype."""
    if value is None or (hasattr(value, "shape") and value.shape):
        return value
    if (plain := plain_number(value)) is None:
        raise TypeError(f"clamp: {name} must be a number or a tensor, got {value!r}")
    return plain


@primitive(piecewise=True)
def clip(b, x, *, min, max):
    """``clamp``, with both bounds as options."""
    return b.xp.clip(x, min, max)


clip.rules(x=lambda f, g, x, min, max: f.where(_inside(x, min, max), g, 0.0))


def _inside(x: Any, low: Any, high: Any) -> Any:
    if low is None:
        return x <= high
    return x >= low if high is None else (x >= low) & (x <= high)


@primitive
def clip_between(b, x, low, high):
    """``clamp``, with the bounds as inputs; either may be None."""
    raised = x if low is None else b.xp.maximum(x, low)
    return raised if high is None else b.xp.minimum(raised, high)


clip_between.rules(
    x=lambda f, g, x, low, high: f.where(_inside(x, low, high), g, 0.0),
    low=lambda f, g, x, low, high: f.where(
        x < low if high is None else (x < low) & (low < high), g, 0.0
    ),
    high=lambda f, g, x, low, high: f.where(
        x > high if low is None else (x > high) | (low > high), g, 0.0
    ),
)


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """``input + weight · (end - input)``: on the line from ``input`` to ``end``.

    Beyond the middle it is counted back from ``end``, so that both ends are met exactly.
    """
    check_float("lerp", input)
    way = end - input
    if not isinstance(weight, Tensor):
        return input + weight * way if -0.5 < weight < 0.5 else end - (1 - weight) * way
    near = functions.less(absolute(weight), 0.5)
    return functions.where(near, input + weight * way, end - (1 - weight) * way)


# PyTorch's names for the same functions.
sub, mul, div, neg, abs = subtract, multiply, divide, negative, absolute
power = pow
atan, atan2, atanh = arctan, arctan2, arctanh
