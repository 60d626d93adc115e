"""A step of many LSTM cells and the way back."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, contracted
from minigen.backends.compiled.loops.scalars import (
    sigmoid_of,
    tanh_of,
)


@contracted
def lstm_cell(z: Array, c: Array, tanh_c: Array, h: Array) -> None:
    """A step of M cells in float32: (M, 4H) gates in place, (M, H) memory in place, its tanh, h.

    In several short loops, of which each goes many numbers at a time; one long loop does not.
    """
    count, size = c.shape
    for m in range(count):
        gates, memory, shown, state = z[m], c[m], tanh_c[m], h[m]
        for k in range(2 * size):
            gates[k] = sigmoid_of(gates[k])
        for k in range(2 * size, 3 * size):
            gates[k] = tanh_of(gates[k])
        for k in range(3 * size, 4 * size):
            gates[k] = sigmoid_of(gates[k])
        for k in range(size):
            memory[k] = gates[size + k] * memory[k] + gates[k] * gates[2 * size + k]
        for k in range(size):
            shown[k] = tanh_of(memory[k])
        for k in range(size):
            state[k] = gates[3 * size + k] * shown[k]


@compiled
def lstm_cell_backward(
    sigma: Array, before: Array, tanh_c: Array, g_h: Array, g_c: Array, g_z: Array, one: Any
) -> None:
    """The gradient by z from those by h and c; ``g_c`` becomes that by the memory before."""
    count, size = before.shape
    for m in range(count):
        for k in range(size):
            i = sigma[m, k]
            f = sigma[m, size + k]
            g = sigma[m, 2 * size + k]
            o = sigma[m, 3 * size + k]
            shown = tanh_c[m, k]
            state = g_h[m, k]
            memory = g_c[m, k] + state * o * (one - shown * shown)
            g_z[m, k] = memory * g * i * (one - i)
            g_z[m, size + k] = memory * before[m, k] * f * (one - f)
            g_z[m, 2 * size + k] = memory * i * (one - g * g)
            g_z[m, 3 * size + k] = state * shown * o * (one - o)
            g_c[m, k] = memory * f
