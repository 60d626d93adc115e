"""The loops once more, in several threads: each takes its part of the elements.

Which element is computed by whom changes no result: no sum crosses the parts, and the serial loop
does the work on each. Sums over rows stay in one thread: their columns, divided, took twice as long
for 128 rows of 512.
"""

from __future__ import annotations

from typing import Any

import numba

from minigen.backends.base import Array
from minigen.backends.compiled import loops
from minigen.backends.compiled.loops import activation, convolution, dense, optimizer
from minigen.backends.compiled.loops.compiling import compiled, together
from minigen.backends.compiled.loops.together_channels import (  # noqa: F401 - found here by name
    channel_products,
    channel_squares,
    channel_sums,
    normalize_channels_backward,
    scale_channels,
)
from minigen.backends.compiled.loops.together_rows import (  # noqa: F401 - found here by name
    gelu_by_tanh,
    gelu_by_tanh_backward,
    normalize_rows,
    normalize_rows_backward,
    softmax_over_keys,
    softmax_over_keys_backward,
)

PARTS = 8  # whatever the number of threads, which a function kept on disk cannot ask for
LINE = 16  # elements: a part begins where a cache line does


@compiled
def begin(part: int, size: int) -> int:
    """Where a part begins: a multiple of ``LINE``, or the end."""
    return min(part * (-(-size // (PARTS * LINE)) * LINE), size)


@together
def adam_step(
    p: Array,
    grad: Array,
    first: Array,
    second: Array,
    beta1: Any,
    beta2: Any,
    scale: Any,
    small: Any,
    decay: Any,
    shrink: Any,
) -> None:
    """``optimizer.adam_step``, by elements."""
    for part in numba.prange(PARTS):
        i, j = begin(part, p.size), begin(part + 1, p.size)
        optimizer.adam_step(
            p[i:j],
            grad[i:j],
            first[i:j],
            second[i:j],
            beta1,
            beta2,
            scale,
            small,
            decay,
            shrink,
        )


@together
def correlate(
    out: Array, source: Array, scratch: Array, weight: Array, start: Array, runs: Array,
    pieces: Array, windows: Array, into: Array, groups: int, slope: Any, like: Array, gate: Any,
) -> None:  # fmt: skip
    """``convolution.correlate``, by parts of the batch and groups of channels."""
    for part in numba.prange(len(scratch)):
        convolution.correlate_part(
            part, out, source, scratch, weight, start, runs, pieces, windows, into, groups,
            slope, like, gate,
        )  # fmt: skip


@together
def correlate_weight(
    partial: Array, biases: Array, source: Array, grad: Array, scratch: Array, runs: Array,
    lines: Array, windows: Array, of: Array, slope: Any, turned: bool, first: int, parts: int,
) -> None:  # fmt: skip
    """``convolution.correlate_weight``, by parts of the batch, which stay apart."""
    for part in numba.prange(len(partial)):
        convolution.correlate_weight_part(
            part, partial, biases, source, grad, scratch, runs, lines, windows, of, slope, turned,
            first, parts,
        )  # fmt: skip


@together
def add_parts(out: Array, partial: Array, add: bool) -> None:
    """``convolution.add_parts``, by elements."""
    for part in numba.prange(PARTS):
        i, j = begin(part, out.size), begin(part + 1, out.size)
        convolution.add_parts(out[i:j], partial[:, i:j], add)


@together
def scatter_windows(out: Array, products: Array, moves: Array, step: Any) -> None:
    """``convolution.scatter_windows``, by samples."""
    for part in numba.prange(PARTS):
        i, j = part * len(out) // PARTS, (part + 1) * len(out) // PARTS
        convolution.scatter_windows(out[i:j], products[i:j], moves, step)


@together
def add_bias(rows: Array, bias: Array) -> None:
    """``dense.add_bias``, by rows."""
    for part in numba.prange(PARTS):
        i, j = part * len(rows) // PARTS, (part + 1) * len(rows) // PARTS
        dense.add_bias(rows[i:j], bias)


@together
def average_step(average: Array, value: Array, decay: Any, rest: Any) -> None:
    """``optimizer.average_step``, by elements."""
    for part in numba.prange(PARTS):
        i, j = begin(part, value.size), begin(part + 1, value.size)
        optimizer.average_step(average[i:j], value[i:j], decay, rest)


@together
def rectify(out: Array, x: Array, low: Any) -> None:
    """``activation.rectify``, by elements."""
    for part in numba.prange(PARTS):
        i, j = begin(part, x.size), begin(part + 1, x.size)
        activation.rectify(out[i:j], x[i:j], low)


@together
def relu(out: Array, x: Array, zero: Any) -> None:
    """``activation.relu``, by elements."""
    for part in numba.prange(PARTS):
        i, j = begin(part, x.size), begin(part + 1, x.size)
        activation.relu(out[i:j], x[i:j], zero)


@together
def gate(out: Array, g: Array, like: Array, low: Any) -> None:
    """``activation.gate``, by elements."""
    for part in numba.prange(PARTS):
        i, j = begin(part, g.size), begin(part + 1, g.size)
        activation.gate(out[i:j], g[i:j], like[i:j], low)


@together
def relu_gate(out: Array, g: Array, like: Array, zero: Any) -> None:
    """``activation.relu_gate``, by elements."""
    for part in numba.prange(PARTS):
        i, j = begin(part, g.size), begin(part + 1, g.size)
        activation.relu_gate(out[i:j], g[i:j], like[i:j], zero)


def __getattr__(name: str) -> Any:
    """Loops that have no version for several threads are the serial ones."""
    return getattr(loops, name)
