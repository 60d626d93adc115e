"""Indexing: read chosen places, and its mirror image, add into chosen places.

Every read has the same gradient: zeros of the input's shape, with the gradient added in at
the places that were read. And the gradient of *that* is a read at the same places. So the
rules here come in pairs, and any order of differentiation follows.
"""

from __future__ import annotations

import numbers
from functools import lru_cache
from typing import Any

import numpy as np

from minigen.autograd.operation import functions
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.numeric import integer
from minigen.ops._arguments import one_dim
from minigen.ops._results import ValuesAndIndices
from minigen.ops.kernel import kernel

__all__ = [
    "argsort",
    "embedding",
    "gather",
    "index_add",
    "index_select",
    "one_hot",
    "scatter",
    "scatter_add",
    "sort",
    "take_along_dim",
    "topk",
]

# ---------------------------------------------------------------- x[index]


def _is_basic(index: Any) -> bool:
    """Whether ``index`` reads each place at most once (slices, integers, None, Ellipsis)."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, (int, slice, np.integer))
        for part in parts
    )


@primitive
def getitem(b, x, *, index):
    """``x[index]``: integers, slices, None, Ellipsis, index arrays, masks. NumPy's semantics."""
    return x[index]


@primitive
def add_at(b, values, *, index, shape):
    """Zeros of ``shape`` with ``values`` added at ``index``; places named twice add up."""
    out = b.xp.zeros(shape, dtype=values.dtype)
    if _is_basic(index):
        out[index] = values
    else:
        b.scatter_add(out, index, values)
    return out


getitem.rules(x=lambda f, g, x_shape, index: f.add_at(g, index=index, shape=x_shape))
add_at.rules(values=lambda f, g, index: f.getitem(g, index=index))


FEW_RUNS = 8


@lru_cache(maxsize=256)
def _runs(index: tuple[int, ...]) -> list[tuple[slice, slice]] | None:
    """The places of ``index`` cut into rising and falling runs, as (positions, places) to slice.

    A mirrored edge is a falling run, and within a run no place occurs twice: it can be added with
    a plain ``+=``. None for negative places, or more than a few runs.
    """
    runs: list[tuple[slice, slice]] = []
    start = 0
    while start < len(index):
        if len(runs) == FEW_RUNS or index[start] < 0:
            return None
        end, step = start + 1, 1
        if end < len(index) and index[end] == index[start] - 1 >= 0:
            step = -1
        while end < len(index) and index[end] == index[end - 1] + step >= 0:
            end += 1
        last = index[end - 1] + step
        runs.append((slice(start, end), slice(index[start], last if last >= 0 else None, step)))
        start = end
    return runs


@primitive
def take(b, x, *, index, dim):
    """The entries at the places ``index`` (a tuple of integers) along ``dim``."""
    return b.xp.take(x, b.asarray(np.asarray(index, dtype=np.int64)), axis=dim)


@primitive
def take_back(b, values, *, index, dim, shape):
    """Zeros of ``shape`` with ``values`` added at the places ``index`` along ``dim``."""
    out = b.xp.zeros(shape, dtype=values.dtype)
    runs, before = _runs(index), (slice(None),) * dim
    if runs is not None and all(place < shape[dim] for place in index):
        for positions, places in runs:
            out[(*before, places)] += values[(*before, positions)]
        return out
    places = b.asarray(np.asarray(index, dtype=np.int64))
    b.scatter_add(out, (slice(None),) * dim + (places,), values)
    return out


take.rules(x=lambda f, g, x_shape, index, dim: f.take_back(g, index=index, dim=dim, shape=x_shape))
take_back.rules(values=lambda f, g, index, dim: f.take(g, index=index, dim=dim))

# ---------------------------------------------------------------- gather and scatter


