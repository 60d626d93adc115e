"""A dense layer and its activation in one op.

    y = φ(x Wᵀ + b),   φ one of relu, leaky_relu, tanh, sigmoid

Each φ here has a slope that its own result tells: 1 or 0 by the sign of y for ReLU, 1 - y² for
tanh, y(1 - y) for the sigmoid. So only y is kept. Bias and φ are applied in place to the product,
and on the way back one pass makes g·φ' and, as its sum over rows, the gradient by b.
"""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd.fused import fused
from minigen.autograd.operation import FLOAT16, functions
from minigen.autograd.tensor import Tensor
from minigen.numeric import number
from minigen.ops._arguments import check_float
from minigen.ops.activation import gate, logistic
from minigen.ops.halves import in_float32
from minigen.ops.kernel import kernel
from minigen.ops.product import product
from minigen.ops.summation import sum_rows

__all__ = ["dense"]

ACTIVATIONS = ("relu", "leaky_relu", "tanh", "sigmoid")


def _dense_reference(
    x: Tensor, weight: Tensor, bias: Tensor, *, activation: str, slope: float
) -> Tensor:
    """The definition, in plain ops."""
    y = functions.linear(x, weight, bias)
    if activation == "leaky_relu":
        return functions.leaky_relu(y, slope=slope)
    return getattr(functions, activation)(y)


@kernel
def activate(b: Any, z: Any, bias: Any, *, activation: str, slope: float) -> None:
    """``z ← φ(z + bias)`` in place: (N, O), (O,)."""
    xp = b.xp
    z += bias
    if activation == "relu":
        xp.maximum(z, 0, out=z)
    elif activation == "leaky_relu":
        xp.maximum(z, z * slope, out=z)
    elif activation == "tanh":
        xp.tanh(z, out=z)
    else:
        z[...] = logistic(b, z)


@kernel
def activate_backward(
    b: Any, g: Any, y: Any, g_bias: Any, *, add: bool, activation: str, slope: float
) -> Any:
    """``g · φ'`` from y = φ(z), (N, O); its sum over rows is written into ``g_bias`` or added."""
    xp = b.xp
    if activation in ("relu", "leaky_relu"):
        g_z = gate(b, g, y, low=0.0 if activation == "relu" else slope)
    elif activation == "tanh":
        g_z = xp.multiply(y, y)
        xp.subtract(1, g_z, out=g_z)
        g_z *= g
    else:
        g_z = xp.subtract(1, y)
        g_z *= y
        g_z *= g
    sum_rows(b, g_z, g_bias, add=add)
    return g_z


@fused(reference=_dense_reference, name="dense")
def _dense(b, x, weight, bias, *, activation, slope):
    """The product, then bias and φ in place."""
    rows = _rows(x)
    out = product(b, rows, weight.T)
    activate(b, out, bias, activation=activation, slope=slope)
    return out.reshape(*x.shape[:-1], weight.shape[0]), ()


def _rows(x: Any) -> Any:
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])  # (N, in)


@_dense.backward
def _(b, g, inputs, saved, needs, *, out, places, activation, slope):
    """g_z = g·φ'; ∂L/∂x = g_z W, ∂L/∂W = g_zᵀ x, ∂L/∂b = Σ g_z over rows."""
    x, weight, bias = inputs
    into, onto = places[2] or (None, None)
    g_bias = into if into is not None else onto if onto is not None else b.xp.empty_like(bias)
    g_z = activate_backward(
        b,
        _rows(g),
        _rows(out),
        g_bias,
        add=onto is not None,
        activation=activation,
        slope=slope,
    )
    g_x = product(b, g_z, weight).reshape(x.shape) if needs[0] else None
    g_weight = None
    if needs[1]:
        into, onto = places[1]
        where = into if into is not None else onto
        g_weight = product(b, g_z.T, _rows(x), where, add=onto is not None)
    return g_x, g_weight, g_bias if needs[2] else None


def dense(
    input: Tensor, weight: Tensor, bias: Tensor, activation: str, slope: float = 0.01
) -> Tensor:
    """``φ(x Wᵀ + b)``: (…, in), (out, in), (out,) -> (…, out).

    Args:
        input: (…, in).
        weight: (out, in).
        bias: (out,).
        activation: ``relu``, ``leaky_relu``, ``tanh`` or ``sigmoid``.
        slope: of ``leaky_relu`` where its argument is negative, in (0, 1].

    Raises:
        ValueError: another activation, another slope, or lengths that do not fit.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    if activation == "leaky_relu" and not 0 < slope <= 1:
        raise ValueError(f"slope must be a number > 0 and <= 1, got {slope}")
    check_float("dense", input)
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"dense: input {input.shape} does not fit weight {weight.shape}, "
            f"which is (out_features, in_features)"
        )
    if bias.shape != (weight.shape[0],):
        raise ValueError(f"dense: bias must have shape ({weight.shape[0]},), got {bias.shape}")
    options = {"activation": activation, "slope": number("slope", slope, -math.inf)}
    if input.dtype is FLOAT16:
        return in_float32(_dense, input, weight, bias, **options)
    return _dense(input, weight, bias, **options)
