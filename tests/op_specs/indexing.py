"""Descriptions of reading and adding at chosen places, sorting, and triangles."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg
from minigen.autograd.operation import registry

from .core import DISTINCT, Case, Domain, Spec, arrays, integer_arrays, one_axis, shapes, torch

# ---------------------------------------------------------------- x[index]


@st.composite
def _index(draw: Any, shape: tuple[int, ...], basic: bool = False) -> Any:
    """Slices, integers, None, Ellipsis; or one index array or mask among them."""
    parts: list[Any] = []
    fancy = not basic and draw(st.booleans())
    used = 0
    where = draw(st.integers(0, max(len(shape) - 1, 0)))
    for d, n in enumerate(shape):
        if d < used:
            continue
        if fancy and d == where and n:
            kind = draw(st.sampled_from(["array", "mask", "list"]))
            if kind == "mask":
                parts.append(np.arange(n) % 2 == draw(st.integers(0, 1)))
            else:
                places = draw(st.lists(st.integers(-n, n - 1), min_size=1, max_size=4))
                parts.append(np.array(places) if kind == "array" else places)
        else:
            # NumPy moves the result's dimensions when an integer stands beside an array.
            kinds = ["slice", "all"] if fancy or not n else ["slice", "integer", "all"]
            kind = draw(st.sampled_from(kinds))
            if kind == "integer":
                parts.append(draw(st.integers(-n, n - 1)))
            elif kind == "slice":
                start = draw(st.integers(0, n))
                parts.append(slice(start, None, draw(st.sampled_from([1, 2]))))
            else:
                parts.append(slice(None))
        used = d + 1
    while (
        parts and draw(st.booleans()) and isinstance(parts[-1], slice) and parts[-1] == slice(None)
    ):
        parts.pop()
    if not fancy and draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if not fancy and len(parts) < len(shape) and draw(st.booleans()):
        parts.append(Ellipsis)
    return tuple(parts)


@st.composite
def _read(draw: Any, backwards: bool = False) -> Case:
    x = draw(arrays(draw(shapes(max_side=3))))
    index = draw(_index(x.shape))
    if backwards and not any(isinstance(p, (list, np.ndarray)) for p in index) and x.ndim:
        n = x.shape[0]
        index = (slice(None, None, -1),) if n else index
    return Case((x,), {"index": index})


def _on_backend(index: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([mg.from_numpy(p) if isinstance(p, np.ndarray) else p for p in index])


def _raw(index: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([p.data if isinstance(p, mg.Tensor) else p for p in _on_backend(index)])


def _for_torch(index: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([torch.from_numpy(p) if isinstance(p, np.ndarray) else p for p in index])


@st.composite
def _written(draw: Any) -> Case:
    """Values of the shape that ``zeros(shape)[index]`` has."""
    shape = draw(shapes(max_side=3))
    index = draw(_index(shape))
    values = draw(arrays(np.zeros(shape)[index].shape))
    return Case((values,), {"index": index, "shape": shape})


def _np_add_at(x: Any, index: Any, shape: Any) -> Any:
    out = np.zeros(shape)
    np.add.at(out, index, x)
    return out


@st.composite
def _taken(draw: Any, back: bool = False) -> Case:
    shape = list(draw(shapes(min_dims=1, max_dims=3, min_side=1)))
    dim = draw(st.integers(0, len(shape) - 1))
    places = tuple(draw(st.lists(st.integers(0, shape[dim] - 1), max_size=5)))
    options: dict[str, Any] = {"index": places, "dim": dim}
    if back:
        options["shape"] = tuple(shape)
        shape[dim] = len(places)
    return Case((draw(arrays(tuple(shape))),), options)


def _np_take_back(x: Any, index: Any, dim: int, shape: Any) -> Any:
    out = np.zeros(shape)
    np.add.at(out, (slice(None),) * dim + (list(index),), x)
    return out


READS = [
    Spec(
        "x[index]",
        _read(),
        call=lambda x, index: x[_on_backend(index)],
        numpy=lambda x, index: x[index],
        torch=lambda x, index: x[_for_torch(index)],
        ops=("getitem",),
    ),
    Spec(
        "x[::-1]",
        _read(backwards=True),
        call=lambda x, index: x[_on_backend(index)],
        numpy=lambda x, index: x[index],
        ops=("getitem",),
    ),
    Spec(
        "add_at",
        _written(),
        call=lambda x, index, shape: registry["add_at"](x, index=_raw(index), shape=shape),
        numpy=_np_add_at,
        ops=("add_at",),
    ),
    Spec(
        "take",
        _taken(),
        call=registry["take"],
        numpy=lambda x, index, dim: np.take(x, np.array(index, np.int64), axis=dim),
        ops=("take",),
    ),
    Spec("take_back", _taken(back=True), call=registry["take_back"], numpy=_np_take_back,
         ops=("take_back",)),
]  # fmt: skip

# ---------------------------------------------------------------- gather and scatter


@st.composite
def _gathered(draw: Any, source: bool = False, unique: bool = False, like: bool = False) -> Case:
    """``x``, an index no larger than it in the other dims, and perhaps a source."""
    shape = draw(shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))
    dim = draw(st.integers(0, len(shape) - 1))
    lengths = [draw(st.integers(0, n)) for n in shape]
    if not unique:
        lengths[dim] = draw(st.integers(0, 4))
    x = draw(arrays(shape))
    if unique:  # written places must differ, or the result is not defined
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        order = rng.permuted(np.broadcast_to(_along(shape, dim), shape), axis=dim)
        index = np.ascontiguousarray(order[tuple(slice(n) for n in lengths)])
    else:
        index = draw(integer_arrays(tuple(lengths), 0, shape[dim]))
    options = {"dim": dim - len(shape) * draw(st.booleans())}
    if like:
        return Case((draw(arrays(tuple(lengths))), index), {"dim": dim, "shape": shape})
    if not source:
        return Case((x, index), options)
    more = tuple([n + draw(st.integers(0, 1)) for n in lengths])
    return Case((x, index, draw(arrays(more))), options)


def _along(shape: tuple[int, ...], dim: int) -> np.ndarray:
    return np.arange(shape[dim]).reshape([-1 if d == dim else 1 for d in range(len(shape))])


def _places(index: np.ndarray, dim: int) -> tuple[np.ndarray, ...]:
    grid = list(np.indices(index.shape))
    grid[dim] = index
    return tuple(grid)


def _np_scatter(x: Any, index: Any, source: Any, dim: int, add: bool) -> Any:
    out = x.copy()
    part = source[tuple(slice(n) for n in index.shape)]
    if add:
        np.add.at(out, _places(index, dim), part)
    else:
        out[_places(index, dim)] = part
    return out


def _like_index(source: Any, index: Any) -> Any:
    """The part of the source that is read; PyTorch has no gradient for a larger one."""
    return source[tuple(slice(n) for n in index.shape)]


def _np_gather_back(values: Any, index: Any, dim: int, shape: Any) -> Any:
    return _np_scatter(np.zeros(shape), index, values, dim, add=True)


SCATTERS = [
    Spec(
        "gather",
        _gathered(),
        call=lambda x, index, dim: mg.gather(x, dim, index),
        numpy=lambda x, index, dim: x[_places(index, dim)],
        torch=lambda x, index, dim: torch.gather(x, dim, index),
        ops=("gather",),
    ),
    Spec(
        "scatter_add",
        _gathered(source=True),
        call=lambda x, index, source, dim: mg.scatter_add(x, dim, index, source),
        numpy=lambda x, index, source, dim: _np_scatter(x, index, source, dim, add=True),
        torch=lambda x, index, source, dim: torch.scatter_add(
            x, dim, index, _like_index(source, index)
        ),
        ops=("scatter_add",),
    ),
    Spec(
        "scatter",
        _gathered(source=True, unique=True),
        call=lambda x, index, source, dim: mg.scatter(x, dim, index, source),
        numpy=lambda x, index, source, dim: _np_scatter(x, index, source, dim, add=False),
        torch=lambda x, index, source, dim: torch.scatter(
            x, dim, index, _like_index(source, index)
        ),
        ops=("scatter", "scatter_zeros"),
    ),
    Spec(
        "scatter",
        _gathered(),
        call=lambda x, index, dim: mg.scatter(x, dim, index, 0.5),
        numpy=lambda x, index, dim: _np_scatter(x, index, np.full(index.shape, 0.5), dim, False),
        torch=lambda x, index, dim: torch.scatter(x, dim, index, 0.5),
        ops=("scatter",),
    ),
    Spec(
        "scatter",
        _gathered(),
        call=lambda x, index, dim: mg.scatter(x, dim, index, value=-2),
        numpy=lambda x, index, dim: _np_scatter(x, index, np.full(index.shape, -2), dim, False),
        torch=lambda x, index, dim: torch.scatter(x, dim, index, value=-2),
    ),
    Spec(
        "gather_back",
        _gathered(like=True),
        call=registry["gather_back"],
        numpy=_np_gather_back,
        ops=("gather_back",),
    ),
]


@st.composite
def _selected(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=1, max_dims=3, min_side=1))))
    dim = draw(st.integers(0, x.ndim - 1))
    index = draw(integer_arrays((draw(st.integers(0, 5)),), 0, x.shape[dim]))
    return Case((x, index), {"dim": dim})


@st.composite
def _looked_up(draw: Any) -> Case:
    rows, width = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    index = draw(integer_arrays(draw(shapes(max_dims=3, max_side=3, min_side=1)), 0, rows))
    return Case((index, draw(arrays((rows, width)))))


@st.composite
def _classes(draw: Any) -> Case:
    count = draw(st.integers(1, 5))
    index = draw(integer_arrays(draw(shapes(max_dims=3)), 0, count))
    return Case((index,), {"num_classes": count})


def _np_embedding_back(g: Any, index: Any, rows: int) -> Any:
    out = np.zeros((rows, g.shape[-1]))
    np.add.at(out, index.reshape(-1), g.reshape(index.size, g.shape[-1]))
    return out


@st.composite
def _rows_of_gradient(draw: Any) -> Case:
    case = draw(_looked_up())
    index, table = case.arrays
    width = draw(st.integers(0, 3))
    return Case((draw(arrays((*index.shape, width))), index), {"rows": table.shape[0]})


@st.composite
def _added(draw: Any) -> Case:
    case = draw(_selected())
    x, index = case.arrays
    dim = case.options["dim"] % x.ndim
    source = draw(arrays((*x.shape[:dim], len(index), *x.shape[dim + 1 :])))
    return Case((x, index, source), {"dim": dim, "alpha": draw(st.sampled_from([1, 2, -0.5]))})


def _np_index_add(x: Any, index: Any, source: Any, dim: int, alpha: float) -> Any:
    out = np.moveaxis(x.copy(), dim, 0)
    for place, part in zip(index, np.moveaxis(source, dim, 0)):
        out[place] += alpha * part
    return np.moveaxis(out, 0, dim)


@st.composite
def _along_dim(draw: Any) -> Case:
    """Places that broadcast against the input in the other dimensions; or in reading order."""
    x = draw(arrays(draw(shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))))
    dim = draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    if dim is None:
        return Case((x, draw(integer_arrays((draw(st.integers(0, 4)),), 0, x.size))), {"dim": dim})
    lengths = [draw(st.sampled_from([1, n])) for n in x.shape]
    lengths[dim] = draw(st.integers(0, 4))
    n = x.shape[dim]
    return Case((x, draw(integer_arrays(tuple(lengths), -n, n))), {"dim": dim})


def _np_take_along(x: Any, index: Any, dim: int | None) -> Any:
    return np.take_along_axis(x.reshape(-1) if dim is None else x, index, 0 if dim is None else dim)


@st.composite
def _padded(draw: Any) -> Case:
    case = draw(_looked_up())
    rows = len(case.arrays[1])
    return Case(case.arrays, {"padding_idx": draw(st.integers(-rows, rows - 1))})


TABLES = [
    Spec(
        "index_add",
        _added(),
        call=lambda x, index, source, dim, alpha: mg.index_add(x, dim, index, source, alpha=alpha),
        torch=lambda x, index, source, dim, alpha: torch.index_add(
            x, dim, index, source, alpha=alpha
        ),
        numpy=_np_index_add,
    ),
    Spec("take_along_dim", _along_dim(), numpy=_np_take_along, torch="take_along_dim"),
    Spec(
        "embedding",
        _padded(),
        numpy=lambda index, table, padding_idx: table[index],
        torch="nn.functional.embedding",
        differentiable=False,
    ),
    Spec(
        "one_hot",
        _classes().map(lambda case: Case(case.arrays)).filter(lambda case: case.arrays[0].size > 0),
        numpy=lambda index: np.eye(index.max() + 1, dtype=np.int64)[index],
        torch="nn.functional.one_hot",
        differentiable=False,
    ),
    Spec(
        "index_select",
        _selected(),
        call=lambda x, index, dim: mg.index_select(x, dim, index),
        numpy=lambda x, index, dim: np.take(x, index, axis=dim),
        torch=lambda x, index, dim: torch.index_select(x, dim, index),
    ),
    Spec(
        "embedding",
        _looked_up(),
        numpy=lambda index, table: table[index],
        torch="nn.functional.embedding",
        ops=("embedding",),
    ),
    Spec(
        "embedding_back",
        _rows_of_gradient(),
        call=registry["embedding_back"],
        numpy=_np_embedding_back,
        ops=("embedding_back",),
    ),
    Spec(
        "one_hot",
        _classes(),
        numpy=lambda index, num_classes: np.eye(num_classes, dtype=np.int64)[index],
        torch="nn.functional.one_hot",
        differentiable=False,
    ),
]

# ---------------------------------------------------------------- order


@st.composite
def _ordered(draw: Any, domain: Domain = DISTINCT, k: bool = False) -> Case:
    x = draw(arrays(draw(shapes(max_dims=3)), domain))
    dim = draw(one_axis(x.ndim))
    if k:
        length = x.shape[dim] if x.ndim else 1
        options = {"k": draw(st.integers(0, length)), "dim": dim}
        return Case((x,), {**options, "largest": draw(st.booleans())})
    return Case((x,), {"dim": dim, "descending": draw(st.booleans())})


def _np_argsort(x: Any, dim: int, descending: bool) -> Any:
    if x.ndim == 0:
        return np.zeros((), np.int64)
    return np.argsort(-x if descending else x, axis=dim, kind="stable")


def _np_sort(x: Any, dim: int, descending: bool) -> Any:
    order = _np_argsort(x, dim, descending)
    return (np.take_along_axis(x, order, dim) if x.ndim else x), order


def _np_topk(x: Any, k: int, dim: int, largest: bool) -> Any:
    values, order = _np_sort(x, dim, largest)
    return np.take(values, range(k), dim), np.take(order, range(k), dim)


ORDER = [
    Spec(
        "argsort",
        _ordered(Domain(-1.4, 1.4, whole=True)),
        numpy=_np_argsort,
        torch=lambda x, dim, descending: torch.argsort(
            x, dim=dim, descending=descending, stable=True
        ),
        ops=("argsort",),
        differentiable=False,
    ),
    Spec(
        "sort",
        _ordered(),
        numpy=_np_sort,
        torch=lambda x, dim, descending: tuple(torch.sort(x, dim=dim, descending=descending)),
        ops=("chosen",),
    ),
    Spec("topk", _ordered(k=True).filter(lambda case: case.arrays[0].ndim > 0), numpy=_np_topk,
         torch=lambda x, k, dim, largest: tuple(torch.topk(x, k, dim, largest))),
]  # fmt: skip

SPECS = [*READS, *SCATTERS, *TABLES, *ORDER]
