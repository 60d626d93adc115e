"""Linear algebra: matrix products and functions of a matrix.

Matrices are the last two dimensions; whatever stands before them is a batch. Names and
semantics are PyTorch's (``torch.matmul``, ``torch.linalg``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.autograd.operation import functions
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.ops._results import SignAndLogarithm
from minigen.ops.choice import or_zero
from minigen.ops.product import add_bias, product

__all__ = [
    "addmm",
    "bmm",
    "cholesky",
    "det",
    "dot",
    "inv",
    "linear",
    "logdet",
    "matmul",
    "mm",
    "outer",
    "slogdet",
]

# ---------------------------------------------------------------- products


@primitive(name="matmul")
def _matmul(b, x, other):
    """The matrix product of the last two dimensions, batched over the others."""
    return product(b, x, other)


_matmul.rules(
    x=lambda f, g, other, x_shape: f.sum_to(
        f.matmul(g, f.permute(other, dims=_swap(other.ndim))), shape=x_shape
    ),
    other=lambda f, g, x, other_shape: _right_gradient(f, g, x, other_shape),
)


def _swap(ndim: int) -> tuple[int, ...]:
    """The permutation that exchanges the last two of ``ndim`` dimensions."""
    return (*range(ndim - 2), ndim - 1, ndim - 2)


def _right_gradient(f: Any, g: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """``xᵀ g``; a batch times one shared matrix is a single tall product."""
    if len(shape) == 2 and x.ndim > 2:
        x, g = _rows(f, x), _rows(f, g)  # (…, n, k) -> (…·n, k)
    return f.sum_to(f.matmul(f.permute(x, dims=_swap(x.ndim)), g), shape=shape)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product, with PyTorch's rules for vectors and batches.

    ``(…, n, k) @ (…, k, m) -> (…, n, m)``; a 1-D operand is a row on the left, a column on
    the right, and its dimension disappears from the result.

    Raises:
        ValueError: an operand is 0-d, or the inner lengths differ.
    """
    for operand in (input, other):
        if isinstance(operand, (bool, int, float)):
            raise ValueError(f"matmul: operands need a dimension, got the number {operand}")
    input = input if isinstance(input, Tensor) else Tensor(functions.alias(input).data)
    other = other if isinstance(other, Tensor) else Tensor(functions.alias(other).data)
    if input.dtype.kind == "b" and other.dtype.kind == "b":
        raise TypeError("matmul: one operand must hold numbers, got booleans for both")
    if input.ndim == 0 or other.ndim == 0:
        raise ValueError(f"matmul: operands need a dimension, got {input.shape} and {other.shape}")
    inner = other.shape[-2] if other.ndim > 1 else other.shape[0]
    if input.shape[-1] != inner:
        raise ValueError(f"matmul: inner lengths differ: {input.shape} and {other.shape}")
    left, right = input.ndim == 1, other.ndim == 1
    if left:
        input = input.reshape(1, -1)
    if right:
        other = other.reshape(-1, 1)
    out = _matmul(input, other)
    if left:
        out = out.squeeze(-2)
    return out.squeeze(-1) if right else out


def _need_dims(name: str, ndim: int, **operands: Tensor) -> None:
    kind = {1: "a vector", 2: "a matrix", 3: "a batch of matrices"}[ndim]
    for argument, x in operands.items():
        if x.ndim != ndim:
            raise ValueError(f"{name}: {argument} must be {kind}, got shape {x.shape}")


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices: (n, k), (k, m) -> (n, m)."""
    _need_dims("mm", 2, input=input, mat2=mat2)
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices: (N, n, k), (N, k, m) -> (N, n, m)."""
    _need_dims("bmm", 3, input=input, mat2=mat2)
    if input.shape[0] != mat2.shape[0]:
        raise ValueError(f"bmm: the batches differ: {input.shape} and {mat2.shape}")
    return matmul(input, mat2)


