"""Descriptions of the functions that only rearrange numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg
from minigen.autograd.operation import registry

from .core import Case, Spec, arrays, broadcastable, one_axis, shapes, torch


@st.composite
def _reshape(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(max_side=4))))
    size = x.size
    choices = [(size,), (1, size), (size, 1)]
    if size:
        choices += [(-1,), (1, -1, 1)]
        choices += [(n, size // n) for n in (2, 3, 4) if size % n == 0]
        choices += [(n, -1) for n in (2, 3) if size % n == 0]
    return Case((x,), {"shape": draw(st.sampled_from(choices))})


@st.composite
def _flatten(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=1))))
    start = draw(st.integers(0, x.ndim - 1))
    end = draw(st.integers(start, x.ndim - 1))
    return Case((x,), {"start_dim": start, "end_dim": end - x.ndim * draw(st.booleans())})


@st.composite
def _unflatten(draw: Any) -> Case:
    shape = list(draw(shapes(min_dims=1, max_dims=3)))
    dim = draw(st.integers(0, len(shape) - 1))
    sizes = draw(st.sampled_from([(2, 3), (1, 2), (2, 1, 2), (3, 0)]))
    shape[dim] = math.prod(sizes)
    if draw(st.booleans()) and shape[dim]:
        sizes = (-1, *sizes[1:])
    return Case((draw(arrays(tuple(shape))),), {"dim": dim, "sizes": sizes})


@st.composite
def _squeeze(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(max_side=2))))
    return Case((x,), draw(st.sampled_from([{}, {"dim": draw(one_axis(x.ndim))}])))


@st.composite
def _axis(draw: Any, extra: int = 0, **limits: int) -> Case:
    x = draw(arrays(draw(shapes(**limits))))
    return Case((x,), {"dim": draw(one_axis(x.ndim + extra))})


@st.composite
def _permute(draw: Any) -> Case:
    x = draw(arrays(draw(shapes())))
    dims = draw(st.permutations(range(x.ndim)))
    return Case((x,), {"dims": tuple([d - x.ndim * draw(st.booleans()) for d in dims])})


@st.composite
def _two_axes(draw: Any, first: str, second: str, **limits: int) -> Case:
    x = draw(arrays(draw(shapes(**limits))))
    return Case((x,), {first: draw(one_axis(x.ndim)), second: draw(one_axis(x.ndim))})


@st.composite
def _several_axes(draw: Any) -> Case:
    x = draw(arrays(draw(shapes())))
    count = draw(st.integers(0, x.ndim))
    one, other = (draw(st.permutations(range(x.ndim)))[:count] for _ in range(2))
    return Case((x,), {"source": tuple(one), "destination": tuple([d - x.ndim for d in other])})


@st.composite
def _broadcast(draw: Any, name: str = "shape") -> Case:
    one, two = draw(broadcastable(2))
    return Case((draw(arrays(one)),), {name: np.broadcast_shapes(one, two)})


@st.composite
def _sum_to(draw: Any) -> Case:
    case = draw(_broadcast())
    shape = case.options["shape"]
    return Case((draw(arrays(shape)),), {"shape": case.arrays[0].shape})


def _np_sum_to(x: Any, shape: Any) -> Any:
    extra = x.ndim - len(shape)
    x = x.sum(axis=tuple(range(extra)))
    axes = tuple(d for d, n in enumerate(shape) if n == 1)
    return x.sum(axis=axes, keepdims=True).reshape(shape)


@st.composite
def _several(draw: Any, same: bool = False) -> Case:
    shape = draw(shapes(min_dims=0 if same else 1, max_dims=3))
    count = draw(st.integers(1, 3))
    dim = draw(one_axis(len(shape) + (1 if same else 0)))
    xs = []
    for _ in range(count):
        lengths = list(shape)
        if not same:
            lengths[dim] = draw(st.integers(0, 3))
        xs.append(draw(arrays(tuple(lengths))))
    return Case(tuple(xs), {"dim": dim})


@st.composite
def _split(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=1))))
    dim = draw(one_axis(x.ndim))
    length = x.shape[dim]
    cut = draw(st.integers(0, length))
    sizes = st.sampled_from([1, 2, 3, [cut, length - cut], [length]])
    return Case((x,), {"split_size_or_sections": draw(sizes), "dim": dim})


@st.composite
def _chunk(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=1))))
    return Case((x,), {"chunks": draw(st.integers(1, 4)), "dim": draw(one_axis(x.ndim))})


@st.composite
def _repeat(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(max_dims=3, max_side=3))))
    extra = draw(st.integers(0, 1))
    counts = st.lists(st.integers(0, 3), min_size=x.ndim + extra, max_size=x.ndim + extra)
    return Case((x,), {"repeats": tuple(draw(counts))})


@st.composite
def _interleave(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=1, max_dims=3))))
    return Case((x,), {"repeats": draw(st.integers(0, 3)), "dim": draw(one_axis(x.ndim))})


@st.composite
def _interleave_each(draw: Any) -> Case:
    """A number of repeats for each entry; or one for all of the flattened tensor."""
    x = draw(arrays(draw(shapes(min_dims=1, max_dims=3))))
    if draw(st.booleans()):
        return Case((x,), {"repeats": draw(st.integers(0, 3))})
    dim = draw(one_axis(x.ndim))
    n = x.shape[dim]
    counts = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return Case((x,), {"repeats": tuple(counts), "dim": dim, "output_size": sum(counts)})


def _interleaved(x: Any, repeats: Any, **options: Any) -> Any:
    """The repeats as an integer tensor, where there is one for each entry."""
    if isinstance(repeats, tuple):
        repeats = mg.tensor(np.array(repeats, np.int64))
    return mg.repeat_interleave(x, repeats, **options)


def _np_interleaved(x: Any, repeats: Any, dim: int | None = None, output_size: Any = None) -> Any:
    return np.repeat(x, repeats, dim)


@st.composite
def _flip(draw: Any) -> Case:
    x = draw(arrays(draw(shapes())))
    dims = st.lists(st.integers(0, x.ndim - 1), unique=True) if x.ndim else st.just([])
    return Case((x,), {"dims": tuple(draw(dims))})


@st.composite
def _vectors(draw: Any) -> Case:
    count = draw(st.integers(1, 3))
    xs = tuple(draw(arrays(draw(shapes(max_dims=1, max_side=3)))) for _ in range(count))
    return Case(xs, {"indexing": draw(st.sampled_from(["ij", "xy"]))})


@st.composite
def _roll(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=1))))
    dims = draw(st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1))
    shifts = [draw(st.integers(-5, 5)) for _ in dims]
    return Case((x,), {"shifts": tuple(shifts), "dims": tuple(dims)})


@st.composite
def _roll_all(draw: Any) -> Case:
    return Case((draw(arrays(draw(shapes()))),), {"shifts": draw(st.integers(-5, 5))})


@st.composite
def _pad_constant(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=1, max_side=3))))
    count = draw(st.integers(1, x.ndim))
    widths: list[int] = []
    for n in reversed(x.shape[x.ndim - count :]):
        low = draw(st.integers(-1 if n else 0, 2))
        widths += [low, draw(st.integers(-1 if n + min(low, 0) > 0 else 0, 2))]
    return Case((x,), {"pad": tuple(widths), "value": draw(st.sampled_from([0.0, -1.5]))})


def _np_pad(x: Any, pad: Any, value: float) -> Any:
    widths = [(0, 0)] * (x.ndim - len(pad) // 2)
    widths += [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    cut = tuple([slice(max(-lo, 0), n - max(-hi, 0)) for n, (lo, hi) in zip(x.shape, widths)])
    grown = [(max(lo, 0), max(hi, 0)) for lo, hi in widths]
    return np.pad(x[cut], grown, constant_values=value)


@st.composite
def _pad_repeating(draw: Any) -> Case:
    """Sides that grow by what repeats; some are cut off instead."""
    mode = draw(st.sampled_from(["reflect", "replicate", "circular"]))
    x = draw(arrays(draw(shapes(min_dims=4, max_dims=4, min_side=2, max_side=3))))
    room = [n - 1 if mode == "reflect" else n for n in reversed(x.shape[2:])]
    if mode != "circular":  # as PyTorch has it, what is cut off can still be repeated
        widths = [draw(st.integers(-1, r)) for r in room for _ in range(2)]
    else:
        widths = [
            w for r in room for w in (draw(st.integers(-1, r - 1)), draw(st.integers(0, r - 1)))
        ]
    return Case((x,), {"pad": tuple(widths), "mode": mode})


def _np_pad_repeating(x: Any, pad: Any, mode: str) -> Any:
    """Place by place: which entry of the row stands there."""

    def places(n: int, low: int, high: int) -> list[int]:
        if mode == "circular":  # of the row that is left
            left = list(range(max(-low, 0), n - max(-high, 0)))
            return [left[i % len(left)] for i in range(-max(low, 0), len(left) + max(high, 0))]
        if mode == "replicate":
            return [min(max(i, 0), n - 1) for i in range(-low, n + high)]
        mirrored = [*range(n), *range(n - 2, 0, -1)]
        return [mirrored[i % len(mirrored)] for i in range(-low, n + high)]

    rows, columns = places(x.shape[2], pad[2], pad[3]), places(x.shape[3], pad[0], pad[1])
    return x[:, :, rows][:, :, :, columns]


def _np_unbind(x: Any, dim: int) -> list[Any]:
    return [np.take(x, i, axis=dim) for i in range(x.shape[dim])]


def _np_split(x: Any, split_size_or_sections: Any, dim: int) -> list[Any]:
    split_size, length = split_size_or_sections, x.shape[dim]
    if isinstance(split_size, int):
        edges = list(range(0, length, split_size)) or [0]
    else:
        edges = [sum(split_size[:i]) for i in range(len(split_size))]
    return np.split(x, edges[1:], axis=dim)


SPECS = [
    Spec("reshape", _reshape(), call=lambda x, shape: mg.reshape(x, shape), ops=("reshape",),
         numpy=lambda x, shape: x.reshape(shape), torch=lambda x, shape: x.reshape(shape)),
    Spec("flatten", _flatten(), torch="flatten",
         numpy=lambda x, start_dim, end_dim: x.reshape(
             *x.shape[:start_dim],
             math.prod(x.shape[start_dim : (end_dim % x.ndim) + 1]),
             *x.shape[(end_dim % x.ndim) + 1 :])),
    Spec("unflatten", _unflatten(), torch="unflatten",
         numpy=lambda x, dim, sizes: x.reshape(
             *x.shape[:dim], *(n if n >= 0 else x.shape[dim] // -math.prod(sizes) for n in sizes),
             *x.shape[dim + 1 :])),
    Spec("squeeze", _squeeze(), torch="squeeze",
         numpy=lambda x, dim=None: (
             x if dim is not None and (x.ndim == 0 or x.shape[dim] != 1) else np.squeeze(x, dim))),
    Spec("unsqueeze", _axis(extra=1), torch="unsqueeze",
         numpy=lambda x, dim: np.expand_dims(x, dim)),
    Spec("permute", _permute(), call=lambda x, dims: mg.permute(x, dims),
         torch=lambda x, dims: x.permute(dims), ops=("permute",),
         numpy=lambda x, dims: np.transpose(x, dims)),
    Spec("transpose", _two_axes("dim0", "dim1"), torch="transpose",
         numpy=lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1) if x.ndim else x),
    Spec("movedim", _two_axes("source", "destination", min_dims=1), torch="movedim",
         numpy=lambda x, source, destination: np.moveaxis(x, source, destination)),
    Spec("meshgrid", _vectors(), torch=lambda *xs, indexing: torch.meshgrid(*xs, indexing=indexing),
         numpy=lambda *xs, indexing: np.meshgrid(*xs, indexing=indexing)),
    Spec("movedim", _several_axes(), torch="movedim",
         numpy=lambda x, source, destination: np.moveaxis(x, source, destination)),
    Spec("broadcast_to", _broadcast("size"), ops=("broadcast_to",),
         torch=lambda x, size: torch.broadcast_to(x, size),
         numpy=lambda x, size: np.broadcast_to(x, size)),
    Spec("expand", _broadcast("sizes"), call=lambda x, sizes: mg.expand(x, sizes),
         numpy=lambda x, sizes: np.broadcast_to(x, sizes),
         torch=lambda x, sizes: x.expand(sizes)),
    Spec("sum_to", _sum_to(), call=registry["sum_to"], numpy=_np_sum_to,
         torch=lambda x, shape: x.sum_to_size(shape), ops=("sum_to",)),
    Spec("concatenate", _several(), call=lambda *xs, dim: mg.concatenate(xs, dim),
         numpy=lambda *xs, dim: np.concatenate(xs, dim),
         torch=lambda *xs, dim: torch.concatenate(xs, dim), ops=("concatenate",), aliases=("cat",)),
    Spec("stack", _several(same=True), call=lambda *xs, dim: mg.stack(xs, dim),
         numpy=lambda *xs, dim: np.stack(xs, dim), torch=lambda *xs, dim: torch.stack(xs, dim)),
    Spec("split", _split(), numpy=_np_split,
         torch=lambda x, split_size_or_sections, dim: torch.split(x, split_size_or_sections, dim)),
    Spec("chunk", _chunk(), torch="chunk",
         numpy=lambda x, chunks, dim: (
             _np_split(x, -(-x.shape[dim] // chunks), dim) if x.shape[dim] else [x] * chunks)),
    Spec("unbind", _axis(min_dims=1, min_side=1), torch="unbind", numpy=_np_unbind),
    Spec("repeat", _repeat(), call=lambda x, repeats: mg.repeat(x, repeats),
         numpy=lambda x, repeats: np.tile(x, repeats),
         torch=lambda x, repeats: x.repeat(repeats)),
    Spec("repeat_interleave", _interleave(), torch="repeat_interleave",
         numpy=lambda x, repeats, dim: np.repeat(x, repeats, dim)),
    Spec("repeat_interleave", _interleave_each(), call=_interleaved, numpy=_np_interleaved,
         torch=lambda x, repeats, **k: torch.repeat_interleave(
             x, torch.tensor(repeats, dtype=torch.int64) if isinstance(repeats, tuple) else repeats,
             **k)),
    Spec("flip", _flip(), torch="flip", ops=("flip",),
         numpy=lambda x, dims: np.flip(x, dims) if dims else x),
    Spec("roll", _roll(), torch="roll", ops=("roll",),
         numpy=lambda x, shifts, dims: np.roll(x, shifts, dims)),
    Spec("roll", _roll_all(), torch="roll", numpy=lambda x, shifts: np.roll(x, shifts)),
    Spec("pad", _pad_constant(), numpy=_np_pad, torch="nn.functional.pad", ops=("pad",)),
    Spec("pad", _pad_repeating(), numpy=_np_pad_repeating, torch="nn.functional.pad",
         ops=("take",)),
]  # fmt: skip