def _along(b: Any, index: Any, dim: int) -> tuple[Any, ...]:
    """``index`` along ``dim`` as a full tuple of index arrays, one for each dimension."""
    grids = []
    for d, n in enumerate(index.shape):
        if d == dim:
            grids.append(index)
        else:
            grids.append(b.xp.arange(n).reshape([-1 if i == d else 1 for i in range(index.ndim)]))
    return tuple(grids)


@primitive(name="gather")
def _gather(b, x, index, *, dim):
    """``out[i, j, k] = x[i, index[i, j, k], k]`` for dim = 1, and so on."""
    return x[_along(b, index, dim)]


@primitive(piecewise=True)
def chosen(b, x, index, *, dim):
    """``gather`` where ``index`` was found by comparing the values of ``x``: a sort, a maximum."""
    return _gather.forward(b, x, index, dim=dim)


@primitive(name="scatter_add")
def _scatter_add(b, x, index, source, *, dim):
    """A copy of ``x`` with ``source`` added at ``index`` along ``dim``."""
    out = x.copy()
    part = source[tuple([slice(0, n) for n in index.shape])] if source.ndim else source
    b.scatter_add(out, _along(b, index, dim), part)
    return out


_gather.rules(x=lambda f, g, index, x_shape, dim: f.gather_back(g, index, dim=dim, shape=x_shape))
chosen.rules(x=lambda f, g, index, x_shape, dim: f.gather_back(g, index, dim=dim, shape=x_shape))
_scatter_add.rules(
    x=lambda f, g: g,
    source=lambda f, g, index, source_shape, dim: _cut_back(
        f, f.gather(g, index, dim=dim), source_shape
    ),
)


@primitive
def gather_back(b, values, index, *, dim, shape):
    """Zeros of ``shape`` with ``values`` added at ``index`` along ``dim``."""
    out = b.xp.zeros(shape, dtype=values.dtype)
    b.scatter_add(out, _along(b, index, dim), values)
    return out


gather_back.rules(values=lambda f, g, index, dim: f.gather(g, index, dim=dim))


