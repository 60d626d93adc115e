"""Norms of vectors and matrices.

``norm`` and ``vector_norm`` are ``(Σ |x|^p)^(1/p)`` over any dimensions; ``matrix_norm`` is that
of a matrix as a linear map (``ord`` 1, inf) or as a list of numbers (``fro``). At 0, where the true
gradient does not exist, it is taken as 0: a gradient penalty meets that point (a constant critic
has gradient 0), and a plain ``√Σx²`` would turn it into NaN. Names and meaning are PyTorch's.
"""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd.operation import FLOAT16, functions
from minigen.autograd.tensor import Tensor
from minigen.numeric import number
from minigen.ops._arguments import converted, one_dim, reduced_dims
from minigen.ops.halves import in_float32
from minigen.ops.reduction import amax, amin
from minigen.ops.reduction import any as any_over
from minigen.ops.reduction import sum as sum_over

__all__ = ["norm"]

Dim = int | tuple[int, ...] | list[int] | None


def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: Dim = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Tensor:
    """``(Σ |x|^p)^(1/p)`` over ``dim``, whatever the number of dimensions; ``"fro"`` is p = 2.

    The gradient at x = 0 is 0.

    Raises:
        ValueError: another word than ``"fro"``.
        TypeError: ``input`` holds integers or booleans.
    """
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"norm: p must be a number or 'fro', got {p!r}")
    return vector_norm(
        input, 2 if p is None or isinstance(p, str) else p, dim, keepdim, dtype=dtype
    )


def vector_norm(
    x: Tensor, ord: float = 2, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """``(Σ |x|^ord)^(1/ord)`` over ``dim``; inf: the largest size, -inf: the smallest.

    ``ord=0`` counts what is not 0, and has no gradient. The gradient at x = 0 is 0.
    """
    x = converted(x, dtype)
    if x.dtype.kind != "f":
        raise TypeError(f"a norm needs a floating-point tensor, got {x.dtype}")
    if x.dtype is FLOAT16:
        return in_float32(vector_norm, x, ord, dim, keepdim)
    if isinstance(ord, Tensor):
        ord = number("ord", ord, -math.inf, infinite=True)
    dims = reduced_dims(dim, x.ndim)
    if ord == 2:
        return functions.safe_sqrt(sum_over(functions.square(x), dims, keepdim))
    size = functions.absolute(x)
    if ord == 1:
        return sum_over(size, dims, keepdim)
    if ord == math.inf:
        return amax(size, dims, keepdim)
    if ord == -math.inf:
        return amin(size, dims, keepdim)
    zero = x.detach() == 0
    if ord == 0:
        return sum_over(functions.cast(~zero, dtype=x.dtype), dims, keepdim)
    if ord < 0:  # a zero makes the norm 0, whose gradient is 0
        total = sum_over(functions.where(zero, 1.0, size) ** ord, dims, keepdim) ** (1 / ord)
        return functions.where(any_over(zero, dims, keepdim), 0.0, total)
    powers = functions.where(zero, 0.0, functions.where(zero, 1.0, size) ** ord)
    total = sum_over(powers, dims, keepdim)
    none = total.detach() == 0
    return functions.where(none, 0.0, functions.where(none, 1.0, total) ** (1 / ord))


def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: tuple[int, int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """The norm of each matrix in the two dimensions ``dim``.

    Args:
        A: (…, n, m).
        ord: ``"fro"``: √Σ a²; 1: the largest column sum of sizes; inf: the largest row sum; with a
            minus sign the smallest. (2 and ``"nuc"`` need singular values, which are not here.)
        dim: which dimensions are rows and columns.
        keepdim: keep them, with length 1.
        dtype: convert ``A`` first.

    Raises:
        ValueError: another ``ord``, or not two different dimensions.
    """
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ValueError(f"matrix_norm: dim must be two dimensions, got {dim!r}")
    rows, columns = (one_dim(d, A.ndim) for d in dim)
    if rows == columns or A.ndim < 2:
        raise ValueError(f"matrix_norm: dim must be two dimensions of {A.shape}, got {dim}")
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim, dtype=dtype)
    if isinstance(ord, str) or abs(ord) not in (1, math.inf):
        raise ValueError(f"matrix_norm: ord must be 'fro', 1, -1, inf or -inf, got {ord!r}")
    summed, compared = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = vector_norm(A, 1, summed, keepdim=True, dtype=dtype)
    found = (amax if ord > 0 else amin)(sums, compared, keepdim=True)
    return found if keepdim else found.squeeze((rows, columns))


def matrix_or_vector_norm(
    input: Tensor,
    ord: float | str | None = None,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """``torch.linalg.norm``: of a matrix or of a vector, as ``dim`` or the shape says.

    With no ``ord``, √Σ x² over ``dim`` (all, if None). With one, a vector norm where ``dim`` is one
    dimension or ``input`` has one, a matrix norm where it is two or ``input`` has two.

    Raises:
        ValueError: ``ord`` is given, ``dim`` is not, and ``input`` is neither vector nor matrix.
    """
    if ord is None:
        return vector_norm(input, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        if input.ndim not in (1, 2):
            raise ValueError(f"linalg.norm: ord without dim needs 1-D or 2-D, got {input.shape}")
        dim = tuple(range(input.ndim))
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    if len(dims) == 2:
        return matrix_norm(input, ord, dims, keepdim, dtype=dtype)
    if isinstance(ord, str) or len(dims) != 1:
        raise ValueError(f"linalg.norm: ord {ord!r} does not go with dim {dim}")
    return vector_norm(input, ord, dims, keepdim, dtype=dtype)
