"""Sequences with time as the first dimension, (T, N, C): what a WaveNet computes.

With time first, "the same, d steps earlier" is the same memory, d·N rows further up: a dilated
convolution is one matrix product over shifted rows, and nothing is transposed. The functions here
are `conv1d` and `tanh · sigmoid` in that layout.
"""

from __future__ import annotations

from typing import Any

from minigen.autograd.fused import fused
from minigen.autograd.operation import FLOAT16
from minigen.autograd.tensor import Tensor
from minigen.ops._arguments import check_float
from minigen.ops.activation import logistic, sigmoid, tanh
from minigen.ops.convolution import conv1d
from minigen.ops.halves import in_float32
from minigen.ops.kernel import kernel
from minigen.ops.product import product
from minigen.ops.summation import sum_of, sum_rows

__all__ = ["conv_time_first", "gated_tanh"]


# ---------------------------------------------------------------- convolution


def _conv_reference(x: Tensor, weight: Tensor, bias: Tensor, *, dilation: int) -> Tensor:
    """The definition: `conv1d` of the rearranged input, and the bias added."""
    out = conv1d(x.permute(1, 2, 0), weight, dilation=dilation)  # (T, N, C) -> (N, O, T')
    return out.permute(2, 0, 1) + bias  # (N, O, T') -> (T', N, O)


@fused(reference=_conv_reference, name="conv_time_first")
def _conv_time_first(b, x, weight, bias, *, dilation):
    """The taps side by side in one matrix, (T'·N, K·C), times (K·C, O)."""
    xp = b.xp
    taps, outputs = weight.shape[2], weight.shape[0]
    windows = _windows(xp, x, taps, dilation)  # (T', N, K·C)
    out = xp.empty((*windows.shape[:2], outputs), dtype=x.dtype)
    product(b, windows.reshape(-1, windows.shape[2]), _matrix(weight), out=out.reshape(-1, outputs))
    out += bias  # (O,) or (N, O)
    return out, (windows,)


@_conv_time_first.backward
def _(b, g, inputs, saved, needs, *, dilation):
    """∂/∂x: the taps' shares, each added where it was read; ∂/∂weight: windowsᵀ g."""
    xp = b.xp
    x, weight, bias = inputs
    outputs, channels, taps = weight.shape
    (windows,) = saved
    length = g.shape[0]
    rows = xp.ascontiguousarray(g).reshape(-1, outputs)
    g_x = g_weight = g_bias = None
    if needs[0]:
        g_x = xp.empty(x.shape, dtype=x.dtype)
        g_x[length:] = 0
        product(b, rows, weight[:, :, 0], out=g_x[:length].reshape(-1, channels))
        for k in range(1, taps):
            share = product(b, rows, weight[:, :, k]).reshape(*g.shape[:2], channels)
            g_x[k * dilation : k * dilation + length] += share
    if needs[1]:
        found = product(b, windows.reshape(-1, taps * channels).T, rows)  # (K·C, O)
        g_weight = xp.ascontiguousarray(found.reshape(taps, channels, outputs).transpose(2, 1, 0))
    if needs[2]:
        g_bias = sum_rows(b, rows) if bias.ndim == 1 else sum_of(b, g, 0)
    return g_x, g_weight, g_bias


def _windows(xp: Any, x: Any, taps: int, dilation: int) -> Any:
    """(T, N, C) -> (T - (K-1)·d, N, K·C): row t holds x[t], x[t + d], …, the oldest first."""
    length = x.shape[0] - (taps - 1) * dilation
    shifted = [x[k * dilation : k * dilation + length] for k in range(taps)]
    return xp.concatenate(shifted, axis=2)


def _matrix(weight: Any) -> Any:
    """(O, C, K) -> (K·C, O)."""
    return weight.transpose(2, 1, 0).reshape(-1, weight.shape[0])


