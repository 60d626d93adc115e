"""Descriptions of convolution, transposed and masked convolution, and their triad."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigen.autograd.operation import registry
from minigen.ops._triad import Geometry

from .core import REAL, SMOOTH_AT_0, Case, Domain, Spec, arrays, torch

# ---------------------------------------------------------------- convolution


@st.composite
def _options(draw: Any, dims: int, transposed: bool = False) -> dict[str, Any]:
    """Stride, padding, dilation: one number for all axes, or one each."""

    def number(low: int, high: int) -> Any:
        each = st.tuples(*[st.integers(low, high)] * dims)
        return draw(st.integers(low, high) | each)

    options = {"stride": number(1, 3), "padding": number(0, 2), "dilation": number(1, 2)}
    return options


def each(value: Any, dims: int) -> tuple[int, ...]:
    """An option of all axes, for each of them."""
    return tuple(value) if isinstance(value, tuple) else (value,) * dims


@st.composite
def convolution(
    draw: Any, dims: int, bias: bool = True, batched: bool = True, domain: Domain = REAL
) -> Case:
    """Input, weight and bias of a convolution with ``dims`` spatial dimensions."""
    options = draw(_options(dims))
    groups = options["groups"] = draw(st.sampled_from([1, 1, 2]))
    kernel = tuple([draw(st.integers(1, 3)) for _ in range(dims)])
    if draw(st.integers(0, 5)) == 0:
        options["stride"], options["padding"] = 1, draw(st.sampled_from(["same", "valid"]))
    pads = each(options["padding"], dims) if options["padding"] not in ("same", "valid") else (
        (0,) * dims)  # fmt: skip
    reach = [d * (k - 1) + 1 for d, k in zip(each(options["dilation"], dims), kernel)]
    size = [max(r - 2 * p, 1) + draw(st.integers(0, 4)) for r, p in zip(reach, pads)]
    batch = (draw(st.integers(0, 2)),) if batched else draw(st.sampled_from([(), (2,)]))
    inputs, outputs = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    xs = [
        draw(arrays((*batch, inputs * groups, *size), domain)),
        draw(arrays((outputs * groups, inputs, *kernel))),
    ]
    if bias:
        xs.append(draw(arrays((outputs * groups,))))
    return Case(tuple(xs), options)


def _window(place: Any, kernel: Any, stride: Any, dilation: Any) -> tuple[slice, ...]:
    """What the window at ``place`` reads: all samples and channels, and its places."""
    parts = [
        slice(i * s, i * s + d * (k - 1) + 1, d)
        for i, k, s, d in zip(place, kernel, stride, dilation)
    ]
    return (slice(None), slice(None), *parts)


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
    kernel, s, d = w.shape[2:], each(stride, dims), each(dilation, dims)
    if padding == "same":
        total = [dd * (k - 1) for dd, k in zip(d, kernel)]
        pads = [(t // 2, t - t // 2) for t in total]
    else:
        pads = [(p, p) for p in each(0 if padding == "valid" else padding, dims)]
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    size = [(n - dd * (k - 1) - 1) // ss + 1 for n, k, ss, dd in zip(x.shape[2:], kernel, s, d)]
    out = np.zeros((x.shape[0], w.shape[0], *size))
    c, o = x.shape[1] // groups, w.shape[0] // groups
    for place in np.ndindex(*size):
        patch = x[_window(place, kernel, s, d)]
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
    strides, dilations = each(options["stride"], dims), each(options["dilation"], dims)
    extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations)]
    options["output_padding"] = tuple(extra)
    pads = each(options["padding"], dims)
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
    s, p, d = each(stride, dims), each(padding, dims), each(dilation, dims)
    e = each(output_padding, dims)
    full = [
        (n - 1) * ss + dd * (k - 1) + 1 + ee
        for n, ss, dd, k, ee in zip(x.shape[2:], s, d, w.shape[2:], e)
    ]
    o, c = w.shape[1], x.shape[1] // groups
    out = np.zeros((x.shape[0], o * groups, *full))
    for place in np.ndindex(*x.shape[2:]):
        for g in range(groups):
            at = (slice(None), slice(g * o, (g + 1) * o), *_window(place, w.shape[2:], s, d)[2:])
            pixel = x[(slice(None), slice(g * c, (g + 1) * c), *place)]
            out[at] += np.einsum("nc,co...->no...", pixel, w[g * c : (g + 1) * c])
    cut = tuple([slice(pp, n - pp) for pp, n in zip(p, full)])
    out = out[(slice(None), slice(None), *cut)]
    return out if b is None else out + b.reshape(-1, *[1] * dims)


@st.composite
def rectified(draw: Any, dims: int, bias: bool) -> Case:
    """A convolution of what a rectifier leaves of the input."""
    case = draw(convolution(dims, bias, domain=SMOOTH_AT_0))
    return Case(case.arrays, {**case.options, "rectify": draw(st.sampled_from([0.0, 0.2, 1.5]))})


def _np_rectified(x: Any, *rest: Any, rectify: float, **options: Any) -> Any:
    return np_conv(np.where(x > 0, x, rectify * x), *rest, **options)


def _torch_rectified(x: Any, *rest: Any, rectify: float, **options: Any) -> Any:
    functional = torch.nn.functional
    convolve = functional.conv1d if rest[0].ndim == 3 else functional.conv2d
    return convolve(functional.leaky_relu(x, rectify), *rest, **options)


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


@st.composite
def _big_masked(draw: Any) -> Case:
    """The same with masks: of the rows of the kernel parts are left, whole ones, or nothing."""
    rows, columns = np.indices((3, 4))
    mask = draw(
        st.sampled_from(
            [
                columns >= 1 + rows % 2,  # nothing at the left
                (rows < 1) | ((rows == 1) & (columns < 2)),  # only what comes before
                (columns == rows) & (rows != 1),
                rows < 0,  # nothing
            ]
        )
    )
    xs = (draw(arrays((4, 12, 12, 9))), draw(arrays((8, 12, 3, 4))), draw(arrays((8,))))
    return Case(xs, {"padding": draw(st.sampled_from([(0, 0), (1, 2), (3, 4)])), "mask": mask})


def _triad(name: str) -> Any:
    """One of the triad, with explicit options; the two others are its gradients."""
    how = Geometry((2, 1), ((1, 0), (2, 1)), (1, 2), 1, None)
    if name == "convolve":
        return lambda x, w: registry[name](x, w, how=how)
    if name == "convolve_weight":
        return lambda x, y: registry[name](x, y, kernel=(2, 3), how=how)
    return lambda y, w: registry[name](y, w, size=(5, 6), how=how)


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


SPECS = [
    *[
        Spec(f"conv{dims}d", convolution(dims, bias, batched), numpy=np_conv,
             torch=f"nn.functional.conv{dims}d", ops=("convolve", "convolve_weight"))
        for dims, bias, batched in [(2, True, True), (2, False, False), (1, True, True)]
    ],
    *[
        Spec(f"conv{dims}d", rectified(dims, bias), numpy=_np_rectified, torch=_torch_rectified,
             ops=("convolve_rectified",))
        for dims, bias in [(2, True), (2, False), (1, True)]
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
    Spec("masked_conv2d", _big_masked(), order=1,
         numpy=lambda x, w, b, mask, **k: np_conv(x, w * mask, b, **k)),
    *[
        Spec(name, _triad_case(name), call=_triad(name), numpy=_np_triad(name), ops=(name,))
        for name in ("convolve", "convolve_weight", "convolve_transpose")
    ],
]  # fmt: skip
