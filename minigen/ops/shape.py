"""Shape: the same numbers, arranged differently. Reshape, transpose, join, split, pad.

All of these only move numbers, so each gradient moves them back. Names are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigen.autograd.operation import functions
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.numeric import integer
from minigen.ops._arguments import full_shape, one_dim, some_dims, unpack
from minigen.ops.summation import sum_of, sum_rows

__all__ = [
    "broadcast_to",
    "cat",
    "chunk",
    "concatenate",
    "expand",
    "flatten",
    "flip",
    "movedim",
    "pad",
    "permute",
    "repeat",
    "repeat_interleave",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "transpose",
    "unbind",
    "unflatten",
    "unsqueeze",
]

# ---------------------------------------------------------------- reshape


@primitive(name="reshape")
def _reshape(b, x, *, shape):
    """The numbers of ``x``, in reading order, in another shape."""
    return x.reshape(shape)


_reshape.rules(x=lambda f, g, x_shape: f.reshape(g, shape=x_shape))


def reshape(input: Tensor, *lengths: Any, shape: Sequence[int] | None = None) -> Tensor:
    """The numbers of ``input``, in reading order, in another shape; one length may be -1."""
    return _reshape(
        input, shape=full_shape(unpack(lengths) if shape is None else shape, input.numel())
    )


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions ``start_dim`` … ``end_dim`` made one."""
    if input.ndim == 0:
        return _reshape(input, shape=(1,))
    start, end = (
        one_dim(start_dim, input.ndim, "start_dim"),
        one_dim(end_dim, input.ndim, "end_dim"),
    )
    if start > end:
        raise ValueError(f"start_dim must not come after end_dim, got {start_dim} and {end_dim}")
    length = 1
    for n in input.shape[start : end + 1]:
        length *= n
    return _reshape(input, shape=(*input.shape[:start], length, *input.shape[end + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension ``dim`` split into dimensions of the lengths ``sizes`` (one may be -1)."""
    dim = one_dim(dim, input.ndim)
    return _reshape(
        input,
        shape=(*input.shape[:dim], *full_shape(sizes, input.shape[dim]), *input.shape[dim + 1 :]),
    )


def squeeze(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """Without the dimensions of length 1; with ``dim``, without those of them only."""
    dims = some_dims(dim, input.ndim)
    kept = tuple([n for d, n in enumerate(input.shape) if d not in dims or n != 1])
    return _reshape(input, shape=kept)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new dimension of length 1 at ``dim``."""
    dim = one_dim(dim, input.ndim + 1)
    return _reshape(input, shape=(*input.shape[:dim], 1, *input.shape[dim:]))


# ---------------------------------------------------------------- transpose


@primitive(name="permute")
def _permute(b, x, *, dims):
    """The dimensions of ``x`` in another order."""
    return x.transpose(dims)


_permute.rules(x=lambda f, g, dims: f.permute(g, dims=_inverse(dims)))


def _inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    inverse = [0] * len(dims)
    for place, d in enumerate(dims):
        inverse[d] = place
    return tuple(inverse)


def permute(input: Tensor, *places: Any, dims: Sequence[int] | None = None) -> Tensor:
    """The dimensions in the order ``dims``: ``out.shape[i] == x.shape[dims[i]]``."""
    given = tuple(unpack(places) if dims is None else dims)
    order = some_dims(given, input.ndim, "dims")
    if len(order) != input.ndim:
        raise ValueError(f"dims must name all {input.ndim} dimensions once, got {given}")
    return _permute(input, dims=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Dimensions ``dim0`` and ``dim1`` exchanged."""
    first, second = one_dim(dim0, input.ndim, "dim0"), one_dim(dim1, input.ndim, "dim1")
    order = list(range(input.ndim))
    if order:
        order[first], order[second] = order[second], order[first]
    return _permute(input, dims=tuple(order))


def movedim(input: Tensor, source: int, destination: int) -> Tensor:
    """Dimension ``source`` moved to the place ``destination``."""
    source = one_dim(source, input.ndim, "source")
    destination = one_dim(destination, input.ndim, "destination")
    order = [d for d in range(input.ndim) if d != source]
    order.insert(destination, source)
    return _permute(input, dims=tuple(order))


# ---------------------------------------------------------------- broadcast


@primitive(name="broadcast_to")
def _broadcast_to(b, x, *, shape):
    """``x`` repeated to ``shape`` without copying."""
    return b.xp.broadcast_to(x, shape)


@primitive
def sum_to(b, x, *, shape):
    """Sum over whatever broadcasting ``shape`` to ``x.shape`` repeated."""
    extra = x.ndim - len(shape)
    several = math.prod(shape) > 1
    if extra and several and tuple(shape) == x.shape[extra:] and x.dtype.kind == "f" and x.size:
        rows = x.reshape(math.prod(x.shape[:extra]), math.prod(shape))
        return sum_rows(b, rows).reshape(shape)  # (N, C) -> (C,)
    axes = tuple(
        [d for d in range(x.ndim) if d < extra or (shape[d - extra] == 1 and x.shape[d] != 1)]
    )
    return sum_of(b, x, axes, keepdims=True).reshape(shape) if axes else x.reshape(shape)


_broadcast_to.rules(x=lambda f, g, x_shape: f.sum_to(g, shape=x_shape))
sum_to.rules(x=lambda f, g, x_shape: _broadcast_back(f, g, x_shape))


def _broadcast_back(f: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Undo ``sum_to``: (…reduced shape) -> shape."""
    padded = (1,) * (len(shape) - len(g.shape)) + tuple(g.shape)
    return f.broadcast_to(f.reshape(g, shape=padded), shape=shape)


def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """``input`` repeated to ``shape`` by the rules of broadcasting."""
    return _broadcast_to(input, shape=tuple(shape))


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """``broadcast_to`` where -1 keeps a length (PyTorch's ``expand``)."""
    shape = unpack(sizes)
    extra = len(shape) - input.ndim
    if extra < 0 or any(n == -1 for n in shape[:extra]):
        raise ValueError(f"cannot expand shape {input.shape} to {shape}")
    lengths = [input.shape[i - extra] if n == -1 else n for i, n in enumerate(shape)]
    return _broadcast_to(input, shape=tuple(lengths))


# ---------------------------------------------------------------- join and split


@primitive(name="concatenate")
def _concatenate(b, *xs, dim):
    """``xs`` one after the other along ``dim``."""
    return b.xp.concatenate(xs, axis=dim)


def _concatenate_rule(f: Any, g: Any, shapes: Any, *, dim: int) -> Sequence[Any]:
    """Each input gets its own stretch of the gradient."""
    pieces, start = [], 0
    for shape in shapes:
        stop = start + shape[dim]
        pieces.append(f.getitem(g, index=(slice(None),) * dim + (slice(start, stop),)))
        start = stop
    return pieces


_concatenate.joint(_concatenate_rule)


def concatenate(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """``tensors`` one after the other along ``dim``; the other lengths must agree."""
    if not len(tensors):
        raise ValueError("concatenate needs at least one tensor, got none")
    return _concatenate(*tensors, dim=one_dim(dim, tensors[0].ndim))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """``tensors`` of one shape side by side along a new dimension ``dim``."""
    if not len(tensors):
        raise ValueError("stack needs at least one tensor, got none")
    return concatenate([unsqueeze(x, dim) for x in tensors], dim=dim)


def split(input: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along ``dim`` of length ``split_size`` (the last may be shorter), or these lengths."""
    dim = one_dim(dim, input.ndim)
    length = input.shape[dim]
    if not isinstance(split_size, (tuple, list)):
        split_size = integer("split_size", split_size, 1)
        sizes = [min(split_size, length - i) for i in range(0, length, split_size)] or [0]
    else:
        sizes = [integer("split_size", n) for n in split_size]
        if min(sizes, default=0) < 0 or sum(sizes) != length:
            raise ValueError(f"split sizes {sizes} must be ≥ 0 and add up to {length}")
    pieces, start = [], 0
    for size in sizes:
        index = (slice(None),) * dim + (slice(start, start + size),)
        pieces.append(functions.getitem(input, index=index))
        start += size
    return tuple(pieces)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces of equal length along ``dim`` (the last may be shorter)."""
    chunks = integer("chunks", chunks, 1)
    length = input.shape[one_dim(dim, input.ndim)]
    if not length:
        return split(input, [0] * chunks, dim)
    return split(input, max(-(-length // chunks), 1), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along ``dim``, without that dimension."""
    dim = one_dim(dim, input.ndim)
    return tuple(
        [
            functions.getitem(input, index=(slice(None),) * dim + (i,))
            for i in range(input.shape[dim])
        ]
    )


# ---------------------------------------------------------------- repeat, flip, roll


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The whole tensor laid side by side ``repeats[d]`` times along each dimension d."""
    counts = unpack(repeats)
    if len(counts) < input.ndim or any(n < 0 for n in counts):
        raise ValueError(f"repeats must be {input.ndim} or more numbers ≥ 0, got {counts}")
    lengths = (1,) * (len(counts) - input.ndim) + input.shape
    # (a, b) -> (1, a, 1, b) -> (r, a, s, b) -> (r·a, s·b)
    apart = [n for length in lengths for n in (1, length)]
    wide = [n for count, length in zip(counts, lengths) for n in (count, length)]
    joined = tuple([count * length for count, length in zip(counts, lengths)])
    return _reshape(
        _broadcast_to(_reshape(input, shape=tuple(apart)), shape=tuple(wide)), shape=joined
    )


def repeat_interleave(input: Tensor, repeats: int, dim: int) -> Tensor:
    """Each entry along ``dim`` repeated ``repeats`` times in place."""
    dim = one_dim(dim, input.ndim)
    if repeats < 0:
        raise ValueError(f"repeats must be ≥ 0, got {repeats}")
    before, n, after = input.shape[:dim], input.shape[dim], input.shape[dim + 1 :]
    wide = _broadcast_to(
        _reshape(input, shape=(*before, n, 1, *after)), shape=(*before, n, repeats, *after)
    )
    return _reshape(wide, shape=(*before, n * repeats, *after))


@primitive(name="flip")
def _flip(b, x, *, dims):
    """``x`` read backwards along ``dims``."""
    return b.xp.flip(x, axis=dims)


_flip.rules(x=lambda f, g, dims: f.flip(g, dims=dims))


def flip(input: Tensor, dims: int | Sequence[int]) -> Tensor:
    """``input`` read backwards along each of ``dims``."""
    return _flip(input, dims=some_dims(dims, input.ndim, "dims"))


@primitive(name="roll")
def _roll(b, x, *, shifts, dims):
    """``x`` moved along ``dims``; what leaves at one end enters at the other."""
    return b.xp.roll(x, shifts, axis=dims)


_roll.rules(x=lambda f, g, shifts, dims: f.roll(g, shifts=tuple([-s for s in shifts]), dims=dims))


def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int]) -> Tensor:
    """``input`` moved by ``shifts`` along ``dims``; what leaves at one end enters at the other."""
    places = some_dims(dims, input.ndim, "dims")
    given = shifts if isinstance(shifts, (tuple, list)) else (shifts,)
    moves = tuple([integer("shifts", shift) for shift in given])
    if len(moves) != len(places):
        raise ValueError(f"shifts and dims must be equally many, got {shifts} and {dims}")
    return _roll(input, shifts=moves, dims=places)


# ---------------------------------------------------------------- pad


@primitive(name="pad")
def _pad(b, x, *, widths, value):
    """``x`` inside a larger array filled with ``value``."""
    shape = tuple([n + low + high for n, (low, high) in zip(x.shape, widths)])
    out = b.xp.full(shape, value, dtype=x.dtype)
    out[tuple([slice(low, low + n) for n, (low, _) in zip(x.shape, widths)])] = x
    return out


_pad.rules(
    x=lambda f, g, x_shape, widths: f.getitem(
        g, index=tuple([slice(low, low + n) for n, (low, _) in zip(x_shape, widths)])
    )
)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Grow ``input`` at the ends of its last dimensions (PyTorch's order: last dimension first).

    Args:
        x: any shape.
        pad: ``(left, right, top, bottom, …)``; negative widths cut off.
        mode: ``constant``, ``reflect`` (without the edge), ``replicate`` or ``circular``.
        value: what ``constant`` fills with.
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"pad must be pairs for at most {input.ndim} dimensions, got {tuple(pad)}")
    pad = [integer("pad", width) for width in pad]
    widths = [(0, 0)] * (input.ndim - len(pad) // 2)
    widths += [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    for d, (low, high) in enumerate(widths):
        if input.shape[d] + min(low, 0) + min(high, 0) < 0:
            raise ValueError(f"pad {tuple(pad)} cuts more than dimension {d} of {input.shape} has")
    if mode == "constant":
        if any(w < 0 for pair in widths for w in pair):
            cut = [
                slice(max(-low, 0), n - max(-high, 0))
                for n, (low, high) in zip(input.shape, widths)
            ]
            input = functions.getitem(input, index=tuple(cut))
            widths = [(max(low, 0), max(high, 0)) for low, high in widths]
        return _pad(input, widths=tuple(widths), value=value)
    if mode not in ("reflect", "replicate", "circular"):
        raise ValueError(f"mode must be constant, reflect, replicate or circular, got {mode!r}")
    for d, (low, high) in enumerate(widths):
        if low or high:
            input = _pad_by_index(input, d, low, high, mode)
    return input


def _pad_by_index(x: Tensor, dim: int, low: int, high: int, mode: str) -> Tensor:
    """Padding that repeats entries of ``x``: a gather of mirrored, clamped or wrapped positions."""
    n = x.shape[dim]
    room = {"reflect": n - 1, "circular": n, "replicate": low + high if n else 0}[mode]
    if max(low, high) > room:
        raise ValueError(f"{mode} padding of {max(low, high)} does not fit a length of {n}")
    positions = range(-low, n + high)
    if mode == "reflect":
        places = [abs(i) if i < n else 2 * (n - 1) - i for i in positions]
    elif mode == "circular":
        places = [i % n for i in positions]
    else:
        places = [min(max(i, 0), n - 1) for i in positions]
    return functions.take(x, index=tuple(places), dim=dim)


cat = concatenate