def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """``beta · input + alpha · (mat1 @ mat2)``; ``input`` broadcasts, beta = 0 leaves it out."""
    _need_dims("addmm", 2, mat1=mat1, mat2=mat2)
    product = matmul(mat1, mat2)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    return product + (input if beta == 1 else input * beta)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """``Σ xᵢ tensorᵢ`` of two vectors."""
    _need_dims("dot", 1, input=input, tensor=tensor)
    if input.shape != tensor.shape:
        raise ValueError(f"dot: input {input.shape} and tensor {tensor.shape} must be equally long")
    return matmul(input, tensor)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """``out[i, j] = x[i] · vec2[j]`` of two vectors."""
    _need_dims("outer", 1, input=input, vec2=vec2)
    return input.reshape(-1, 1) * vec2.reshape(1, -1)


@primitive(name="linear")
def _linear(b, x, weight, bias):
    """``x Wᵀ + b`` on the last dimension."""
    rows = x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])  # (N, in)
    out = product(b, rows, weight.T)
    if bias is not None:
        add_bias(b, out, bias)
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], weight.shape[0])


def _weight_gradient(f: Any, g: Any, x: Any, into: Any, onto: Any) -> Any:
    """``gᵀ x``: (…, out), (…, in) -> (out, in), written or added where the optimizer wants it."""
    rows_g, rows_x = _rows(f, g), _rows(f, x)
    if into is not None or onto is not None:
        where = into if onto is None else onto
        return product(f.backend, rows_g.T, rows_x, where, add=onto is not None)
    return f.matmul(f.permute(rows_g, dims=(1, 0)), rows_x)


def _rows(f: Any, x: Any) -> Any:
    return x if x.ndim == 2 else f.reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


