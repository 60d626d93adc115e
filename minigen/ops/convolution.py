"""Convolution as a closed triad: convolve, transpose, weight gradient.

Three functions, each linear in both of its arguments. With windows of x at stride s,
padding p and dilation d (one dimension; two are the same twice)::

    convolve(x, w)[o, i]            = Σ_c,k  x[c, i·s + k·d - p] · w[o, c, k]
    convolve_transpose(y, w)[c, j]  = Σ_o,k,i with i·s + k·d - p = j   y[o, i] · w[o, c, k]
    convolve_weight(x, y)[o, c, k]  = Σ_i    x[c, i·s + k·d - p] · y[o, i]

Contracted with a third tensor all three give the same number, so the gradient rules of each
are the two others, and any order of differentiation stays inside the triad.

``taps`` names the places of the kernel that exist, row by row. A masked convolution
(van den Oord et al. 2016) lists the unmasked ones, and the others cost nothing.

Arrays are (N, C, H, W) to the caller, but results lie channels-last in memory: the matrix
product writes them so, and elementwise ops and the next convolution keep the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.autograd.primitive import functions, primitive
from minigen.autograd.tensor import Tensor
from minigen.ops._arguments import spread
from minigen.ops._windows import channels_first, channels_last, correlate, correlate_weight
from minigen.ops.shape import pad as pad_tensor

__all__ = [
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "fold",
    "masked_conv2d",
    "unfold",
]

Pair = tuple[int, int]


def _all_taps(kernel: Pair, taps: tuple[int, ...] | None) -> tuple[int, ...]:
    """The kernel's places as flat indices, row by row: all of them, or those that exist."""
    return tuple(range(kernel[0] * kernel[1])) if taps is None else taps


