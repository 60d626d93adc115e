"""Descriptions of the recurrent ops; the truth is their definition, one step after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigen.autograd.operation import registry
from minigen.ops.line_recurrent import LINES, line_lstm

from .core import Case, Spec, arrays, torch


@st.composite
def _sequence(draw: Any, gates: int, states: int) -> Case:
    length, n, size = draw(st.integers(1, 4)), draw(st.integers(0, 3)), draw(st.integers(1, 3))
    shapes = [(length, n, gates * size), *[(n, size)] * states, (gates * size, size)]
    if gates == 3 and draw(st.booleans()):
        shapes.append((3 * size,))
    return Case(tuple(draw(arrays(shape)) for shape in shapes))


# Each definition is written once, step by step, for NumPy and for PyTorch (``lib``).


def _sigmoid(lib: Any, x: Any) -> Any:
    return 1 / (1 + lib.exp(-x))


def _parts(x: Any, count: int) -> Any:
    """The gates that lie side by side in the last axis: (N, count·H) -> count times (N, H)."""
    size = x.shape[-1] // count
    return [x[:, k * size : (k + 1) * size] for k in range(count)]


def _lstm_cell(lib: Any, z: Any, c: Any) -> Any:
    """``c ← σ(f)·c + σ(i)·tanh(g)``, ``h = σ(o)·tanh(c)``: the next h and c."""
    i, f, g, o = _parts(z, 4)
    c = _sigmoid(lib, f) * c + _sigmoid(lib, i) * lib.tanh(g)
    return _sigmoid(lib, o) * lib.tanh(c), c


def lstm(gates: Any, h: Any, c: Any, weight: Any, lib: Any = np) -> Any:
    """All states h, (T, N, H), and the last c."""
    outputs = []
    for row in gates:
        h, c = _lstm_cell(lib, row + h @ weight.T, c)
        outputs.append(h)
    return lib.stack(outputs), c


def gru(gates: Any, h: Any, weight: Any, bias: Any = 0.0, lib: Any = np) -> Any:
    """All states h, (T, N, H): ``h ← (1 − z)·tanh(x_n + r·h_n) + z·h``."""
    outputs = []
    for row in gates:
        (x_r, x_z, x_n), (h_r, h_z, h_n) = _parts(row, 3), _parts(h @ weight.T + bias, 3)
        r, z = _sigmoid(lib, x_r + h_r), _sigmoid(lib, x_z + h_z)
        h = (1 - z) * lib.tanh(x_n + r * h_n) + z * h
        outputs.append(h)
    return lib.stack(outputs)


def _gru(gates: Any, h: Any, weight: Any, bias: Any = None) -> Any:
    return registry["gru_sequence"](gates, h, weight, bias)


@st.composite
def _lines(draw: Any) -> Case:
    n, height, width = draw(st.integers(0, 2)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    size, lines = draw(st.integers(1, 3)), draw(st.sampled_from(LINES))
    taps = draw(st.sampled_from([1, 3, 5])) if lines == "rows" else 2
    gates = draw(arrays((n, height, width, 4 * size)))
    return Case((gates, draw(arrays((4 * size, size, taps)))), {"lines": lines})


def _lstm_of_lines(gates: Any, weight: Any, lines: str, lib: Any = np) -> Any:
    """Cell by cell: where each one finds its predecessors is written out."""
    height, width = gates.shape[1:3]
    size, taps = weight.shape[1:]
    outside = 0.0 * gates[:, 0, 0, :size]
    beside = 1 if lines == "antidiagonals" else -1
    order = [(r, c) for r in range(height) for c in range(width)[::-beside]]
    h: dict[Any, Any] = {}
    memory: dict[Any, Any] = {}
    for r, c in order:
        if lines == "rows":
            before = [(r - 1, c + k - taps // 2) for k in range(taps)]
            same = (r - 1, c)
        else:
            before = [(r - 1, c), (r, c + beside)]
            same = (r, c + beside)
        z = gates[:, r, c]
        for k, place in enumerate(before):
            z = z + h.get(place, outside) @ weight[:, :, k].T
        h[r, c], memory[r, c] = _lstm_cell(lib, z, memory.get(same, outside))
    rows = [lib.stack([h[r, c] for c in range(width)], 1) for r in range(height)]
    return lib.stack(rows, 1)


def _both(definition: Any) -> dict[str, Any]:
    """The definition as the truth of NumPy and of PyTorch."""
    return {"numpy": definition, "torch": lambda *xs, **k: definition(*xs, **k, lib=torch)}


SPECS = [
    Spec("line_lstm", _lines(), call=line_lstm, ops=("line_lstm",), **_both(_lstm_of_lines)),
    Spec(
        "lstm_sequence",
        _sequence(4, 2),
        call=registry["lstm_sequence"],
        ops=("lstm_sequence",),
        **_both(lstm),
    ),
    Spec("gru_sequence", _sequence(3, 1), call=_gru, ops=("gru_sequence",), **_both(gru)),
]