def conv_time_first(x: Tensor, weight: Tensor, bias: Tensor, dilation: int = 1) -> Tensor:
    """A dilated convolution over time without padding; `conv1d` with time first.

    ``out[t, n, o] = bias[n, o] + Σ_c,k x[t + k·d, n, c] · weight[o, c, k]``

    Args:
        x: (T, N, C).
        weight: (O, C, K), as for `conv1d`.
        bias: (O,), or (N, O) where every sequence has its own.
        dilation: d, the distance between taps.

    Returns:
        (T - (K-1)·d, N, O).

    Raises:
        ValueError: shapes that do not fit, or a sequence shorter than the kernel.
    """
    check_float("conv_time_first", x, "x")
    if x.ndim != 3 or weight.ndim != 3 or x.shape[2] != weight.shape[1]:
        raise ValueError(
            f"conv_time_first: input (T, N, C) and weight (O, C, K) must fit, "
            f"got {x.shape} and {weight.shape}"
        )
    outputs = weight.shape[0]
    if bias.shape not in ((outputs,), (x.shape[1], outputs)):
        raise ValueError(
            f"conv_time_first: bias must have shape ({outputs},) or ({x.shape[1]}, {outputs}), "
            f"got {bias.shape}"
        )
    if type(dilation) is not int or dilation < 1:
        raise ValueError(f"conv_time_first: dilation must be a whole number >= 1, got {dilation!r}")
    reach = (weight.shape[2] - 1) * dilation + 1
    if x.shape[0] < reach:
        raise ValueError(f"conv_time_first: needs at least {reach} time steps, got {x.shape[0]}")
    if x.dtype is FLOAT16:
        return in_float32(_conv_time_first, x, weight, bias, dilation=dilation)
    return _conv_time_first(x, weight, bias, dilation=dilation)


# ---------------------------------------------------------------- the gate


@kernel
def tanh_and_sigmoid(b: Any, parts: Any) -> None:
    """tanh of the first half of the last dimension and sigmoid of the second, in place."""
    half = parts.shape[-1] // 2
    a, gate = parts[..., :half], parts[..., half:]
    b.xp.tanh(a, out=a)
    gate[...] = logistic(b, gate)


@kernel
def gate_backward(b: Any, g: Any, parts: Any) -> Any:
    """With t and s the two halves of ``parts``: g·s·(1 - t²) and g·t·s·(1 - s)."""
    half = g.shape[-1]
    t, s = parts[..., :half], parts[..., half:]
    out = b.xp.empty_like(parts)
    b.xp.multiply(g, s, out=out[..., :half])
    b.xp.multiply(out[..., :half], t, out=out[..., half:])  # g·s·t
    out[..., :half] -= out[..., half:] * t
    out[..., half:] *= 1 - s
    return out


def _gated_reference(x: Tensor) -> Tensor:
    """The definition: tanh of one half times sigmoid of the other."""
    half = x.shape[-1] // 2
    return tanh(x[..., :half]) * sigmoid(x[..., half:])


@fused(reference=_gated_reference, name="gated_tanh")
def _gated_tanh(b, x):
    """Both halves in one copy; keeps the results."""
    half = x.shape[-1] // 2
    parts = x.copy()
    tanh_and_sigmoid(b, parts)
    return parts[..., :half] * parts[..., half:], (parts,)


@_gated_tanh.backward
def _(b, g, inputs, saved, needs):
    """From the kept tanh and sigmoid alone."""
    return (gate_backward(b, g, saved[0]),)


def gated_tanh(x: Tensor) -> Tensor:
    """tanh(a) · sigmoid(b), where a and b are the halves of the last dimension: (…, 2C) -> (…, C).

    The gated unit of PixelCNN and WaveNet (van den Oord et al. 2016, equation 2).

    Raises:
        ValueError: the last dimension is odd.
    """
    check_float("gated_tanh", x, "x")
    if x.ndim == 0 or x.shape[-1] % 2:
        raise ValueError(f"gated_tanh needs an even last dimension, got shape {x.shape}")
    return _gated_tanh(x)
