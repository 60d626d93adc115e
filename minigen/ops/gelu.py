"""GELU: x · Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016).

A ReLU lets a number through or not, by its sign; this one by the chance that a normal number is
smaller. Its slope is Φ(x) + x·Φ'(x). The way back finds Φ again from x, so that no array as large
as the result is kept for it. Compiled, that takes no longer than writing the slope down and reading
it; in plain NumPy a third of the op's time more.
"""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd.fused import fused
from minigen.autograd.operation import functions
from minigen.autograd.tensor import Tensor
from minigen.ops._arguments import as_float
from minigen.ops._blocks import blocks, in_order_of
from minigen.ops.erf import error_function
from minigen.ops.kernel import kernel

__all__ = ["gelu"]

SCALE, CUBIC = math.sqrt(2 / math.pi), 0.044715
LARGE = 100.0
"""What is taken for |x| where x² is needed: t is ±1 and Φ' is 0 there, which ∞ makes NaN of."""


def _gelu_reference(x: Tensor, *, approximate: str) -> Tensor:
    """The definition."""
    if approximate == "tanh":
        return 0.5 * x * (1 + functions.tanh(SCALE * (x + CUBIC * functions.power(x, 3.0))))
    return 0.5 * x * (1 + functions.erf(x * math.sqrt(0.5)))


@kernel
def gelu_by_tanh(b: Any, x: Any) -> Any:
    """``xΦ``, Φ = ½(1 + t), t = tanh u, u = √(2/π)(x + 0.044715x³)."""
    out = b.xp.empty_like(x)
    for x_, y in blocks(b, x, out):
        _half_tanh(b.xp, x_, y)
        y += 0.5  # Φ
        y *= x_
    return out


@kernel
def gelu_by_tanh_backward(b: Any, g: Any, x: Any) -> Any:
    """``g(Φ + xΦ')``, Φ' = ½(1 - t²)u' = 2(¼ - (½t)²)u'."""
    xp = b.xp
    out, scratch = xp.empty_like(x), xp.empty((2, min(x.size, b.block)), dtype=x.dtype)
    for g_, x_, s in blocks(b, in_order_of(b, g, x), x, out):
        y, rest = scratch[:, : s.size]
        _half_tanh(xp, x_, y)
        xp.multiply(y, y, out=rest)
        xp.subtract(0.25, rest, out=rest)
        _square(xp, x_, s)
        s *= 6 * SCALE * CUBIC
        s += 2 * SCALE  # 2u'
        s *= x_
        s *= rest  # xΦ'
        y += 0.5  # Φ
        s += y
        s *= g_
    return out


def _square(xp: Any, x: Any, out: Any) -> None:
    """``out = x²``, but not more than ``LARGE``²."""
    xp.clip(x, -LARGE, LARGE, out=out)
    out *= out


def _half_tanh(xp: Any, x: Any, out: Any) -> None:
    """``out = ½t``."""
    _square(xp, x, out)
    out *= SCALE * CUBIC
    out += SCALE
    out *= x
    xp.tanh(out, out=out)
    out *= 0.5


@kernel
def gelu_by_erf(b: Any, x: Any) -> Any:
    """``xΦ``, Φ = ½(1 + erf(x/√2))."""
    out = b.xp.empty_like(x)
    for x_, y in blocks(b, x, out):
        b.xp.multiply(error_function(b, x_ * math.sqrt(0.5)), 0.5, out=y)
        y += 0.5  # Φ
        y *= x_
    return out


@kernel
def gelu_by_erf_backward(b: Any, g: Any, x: Any) -> Any:
    """``g(Φ + xΦ')``, Φ' = e^(-x²/2)/√(2π)."""
    xp = b.xp
    out = xp.empty_like(x)
    for g_, x_, s in blocks(b, in_order_of(b, g, x), x, out):
        half = error_function(b, x_ * math.sqrt(0.5))
        half *= 0.5
        xp.multiply(x_, x_, out=s)
        s *= -0.5
        xp.exp(s, out=s)
        s *= x_
        s *= 1 / math.sqrt(2 * math.pi)  # xΦ'
        s += half
        s += 0.5  # Φ
        s *= g_
    return out


@fused(reference=_gelu_reference, name="gelu")
def _gelu(b, x, *, approximate):
    """The value."""
    return (gelu_by_tanh if approximate == "tanh" else gelu_by_erf)(b, as_float(x)), ()


@_gelu.backward
def _(b, g, inputs, saved, needs, *, approximate):
    """The gradient times the slope."""
    backward = gelu_by_tanh_backward if approximate == "tanh" else gelu_by_erf_backward
    return (backward(b, g, as_float(inputs[0])),)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``x · Φ(x)``, Φ the normal distribution function (Hendrycks and Gimpel 2016).

    Args:
        x: any shape.
        approximate: ``none`` for the exact Φ by erf, ``tanh`` for
            ``½x(1 + tanh(√(2/π)(x + 0.044715x³)))``.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    return _gelu(input, approximate=approximate)