_linear.rules(
    x=lambda f, g, weight, x_shape: f.reshape(f.matmul(_rows(f, g), weight), shape=x_shape),
    weight=lambda f, g, x, into, onto: _weight_gradient(f, g, x, into, onto),
    bias=lambda f, g: f.sum_to(g, shape=(g.shape[-1],)),
)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``y = x Wᵀ + b``: (…, in), (out, in), (out,) -> (…, out).

    Raises:
        ValueError: the lengths do not fit.
    """
    if input.dtype.kind == "b" and weight.dtype.kind == "b":
        raise TypeError("linear: one operand must hold numbers, got booleans for both")
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input {input.shape} does not fit weight {weight.shape}, "
            f"which is (out_features, in_features)"
        )
    if bias is not None and bias.shape != (weight.shape[0],):
        raise ValueError(f"linear: bias must have shape ({weight.shape[0]},), got {bias.shape}")
    return _linear(input, weight, bias)


# ---------------------------------------------------------------- functions of a matrix


def _check_square(name: str, x: Tensor) -> None:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{name} needs square matrices (…, n, n), got shape {x.shape}")
    if x.dtype.kind != "f":
        raise TypeError(f"{name} needs a floating-point tensor, got {x.dtype}")


def _transposed(f: Any, x: Any) -> Any:
    return f.permute(x, dims=_swap(x.ndim))


@primitive(name="inv")
def _inv(b, x):
    """The inverse matrix."""
    return b.xp.linalg.inv(x)


_inv.rules(
    # d(A⁻¹) = -A⁻¹ dA A⁻¹, hence ∂L/∂A = -A⁻ᵀ G A⁻ᵀ
    x=lambda f, g, out: -f.matmul(f.matmul(_transposed(f, out), g), _transposed(f, out))
)


def inv(input: Tensor) -> Tensor:
    """The inverse of each matrix: (…, n, n) -> (…, n, n)."""
    _check_square("inv", input)
    return _inv(input)


@primitive
def logabsdet(b, x):
    """``ln |det x|`` of each matrix."""
    return b.xp.linalg.slogdet(x)[1]


logabsdet.rules(
    # d ln|det A| = tr(A⁻¹ dA), hence ∂L/∂A = g · A⁻ᵀ
    x=lambda f, g, x: f.reshape(g, shape=(*g.shape, 1, 1)) * _transposed(f, f.inv(x))
)


@primitive
def signdet(b, x):
    """The sign of the determinant; without a gradient."""
    return b.xp.linalg.slogdet(x)[0]


def slogdet(input: Tensor) -> SignAndLogarithm:
    """``(sign, ln|det|)`` of each matrix: (…, n, n) -> (…), (…)."""
    _check_square("slogdet", input)
    return SignAndLogarithm(signdet(input), logabsdet(input))


def det(input: Tensor) -> Tensor:
    """The determinant of each (non-singular) matrix: (…, n, n) -> (…)."""
    sign, log = slogdet(input)
    return sign * functions.exp(log)


def logdet(input: Tensor) -> Tensor:
    """``ln det`` of each matrix; NaN where the determinant is negative."""
    sign, log = slogdet(input)
    return functions.where(sign > 0, log, float("nan"))


@primitive(name="solve")
def _solve(b, x, other):
    """``x⁻¹ other``."""
    if x.shape[:-2] != other.shape[:-2]:  # CuPy's does not broadcast batches
        batch = np.broadcast_shapes(x.shape[:-2], other.shape[:-2])
        x = b.xp.broadcast_to(x, (*batch, *x.shape[-2:]))
        other = b.xp.broadcast_to(other, (*batch, *other.shape[-2:]))
    return b.xp.linalg.solve(x, other)


_solve.rules(
    # X = A⁻¹B: ∂L/∂B = A⁻ᵀG and ∂L/∂A = -(A⁻ᵀG) Xᵀ
    x=lambda f, g, x, out, x_shape: f.sum_to(
        -f.matmul(f.solve(_transposed(f, x), g), _transposed(f, out)), shape=x_shape
    ),
    other=lambda f, g, x, other_shape: f.sum_to(f.solve(_transposed(f, x), g), shape=other_shape),
)


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The solution X of ``A X = B``, or of ``X A = B`` if not ``left``.

    Args:
        A: (…, n, n).
        B: (…, n, k); or vectors, (n,) or (…, n) with exactly the batch of ``A``.
        left: on which side A stands.

    Raises:
        ValueError: the shapes do not fit, or a matrix is singular.
    """
    _check_square("solve", A)
    if B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1]):
        if not left:
            raise ValueError(f"solve: with left=False B must hold matrices, got shape {B.shape}")
        return solve(A, B.unsqueeze(-1)).squeeze(-1)
    if not left:
        return solve(A.mT, B.mT).mT
    if B.ndim < 2 or B.shape[-2] != A.shape[-1]:
        raise ValueError(f"solve: A {A.shape} does not fit the right-hand side {B.shape}")
    return _solve(A, B)


@primitive(name="cholesky")
def _cholesky(b, x):
    """The lower triangular L with L Lᵀ = x."""
    return b.xp.linalg.cholesky(x)


def _cholesky_rule(f: Any, g: Any, out: Any) -> Any:
    """∂L/∂A = ½ L⁻ᵀ (Φ(LᵀG) + Φ(LᵀG)ᵀ) L⁻¹, Φ = lower triangle, diagonal halved.

    Murray 2016, "Differentiation of the Cholesky decomposition", section 3.
    """
    inverse = f.inv(out)
    phi = f.halved_tril(f.matmul(_transposed(f, out), g))
    middle = f.matmul(_transposed(f, inverse), f.matmul(phi + _transposed(f, phi), inverse))
    return 0.5 * middle


_cholesky.rules(x=_cholesky_rule)


@primitive
def halved_tril(b, x):
    """The lower triangle with its diagonal halved."""
    n = x.shape[-1]
    below = b.xp.tril(b.xp.ones((n, n), dtype=bool))
    return or_zero(b, below, x * (1 - 0.5 * b.xp.eye(n, dtype=x.dtype)))


halved_tril.rules(x=lambda f, g: f.halved_tril(g))


def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """The lower triangular L with ``L Lᵀ = x`` for symmetric positive definite matrices.

    With ``upper``, the upper triangular Lᵀ.
    """
    _check_square("cholesky", input)
    lower = _cholesky(input)
    return lower.mT if upper else lower
