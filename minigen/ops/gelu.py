"""GELU: x · Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016).

A ReLU lets a number through or not, by its sign; this one by the chance that a normal number is
smaller. Its slope is Φ(x) + x·Φ'(x), and Φ is the costly part: so the slope is computed together
with the value, while Φ(x) is at hand, and the way back is a single product.
"""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd.primitive import functions, fused
from minigen.autograd.tensor import Tensor
from minigen.ops._blocks import blocks
from minigen.ops.erf import error_function
from minigen.ops.kernel import kernel

__all__ = ["gelu"]

SCALE, CUBIC = math.sqrt(2 / math.pi), 0.044715


def _gelu_reference(x: Tensor, *, approximate: str) -> Tensor:
    """The definition."""
    if approximate == "tanh":
        return 0.5 * x * (1 + functions.tanh(SCALE * (x + CUBIC * functions.power(x, 3.0))))
    return 0.5 * x * (1 + functions.erf(x * math.sqrt(0.5)))


@kernel
def gelu_by_tanh(b: Any, x: Any) -> tuple[Any, Any]:
    """Value and slope of ``xΦ``, Φ = ½(1 + t), t = tanh u, u = √(2/π)(x + 0.044715x³).

    Φ' = ½(1 - t²)u' = 2(¼ - (½t)²)u'.
    """
    xp = b.xp
    out, slope = xp.empty_like(x), xp.empty_like(x)
    scratch = xp.empty(min(x.size, b.block), dtype=x.dtype)
    for x_, y, s in blocks(b, x, out, slope):
        xp.multiply(x_, x_, out=s)
        xp.multiply(s, SCALE * CUBIC, out=y)
        y += SCALE
        y *= x_
        xp.tanh(y, out=y)
        y *= 0.5  # ½t
        rest = xp.multiply(y, y, out=scratch[: y.size])
        xp.subtract(0.25, rest, out=rest)
        s *= 6 * SCALE * CUBIC
        s += 2 * SCALE  # 2u'
        s *= x_
        s *= rest  # xΦ'
        y += 0.5  # Φ
        s += y
        y *= x_
    return out, slope


@kernel
def gelu_by_erf(b: Any, x: Any) -> tuple[Any, Any]:
    """Value and slope of ``xΦ``, Φ = ½(1 + erf(x/√2)), Φ' = e^(-x²/2)/√(2π)."""
    xp = b.xp
    out, slope = xp.empty_like(x), xp.empty_like(x)
    for x_, y, s in blocks(b, x, out, slope):
        xp.multiply(error_function(b, x_ * math.sqrt(0.5)), 0.5, out=y)
        y += 0.5  # Φ
        xp.multiply(x_, x_, out=s)
        s *= -0.5
        xp.exp(s, out=s)
        s *= x_
        s *= 1 / math.sqrt(2 * math.pi)  # xΦ'
        s += y
        y *= x_
    return out, slope


@kernel
def multiply_by_slope(b: Any, g: Any, slope: Any) -> Any:
    """The way back: g · slope."""
    return g * slope


@fused(reference=_gelu_reference, name="gelu")
def _gelu(b, x, *, approximate):
    """The value; keeps the slope."""
    x = x if x.dtype.kind == "f" else x.astype("float32")
    out, slope = (gelu_by_tanh if approximate == "tanh" else gelu_by_erf)(b, x)
    return out, (slope,)


@_gelu.backward
def _(b, g, inputs, out, saved, needs, *, approximate):
    """One product."""
    return (multiply_by_slope(b, g, saved[0]),)


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """``x · Φ(x)``, Φ the normal distribution function (Hendrycks and Gimpel 2016).

    Args:
        x: any shape.
        approximate: ``none`` for the exact Φ by erf, ``tanh`` for
            ``½x(1 + tanh(√(2/π)(x + 0.044715x³)))``.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    return _gelu(x, approximate=approximate)
