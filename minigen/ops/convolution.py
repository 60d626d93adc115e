"""Convolution and transposed convolution under PyTorch's names, and masked convolution.

These functions check their arguments and bring one spatial dimension to two; the work and the
gradient rules are in ``_triad.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.autograd.operation import FLOAT16, functions
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.numeric import integer, number
from minigen.ops._arguments import check_float, spread
from minigen.ops._triad import Geometry, convolve, convolve_transpose
from minigen.ops.activation import leaky_relu
from minigen.ops.halves import in_float32
from minigen.ops.rectified import rectified_convolution

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "masked_conv2d"]


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rectify: float | None = None,
) -> Tensor:
    """Cross-correlation with learned kernels, as in ``torch.nn.functional.conv2d``.

    ``out[n, o, i, j] = bias[o] + Σ_c,k,l input[n, c, i·s + k·d - p, j·s + l·d - p] ·
    weight[o, c, k, l]``

    Args:
        input: (N, C, H, W), or (C, H, W) for one image.
        weight: (O, C/groups, kh, kw).
        bias: (O,), or None.
        stride: distance between windows, one number or (down, across).
        padding: zeros added on each side; or ``"same"``, ``"valid"``.
        dilation: distance between the taps of a window.
        groups: input and output channels are cut into this many independent parts.
        rectify: slope of a rectifier applied to the input first: 0 for ``relu``, 0.2 for
            ``leaky_relu(…, 0.2)``; None for none. Faster than the two after one another.

    Returns:
        (N, O, H', W') with ``H' = ⌊(H + 2p - d(kh - 1) - 1)/s⌋ + 1``.

    Raises:
        ValueError: shapes or options do not fit.
    """
    return _convolution(
        "conv2d", input, weight, bias, stride, padding, dilation, groups, 2, None, rectify
    )


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rectify: float | None = None,
) -> Tensor:
    """:func:`conv2d` with one spatial dimension: (N, C, L), (O, C/groups, k) -> (N, O, L')."""
    return _convolution(
        "conv1d", input, weight, bias, stride, padding, dilation, groups, 1, None, rectify
    )


def masked_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    mask: np.ndarray | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rectify: float | None = None,
) -> Tensor:
    """:func:`conv2d` with ``weight · mask``, computing only what the mask leaves.

    Args:
        input: (N, C, H, W).
        weight: (O, C/groups, kh, kw); its masked entries get no gradient.
        bias: (O,), or None.
        mask: a host array of 0 and 1 that broadcasts to the weight. (kh, kw) costs exactly
            its ones; one that differs between channels, (O, C/groups, kh, kw), costs the
            places that any channel uses.
        stride, padding, dilation, groups, rectify: as in :func:`conv2d`.

    Raises:
        ValueError: the mask does not fit the weight.
    """
    if mask is None:
        return conv2d(input, weight, bias, stride, padding, dilation, groups, rectify)
    mask = np.asarray(mask, dtype=bool)
    if mask.ndim < 2 or weight.ndim != 4 or not _broadcasts(mask.shape, weight.shape):
        raise ValueError(f"masked_conv2d: mask {mask.shape} does not fit weight {weight.shape}")
    used = mask.reshape(-1, *mask.shape[-2:]).any(axis=0)
    used = np.broadcast_to(used, weight.shape[2:])
    if mask.ndim > 2 and not (mask == used).all():  # differs between channels
        weight = functions.where(_constant(mask), weight, 0.0)
    taps = tuple(np.flatnonzero(used).tolist())
    return _convolution(
        "masked_conv2d", input, weight, bias, stride, padding, dilation, groups, 2, taps, rectify
    )


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == tuple(target)
    except ValueError:
        return False


def _constant(mask: np.ndarray) -> Tensor:
    return Tensor(active.backend.asarray(mask))


def _convolution(
    name: str,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    dims: int,
    taps: tuple[int, ...] | None = None,
    rectify: float | None = None,
) -> Tensor:
    """Check, bring to two spatial dimensions, convolve, add the bias, bring back."""
    check_float(name, x)
    if x.dtype is FLOAT16:
        options = stride, padding, dilation, groups, dims, taps, rectify
        return in_float32(_convolution, name, x, w, bias, *options)
    if w.ndim != dims + 2 or x.ndim not in (dims + 1, dims + 2):
        raise ValueError(
            f"{name}: input {x.shape} and weight {w.shape} must have {dims + 2} dimensions "
            f"(N, C, …) and (O, C/groups, …)"
        )
    if x.ndim == dims + 1:
        one = _convolution(
            name, x.unsqueeze(0), w, bias, stride, padding, dilation, groups, dims, taps, rectify
        )
        return one.squeeze(0)
    stride = spread(stride, dims, "stride", 1)
    dilation = spread(dilation, dims, "dilation", 1)
    groups = integer(f"{name}: groups", groups)
    _check_channels(name, x.shape[1], w.shape[1] * groups, w.shape[0], groups, bias, w.shape[0])
    pads = _padding(name, padding, w.shape[2:], stride, dilation)
    for n, k, d, (low, high) in zip(x.shape[2:], w.shape[2:], dilation, pads):
        if n + low + high < d * (k - 1) + 1:
            raise ValueError(
                f"{name}: a kernel of {k} with dilation {d} is larger than the padded input "
                f"of {n + low + high}"
            )
    if dims == 1:  # (N, C, L) -> (N, C, 1, L)
        x, w = x.unsqueeze(2), w.unsqueeze(2)
        stride, dilation, pads = (1, *stride), (1, *dilation), ((0, 0), *pads)
    if rectify is not None and not rectify >= 0:
        raise ValueError(f"{name}: rectify must be a number ≥ 0 or None, got {rectify}")
    how = Geometry(stride, pads, dilation, groups, taps)
    if rectify is not None and groups == 1:
        out = rectified_convolution(
            x, w, bias, how=how, slope=number("rectify", rectify, -math.inf)
        )
    else:
        out = convolve(x if rectify is None else leaky_relu(x, rectify), w, bias, how=how)
    return out.squeeze(2) if dims == 1 else out


