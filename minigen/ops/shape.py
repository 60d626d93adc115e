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
    "meshgrid",
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


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimension ``source`` moved to the place ``destination``, or several, each to its own.

    The other dimensions keep their order.
    """
    leaving = some_dims(source, input.ndim, "source")
    places = some_dims(destination, input.ndim, "destination")
    if len(leaving) != len(places):
        raise ValueError(
            f"source and destination must be equally many, got {source} and {destination}"
        )
    order = [d for d in range(input.ndim) if d not in leaving]
    for place, d in sorted(zip(places, leaving)):
        order.insert(place, d)
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


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """``input`` repeated to the shape ``size`` by the rules of broadcasting."""
    return expand(input, *unpack((size,)))


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """``broadcast_to`` where -1 keeps a length (PyTorch's ``expand``)."""
    shape = unpack(sizes)
    extra = len(shape) - input.ndim
    if extra < 0 or any(n == -1 for n in shape[:extra]):
        raise ValueError(f"cannot expand shape {input.shape} to {shape}")
    lengths = [input.shape[i - extra] if n == -1 else n for i, n in enumerate(shape)]
    if any(m not in (1, n) for m, n in zip(input.shape, lengths[extra:])):
        raise ValueError(f"cannot expand shape {input.shape} to {shape}")
    return _broadcast_to(input, shape=tuple(lengths))


def meshgrid(*tensors: Tensor | list[Tensor], indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid: vectors of lengths n, m, … -> as many tensors (n, m, …).

    Args:
        tensors: vectors (or numbers), one for each dimension of the grid.
        indexing: ``ij``, or ``xy``, where the first two dimensions are exchanged.
    """
    vectors = unpack(tensors)
    if indexing not in ("ij", "xy"):
        raise ValueError(f"indexing must be 'ij' or 'xy', got {indexing!r}")
    if not vectors or any(x.ndim > 1 for x in vectors):
        raise ValueError(f"meshgrid needs vectors, got {[x.shape for x in vectors]}")
    shape = tuple([x.numel() for x in vectors])
    grids = []
    for d, x in enumerate(vectors):
        along = _reshape(x, shape=tuple([n if i == d else 1 for i, n in enumerate(shape)]))
        grids.append(_broadcast_to(along, shape=shape))
    if indexing == "xy" and len(grids) > 1:
        grids = [transpose(x, 0, 1) for x in grids]
    return tuple(grids)


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


def _some_tensors(name: str, tensors: Any) -> Sequence[Tensor]:
    if not isinstance(tensors, (list, tuple)) or any(not isinstance(x, Tensor) for x in tensors):
        kind = type(tensors).__name__
        raise TypeError(f"{name}: tensors must be a list or tuple of tensors, got {kind}")
    if not tensors:
        raise ValueError(f"{name} needs at least one tensor, got none")
    return tensors


def concatenate(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """``tensors`` one after the other along ``dim``; the other lengths must agree.

    A tensor of shape (0,) fits everywhere and adds nothing.
    """
    parts = _some_tensors("cat", tensors)
    if any(x.shape != parts[0].shape for x in parts):
        parts = _parts_that_fit(parts, dim)
    if parts[0].ndim == 0:
        raise ValueError("cat: tensors must have at least one dimension, got shape ()")
    return _concatenate(*parts, dim=one_dim(dim, parts[0].ndim))


def _parts_that_fit(parts: Sequence[Tensor], dim: int) -> Sequence[Tensor]:
    """Tensors of several shapes, without those of shape (0,) among others of more dimensions."""
    if any(x.ndim != parts[0].ndim for x in parts):
        parts = [x for x in parts if x.shape != (0,)]
    first = parts[0].shape
    dim = one_dim(dim, len(first))
    for x in parts:
        if not _agree_but_for(dim, x.shape, first):
            raise ValueError(
                f"cat: tensors must have one shape but for dim {dim}, got {first} and {x.shape}"
            )
    return parts


def _agree_but_for(dim: int, one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return (
        len(one) == len(other) and one[:dim] == other[:dim] and one[dim + 1 :] == other[dim + 1 :]
    )


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """``tensors`` of one shape side by side along a new dimension ``dim``."""
    tensors = _some_tensors("stack", tensors)
    if any(x.shape != tensors[0].shape for x in tensors):
        shapes = ", ".join(str(x.shape) for x in tensors)
        raise ValueError(f"stack: tensors must have one shape, got {shapes}")
    return _concatenate(
        *[unsqueeze(x, dim) for x in tensors], dim=one_dim(dim, tensors[0].ndim + 1)
    )


def split(
    tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Pieces along ``dim`` of one length (the last may be shorter), or of these lengths."""
    dim = _dim_to_cut("split", tensor, dim)
    length = tensor.shape[dim]
    if not isinstance(split_size_or_sections, (tuple, list)):
        name = "split_size_or_sections"
        size = integer(name, split_size_or_sections, 1 if length else 0)
        sizes = [min(size, length - i) for i in range(0, length, size or 1)] or [0]
    else:
        sizes = [integer("split_size_or_sections", n) for n in split_size_or_sections]
        if min(sizes, default=0) < 0 or sum(sizes) != length:
            raise ValueError(f"split: lengths {sizes} must be ≥ 0 and add up to {length}")
    pieces, start = [], 0
    for size in sizes:
        index = (slice(None),) * dim + (slice(start, start + size),)
        pieces.append(functions.getitem(tensor, index=index))
        start += size
    return tuple(pieces)


def _dim_to_cut(name: str, x: Tensor, dim: int) -> int:
    if x.ndim == 0:
        raise ValueError(f"{name} needs a tensor with at least one dimension, got shape ()")
    return one_dim(dim, x.ndim)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces of equal length along ``dim`` (the last may be shorter)."""
    chunks = integer("chunks", chunks, 1)
    length = input.shape[_dim_to_cut("chunk", input, dim)]
    if not length:
        return split(input, [0] * chunks, dim)
    return split(input, max(-(-length // chunks), 1), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along ``dim``, without that dimension."""
    dim = _dim_to_cut("unbind", input, dim)
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


def repeat_interleave(
    input: Tensor,
    repeats: int | Tensor,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Tensor:
    """Each entry along ``dim`` repeated in place.

    Args:
        input: any shape.
        repeats: how often: one number, or an integer tensor with one for each entry.
        dim: the dimension; by default the flattened tensor.
        output_size: the length that comes out, if known; it is checked.
    """
    if dim is None:
        input, dim = flatten(input), 0
    dim = one_dim(dim, input.ndim)
    if input.ndim == 0:
        input = unsqueeze(input, 0)
    n = input.shape[dim]
    counts = _counts(repeats, n)
    total = counts * n if isinstance(counts, int) else sum(counts)
    if output_size is not None and output_size != total:
        raise ValueError(f"output_size must be {total}, the sum of repeats, got {output_size}")
    if not isinstance(counts, int):
        places = [i for i, count in enumerate(counts) for _ in range(count)]
        return functions.take(input, index=tuple(places), dim=dim)
    before, after = input.shape[:dim], input.shape[dim + 1 :]
    wide = _broadcast_to(
        _reshape(input, shape=(*before, n, 1, *after)), shape=(*before, n, counts, *after)
    )
    return _reshape(wide, shape=(*before, total, *after))


def _counts(repeats: Any, length: int) -> int | list[int]:
    """``repeats`` as one number, or one for each of ``length`` entries, all ≥ 0."""
    if isinstance(repeats, Tensor):
        if repeats.dtype.kind not in "iu" or repeats.ndim > 1:
            raise TypeError(
                f"repeats must be an integer or a 1-D integer tensor, "
                f"got {repeats.dtype} {repeats.shape}"
            )
        counts = repeats.reshape(-1).tolist()
        if len(counts) == 1:
            counts = counts[0]
        elif len(counts) != length:
            raise ValueError(f"repeats must be one number or {length}, got {len(counts)}")
    else:
        counts = integer("repeats", repeats)
    if (counts if isinstance(counts, int) else min(counts, default=0)) < 0:
        raise ValueError(f"repeats must be ≥ 0, got {counts}")
    return counts


@primitive(name="flip")
def _flip(b, x, *, dims):
    """``x`` read backwards along ``dims``."""
    return b.xp.flip(x, axis=dims)


_flip.rules(x=lambda f, g, dims: f.flip(g, dims=dims))


def flip(input: Tensor, *places: Any, dims: int | Sequence[int] = ()) -> Tensor:
    """``input`` read backwards along each of ``dims``."""
    given = unpack(places) if places else dims
    return _flip(input, dims=some_dims(given, input.ndim, "dims"))


@primitive(name="roll")
def _roll(b, x, *, shifts, dims):
    """``x`` moved along ``dims``; what leaves at one end enters at the other."""
    return b.xp.roll(x, shifts, axis=dims)


_roll.rules(x=lambda f, g, shifts, dims: f.roll(g, shifts=tuple([-s for s in shifts]), dims=dims))


def roll(
    input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None
) -> Tensor:
    """``input`` moved by ``shifts`` along ``dims``; what leaves at one end enters at the other.

    Without ``dims`` the flattened tensor is moved. A dimension named twice is moved twice.
    """
    given = shifts if isinstance(shifts, (tuple, list)) else (shifts,)
    moves = tuple([integer("shifts", shift) for shift in given])
    if dims is None or dims == ():
        if len(moves) != 1:
            raise ValueError(f"roll: several shifts need as many dims, got {shifts} and {dims}")
        flat = _roll(_reshape(input, shape=(input.numel(),)), shifts=moves, dims=(0,))
        return _reshape(flat, shape=input.shape)
    given = dims if isinstance(dims, (tuple, list)) else (dims,)
    places = tuple([one_dim(d, input.ndim, "dims") for d in given])
    if len(moves) != len(places):
        raise ValueError(f"shifts and dims must be equally many, got {shifts} and {dims}")
    if input.ndim == 0:
        raise ValueError("roll: dims must be left out for a tensor of shape ()")
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


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Grow ``input`` at the ends of its last dimensions (PyTorch's order: last dimension first).

    Args:
        input: any shape.
        pad: ``(left, right, top, bottom, …)``; negative widths cut off.
        mode: ``constant``, ``reflect`` (without the edge), ``replicate`` or ``circular``.
        value: what ``constant`` fills with, by default 0.

    Raises:
        ValueError: no such mode, widths that are no pairs, or more than there is to cut or repeat.
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"pad must be pairs for at most {input.ndim} dimensions, got {tuple(pad)}")
    pad = [integer("pad", width) for width in pad]
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f"mode must be constant, reflect, replicate or circular, got {mode!r}")
    if value is not None and value != 0 and mode != "constant":
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    widths = [(0, 0)] * (input.ndim - len(pad) // 2)
    widths += [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    for n, (low, high) in zip(input.shape, widths):
        if n + min(low, 0) + min(high, 0) < 0 or n + low + high < 0:
            raise ValueError(f"pad {tuple(pad)} cuts off more than {input.shape} has")
    if mode in ("constant", "circular") and any(w < 0 for pair in widths for w in pair):
        ends = [(max(-low, 0), n - max(-high, 0)) for n, (low, high) in zip(input.shape, widths)]
        input = functions.getitem(input, index=tuple([slice(*pair) for pair in ends]))
        widths = [(max(low, 0), max(high, 0)) for low, high in widths]
    if mode == "constant":
        return _pad(input, widths=tuple(widths), value=0.0 if value is None else value)
    for d, (low, high) in enumerate(widths):
        if low or high:
            input = _pad_by_index(input, d, low, high, mode)
    return input


def _pad_by_index(x: Tensor, dim: int, low: int, high: int, mode: str) -> Tensor:
    """Padding that repeats entries of ``x``: a gather of mirrored, clamped or wrapped positions."""
    if mode == "circular" and min(low, high) < 0:  # what is cut off does not come round again
        kept = slice(max(-low, 0), x.shape[dim] + min(high, 0))
        x = functions.getitem(x, index=(slice(None),) * dim + (kept,))
        low, high = max(low, 0), max(high, 0)
    n = x.shape[dim]
    room = {"reflect": n - 1, "circular": n, "replicate": max(low, high) if n else 0}[mode]
    if max(low, high) > max(room, 0):
        raise ValueError(f"pad: {mode} by {max(low, high)} does not fit a length of {n}")
    positions = range(-low, n + high)
    if mode == "reflect":
        places = [abs(i) if i < n else 2 * (n - 1) - i for i in positions]
    elif mode == "circular":
        places = [i % n for i in positions]
    else:
        places = [min(max(i, 0), n - 1) for i in positions]
    return functions.take(x, index=tuple(places), dim=dim)


cat = concatenate