def _offsets(taps: Sequence[int], kernel: Pair, dilation: Pair) -> list[Pair]:
    """Flat kernel places as (row, column) offsets in the source."""
    return [(t // kernel[1] * dilation[0], t % kernel[1] * dilation[1]) for t in taps]


# ---------------------------------------------------------------- the triad on arrays


@primitive
def convolve(b, x, w, bias=None, *, stride, padding, dilation, groups, taps):
    """(N, C, H, W), (O, C/groups, kh, kw), (O,) or None -> (N, O, H', W').

    ``padding`` is ((top, bottom), (left, right)); entries may differ and may be negative.
    """
    kernel = w.shape[2:]
    (top, bottom), (left, right) = padding
    source = channels_last(b, x, (top, left), (bottom, right))
    size = tuple(
        [
            (n - d * (k - 1) - 1) // s + 1
            for n, k, s, d in zip(source.shape[1:3], kernel, stride, dilation)
        ]
    )
    taps = _all_taps(kernel, taps)
    offsets = _offsets(taps, kernel, dilation)
    weight = _tap_matrices(b, w, taps)  # (taps, C/groups, O)
    out = [
        correlate(b, part, matrix, offsets, stride, size)
        for part, matrix in zip(_channels(source, groups), _channels(weight, groups))
    ]
    return _finish(out[0] if groups == 1 else b.xp.concatenate(out, axis=3), bias)


def _finish(out: Any, bias: Any) -> Any:
    """Add the bias where the result already lies: (N, H, W, O) -> (N, O, H, W)."""
    if bias is not None:
        out += bias
    return channels_first(out)


def _bias_gradient(f: Any, g: Any) -> Any:
    """The sum over samples and places: (N, O, H, W) -> (O,)."""
    rows = f.reshape(f.permute(g, dims=(0, 2, 3, 1)), shape=(-1, g.shape[1]))
    return f.sum_to(rows, shape=(g.shape[1],))


@primitive
def convolve_weight(b, x, y, *, kernel, stride, padding, dilation, groups, taps):
    """(N, C, H, W), (N, O, H', W') -> (O, C/groups, kh, kw); zero at places without a tap."""
    xp = b.xp
    (top, bottom), (left, right) = padding
    source = channels_last(b, x, (top, left), (bottom, right))
    grad = channels_last(b, y, (0, 0), (0, 0))
    taps = _all_taps(kernel, taps)
    offsets = _offsets(taps, kernel, dilation)
    parts = [
        correlate_weight(b, part, part_grad, offsets, stride)
        for part, part_grad in zip(_channels(source, groups), _channels(grad, groups))
    ]
    total = parts[0] if groups == 1 else xp.concatenate(parts, axis=2)  # (taps, C/groups, O)
    moved = total.transpose(2, 1, 0)  # (O, C/groups, taps)
    places = kernel[0] * kernel[1]
    if len(taps) == places:
        return xp.ascontiguousarray(moved).reshape(*moved.shape[:2], *kernel)
    out = xp.zeros((*moved.shape[:2], places), dtype=moved.dtype)
    for place, t in enumerate(taps):
        out[:, :, t] = moved[:, :, place]
    return out.reshape(*moved.shape[:2], *kernel)


@primitive
def convolve_transpose(b, y, w, bias=None, *, size, stride, padding, dilation, groups, taps):
    """(N, O, H', W'), (O, C/groups, kh, kw), (C,) or None -> (N, C, H, W), (H, W) = ``size``.

    The places j of the result fall into stride² classes by the remainder of (j + p)/s. All
    places of one class see the same taps, at y-offsets (j + p - k·d)/s that move along with
    j: within its class the transposed convolution is an ordinary one, a gather. (The usual
    way, to scatter each y into its window, adds into the same memory many times over.)
    """
    kernel = w.shape[2:]
    taps = _all_taps(kernel, taps)
    offsets = _offsets(taps, kernel, dilation)
    # (O, C/groups, taps) -> (taps, O/groups, C), the groups' channels side by side
    weight = _tap_matrices(b, w, taps).transpose(0, 2, 1)
    outputs = w.shape[0] // groups
    weights = [weight[:, g * outputs : (g + 1) * outputs] for g in range(groups)]

    low = [pair[0] for pair in padding]
    classes = [
        [
            (j, _class_taps(j, offsets, axis, stride[axis], low[axis]))
            for j in range(min(stride[axis], size[axis]))
        ]
        for axis in (0, 1)
    ]
    out = None
    if stride != (1, 1) or groups != 1:
        out = b.xp.zeros((y.shape[0], *size, w.shape[1] * groups), dtype=y.dtype)
    for row, row_offsets in classes[0]:
        for column, column_offsets in classes[1]:
            used = [t for t in range(len(taps)) if t in row_offsets and t in column_offsets]
            used.sort(key=lambda t: (row_offsets[t], column_offsets[t]))  # runs in reading order
            count = (-(-(size[0] - row) // stride[0]), -(-(size[1] - column) // stride[1]))
            if not used or not min(count):
                continue
            places = [(row_offsets[t], column_offsets[t]) for t in used]
            pieces = _gather_class(b, y, weights, places, used, count)
            if out is None:
                return _finish(pieces[0], bias)
            width = w.shape[1]
            for g, piece in enumerate(pieces):
                out[:, row :: stride[0], column :: stride[1], g * width : (g + 1) * width] = piece
    if out is None:
        out = b.xp.zeros((y.shape[0], *size, w.shape[1]), dtype=y.dtype)
    return _finish(out, bias)


def _class_taps(j: int, offsets: list[Pair], axis: int, stride: int, low: int) -> dict[int, int]:
    """For result place j: tap number -> the y-index it reads (the class moves along with it)."""
    reads = {}
    for t, offset in enumerate(offsets):
        position = j + low - offset[axis]
        if position % stride == 0:
            reads[t] = position // stride
    return reads


def _gather_class(
    b: Any, y: Any, weights: list[Any], places: list[Pair], used: list[int], count: Pair
) -> list[Any]:
    """One class of the transposed convolution, for each group: (N, count…, C/groups)."""
    first = [min(place[axis] for place in places) for axis in (0, 1)]
    last = [max(place[axis] for place in places) + count[axis] for axis in (0, 1)]
    low = [-first[axis] for axis in (0, 1)]
    high = [last[axis] - y.shape[2 + axis] for axis in (0, 1)]
    source = channels_last(b, y, low, high)  # so that every read falls inside
    shifted = [(place[0] - first[0], place[1] - first[1]) for place in places]
    return [
        correlate(b, part, b.xp.ascontiguousarray(matrix[used]), shifted, (1, 1), count)
        for part, matrix in zip(_channels(source, len(weights)), weights)
    ]


def _tap_matrices(b: Any, w: Any, taps: tuple[int, ...]) -> Any:
    """(O, C, kh, kw) -> (taps, C, O), contiguous."""
    flat = w.reshape(w.shape[0], w.shape[1], -1).transpose(2, 1, 0)
    if len(taps) != flat.shape[0]:
        flat = flat[list(taps)]
    return b.xp.ascontiguousarray(flat)


def _channels(x: Any, groups: int) -> list[Any]:
    """The last dimension cut into ``groups`` equal parts."""
    if groups == 1:
        return [x]
    width = x.shape[-1] // groups
    return [x[..., g * width : (g + 1) * width] for g in range(groups)]


convolve.rules(
    x=lambda f, g, w, x_shape, stride, padding, dilation, groups, taps: f.convolve_transpose(
        g,
        w,
        size=x_shape[2:],
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        taps=taps,
    ),
    w=lambda f, g, x, w_shape, stride, padding, dilation, groups, taps: f.convolve_weight(
        x,
        g,
        kernel=w_shape[2:],
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        taps=taps,
    ),
    bias=lambda f, g: _bias_gradient(f, g),
)
convolve_transpose.rules(
    y=lambda f, g, w, y_shape, stride, padding, dilation, groups, taps: f.convolve(
        g,
        w,
        stride=stride,
        padding=_exact(padding, g.shape[2:], y_shape[2:], w.shape[2:], stride, dilation),
        dilation=dilation,
        groups=groups,
        taps=taps,
    ),
    w=lambda f, g, y, w_shape, stride, padding, dilation, groups, taps: f.convolve_weight(
        g,
        y,
        kernel=w_shape[2:],
        stride=stride,
        padding=_exact(padding, g.shape[2:], y.shape[2:], w_shape[2:], stride, dilation),
        dilation=dilation,
        groups=groups,
        taps=taps,
    ),
    bias=lambda f, g: _bias_gradient(f, g),
)
convolve_weight.rules(
    x=lambda f, g, y, x_shape, stride, padding, dilation, groups, taps: f.convolve_transpose(
        y,
        g,
        size=x_shape[2:],
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        taps=taps,
    ),
    y=lambda f, g, x, stride, padding, dilation, groups, taps: f.convolve(
        x,
        g,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        taps=taps,
    ),
)


def _exact(padding: Any, size: Any, count: Any, kernel: Any, stride: Pair, dilation: Pair) -> Any:
    """``padding`` with its far side set so that exactly ``count`` windows fit into ``size``."""
    return tuple(
        [
            (low, (n - 1) * s + d * (k - 1) + 1 - m - low)
            for (low, _), m, n, k, s, d in zip(padding, size, count, kernel, stride, dilation)
        ]
    )


# ---------------------------------------------------------------- the public functions


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
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

    Returns:
        (N, O, H', W') with ``H' = ⌊(H + 2p - d(kh - 1) - 1)/s⌋ + 1``.

    Raises:
        ValueError: shapes or options do not fit.
    """
    return _convolution("conv2d", input, weight, bias, stride, padding, dilation, groups, 2)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """:func:`conv2d` with one spatial dimension: (N, C, L), (O, C/groups, k) -> (N, O, L')."""
    return _convolution("conv1d", input, weight, bias, stride, padding, dilation, groups, 1)


def masked_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    mask: np.ndarray | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """:func:`conv2d` with ``weight · mask``, computing only what the mask leaves.

    Args:
        input: (N, C, H, W).
        weight: (O, C/groups, kh, kw); its masked entries get no gradient.
        bias: (O,), or None.
        mask: a host array of 0 and 1 that broadcasts to the weight. (kh, kw) costs exactly
            its ones; one that differs between channels, (O, C/groups, kh, kw), costs the
            places that any channel uses.
        stride, padding, dilation, groups: as in :func:`conv2d`.

    Raises:
        ValueError: the mask does not fit the weight.
    """
    if mask is None:
        return conv2d(input, weight, bias, stride, padding, dilation, groups)
    mask = np.asarray(mask, dtype=bool)
    if mask.ndim < 2 or weight.ndim != 4 or not _broadcasts(mask.shape, weight.shape):
        raise ValueError(f"masked_conv2d: mask {mask.shape} does not fit weight {weight.shape}")
    used = mask.reshape(-1, *mask.shape[-2:]).any(axis=0)
    used = np.broadcast_to(used, weight.shape[2:])
    if mask.ndim > 2 and not (mask == used).all():  # differs between channels
        weight = weight * functions.cast(_constant(mask), dtype=weight.dtype)
    taps = tuple(np.flatnonzero(used).tolist())
    return _convolution(
        "masked_conv2d", input, weight, bias, stride, padding, dilation, groups, 2, taps
    )


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == tuple(target)
    except ValueError:
        return False


def _constant(mask: np.ndarray) -> Tensor:
    from minigen.backends import active

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
) -> Tensor:
    """Check, bring to two spatial dimensions, convolve, add the bias, bring back."""
    if w.ndim != dims + 2 or x.ndim not in (dims + 1, dims + 2):
        raise ValueError(
            f"{name}: input {x.shape} and weight {w.shape} must have {dims + 2} dimensions "
            f"(N, C, …) and (O, C/groups, …)"
        )
    if x.ndim == dims + 1:
        one = _convolution(
            name, x.unsqueeze(0), w, bias, stride, padding, dilation, groups, dims, taps
        )
        return one.squeeze(0)
    stride = spread(stride, dims, "stride", 1)
    dilation = spread(dilation, dims, "dilation", 1)
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
    out = convolve(
        x, w, bias, stride=stride, padding=pads, dilation=dilation, groups=groups, taps=taps
    )
    return out.squeeze(2) if dims == 1 else out


def _check_channels(
    name: str, channels: int, expected: int, grouped: int, groups: int, bias: Any, outputs: int
) -> None:
    if not isinstance(groups, int) or groups < 1 or grouped % groups:
        raise ValueError(f"{name}: groups must be ≥ 1 and divide {grouped} channels, got {groups}")
    if channels != expected:
        raise ValueError(
            f"{name}: the weight expects {expected} input channels, the input has {channels}"
        )
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"{name}: bias must have shape ({outputs},), got {bias.shape}")


def _padding(
    name: str, padding: Any, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[Pair, ...]:
    """Zeros before and after, for each spatial dimension."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ValueError(f"{name}: padding='same' needs stride 1, got {tuple(stride)}")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return tuple([(total // 2, total - total // 2) for total in totals])
    if isinstance(padding, str):
        raise ValueError(f"{name}: padding must be integers, 'same' or 'valid', got {padding!r}")
    return tuple([(p, p) for p in spread(padding, len(kernel), "padding")])


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
    outputs = w.shape[1] * (groups if isinstance(groups, int) else 1)
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
    pads: Any = [(p, p) for p in padding]
    if dims == 1:  # (N, C, L) -> (N, C, 1, L)
        y, w = y.unsqueeze(2), w.unsqueeze(2)
        stride, dilation, pads, size = (1, *stride), (1, *dilation), [(0, 0), *pads], [1, *size]
    out = convolve_transpose(
        y,
        w,
        bias,
        size=tuple(size),
        stride=stride,
        padding=tuple(pads),
        dilation=dilation,
        groups=groups,
        taps=None,
    )
    return out.squeeze(2) if dims == 1 else out


# ---------------------------------------------------------------- unfold and fold


def unfold(
    input: Tensor,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Every window as a column: (N, C, H, W) -> (N, C·kh·kw, windows)."""
    kernel, stride, padding, dilation, counts = _window_grid(
        "unfold", input.shape, input.shape[2:], kernel_size, dilation, padding, stride
    )
    padded = pad_tensor(input, (padding[1], padding[1], padding[0], padding[0]))
    rows, columns = _window_places(kernel, stride, dilation, counts)
    # (N, C, kh, kw, H', W') -> (N, C·kh·kw, H'·W')
    windows = functions.getitem(padded, index=(slice(None), slice(None), rows, columns))
    n, c = input.shape[:2]
    return windows.reshape(n, c * kernel[0] * kernel[1], counts[0] * counts[1])


def fold(
    input: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Add columns back into the windows they came from: (N, C·kh·kw, windows) -> (N, C, H, W).

    The transpose of :func:`unfold`, not its inverse: overlapping windows add up.
    """
    height, width = spread(output_size, 2, "output_size", 1)
    kernel, stride, padding, dilation, counts = _window_grid(
        "fold", (*input.shape, 0), (height, width), kernel_size, dilation, padding, stride
    )
    area = kernel[0] * kernel[1]
    n, columns_high = input.shape[:2]
    if columns_high % area or input.shape[2] != counts[0] * counts[1]:
        raise ValueError(
            f"fold: input must be (N, C·{area}, {counts[0] * counts[1]}), got {input.shape}"
        )
    c = columns_high // area
    rows, columns = _window_places(kernel, stride, dilation, counts)
    windows = input.reshape(n, c, *rows.shape[:2], *counts)
    padded = functions.add_at(
        windows,
        index=(slice(None), slice(None), rows, columns),
        shape=(n, c, height + 2 * padding[0], width + 2 * padding[1]),
    )
    inside = (slice(padding[0], padding[0] + height), slice(padding[1], padding[1] + width))
    return functions.getitem(padded, index=(slice(None), slice(None), *inside))


def _window_grid(
    name: str,
    shape: tuple[int, ...],
    spatial: Sequence[int],
    kernel_size: Any,
    dilation: Any,
    padding: Any,
    stride: Any,
) -> tuple[Pair, Pair, Pair, Pair, Pair]:
    if len(shape) != 4:
        raise ValueError(f"{name}: input must have shape (N, C, …), got {shape}")
    kernel = spread(kernel_size, 2, "kernel_size", 1)
    strides, paddings = spread(stride, 2, "stride", 1), spread(padding, 2, "padding")
    dilations = spread(dilation, 2, "dilation", 1)
    counts = tuple(
        [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(spatial, paddings, dilations, kernel, strides)
        ]
    )
    if min(counts) < 1:
        raise ValueError(f"{name}: a kernel of {kernel} does not fit the padded input {shape}")
    return kernel, strides, paddings, dilations, counts  # type: ignore[return-value]


def _window_places(kernel: Pair, stride: Pair, dilation: Pair, counts: Pair) -> tuple[Any, Any]:
    """Row and column of every tap of every window: two index arrays (kh, kw, H', W')."""
    from minigen.backends import active

    xp = active.backend.xp
    row = xp.arange(kernel[0])[:, None] * dilation[0] + xp.arange(counts[0])[None, :] * stride[0]
    column = xp.arange(kernel[1])[:, None] * dilation[1] + xp.arange(counts[1])[None, :] * stride[1]
    shape = (*kernel, *counts)
    rows = xp.broadcast_to(row[:, None, :, None], shape)
    columns = xp.broadcast_to(column[None, :, None, :], shape)
    return rows, columns
