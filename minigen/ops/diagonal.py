"""Diagonals and triangles of matrices. Names, defaults and meaning are PyTorch's."""

from __future__ import annotations

from typing import Any

from minigen.autograd.operation import functions
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.numeric import integer
from minigen.ops._arguments import one_dim

__all__ = ["diag", "diagonal", "trace", "tril", "triu"]


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of dimensions ``dim1`` and ``dim2``, as a new last dimension.

    Args:
        input: two or more dimensions.
        offset: 0 for the main diagonal, above it if > 0, below it if < 0.
        dim1: the dimension of the rows.
        dim2: that of the columns.
    """
    first, second = one_dim(dim1, input.ndim, "dim1"), one_dim(dim2, input.ndim, "dim2")
    offset = integer("offset", offset)
    if first == second:
        raise ValueError(f"dim1 and dim2 must differ, got {dim1} and {dim2} for {input.shape}")
    order = [d for d in range(input.ndim) if d not in (first, second)] + [first, second]
    moved = functions.permute(input, dims=tuple(order))
    rows, columns = moved.shape[-2:]
    down, across = max(-offset, 0), max(offset, 0)
    places = active.backend.xp.arange(max(min(rows - down, columns - across), 0))
    return functions.getitem(moved, index=(Ellipsis, places + down, places + across))


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as the diagonal of a square matrix of zeros; the diagonal of a matrix."""
    if input.ndim == 2:
        return _diagonal(input, diagonal)
    if input.ndim != 1:
        raise ValueError(f"diag needs a vector or a matrix, got shape {input.shape}")
    diagonal = integer("diagonal", diagonal)
    n = input.shape[0] + abs(diagonal)
    places = active.backend.xp.arange(input.shape[0])
    index = (places + max(-diagonal, 0), places + max(diagonal, 0))
    return functions.add_at(input, index=index, shape=(n, n))


_diagonal = diagonal


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise ValueError(f"trace needs a matrix, got shape {input.shape}")
    return _diagonal(input).sum()


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """``input`` with everything above diagonal ``diagonal`` of its last two dimensions set to 0."""
    return functions.where(
        Tensor(_triangle("tril", input, integer("diagonal", diagonal))), input, False
    )


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """``input`` with everything below diagonal ``diagonal`` of its last two dimensions set to 0."""
    return functions.where(
        Tensor(~_triangle("triu", input, integer("diagonal", diagonal) - 1)), input, False
    )


def _triangle(name: str, x: Tensor, diagonal: int) -> Any:
    """(rows, columns) booleans. (What they leave out becomes False: a zero for every dtype.)"""
    if x.ndim < 2:
        raise ValueError(f"{name} needs at least two dimensions, got shape {x.shape}")
    xp = active.backend.xp
    rows, columns = x.shape[-2:]
    return xp.arange(columns)[None, :] - xp.arange(rows)[:, None] <= diagonal
