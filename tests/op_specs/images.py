"""Descriptions of pooling, resampling, and moving between windows, pixels and channels."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .convolution import each, np_conv
from .core import DISTINCT, REAL, Case, Spec, arrays, torch

# ---------------------------------------------------------------- windows and pooling


def _one_or_two(low: int, high: int) -> st.SearchStrategy[Any]:
    """A number for both axes, or one each."""
    number = st.integers(low, high)
    return number | st.tuples(number, number)


@st.composite
def _windows(draw: Any, fold: bool = False) -> Case:
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    options: dict[str, Any] = {
        "kernel_size": kernel,
        "dilation": draw(_one_or_two(1, 2)),
        "padding": draw(_one_or_two(0, 1)),
        "stride": draw(_one_or_two(1, 2)),
    }
    dilation, padding, stride = (each(options[name], 2) for name in list(options)[1:])
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    size = tuple([max(r - 2 * p, 1) + draw(st.integers(0, 3)) for r, p in zip(reach, padding)])
    n, c = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    if not fold:
        return Case((draw(arrays((n, c, *size))),), options)
    blocks = math.prod(
        [(m + 2 * p - r) // s + 1 for m, p, r, s in zip(size, padding, reach, stride)]
    )
    x = draw(arrays((n, c * kernel[0] * kernel[1], blocks)))
    return Case((x,), {"output_size": size, **options})


def _np_unfold(x: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
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
        "stride": draw(st.none() | _one_or_two(1, 2)),
        "padding": tuple([draw(st.integers(0, k // 2)) for k in kernel]),
        "ceil_mode": draw(st.booleans()),
    }
    if average:
        options["count_include_pad"] = draw(st.booleans())
        options["divisor_override"] = draw(st.sampled_from([None, None, 3]))
    else:
        options["dilation"] = draw(_one_or_two(1, 2))
    dilation = each(options.get("dilation", 1), 2)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    size = tuple([r + draw(st.integers(0, 3)) for r in reach])
    batch = draw(st.sampled_from([(), (0,), (1,), (2,)]))
    x = draw(arrays((*batch, 2, *size), REAL if average else DISTINCT))
    return Case((x,), options)


def _np_pool(
    x: Any,
    average: bool,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    dilation: Any = 1,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Window by window, out of the definition."""
    if x.ndim == 3:
        options = (average, kernel_size, stride, padding, ceil_mode, dilation, count_include_pad)
        return _np_pool(x[None], *options, divisor_override)[0]
    strides, dilations = kernel_size if stride is None else each(stride, 2), each(dilation, 2)
    counts = []
    for n, k, s, p, d in zip(x.shape[2:], kernel_size, strides, padding, dilations):
        span = n + 2 * p - d * (k - 1) - 1
        count = (math.ceil(span / s) if ceil_mode else span // s) + 1
        counts.append(count - 1 if ceil_mode and (count - 1) * s >= n + p else count)
    out = np.zeros((*x.shape[:2], *counts))
    for place in np.ndindex(*counts):
        inside, area = [], 1
        for i, n, k, s, p, d in zip(place, x.shape[2:], kernel_size, strides, padding, dilations):
            start = i * s - p
            inside.append([j for j in range(start, start + d * k, d) if 0 <= j < n])
            area *= min(start + k, n + p) - start
        values = x[:, :, inside[0]][:, :, :, inside[1]]
        if average:
            divisor = area if count_include_pad else values.shape[2] * values.shape[3]
            divisor = divisor_override or divisor
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


def np_interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """Sample by sample: which old place a new one has, and which old samples lie round it.

    ``nearest``: new sample i takes old sample ⌊i / scale⌋. ``linear``, ``bilinear``: the place of i
    is (i + ½) / scale - ½, where samples are areas, or i·(n - 1)/(m - 1), where the corners stay;
    the two old samples beside it count by their nearness. ``bicubic``: the four beside it count by
    Keys' cubic of their distance.
    """
    if x.ndim == 3:  # a signal is a picture of one row
        pair = (1, size if isinstance(size, int) else size[0]) if size else None
        scale = (1, scale_factor) if scale_factor else None
        picture = {"linear": "bilinear"}.get(mode, mode)
        return np_interpolate(x[:, :, None], pair, scale, picture, align_corners)[:, :, 0]
    old = x.shape[2:]
    factors = scale_factor if isinstance(scale_factor, tuple) else (scale_factor,) * 2
    new = size or tuple([math.floor(n * f) for n, f in zip(old, factors)])
    scales = factors if scale_factor else [m / n for n, m in zip(old, new)]

    def shares(i: int, n: int, m: int, scale: float) -> dict[int, float]:
        """How much each old row (or column) counts in new row i."""
        if mode == "nearest":
            return {min(int(i / scale), n - 1): 1.0}
        corner = i * (n - 1) / (m - 1) if m > 1 else 0.0
        place = corner if align_corners else (i + 0.5) / scale - 0.5
        if mode == "bilinear":
            place = max(place, 0.0)
        found: dict[int, float] = {}
        for tap in range(math.floor(place) - 1, math.floor(place) + 3):
            distance = abs(place - tap)
            weight = max(1 - distance, 0.0) if mode == "bilinear" else _keys(distance)
            edge = min(max(tap, 0), n - 1)
            found[edge] = found.get(edge, 0.0) + weight
        return found

    out = np.zeros((*x.shape[:2], *new))
    for i, j in np.ndindex(*new):
        rows, columns = (shares(*each) for each in zip((i, j), old, new, scales))
        for r, c in itertools.product(rows, columns):
            out[:, :, i, j] += rows[r] * columns[c] * x[:, :, r, c]
    return out


def _keys(distance: float) -> float:
    """The cubic of the paper, its equation 4, with a = -3/4."""
    if distance < 1:
        return 1.25 * distance**3 - 2.25 * distance**2 + 1
    return -0.75 * (distance**3 - 5 * distance**2 + 8 * distance - 4) if distance < 2 else 0.0


@st.composite
def _signal(draw: Any, **options: Any) -> Case:
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 4)))
    return Case((draw(arrays(shape)),), {name: draw(s) for name, s in options.items()})


