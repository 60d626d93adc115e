"""The affine coupling of a flow, in one pass over the image.

    z_a = x_a,   z_b = x_b · exp(s) + t,   s = limit · tanh(r / limit),   log_det = Σ s

where a and b are halves of the channels, and t and r were said about b (Dinh et al. 2017,
equations 7 and 8). As plain ops that is a dozen passes over short runs of channels; here it is one
pass forward and one back.
"""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd.fused import fused
from minigen.autograd.operation import FLOAT16, functions
from minigen.autograd.tensor import Tensor
from minigen.numeric import number
from minigen.ops._arguments import check_float
from minigen.ops.activation import tanh
from minigen.ops.elementwise import exp
from minigen.ops.halves import in_float32
from minigen.ops.kernel import kernel
from minigen.ops.shape import concatenate
from minigen.ops.summation import sum_of

__all__ = ["affine_coupling"]


def _affine_coupling_reference(
    x: Tensor, said: Tensor, *, swap: bool, limit: float
) -> tuple[Tensor, Tensor]:
    """The definition, in plain ops."""
    moved = said.shape[1] // 2
    kept = x.shape[1] - moved
    b = x[:, :moved] if swap else x[:, kept:]
    a = x[:, moved:] if swap else x[:, :kept]
    log_scale = tanh(said[:, moved:] * (1 / limit)) * limit
    z = b * exp(log_scale) + said[:, :moved]
    log_det = log_scale.sum(tuple(range(1, x.ndim)))
    return concatenate([z, a] if swap else [a, z], 1), log_det


def _halves(x: Any, moved: int, swap: bool) -> tuple[Any, Any]:
    """(a, b) of an array whose channels are dimension 1, as views."""
    cut = moved if swap else x.shape[1] - moved
    return (x[:, cut:], x[:, :cut]) if swap else (x[:, :cut], x[:, cut:])


@kernel
def couple(b: Any, x: Any, said: Any, *, swap: bool, limit: float) -> Any:
    """(N, C, …), (N, 2B, …) -> z (N, C, …), Σ s (N,), tanh(r/limit) and exp(s), (N, B, …)."""
    xp = b.xp
    moved = said.shape[1] // 2
    squashed = xp.tanh(said[:, moved:] * (1 / limit))
    log_scale = squashed * limit
    scale = xp.exp(log_scale)
    z = xp.empty_like(x)
    kept, into = _halves(z, moved, swap)
    a, before = _halves(x, moved, swap)
    kept[...] = a
    into[...] = before * scale + said[:, :moved]
    return z, sum_of(b, log_scale, tuple(range(1, x.ndim))), squashed, scale


@kernel
def couple_backward(
    b: Any, g: Any, g_log_det: Any, x: Any, squashed: Any, scale: Any, *, swap: bool
) -> Any:
    """The gradients by x and by what was said."""
    xp = b.xp
    moved = squashed.shape[1]
    g_x = xp.empty_like(x)
    g_said = xp.empty((x.shape[0], 2 * moved, *x.shape[2:]), dtype=x.dtype)
    g_a, g_b = _halves(g, moved, swap)
    kept, into = _halves(g_x, moved, swap)
    kept[...] = g_a
    into[...] = g_b * scale
    g_said[:, :moved] = g_b
    _, before = _halves(x, moved, swap)
    by_sum = g_log_det.reshape(-1, *(1,) * (x.ndim - 1))
    g_said[:, moved:] = (into * before + by_sum) * (1 - xp.square(squashed))
    return g_x, g_said


@fused(reference=_affine_coupling_reference, name="affine_coupling")
def _affine_coupling(b, x, said, *, swap, limit):
    """The definition in one pass; keeps the squashed number and the scale."""
    z, log_det, squashed, scale = couple(b, x, said, swap=swap, limit=limit)
    return (z, log_det), (squashed, scale)


@_affine_coupling.backward
def _(b, g, inputs, saved, needs, *, swap, limit):
    """∂L/∂b = g·eˢ, ∂L/∂t = g, ∂L/∂r = (g·b·eˢ + g_log_det)·(1 - tanh²)."""
    x = inputs[0]
    squashed, scale = saved
    g_z, g_log_det = g
    if g_z is None:
        g_z = b.xp.zeros_like(x)
    if g_log_det is None:
        g_log_det = b.xp.zeros(x.shape[0], dtype=x.dtype)
    return couple_backward(b, g_z, g_log_det, x, squashed, scale, swap=swap)


def affine_coupling(
    input: Tensor, said: Tensor, swap: bool = False, limit: float = 2.0
) -> tuple[Tensor, Tensor]:
    """Shift and stretch half of the channels; Dinh et al. 2017, equations 7 and 8.

    Args:
        input: (N, C, …). Part b, which is moved, is the last B channels; with ``swap`` the first.
        said: (N, 2B, …), B < C: t and the raw number r.
        swap: which part is moved.
        limit: s = limit · tanh(r / limit).

    Returns:
        z, (N, C, …), and log |det ∂z/∂input| = Σ s, (N,).
    """
    check_float("affine_coupling", input)
    fits = (
        input.ndim >= 2
        and said.ndim == input.ndim
        and said.shape[0] == input.shape[0]
        and said.shape[2:] == input.shape[2:]
        and said.shape[1] % 2 == 0
        and 0 < said.shape[1] // 2 < input.shape[1]
    )
    if not fits:
        raise ValueError(
            f"affine_coupling: said must have twice as many channels as are moved, and fit input "
            f"{input.shape} otherwise, got {said.shape}"
        )
    if not limit > 0:
        raise ValueError(f"affine_coupling: limit must be > 0, got {limit}")
    options = {"swap": bool(swap), "limit": number("limit", limit, -math.inf)}
    if input.dtype is FLOAT16:
        return in_float32(functions.affine_coupling, input, said, **options)
    return functions.affine_coupling(input, said, **options)
