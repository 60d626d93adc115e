"""Descriptions of convolution, pooling, resampling, normalization and attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg
from minigen.autograd.primitive import registry

from .core import DISTINCT, REAL, UNIT, Case, Spec, arrays, shapes, torch

# ---------------------------------------------------------------- convolution


@st.composite
def _options(draw: Any, dims: int, transposed: bool = False) -> dict[str, Any]:
    """Stride, padding, dilation: one number for all axes, or one each."""

    def number(low: int, high: int) -> Any:
        each = st.tuples(*[st.integers(low, high)] * dims)
        return draw(st.integers(low, high) | each)

    options = {"stride": number(1, 3), "padding": number(0, 2), "dilation": number(1, 2)}
    return options


def _each(value: Any, dims: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * dims


@st.composite
def convolution(draw: Any, dims: int, bias: bool = True, batched: bool = True) -> Case:
    """Input, weight and bias of a convolution with ``dims`` spatial dimensions."""
    options = draw(_options(dims))
    groups = options["groups"] = draw(st.sampled_from([1, 1, 2]))
    kernel = tuple([draw(st.integers(1, 3)) for _ in range(dims)])
    if draw(st.integers(0, 5)) == 0:
        options["stride"], options["padding"] = 1, draw(st.sampled_from(["same", "valid"]))
    pads = _each(options["padding"], dims) if options["padding"] not in ("same", "valid") else (
        (0,) * dims)  # fmt: skip
    reach = [d * (k - 1) + 1 for d, k in zip(_each(options["dilation"], dims), kernel)]
    size = [max(r - 2 * p, 1) + draw(st.integers(0, 4)) for r, p in zip(reach, pads)]
    batch = (draw(st.integers(0, 2)),) if batched else draw(st.sampled_from([(), (2,)]))
    inputs, outputs = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    xs = [
        draw(arrays((*batch, inputs * groups, *size))),
        draw(arrays((outputs * groups, inputs, *kernel))),
    ]
    if bias:
        xs.append(draw(arrays((outputs * groups,))))
    return Case(tuple(xs), options)


def np_conv(
    x: Any,
    w: Any,
    b: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The definition of convolution as loops over places, any number of dimensions."""
    dims = w.ndim - 2
    if x.ndim == dims + 1:
        return np_conv(x[None], w, b, stride, padding, dilation, groups)[0]
    kernel, s, d = w.shape[2:], _each(stride, dims), _each(dilation, dims)
    if padding == "same":
        total = [dd * (k - 1) for dd, k in zip(d, kernel)]
        pads = [(t // 2, t - t // 2) for t in total]
    else:
        pads = [(p, p) for p in _each(0 if padding == "valid" else padding, dims)]
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    size = [(n - dd * (k - 1) - 1) // ss + 1 for n, k, ss, dd in zip(x.shape[2:], kernel, s, d)]
    out = np.zeros((x.shape[0], w.shape[0], *size))
    c, o = x.shape[1] // groups, w.shape[0] // groups
    for place in np.ndindex(*size):
        window = (slice(None), slice(None)) + tuple(
            [slice(i * ss, i * ss + dd * (k - 1) + 1, dd)
             for i, ss, dd, k in zip(place, s, d, kernel)]
        )  # fmt: skip
        patch = x[window]
        for g in range(groups):
            part = patch[:, g * c : (g + 1) * c].reshape(x.shape[0], math.prod(patch.shape[2:]) * c)
            matrix = w[g * o : (g + 1) * o].reshape(o, part.shape[1])
            out[(slice(None), slice(g * o, (g + 1) * o), *place)] = part @ matrix.T
    return out if b is None else out + b.reshape(-1, *[1] * dims)


@st.composite
def transposed(draw: Any, dims: int, bias: bool = True) -> Case:
    """Input, weight and bias of a transposed convolution."""
    options = draw(_options(dims))
    groups = options["groups"] = draw(st.sampled_from([1, 1, 2]))
    kernel = tuple([draw(st.integers(1, 4)) for _ in range(dims)])
    strides, dilations = _each(options["stride"], dims), _each(options["dilation"], dims)
    extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations)]
    options["output_padding"] = tuple(extra)
    pads = _each(options["padding"], dims)
    size = []
    for k, s, d, p, e in zip(kernel, strides, dilations, pads, extra):
        least = max(1, -(-(2 * p - d * (k - 1) - e) // s) + 1)  # a result of length ≥ 1
        size.append(least + draw(st.integers(0, 2)))
    inputs, outputs = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    xs = [
        draw(arrays((draw(st.integers(0, 2)), inputs * groups, *size))),
        draw(arrays((inputs * groups, outputs, *kernel))),
    ]
    if bias:
        xs.append(draw(arrays((outputs * groups,))))
    return Case(tuple(xs), options)


def np_conv_transpose(
    x: Any,
    w: Any,
    b: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Each input place adds its multiple of the kernel into the result."""
    dims = w.ndim - 2
    s, p, d = _each(stride, dims), _each(padding, dims), _each(dilation, dims)
    e = _each(output_padding, dims)
    full = [
        (n - 1) * ss + dd * (k - 1) + 1 + ee
        for n, ss, dd, k, ee in zip(x.shape[2:], s, d, w.shape[2:], e)
    ]
    o, c = w.shape[1], x.shape[1] // groups
    out = np.zeros((x.shape[0], o * groups, *full))
    for place in np.ndindex(*x.shape[2:]):
        for g in range(groups):
            at = (slice(None), slice(g * o, (g + 1) * o)) + tuple(
                [slice(i * ss, i * ss + dd * (k - 1) + 1, dd)
                 for i, ss, dd, k in zip(place, s, d, w.shape[2:])]
            )  # fmt: skip
            pixel = x[(slice(None), slice(g * c, (g + 1) * c), *place)]
            out[at] += np.einsum("nc,co...->no...", pixel, w[g * c : (g + 1) * c])
    cut = tuple([slice(pp, n - pp) for pp, n in zip(p, full)])
    out = out[(slice(None), slice(None), *cut)]
    return out if b is None else out + b.reshape(-1, *[1] * dims)


@st.composite
def masked(draw: Any) -> Case:
    """A convolution with some of its kernel's places masked, for all channels or for each."""
    case = draw(convolution(2))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    w = case.arrays[1]
    shape = w.shape if draw(st.booleans()) else w.shape[2:]
    return Case(case.arrays, {**case.options, "mask": rng.uniform(size=shape) < 0.6})


@st.composite
def _big(draw: Any) -> Case:
    """Large enough for the convolution's bands and blocks."""
    side = draw(st.sampled_from([16, 18]))
    c, o = draw(st.sampled_from([(12, 3), (16, 8)]))
    k = draw(st.sampled_from([3, 5]))
    xs = (draw(arrays((2, c, side, 16))), draw(arrays((o, c, k, 3))), draw(arrays((o,))))
    return Case(xs, {"padding": (k // 2, 1)})


def _triad(name: str) -> Any:
    """One of the triad, with explicit options; the two others are its gradients."""
    common = {"stride": (2, 1), "dilation": (1, 2), "groups": 1, "taps": None}
    pads = ((1, 0), (2, 1))
    if name == "convolve":
        return lambda x, w: registry[name](x, w, padding=pads, **common)
    if name == "convolve_weight":
        return lambda x, y: registry[name](x, y, kernel=(2, 3), padding=pads, **common)
    return lambda y, w: registry[name](y, w, size=(5, 6), padding=pads, **common)


def _conv_of_triad(x: Any, w: Any) -> Any:
    return np_conv(np.pad(x, [(0, 0), (0, 0), (1, 0), (2, 1)]), w, None, (2, 1), 0, (1, 2))


def _np_triad(name: str) -> Any:
    """The transposes of the linear map ``convolve`` in each argument, entry by entry."""

    def weight(x: Any, y: Any) -> Any:
        out = np.zeros((y.shape[1], x.shape[1], 2, 3))
        for place in np.ndindex(*out.shape):
            unit = np.zeros_like(out)
            unit[place] = 1
            out[place] = (_conv_of_triad(x, unit) * y).sum()
        return out

    def back(y: Any, w: Any) -> Any:
        out = np.zeros((y.shape[0], w.shape[1], 5, 6))
        for place in np.ndindex(*out.shape):
            unit = np.zeros_like(out)
            unit[place] = 1
            out[place] = (_conv_of_triad(unit, w) * y).sum()
        return out

    return {"convolve": _conv_of_triad, "convolve_weight": weight, "convolve_transpose": back}[name]


@st.composite
def _triad_case(draw: Any, name: str) -> Case:
    n, c, o = (draw(st.integers(1, 2)) for _ in range(3))
    x, w = draw(arrays((n, c, 5, 6))), draw(arrays((o, c, 2, 3)))
    y = draw(arrays(_conv_of_triad(x, w).shape))
    pairs = {"convolve": (x, w), "convolve_weight": (x, y), "convolve_transpose": (y, w)}
    return Case(pairs[name])


CONVOLUTIONS = [
    *[
        Spec(f"conv{dims}d", convolution(dims, bias, batched), numpy=np_conv,
             torch=f"nn.functional.conv{dims}d", ops=("convolve", "convolve_weight"))
        for dims, bias, batched in [(2, True, True), (2, False, False), (1, True, True)]
    ],
    Spec("conv2d", _big(), numpy=lambda *xs, padding: np_conv(*xs, padding=padding),
         torch="nn.functional.conv2d", order=1),
    *[
        Spec(f"conv_transpose{dims}d", transposed(dims, bias), numpy=np_conv_transpose,
             torch=f"nn.functional.conv_transpose{dims}d", ops=("convolve_transpose",))
        for dims, bias in [(2, True), (2, False), (1, True)]
    ],
    Spec("masked_conv2d", masked(),
         numpy=lambda x, w, b, mask, **k: np_conv(x, w * mask, b, **k),
         torch=lambda x, w, b, mask, **k: torch.nn.functional.conv2d(
             x, w * torch.from_numpy(mask), b, **k)),
    *[
        Spec(name, _triad_case(name), call=_triad(name), numpy=_np_triad(name), ops=(name,))
        for name in ("convolve", "convolve_weight", "convolve_transpose")
    ],
]  # fmt: skip

# ---------------------------------------------------------------- windows and pooling


@st.composite
def _windows(draw: Any, fold: bool = False) -> Case:
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    options: dict[str, Any] = {
        "kernel_size": kernel,
        "dilation": draw(st.integers(1, 2)),
        "padding": draw(st.integers(0, 1)),
        "stride": draw(st.integers(1, 2)),
    }
    reach = [options["dilation"] * (k - 1) + 1 for k in kernel]
    size = tuple([max(r - 2 * options["padding"], 1) + draw(st.integers(0, 3)) for r in reach])
    n, c = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    if not fold:
        return Case((draw(arrays((n, c, *size))),), options)
    blocks = math.prod(
        [(m + 2 * options["padding"] - r) // options["stride"] + 1 for m, r in zip(size, reach)]
    )
    x = draw(arrays((n, c * kernel[0] * kernel[1], blocks)))
    return Case((x,), {"output_size": size, **options})


def _np_unfold(x: Any, kernel_size: Any, dilation: int, padding: int, stride: int) -> Any:
    c = x.shape[1]
    eye = np.eye(c * math.prod(kernel_size)).reshape(-1, c, *kernel_size)
    out = np_conv(x, eye, None, stride, padding, dilation)
    return out.reshape(x.shape[0], eye.shape[0], math.prod(out.shape[2:]))


def _np_fold(x: Any, output_size: Any, **options: Any) -> Any:
    """The transpose of ``unfold``, entry by entry of the image."""
    c = x.shape[1] // math.prod(options["kernel_size"])
    out = np.zeros((x.shape[0], c, *output_size))
    for place in np.ndindex(c, *output_size):
        unit = np.zeros((1, c, *output_size))
        unit[(0, *place)] = 1
        out[(slice(None), *place)] = (_np_unfold(unit, **options) * x).sum((1, 2))
    return out


@st.composite
def _pooled(draw: Any, average: bool) -> Case:
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    options: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": draw(st.sampled_from([None, 1, 2])),
        "padding": tuple([draw(st.integers(0, k // 2)) for k in kernel]),
        "ceil_mode": draw(st.booleans()),
    }
    if average:
        options["count_include_pad"] = draw(st.booleans())
    else:
        options["dilation"] = draw(st.integers(1, 2))
    reach = [options.get("dilation", 1) * (k - 1) + 1 for k in kernel]
    size = tuple([r + draw(st.integers(0, 3)) for r in reach])
    x = draw(arrays((draw(st.integers(0, 2)), 2, *size), REAL if average else DISTINCT))
    return Case((x,), options)


def _np_pool(x: Any, average: bool, kernel_size: Any, stride: Any, padding: Any,
             ceil_mode: bool, dilation: int = 1, count_include_pad: bool = True) -> Any:  # fmt: skip
    """Window by window, out of the definition."""
    strides = kernel_size if stride is None else (stride, stride)
    counts = []
    for n, k, s, p in zip(x.shape[2:], kernel_size, strides, padding):
        span = n + 2 * p - dilation * (k - 1) - 1
        count = (math.ceil(span / s) if ceil_mode else span // s) + 1
        counts.append(count - 1 if ceil_mode and (count - 1) * s >= n + p else count)
    out = np.zeros((*x.shape[:2], *counts))
    for place in np.ndindex(*counts):
        inside, area = [], 1
        for i, n, k, s, p in zip(place, x.shape[2:], kernel_size, strides, padding):
            start = i * s - p
            inside.append([j for j in range(start, start + dilation * k, dilation) if 0 <= j < n])
            area *= min(start + k, n + p) - start
        values = x[:, :, inside[0]][:, :, :, inside[1]]
        if average:
            divisor = area if count_include_pad else values.shape[2] * values.shape[3]
            out[:, :, place[0], place[1]] = values.sum((2, 3)) / divisor
        else:
            out[:, :, place[0], place[1]] = values.max((2, 3))
    return out


@st.composite
def _picture(draw: Any, **options: Any) -> Case:
    size = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    x = draw(arrays((draw(st.integers(0, 2)), draw(st.integers(1, 2)), *size)))
    return Case((x,), {name: draw(strategy) for name, strategy in options.items()})


_SIZES = st.tuples(st.integers(1, 6), st.integers(1, 6))
_RESIZED = (
    _picture(size=_SIZES, mode=st.just("nearest"))
    | _picture(scale_factor=st.sampled_from([2, 0.5, 1.5, 3]), mode=st.just("nearest"))
    | _picture(size=_SIZES, mode=st.just("bilinear"), align_corners=st.booleans())
    | _picture(scale_factor=st.sampled_from([2, 1.5]), mode=st.just("bilinear"))
).filter(lambda case: min(case.arrays[0].shape[2:]) * case.options.get("scale_factor", 1) >= 1)


def _np_cells(x: Any, output_size: Any) -> Any:
    out = np.zeros((*x.shape[:2], *output_size))
    for i, j in np.ndindex(*output_size):
        rows, columns = (
            slice(k * n // m, -(-(k + 1) * n // m))
            for k, n, m in zip((i, j), x.shape[2:], output_size)
        )
        out[:, :, i, j] = x[:, :, rows, columns].mean((2, 3))
    return out


@st.composite
def _shuffled(draw: Any, up: bool) -> Case:
    r = draw(st.integers(1, 3))
    n, c, h, w = (draw(st.integers(1, 2)) for _ in range(4))
    shape = (n, c * r * r, h, w) if up else (n, c, h * r, w * r)
    return Case((draw(arrays(shape)),), {"upscale_factor" if up else "downscale_factor": r})


def _np_shuffle(x: Any, upscale_factor: int) -> Any:
    r = upscale_factor
    out = np.zeros((x.shape[0], x.shape[1] // r**2, x.shape[2] * r, x.shape[3] * r))
    for n, c, i, j in np.ndindex(*out.shape):
        out[n, c, i, j] = x[n, c * r * r + (i % r) * r + j % r, i // r, j // r]
    return out


def _np_unshuffle(x: Any, downscale_factor: int) -> Any:
    r = downscale_factor
    out = np.zeros((x.shape[0], x.shape[1] * r**2, x.shape[2] // r, x.shape[3] // r))
    for n, c, i, j in np.ndindex(*x.shape):
        out[n, c * r * r + (i % r) * r + j % r, i // r, j // r] = x[n, c, i, j]
    return out


POOLING = [
    Spec("unfold", _windows(), numpy=_np_unfold, torch="nn.functional.unfold"),
    Spec("fold", _windows(fold=True), numpy=_np_fold, torch="nn.functional.fold"),
    Spec("max_pool2d", _pooled(average=False), torch="nn.functional.max_pool2d",
         numpy=lambda x, **k: _np_pool(x, False, **k), ops=("windows",)),
    Spec("avg_pool2d", _pooled(average=True), torch="nn.functional.avg_pool2d",
         numpy=lambda x, **k: _np_pool(x, True, **k), ops=("windows", "windows_back")),
    Spec("adaptive_avg_pool2d", _picture(output_size=_SIZES), numpy=_np_cells,
         torch="nn.functional.adaptive_avg_pool2d"),
    Spec("interpolate", _RESIZED, torch=lambda x, align_corners=None, **k:
         torch.nn.functional.interpolate(
             x, align_corners=False if k["mode"] == "bilinear" and align_corners is None
             else align_corners, **k)),
    Spec("pixel_shuffle", _shuffled(up=True), numpy=_np_shuffle,
         torch="nn.functional.pixel_shuffle"),
    Spec("pixel_unshuffle", _shuffled(up=False), numpy=_np_unshuffle,
         torch="nn.functional.pixel_unshuffle"),
]  # fmt: skip

# ---------------------------------------------------------------- normalization


def _standard(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    mean, variance = x.mean(dims, keepdims=True), x.var(dims, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps)


def _scaled(x: Any, *wb: Any) -> Any:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return x * wb[0].reshape(shape) + wb[1].reshape(shape) if wb else x


@st.composite
def _normalized(draw: Any, kind: str) -> Case:
    """Enough values in each set that the variance is far from 0."""
    n, c = draw(st.integers(2, 3)), draw(st.sampled_from([2, 4]))
    rest = draw(st.sampled_from([(3,), (2, 3)]))
    if kind == "batch" and draw(st.booleans()):
        rest, n = (), 5
    if kind in ("layer", "group") and draw(st.integers(0, 4)) == 0:
        n = 0
    x = draw(arrays((n, c, *rest), DISTINCT))
    options: dict[str, Any] = {"eps": draw(st.sampled_from([1e-5, 0.1]))}
    weights = (c,)
    if kind == "layer":
        count = draw(st.integers(1, x.ndim - 1))
        weights = options["normalized_shape"] = x.shape[x.ndim - count :]
    if kind == "group":
        options["num_groups"] = draw(st.sampled_from([1, 2]))
    if draw(st.booleans()):
        return Case((x, draw(arrays(weights, UNIT)), draw(arrays(weights))), options)
    return Case((x,), options)


def _np_layer(x: Any, *wb: Any, normalized_shape: Any, eps: float) -> Any:
    out = _standard(x, tuple(range(-len(normalized_shape), 0)), eps)
    return out * wb[0] + wb[1] if wb else out


def _np_group(x: Any, *wb: Any, num_groups: int, eps: float) -> Any:
    grouped = x.reshape(x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    return _scaled(_standard(grouped, (2,), eps).reshape(x.shape), *wb)


def _evaluated(function: Any) -> Any:
    """Batch norm in evaluation: running statistics are inputs."""
    return lambda x, mean, variance, w, b, eps: function(x, mean, variance, w, b, False, 0.1, eps)


@st.composite
def _evaluation(draw: Any) -> Case:
    case = draw(_normalized("batch"))
    x = case.arrays[0]
    vectors = [draw(arrays((x.shape[1],), UNIT)) for _ in range(4)]
    return Case((x, *vectors), case.options)


def _np_evaluation(x: Any, mean: Any, variance: Any, w: Any, b: Any, eps: float) -> Any:
    return _scaled(_scaled(x - _scaled(np.ones_like(x), mean, 0 * mean),
                           1 / np.sqrt(variance + eps), 0 * mean), w, b)  # fmt: skip


def _torch_layer(x: Any, *wb: Any, normalized_shape: Any, eps: float) -> Any:
    return torch.nn.functional.layer_norm(x, normalized_shape, *(wb or (None, None)), eps=eps)


NORMALIZATION = [
    Spec("layer_norm", _normalized("layer"), numpy=_np_layer, torch=_torch_layer,
         call=lambda x, *wb, normalized_shape, eps: mg.layer_norm(
             x, normalized_shape, *wb, eps=eps), ops=("standardize",), rtol32=3e-5),
    Spec("group_norm", _normalized("group"), numpy=_np_group,
         call=lambda x, *wb, num_groups, eps: mg.group_norm(x, num_groups, *wb, eps=eps),
         torch=lambda x, *wb, num_groups, eps: torch.nn.functional.group_norm(
             x, num_groups, *wb, eps=eps), rtol32=3e-5),
    Spec("instance_norm", _normalized("instance"), rtol32=3e-5,
         numpy=lambda x, *wb, eps: _scaled(_standard(x, tuple(range(2, x.ndim)), eps), *wb),
         torch=lambda x, *wb, eps: torch.nn.functional.instance_norm(
             x, None, None, *(wb or (None, None)), eps=eps)),
    Spec("batch_norm", _normalized("batch"), rtol32=3e-5,
         call=lambda x, *wb, eps: mg.batch_norm(
             x, None, None, *(wb or (None, None)), training=True, eps=eps),
         numpy=lambda x, *wb, eps: _scaled(_standard(x, (0, *range(2, x.ndim)), eps), *wb),
         torch=lambda x, *wb, eps: torch.nn.functional.batch_norm(
             x, None, None, *(wb or (None, None)), training=True, eps=eps)),
    Spec("batch_norm", _evaluation(), call=_evaluated(mg.batch_norm), numpy=_np_evaluation,
         torch=lambda x, mean, variance, w, b, eps: (
             (x - mean.reshape(1, -1, *[1] * (x.ndim - 2)))
             / (variance + eps).sqrt().reshape(1, -1, *[1] * (x.ndim - 2))
             * w.reshape(1, -1, *[1] * (x.ndim - 2)) + b.reshape(1, -1, *[1] * (x.ndim - 2)))),
]  # fmt: skip

# ---------------------------------------------------------------- attention


@st.composite
def _attention(draw: Any) -> Case:
    lead = draw(shapes(max_dims=2, max_side=2))
    t, s, d, e = (draw(st.integers(1, 4)) for _ in range(4))
    options: dict[str, Any] = {"scale": draw(st.sampled_from([None, 0.7]))}
    mask = draw(st.sampled_from(["none", "causal", "boolean", "numbers"]))
    xs = [draw(arrays((*lead, n, m))) for n, m in [(t, d), (s, d), (s, e)]]
    options["is_causal"] = mask == "causal"
    if mask == "boolean":
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        seen = rng.uniform(size=(t, s)) < 0.6
        seen[np.arange(t), rng.integers(0, s, t)] = True  # every query sees something
        xs.append(seen)
    if mask == "numbers":
        xs.append(draw(arrays((*lead, t, s))))
    return Case(tuple(xs), options)


def _np_attention(q: Any, k: Any, v: Any, mask: Any = None, *, scale: Any, is_causal: bool) -> Any:
    scores = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        mask = np.tri(*scores.shape[-2:], dtype=bool)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    weights = np.exp(scores)
    return weights / weights.sum(-1, keepdims=True) @ v


ATTENTION = [
    Spec("scaled_dot_product_attention", _attention(), numpy=_np_attention,
         torch="nn.functional.scaled_dot_product_attention", ops=("attention",)),
]  # fmt: skip

SPECS = [*CONVOLUTIONS, *POOLING, *NORMALIZATION, *ATTENTION]
