"""Activations: the nonlinearities between layers. Names and formulas are PyTorch's.

Where a rule can be written from the *output*, it is: the input is then free to go.
"""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd.operation import functions
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.numeric import number
from minigen.ops._arguments import as_float
from minigen.ops.choice import or_zero
from minigen.ops.erf import error_function
from minigen.ops.gelu import gelu
from minigen.ops.kernel import kernel

__all__ = [
    "elu",
    "erf",
    "gelu",
    "glu",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "swish",
    "tanh",
]


@kernel
def rectify(b: Any, x: Any, *, low: float) -> Any:
    """``x`` where x > 0 and ``low · x`` elsewhere."""
    if not low:
        return b.xp.maximum(x, 0)
    return b.xp.maximum(x, x * low) if low <= 1 else b.xp.where(x > 0, x, x * low)


@kernel
def gate(b: Any, g: Any, like: Any, *, low: float) -> Any:
    """``g`` where ``like`` > 0, ``low · g`` elsewhere; with low = 0 also g where like is NaN."""
    if not low:
        return or_zero(b, ~(like <= 0), g)
    slope = (like > 0).astype(g.dtype)
    slope = b.xp.maximum(slope, low) if 0 < low <= 1 else b.xp.where(like > 0, slope, low)
    slope *= g
    return slope


@primitive(piecewise=True)
def relu(b, x):
    """``max(x, 0)``; slope 0 at 0."""
    if hasattr(x, "dtype") and x.dtype.kind == "b":
        raise TypeError("input must hold numbers, got booleans")
    return rectify(b, x, low=0.0)


@primitive
def step_gate(b, g, like, *, low):
    """``g`` where ``like`` > 0 and ``low · g`` elsewhere: the gradient of the ReLU family."""
    return gate(b, g, like, low=low)


step_gate.rules(g=lambda f, g, like, low: f.step_gate(g, like, low=low))

relu.rules(x=lambda f, g, out: f.step_gate(g, out, low=0.0))


@primitive(name="leaky_relu", piecewise=True)
def _leaky_relu(b, x, *, slope):
    """``x`` if x > 0, else ``slope · x``."""
    return rectify(b, x, low=slope)


_leaky_relu.rules(x=lambda f, g, x, slope: f.step_gate(g, x, low=slope))


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """``input`` if x > 0, else ``negative_slope · x``; at 0 the slope is the negative side's."""
    return _leaky_relu(input, slope=number("negative_slope", negative_slope, -math.inf))


@primitive(name="elu")
def _elu(b, x, *, alpha):
    """``x`` if x > 0, else ``α(eˣ - 1)``."""
    xp = b.xp
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


_elu.rules(
    # For x ≤ 0 the slope αeˣ is out + α too, but that loses the digits of a small slope.
    x=lambda f, g, x, alpha: g * f.where(x > 0, 1.0, alpha * f.exp(f.where(x >= 0, 0.0, x)))
)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """``input`` if x > 0, else ``alpha · (eˣ - 1)``; Clevert et al. 2016."""
    if not alpha > 0:
        raise ValueError(f"alpha must be > 0, got {alpha}")
    return _elu(input, alpha=number("alpha", alpha, -math.inf))


@primitive
def tanh(b, x):
    """``(eˣ - e⁻ˣ)/(eˣ + e⁻ˣ)``; d/dx = 1 - out²."""
    return b.xp.tanh(x)


tanh.rules(x=lambda f, g, out: g * (1 - f.square(out)))


@kernel
def logistic(b: Any, x: Any) -> Any:
    """``1/(1 + e⁻ˣ)`` = max(e, 1 if x ≥ 0)/(1 + e), e = e^-|x|, which cannot overflow.

    (½(1 + tanh(x/2)) would lose the digits of all that is near 0.)
    """
    xp = b.xp
    x = as_float(x)
    e = xp.exp(-xp.absolute(x))
    out = xp.maximum(e, x >= 0)
    e += 1
    out /= e
    return out


@primitive
def sigmoid(b, x):
    """``1/(1 + e⁻ˣ)``; d/dx = out·(1 - out)."""
    return logistic(b, x)


sigmoid.rules(x=lambda f, g, out: g * (out * (1 - out)))