def _check_channels(
    name: str, channels: int, expected: int, grouped: int, groups: int, bias: Any, outputs: int
) -> None:
    if groups < 1 or grouped % groups:
        raise ValueError(f"{name}: groups must be ≥ 1 and divide {grouped} channels, got {groups}")
    if channels != expected:
        raise ValueError(
            f"{name}: the weight expects {expected} input channels, the input has {channels}"
        )
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"{name}: bias must have shape ({outputs},), got {bias.shape}")


def _padding(
    name: str, padding: Any, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Any:
    """Zeros before and after, for each spatial dimension."""
    if not isinstance(padding, str):
        return tuple([(p, p) for p in spread(padding, len(kernel), "padding")])
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ValueError(f"{name}: padding='same' needs stride 1, got {tuple(stride)}")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return tuple([(total // 2, total - total // 2) for total in totals])
    raise ValueError(f"{name}: padding must be integers, 'same' or 'valid', got {padding!r}")


# ---------------------------------------------------------------- transposed


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """The gradient of :func:`conv2d` by its input, as a layer of its own: it grows images.

    Args:
        input: (N, C, H, W), or (C, H, W).
        weight: (C, O/groups, kh, kw): input channels first, as in PyTorch.
        bias: (O,), or None.
        stride: each input pixel's window moves by this many output pixels.
        padding: rows and columns cut from each side of the result.
        output_padding: rows and columns added at its end, less than stride or dilation.
        groups: channels are cut into this many independent parts.
        dilation: distance between the taps of a window.

    Returns:
        (N, O, H', W') with ``H' = (H - 1)s - 2p + d(kh - 1) + output_padding + 1``.

    Raises:
        ValueError: shapes or options do not fit.
    """
    return _transposed(
        "conv_transpose2d",
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        2,
    )


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """:func:`conv_transpose2d` with one spatial dimension."""
    return _transposed(
        "conv_transpose1d",
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        1,
    )


def _transposed(
    name: str,
    y: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    dims: int,
) -> Tensor:
    """Check, bring to two spatial dimensions, convolve transposed, add the bias, bring back."""
    check_float(name, y)
    if y.dtype is FLOAT16:
        options = stride, padding, output_padding, groups, dilation, dims
        return in_float32(_transposed, name, y, w, bias, *options)
    if w.ndim != dims + 2 or y.ndim not in (dims + 1, dims + 2):
        raise ValueError(
            f"{name}: input {y.shape} and weight {w.shape} must have {dims + 2} dimensions "
            f"(N, C, …) and (C, O/groups, …)"
        )
    if y.ndim == dims + 1:
        one = _transposed(
            name, y.unsqueeze(0), w, bias, stride, padding, output_padding, groups, dilation, dims
        )
        return one.squeeze(0)
    stride, dilation = spread(stride, dims, "stride", 1), spread(dilation, dims, "dilation", 1)
    padding, extra = (
        spread(padding, dims, "padding"),
        spread(output_padding, dims, "output_padding"),
    )
    groups = integer(f"{name}: groups", groups)
    outputs = w.shape[1] * groups
    _check_channels(name, y.shape[1], w.shape[0], w.shape[0], groups, bias, outputs)
    for e, s, d in zip(extra, stride, dilation):
        if e >= max(s, d):
            raise ValueError(
                f"{name}: output_padding must be smaller than stride or dilation, got {e}"
            )
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(y.shape[2:], stride, padding, dilation, w.shape[2:], extra)
    ]
    if min(size) < 1:
        raise ValueError(f"{name}: the result would have size {tuple(size)}; use less padding")
    pads: Any = tuple([(p, p) for p in padding])
    if dims == 1:  # (N, C, L) -> (N, C, 1, L)
        y, w = y.unsqueeze(2), w.unsqueeze(2)
        stride, dilation, pads, size = (1, *stride), (1, *dilation), ((0, 0), *pads), [1, *size]
    how = Geometry(stride, pads, dilation, groups, None)
    out = convolve_transpose(y, w, bias, size=tuple(size), how=how)
    return out.squeeze(2) if dims == 1 else out