def _cut_back(f: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """A gradient for the part of ``source`` that was read, padded to all of it."""
    if tuple(g.shape) == tuple(shape):
        return g
    return f.pad(g, widths=tuple([(0, n - m) for n, m in zip(shape, g.shape)]), value=0.0)


@primitive(name="scatter")
def _scatter(b, x, index, source, *, dim):
    """A copy of ``x`` with ``source`` written at ``index`` along ``dim``."""
    out = x.copy()
    out[_along(b, index, dim)] = source[tuple([slice(0, n) for n in index.shape])]
    return out


_scatter.rules(
    x=lambda f, g, index, dim: f.scatter(g, index, f.scatter_zeros(index, g), dim=dim),
    source=lambda f, g, index, source_shape, dim: _cut_back(
        f, f.gather(g, index, dim=dim), source_shape
    ),
)


@primitive
def scatter_zeros(b, index, like):
    """Zeros of the shape of ``index`` and the dtype of ``like``."""
    return b.xp.zeros(index.shape, dtype=like.dtype)


def _check_index(name: str, x: Tensor, dim: int, index: Any) -> int:
    if not isinstance(index, Tensor) or index.dtype.kind not in "iu":
        kind = getattr(index, "dtype", type(index).__name__)
        raise TypeError(f"{name}: index must be an integer tensor, got {kind}")
    dim = one_dim(dim, x.ndim)
    if index.numel():  # an empty one fits everything
        if not _within(index, x, dim):
            raise ValueError(
                f"{name}: index {index.shape} does not fit the tensor {x.shape}, dim {dim}"
            )
        _check_range(name, index, x.shape[dim] if x.ndim else 1)
    return dim


def _check_source(name: str, x: Tensor, index: Tensor, source: Any) -> None:
    if not isinstance(source, Tensor):
        raise TypeError(f"{name}: src must be a tensor, got {type(source).__name__}")
    if source.dtype != x.dtype:
        raise TypeError(f"{name}: src must have the input's dtype {x.dtype}, got {source.dtype}")
    if index.numel() and not _within(index, source):
        raise ValueError(f"{name}: index {index.shape} does not fit src {source.shape}")


def _within(index: Tensor, x: Tensor, dim: int | None = None) -> bool:
    """Whether ``index`` is nowhere longer than ``x``, but along ``dim``; () counts as (1,)."""
    inner, outer = index.shape or (1,), x.shape or (1,)
    return len(inner) == len(outer) and all(
        n <= m for d, (n, m) in enumerate(zip(inner, outer)) if d != dim
    )


def _check_range(name: str, index: Tensor, length: int) -> None:
    """Out-of-range indices raise on the CPU; on a device the check would cost a transfer."""
    if active.backend.name != "numpy" or not index.numel():
        return
    active.backend.run(_refuse_outside, name, index.data, length)


def _refuse_outside(name: str, index: np.ndarray, length: int) -> None:
    low, high = int(index.min()), int(index.max())
    if low < 0 or high >= length:
        raise IndexError(f"{name}: index must lie in [0, {length}), got {low if low < 0 else high}")


def _at_least_1d(x: Tensor) -> Tensor:
    """``x``; a single number as a tensor of shape (1,)."""
    return x if x.ndim else x.reshape(1)


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """``out[i][j][k] = x[i][index[i][j][k]][k]`` for dim = 1, and so on for other dims.

    A single number counts as a tensor of shape (1,); the result has the shape of ``index``.

    Raises:
        TypeError, ValueError, IndexError: no integers, a shape that does not fit, no such place.
    """
    dim = _check_index("gather", input, dim, index)
    if not index.numel() and not _within(index, input, dim):
        nothing = functions.getitem(input.reshape(-1), index=slice(0, 0))
        return nothing.reshape(index.shape)
    out = _gather(_at_least_1d(input), _at_least_1d(index), dim=dim)
    return out if index.ndim else out.reshape(())


def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor | float | None = None,
    *,
    value: float | None = None,
) -> Tensor:
    """A copy of ``input`` with ``src`` written at ``index`` along ``dim``.

    ``src`` is a tensor or a number, which may also be given as ``value``.
    Where an index occurs twice, which value stays is not defined.

    Raises:
        TypeError, ValueError, IndexError: no integers or another dtype, a shape that does not
            fit, no such place.
    """
    if (src is None) == (value is None):
        raise TypeError("scatter needs exactly one of src and value")
    dim = _check_index("scatter", input, dim, index)
    if isinstance(src, Tensor):
        _check_source("scatter", input, index, src)
    else:
        number = value if src is None else src
        if not isinstance(number, numbers.Real):
            raise TypeError(f"scatter: src must be a tensor or number, got {type(src).__name__}")
        src = _filled(index, number, input.dtype)
    return _scattered(_scatter, input, dim, index, src)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of ``input`` with ``src`` added at ``index`` along ``dim``; repeats add up.

    Raises:
        TypeError, ValueError, IndexError: no integers or another dtype, a shape that does not
            fit, no such place.
    """
    dim = _check_index("scatter_add", input, dim, index)
    _check_source("scatter_add", input, index, src)
    return _scattered(_scatter_add, input, dim, index, src)


def _scattered(op: Any, input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    if not index.numel() and not (_within(index, input, dim) and _within(index, src)):
        return functions.clone(input)
    out = op(_at_least_1d(input), _at_least_1d(index), _at_least_1d(src), dim=dim)
    return out if input.ndim else out.reshape(())


def _filled(index: Tensor, value: float, dtype: Any) -> Tensor:
    return Tensor(active.backend.xp.full(index.shape, value, dtype=dtype))


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The entries of ``input`` at the places ``index`` (1-D, or one number) along ``dim``.

    Raises:
        TypeError, ValueError, IndexError: no integers, more than one dimension, no such place.
    """
    dim = one_dim(dim, input.ndim)
    if not isinstance(index, Tensor) or index.dtype.kind not in "iu":
        kind = getattr(index, "dtype", type(index).__name__)
        raise TypeError(f"index_select: index must be an integer tensor, got {kind}")
    if index.ndim > 1 or (input.ndim == 0 and index.numel() != 1):
        raise ValueError(f"index_select: index {index.shape} does not fit {input.shape}")
    _check_range("index_select", index, input.shape[dim] if input.ndim else 1)
    if input.ndim == 0:
        return functions.alias(input)
    return functions.getitem(input, index=(slice(None),) * dim + (index.data.reshape(-1),))