def logsigmoid(input: Tensor) -> Tensor:
    """``ln sigmoid(x)`` = -softplus(-x)."""
    return -_softplus(-input)


@primitive(name="softplus")
def _softplus(b, x):
    """``ln(1 + eˣ)`` = max(x, 0) + ln(1 + e^-|x|), which cannot overflow."""
    xp = b.xp
    x = as_float(x)
    out = xp.log1p(xp.exp(-xp.absolute(x)))
    out += xp.maximum(x, 0)
    return out


_softplus.rules(x=lambda f, g, x: g * f.sigmoid(x))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``ln(1 + e^(βx)) / β``: a smooth ReLU; ``x`` itself where βx > ``threshold``."""
    beta = number("beta", beta, above=True)
    threshold = number("threshold", threshold, -math.inf, infinite=True)
    out = _softplus(input) if beta == 1 else _softplus(input * beta) * (1 / beta)
    if threshold >= 20 and input.dtype.itemsize <= 4:  # no digit of e^-20 is left beside 20
        return out
    return functions.where(input * beta > threshold, input, out)


@primitive
def silu(b, x):
    """``x · sigmoid(x)``."""
    return x * sigmoid.forward(b, x)


def _silu_rule(f: Any, g: Any, x: Any) -> Any:
    """d/dx x·s = s + x·s(1 - s), s = sigmoid(x)."""
    s = f.sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


silu.rules(x=_silu_rule)


@primitive
def erf(b, x):
    """The error function ``2/√π ∫₀ˣ e^(-t²) dt``."""
    return error_function(b, as_float(x))


erf.rules(x=lambda f, g, x: g * (2 / math.sqrt(math.pi)) * f.exp(-f.square(x)))


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """``a · sigmoid(b)``, where a and b are the two halves of ``input`` along ``dim``."""
    if input.shape[dim] % 2:
        raise ValueError(f"glu needs an even length along dim {dim}, got shape {input.shape}")
    a, gate = input.chunk(2, dim)
    return a * functions.sigmoid(gate)


@primitive(name="hardtanh", piecewise=True)
def _hardtanh(b, x, *, low, high):
    """``min(max(x, low), high)``."""
    if x.dtype.kind == "b":
        raise TypeError("x must hold numbers, got booleans")
    return b.xp.clip(x, low, high)


_hardtanh.rules(x=lambda f, g, x, low, high: f.where((x <= low) | (x >= high), 0.0, g))


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """``min(max(x, min_val), max_val)``; slope 1 between the two, 0 at them (``clamp``: 1)."""
    if not min_val <= max_val:
        raise ValueError(f"hardtanh: min_val must be ≤ max_val, got {min_val} and {max_val}")
    if input.dtype.kind != "f":  # the bounds of whole numbers are whole
        min_val, max_val = int(min_val), int(max_val)
    return _hardtanh(input, low=min_val, high=max_val)


def relu6(input: Tensor) -> Tensor:
    """``min(max(x, 0), 6)``; slope 0 at 0 and at 6."""
    return _hardtanh(input, low=0, high=6)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(input: Tensor) -> Tensor:
    """``λ·x`` if x > 0, else ``λ·α·(eˣ - 1)``; λ ≈ 1.0507, α ≈ 1.6733.

    With them, layers keep mean 0 and variance 1 by themselves; Klambauer et al. 2017.
    """
    return SELU_SCALE * _elu(input, alpha=SELU_ALPHA)


def mish(input: Tensor) -> Tensor:
    """``x · tanh(softplus(x))``; Misra 2019."""
    return input * functions.tanh(_softplus(input))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``x`` if x > 0, else ``weight · x``; at 0 the slope is the negative side's. He et al. 2015.

    Args:
        input: (N, C, …), or any shape.
        weight: learned slopes, (1,) for all or (C,) for the channels.
    """
    if weight.ndim > 1 or (weight.numel() != 1 and input.shape[1:2] != weight.shape):
        raise ValueError(f"prelu: weight {weight.shape} does not fit the channels of {input.shape}")
    if weight.numel() != 1:
        weight = weight.reshape(1, -1, *[1] * (input.ndim - 2))  # (C,) -> (1, C, 1, …)
    elif weight.ndim:
        weight = weight.reshape(())
    return functions.where(input > 0, input, weight * input)


swish = silu