_STRETCHED = (
    _signal(size=st.integers(1, 6), mode=st.just("nearest"))
    | _signal(scale_factor=st.sampled_from([2, 0.5, 1.5]), mode=st.just("nearest"))
    | _signal(size=st.integers(1, 6), mode=st.just("linear"), align_corners=st.booleans())
    | _signal(scale_factor=st.sampled_from([2, 1.5]), mode=st.just("linear"))
).filter(lambda case: case.arrays[0].shape[2] * case.options.get("scale_factor", 1) >= 1)

_CUBIC = _picture(size=_SIZES, mode=st.just("bicubic"), align_corners=st.booleans()) | _picture(
    scale_factor=st.sampled_from([2, 1.5]), mode=st.just("bicubic")
)


def _one_dimension(pooled: Any) -> Any:
    """Cases of a pool with one spatial dimension, from those with two."""

    def cut(case: Case) -> Case:
        options = {k: v for k, v in case.options.items() if k != "divisor_override"}
        for name, value in options.items():
            if isinstance(value, tuple):
                options[name] = value[1]
        return Case((np.ascontiguousarray(case.arrays[0][..., 0, :]),), options)

    return pooled.map(cut)


def _np_pool1d(x: Any, average: bool, **options: Any) -> Any:
    """A picture of one row, in windows of one row."""
    stride = options.pop("stride") or options["kernel_size"]
    options["kernel_size"], options["padding"] = (
        (1, options["kernel_size"]),
        (0, options["padding"]),
    )
    return _np_pool(x[..., None, :], average, stride=stride, **options)[..., 0, :]


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
    batch = draw(st.sampled_from([(), (1,), (2,), (2, 1)]))
    c, h, w = (draw(st.integers(1, 2)) for _ in range(3))
    shape = (*batch, c * r * r, h, w) if up else (*batch, c, h * r, w * r)
    return Case((draw(arrays(shape)),), {"upscale_factor" if up else "downscale_factor": r})


def _np_shuffle(x: Any, upscale_factor: int) -> Any:
    r = upscale_factor
    *batch, channels, h, w = x.shape
    out = np.zeros((*batch, channels // r**2, h * r, w * r))
    for c, i, j in np.ndindex(*out.shape[-3:]):
        out[..., c, i, j] = x[..., c * r * r + (i % r) * r + j % r, i // r, j // r]
    return out


def _np_unshuffle(x: Any, downscale_factor: int) -> Any:
    r = downscale_factor
    *batch, channels, h, w = x.shape
    out = np.zeros((*batch, channels * r**2, h // r, w // r))
    for c, i, j in np.ndindex(*x.shape[-3:]):
        out[..., c * r * r + (i % r) * r + j % r, i // r, j // r] = x[..., c, i, j]
    return out


SPECS = [
    Spec("unfold", _windows(), numpy=_np_unfold, torch="nn.functional.unfold"),
    Spec("fold", _windows(fold=True), numpy=_np_fold, torch="nn.functional.fold"),
    Spec("max_pool2d", _pooled(average=False), torch="nn.functional.max_pool2d",
         numpy=lambda x, **k: _np_pool(x, False, **k), ops=("windows",)),
    Spec("avg_pool2d", _pooled(average=True), torch="nn.functional.avg_pool2d",
         numpy=lambda x, **k: _np_pool(x, True, **k), ops=("windows", "windows_back")),
    Spec("adaptive_avg_pool2d", _picture(output_size=_SIZES), numpy=_np_cells,
         torch="nn.functional.adaptive_avg_pool2d"),
    Spec("interpolate", _RESIZED, numpy=np_interpolate, torch=lambda x, align_corners=None, **k:
         torch.nn.functional.interpolate(
             x, align_corners=False if k["mode"] == "bilinear" and align_corners is None
             else align_corners, **k)),
    Spec("interpolate", _STRETCHED | _CUBIC, numpy=np_interpolate,
         torch=lambda x, **k: torch.nn.functional.interpolate(x, **k)),
    Spec("max_pool1d", _one_dimension(_pooled(average=False)), torch="nn.functional.max_pool1d",
         numpy=lambda x, **k: _np_pool1d(x, False, **k)),
    Spec("avg_pool1d", _one_dimension(_pooled(average=True)), torch="nn.functional.avg_pool1d",
         numpy=lambda x, **k: _np_pool1d(x, True, **k)),
    Spec("adaptive_avg_pool1d", _signal(output_size=st.integers(1, 6)),
         torch="nn.functional.adaptive_avg_pool1d",
         numpy=lambda x, output_size: _np_cells(x[:, :, None], (1, output_size))[:, :, 0]),
    Spec("pixel_shuffle", _shuffled(up=True), numpy=_np_shuffle,
         torch="nn.functional.pixel_shuffle"),
    Spec("pixel_unshuffle", _shuffled(up=False), numpy=_np_unshuffle,
         torch="nn.functional.pixel_unshuffle"),
]  # fmt: skip
