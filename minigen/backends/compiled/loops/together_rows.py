"""The loops of a transformer in several threads: each takes its heads, rows or groups of rows."""

from __future__ import annotations

from typing import Any

import numba

from minigen.backends.base import Array
from minigen.backends.compiled.loops import attention, gelu, normalization
from minigen.backends.compiled.loops.compiling import together

PARTS = 8  # whatever the number of threads, which a function kept on disk cannot ask for


@together
def softmax_over_keys(w: Array, top: Array, total: Array, scale: Any, is_causal: Any) -> None:
    """``attention.softmax_over_keys``, by heads."""
    for part in numba.prange(PARTS):
        i, j = part * len(w) // PARTS, (part + 1) * len(w) // PARTS
        attention.softmax_over_keys(w[i:j], top[i:j], total[i:j], scale, is_causal)


@together
def softmax_over_keys_backward(
    g: Array, w: Array, total: Array, scale: Any, zero: Any, is_causal: Any
) -> None:
    """``attention.softmax_over_keys_backward``, by heads."""
    for part in numba.prange(PARTS):
        i, j = part * len(w) // PARTS, (part + 1) * len(w) // PARTS
        attention.softmax_over_keys_backward(g[i:j], w[i:j], total[i:j], scale, zero, is_causal)


@together
def gelu_by_tanh(out: Array, x: Array) -> None:
    """``gelu.gelu_by_tanh``, by elements."""
    for part in numba.prange(PARTS):
        i, j = part * x.size // PARTS, (part + 1) * x.size // PARTS
        gelu.gelu_by_tanh(out[i:j], x[i:j])


@together
def gelu_by_tanh_backward(out: Array, g: Array, x: Array) -> None:
    """``gelu.gelu_by_tanh_backward``, by elements."""
    for part in numba.prange(PARTS):
        i, j = part * x.size // PARTS, (part + 1) * x.size // PARTS
        gelu.gelu_by_tanh_backward(out[i:j], g[i:j], x[i:j])


@together
def normalize_rows(
    out: Array, means: Array, inverse: Array, x: Array, weight: Array, bias: Array, eps: Any
) -> None:
    """``normalization.normalize_rows``, by rows."""
    for part in numba.prange(PARTS):
        i, j = part * len(x) // PARTS, (part + 1) * len(x) // PARTS
        normalization.normalize_rows(out[i:j], means[i:j], inverse[i:j], x[i:j], weight, bias, eps)


@together
def normalize_rows_backward(
    grad: Array,
    sums: Array,
    g: Array,
    x: Array,
    means: Array,
    inverse: Array,
    weight: Array,
    size: int,
) -> None:
    """``normalization.normalize_rows_backward``, by groups of rows."""
    for part in numba.prange(PARTS):
        first, last = part * len(sums) // PARTS, (part + 1) * len(sums) // PARTS
        i, j = first * size, last * size
        normalization.normalize_rows_backward(
            grad[i:j],
            sums[first:last],
            g[i:j],
            x[i:j],
            means[i:j],
            inverse[i:j],
            weight,
            size,
        )
