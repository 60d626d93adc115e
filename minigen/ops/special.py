"""Functions that appear in densities: logit, x·ln y, and the inverse of the error function."""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.numeric import number
from minigen.ops._arguments import as_float
from minigen.ops.erf import complement, error_function
from minigen.ops.kernel import kernel

__all__ = ["erfinv", "logit", "xlogy"]


@primitive(name="logit")
def _logit(b, x, *, eps):
    """``ln x - ln(1 - x)``, of x limited to [eps, 1 - eps] if there is one."""
    xp = b.xp
    x = as_float(x)
    if eps is not None:
        x = xp.clip(x, eps, 1 - eps)
    return xp.log(x) - xp.log1p(-x)


def _logit_rule(f: Any, g: Any, x: Any, eps: float | None) -> Any:
    """d/dx = 1/(x(1 - x)) on [0, 1]; outside NaN, as the value is, or 0 where ``eps`` limits."""
    low, outside = (0, math.nan) if eps is None else (eps, 0.0)
    inside = (x >= low) & (x <= 1 - low)
    safe = f.where(inside, x, 0.5)
    return f.where(inside, g / (safe * (1 - safe)), outside)


_logit.rules(x=_logit_rule)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """``ln(x/(1 - x))``, the inverse of the sigmoid, for x in [0, 1]; NaN outside.

    With ``eps``, x is first limited to [eps, 1 - eps], outside of which the slope is 0.
    """
    return _logit(input, eps=None if eps is None else number("eps", eps, -math.inf))


@primitive(name="xlogy")
def _xlogy(b, x, other):
    """``x · ln other``, and 0 where x = 0, whatever other is (but NaN)."""
    xp = b.xp
    left_out = (x == 0) & (other == other)  # a NaN is not equal to itself
    return xp.where(left_out, 0, x * xp.log(xp.where(left_out, 1, other)))


_xlogy.rules(
    x=lambda f, g, x, other: g * _log_or_zero(f, x, other),
    other=lambda f, g, x, other: g * x / f.where((x == 0) & (other <= 0), 1.0, other),
)


def _log_or_zero(f: Any, x: Any, other: Any) -> Any:
    """The slope by x: ``ln other``, and 0 where x = 0 and ``other`` has no logarithm."""
    none = (x == 0) & (other <= 0)
    return f.where(none, 0.0, f.log(f.where(none, 1.0, other)))


def xlogy(input: Any, other: Any) -> Tensor:
    """``input · ln other``, and 0 where ``input`` is 0: what p·ln p needs.

    There the slope by ``other`` is 0, and that by ``input`` is 0 where ``other`` ≤ 0.
    """
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        raise TypeError(f"xlogy needs a tensor, got {input!r} and {other!r}")
    if not isinstance(input, Tensor):
        input = Tensor(active.backend.xp.full((), input, dtype=other.dtype))
    elif not isinstance(other, Tensor):
        other = Tensor(active.backend.xp.full((), other, dtype=input.dtype))
    return _xlogy(input, other)


# ---------------------------------------------------------------- the inverse of erf

# Giles 2012, "Approximating the erfinv function": erfinv(x)/x as a polynomial in w = -ln(1 - x²),
# to seven digits, in the middle (of w - 2.5) and towards the ends (of √w - 3).
_MIDDLE = [2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
           -0.00125372503, -0.00417768164, 0.246640727, 1.50140941]  # fmt: skip
_ENDS = [-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
         -0.0076224613, 0.00943887047, 1.00167406, 2.83297682]  # fmt: skip


@kernel
def inverse_error_function(b: Any, x: Any) -> Any:
    """y with erf(y) = x: the approximation, then three steps of Newton's method in float64.

    Towards the ends, where erf is 1 but for the last digits, they solve ln erfc(y) = ln(1 - |x|).
    """
    xp = b.xp
    wide = x.astype("float64")
    size = xp.absolute(wide)
    inside = size < 1
    size = xp.where(inside, size, 0)
    w = -(xp.log1p(-size) + xp.log1p(size))
    middle, ends = w - 2.5, xp.sqrt(w) - 3
    y = size * xp.where(w < 5, _polynomial(_MIDDLE, middle), _polynomial(_ENDS, ends))
    for _ in range(3):  # d erf/dy = 2/√π e^(-y²)
        rest = complement(b, y)
        beyond = xp.where(
            size < 0.5, error_function(b, y) - size, -rest * xp.log(rest / (1 - size))
        )
        y = xp.maximum(y - beyond * (math.sqrt(math.pi) / 2) * xp.exp(y * y), 0)
    edges = xp.where(wide == 1, math.inf, xp.where(wide == -1, -math.inf, math.nan))
    return xp.where(inside, xp.sign(wide) * y, edges).astype(x.dtype)


def _polynomial(coefficients: list[float], u: Any) -> Any:
    total = coefficients[0]
    for c in coefficients[1:]:
        total = total * u + c
    return total


@primitive(name="erfinv")
def _erfinv(b, x):
    """The number whose error function is ``x``."""
    return inverse_error_function(b, as_float(x))


_erfinv.rules(x=lambda f, g, out: g * (math.sqrt(math.pi) / 2) * f.exp(f.square(out)))


def erfinv(input: Tensor) -> Tensor:
    """The y with ``erf(y) = x`` for x in [-1, 1]; ±inf at the ends, NaN outside."""
    return _erfinv(input)