def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1
) -> Tensor:
    """A copy of ``input`` with slice i of ``alpha · source`` added at ``index[i]`` along ``dim``.

    ``source`` has the shape of ``input`` but for ``dim``, where it is as long as ``index`` (1-D).
    Places that are named twice add up.
    """
    dim = one_dim(dim, input.ndim)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise TypeError(f"index must be a 1-D integer tensor, got {index.dtype} {index.shape}")
    if not input.ndim:
        one = source.reshape(1) if source.ndim == 0 else source
        return index_add(input.reshape(1), 0, index, one, alpha=alpha).reshape(())
    expected = (*input.shape[:dim], index.shape[0], *input.shape[dim + 1 :])
    if source.shape != expected:
        raise ValueError(f"index_add: source must have shape {expected}, got {source.shape}")
    _check_range("index_add", index, input.shape[dim])
    if alpha != 1:
        source = source * alpha
    place = (slice(None),) * dim + (index.data,)
    return input + functions.add_at(source, index=place, shape=input.shape)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """``gather`` where ``input`` and ``indices`` broadcast in the other dimensions.

    What ``argsort`` and ``argmax`` (with ``keepdim=True``) return goes in here; places may be
    counted from the end. With no ``dim``, they count through all of ``input`` in reading order.
    """
    if dim is None:
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0)
    dim = one_dim(dim, input.ndim)
    if indices.ndim != input.ndim:
        raise ValueError(
            f"take_along_dim: indices {indices.shape} and input {input.shape} must have equally "
            f"many dimensions"
        )
    if indices.dtype.kind in "iu":  # counted from the end if < 0 (gather takes none of these)
        indices = functions.where(indices < 0, indices + input.shape[dim], indices)
    one, two = list(input.shape), list(indices.shape)
    one[dim] = two[dim] = 1
    shape = list(np.broadcast_shapes(tuple(one), tuple(two)))
    lengths = input.shape[dim], indices.shape[dim]
    wide, places = (
        functions.broadcast_to(x, shape=(*shape[:dim], n, *shape[dim + 1 :]))
        for x, n in zip((input, indices), lengths)
    )
    return gather(wide, dim, places)


# ---------------------------------------------------------------- embedding


@primitive(name="embedding")
def _embedding(b, index, weight):
    """Row ``index`` of ``weight``."""
    return b.xp.take(weight, index, axis=0)


@kernel
def rows_summed_at(b: Any, g: Any, index: Any, *, rows: int) -> Any:
    """``out[r] = Σ g[i]`` over the i with index[i] = r: (n, C), (n,) -> (rows, C).

    (A product with ones and zeros would let an infinity in one row make NaN of all others.)
    """
    out = b.xp.zeros((rows, g.shape[1]), dtype=g.dtype)
    b.scatter_add(out, index, g)
    return out


@primitive
def embedding_back(b, g, index, *, rows):
    """Each row of the gradient added to the row of the table that was read."""
    return rows_summed_at(b, g.reshape(index.size, g.shape[-1]), index.reshape(-1), rows=rows)


