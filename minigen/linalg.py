"""Functions of matrices under the names of ``torch.linalg``, with its order of arguments."""

from __future__ import annotations

from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.ops import diagonal as _diagonal
from minigen.ops import linalg as _linalg
from minigen.ops._results import SignAndLogarithm
from minigen.ops.linalg import matmul, solve
from minigen.ops.norm import matrix_norm, vector_norm
from minigen.ops.norm import matrix_or_vector_norm as norm
from minigen.ops.refusal import name_what_is_no_tensor

__all__ = [
    "cholesky",
    "det",
    "diagonal",
    "inv",
    "matmul",
    "matrix_norm",
    "norm",
    "slogdet",
    "solve",
    "vector_norm",
]


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with ``L Lᵀ = A``; with ``upper``, Lᵀ."""
    return _linalg.cholesky(A, upper)


def det(A: Tensor) -> Tensor:
    """The determinant of each matrix: (…, n, n) -> (…)."""
    return _linalg.det(A)


def slogdet(A: Tensor) -> SignAndLogarithm:
    """``(sign, ln|det|)`` of each matrix: (…, n, n) -> (…), (…)."""
    return _linalg.slogdet(A)


def inv(A: Tensor) -> Tensor:
    """The inverse of each matrix: (…, n, n) -> (…, n, n)."""
    return _linalg.inv(A)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonal of each matrix; other defaults than ``mg.diagonal`` has."""
    return _diagonal.diagonal(A, offset, dim1, dim2)


name_what_is_no_tensor(globals())


def __getattr__(name: str) -> Any:
    from minigen.nearest import missing

    raise missing("mg.linalg", name, {"mg.linalg.": __all__})
