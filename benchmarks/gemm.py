"""The floor: a training step cannot be faster than the matrix products in it.

A layer that maps `rows` vectors of `inputs` numbers to `outputs` numbers costs three products in a
training step (X the input, W the weight, G the gradient that comes back):

    forward            Y  = X Wᵀ     (rows, inputs) x (inputs, outputs)
    input gradient     dX = G W      (rows, outputs) x (outputs, inputs)
    weight gradient    dW = Gᵀ X     (outputs, rows) x (rows, inputs), or dWᵀ = Xᵀ G

Of the last two BLAS is faster with the wider matrix on the left. An outer product (one output
channel) is left out: a broadcast does it faster than any matrix product. The floor runs the rest
with ``np.matmul(out=)`` into buffers allocated beforehand, transposed operands as views, as a
framework would pass them to BLAS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Gemm(NamedTuple):
    """One product ``(m, k) x (k, n)``; a transposed operand is stored the other way round."""

    m: int
    k: int
    n: int
    left_transposed: bool = False
    right_transposed: bool = False
    count: int = 1
    """So many of them, stacked: the heads of an attention."""

    @property
    def flops(self) -> int:
        """Floating-point operations: one multiplication and one addition for each (m, k, n)."""
        return 2 * self.m * self.k * self.n * self.count


def layer_gemms(
    rows: int,
    inputs: int,
    outputs: int,
    input_gradient: bool = True,
    weight_gradient: bool = True,
) -> list[Gemm]:
    """Products of one dense layer in a training step.

    ``input_gradient=False`` is the first layer of a network, whose input needs no gradient;
    ``weight_gradient=False`` a layer that only passes gradients on. With neither, the forward pass.
    A convolution is the dense layer with ``rows = N*H*W`` and ``inputs = C * taps``; a transposed
    convolution the one with ``rows = N*H*W`` of its *input* and ``outputs = O * taps``.
    """
    products = [Gemm(rows, inputs, outputs, right_transposed=True)]
    if weight_gradient:
        wide, narrow = max(inputs, outputs), min(inputs, outputs)
        products.append(Gemm(wide, rows, narrow, left_transposed=True))
    if input_gradient and outputs > 1:
        products.append(Gemm(rows, outputs, inputs))
    return products


def attention_gemms(count: int, length: int, width: int) -> list[Gemm]:
    """Products of ``count`` heads over ``length`` positions, ``width`` numbers each, all pairs.

    Scores Q Kᵀ and means P V forward, and for each the gradients of both of its operands.
    """
    outer = Gemm(length, width, length, right_transposed=True, count=count)  # QKᵀ, dP = dO·Vᵀ
    inner = Gemm(length, length, width, count=count)  # PV, dQ = dS·K
    turned = Gemm(length, length, width, left_transposed=True, count=count)  # dV = PᵀdO, dK = dSᵀQ
    return [outer, inner, outer, turned, inner, turned]


def total_flops(products: list[Gemm]) -> int:
    """Floating-point operations of all products together."""
    return sum(product.flops for product in products)


def gemm_step(products: list[Gemm], seed: int = 0) -> Callable[[], None]:
    """A function that runs every product once, in float32, into buffers allocated here.

    Operands of equal shape share one buffer: a floor is to be low, and a cache that is warm helps.
    """
    generator = np.random.default_rng(seed)
    buffers: dict[tuple[str, tuple[int, ...]], np.ndarray] = {}

    def buffer(
        role: str, count: int, rows: int, columns: int, transposed: bool = False
    ) -> np.ndarray:
        if transposed:
            return buffer(role, count, columns, rows).swapaxes(-1, -2)
        shape = (rows, columns) if count == 1 else (count, rows, columns)
        if (role, shape) not in buffers:
            buffers[role, shape] = generator.standard_normal(shape, dtype=np.float32)
        return buffers[role, shape]

    triples = [
        (
            buffer("operand", one.count, one.m, one.k, one.left_transposed),
            buffer("operand", one.count, one.k, one.n, one.right_transposed),
            buffer("result", one.count, one.m, one.n),
        )
        for one in products
    ]

    def run() -> None:
        for left, right, result in triples:
            np.matmul(left, right, out=result)

    return run