_embedding.rules(
    weight=lambda f, g, index, weight_shape: f.embedding_back(g, index, rows=weight_shape[0])
)
embedding_back.rules(g=lambda f, g, index: f.embedding(index, g))


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Row ``input[…]`` of the table ``weight``: (…) int and (rows, width) -> (…, width).

    Args:
        input: numbers of rows.
        weight: the table.
        padding_idx: the number of a row that gets no gradient; counted from the end if < 0.

    Raises:
        TypeError, ValueError, IndexError: no integers, no 2-D table, or no such row.
    """
    if input.dtype.kind not in "iu":
        raise TypeError(f"embedding needs an integer tensor as input, got {input.dtype}")
    if weight.ndim != 2:
        raise ValueError(f"weight must have shape (rows, width), got {weight.shape}")
    _check_range("embedding", input, weight.shape[0])
    rows = _embedding(input, weight)
    if padding_idx is None:
        return rows
    padding_idx = one_dim(padding_idx, weight.shape[0], "padding_idx")
    return functions.where((input == padding_idx).unsqueeze(-1), rows.detach(), rows)


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """(…) int -> (…, num_classes) int64 with a single 1 in each row.

    ``num_classes`` is by default the largest of ``input`` plus 1.

    Raises:
        TypeError, ValueError, IndexError: no integers, no classes, or no such class.
    """
    if not isinstance(input, Tensor) or input.dtype.kind not in "iu":
        kind = getattr(input, "dtype", type(input).__name__)
        raise TypeError(f"one_hot: input must be an integer tensor, got {kind}")
    if num_classes == -1 and input.numel():
        num_classes = int(input.data.max()) + 1
    num_classes = integer("num_classes", num_classes, 1)
    _check_range("one_hot", input, num_classes)
    xp = active.backend.xp
    return Tensor((input.data[..., None] == xp.arange(num_classes)).astype(np.int64))


# ---------------------------------------------------------------- order


@primitive(name="argsort")
def _argsort(b, x, *, dim):
    """The places that put ``x`` in ascending order; equal values keep their order."""
    return b.xp.argsort(x, axis=dim, kind="stable")


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices (int64) that sort ``input`` along ``dim``.

    Equal values always keep their order, whether ``stable`` asks for it or not; NaN is largest.
    """
    if input.ndim == 0:
        one_dim(dim, 0)
        return Tensor(active.backend.xp.zeros((), dtype=np.int64))
    dim = one_dim(dim, input.ndim)
    if not descending:
        return _argsort(input.detach(), dim=dim)
    # Sorting the mirrored tensor keeps equal values in their order when read backwards.
    n = input.shape[dim]
    mirrored = _argsort(functions.flip(input.detach(), dims=(dim,)), dim=dim)
    return functions.flip((n - 1) - mirrored, dims=(dim,))


def sort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False
) -> ValuesAndIndices:
    """``(values, indices)`` in order along ``dim``; the gradient follows each value home.

    Equal values always keep their order, whether ``stable`` asks for it or not; NaN is largest.
    """
    indices = argsort(input, dim, descending)
    if input.ndim == 0:
        return ValuesAndIndices(functions.alias(input), indices)
    return ValuesAndIndices(chosen(input, indices, dim=one_dim(dim, input.ndim)), indices)


def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesAndIndices:
    """The ``k`` largest ``(values, indices)`` along ``dim``, largest first; or the smallest.

    They always come in order, whether ``sorted`` asks for it or not. Of equal values those that
    stand first are taken.

    Raises:
        ValueError: k is negative, or more than there are.
    """
    dim, k = one_dim(dim, input.ndim), integer("k", k)
    length = input.shape[dim] if input.ndim else 1
    if not 0 <= k <= length:
        raise ValueError(f"topk: k must lie in [0, {length}], got {k}")
    if input.ndim == 0:
        values, indices = topk(input.reshape(1), k)
        if k:
            values, indices = values.reshape(()), indices.reshape(())
        return ValuesAndIndices(values, indices)
    indices = argsort(input, dim, descending=largest)
    indices = functions.getitem(indices, index=(slice(None),) * dim + (slice(0, k),))
    return ValuesAndIndices(chosen(input, indices, dim=dim), indices)
