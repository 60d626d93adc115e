"""Descriptions of the recurrent ops; the truth is their definition, written in PyTorch."""

from __future__ import annotations

from typing import Any

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


def _torch_lstm(gates: Any, h: Any, c: Any, weight: Any) -> Any:
    outputs = []
    for row in gates:
        i, f, g, o = (row + h @ weight.T).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs), c


def _torch_gru(gates: Any, h: Any, weight: Any, bias: Any = 0.0) -> Any:
    outputs = []
    for row in gates:
        (x_r, x_z, x_n), (h_r, h_z, h_n) = row.chunk(3, 1), (h @ weight.T + bias).chunk(3, 1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        h = (1 - z) * torch.tanh(x_n + r * h_n) + z * h
        outputs.append(h)
    return torch.stack(outputs)


def _gru(gates: Any, h: Any, weight: Any, bias: Any = None) -> Any:
    return registry["gru_sequence"](gates, h, weight, bias)


@st.composite
def _lines(draw: Any) -> Case:
    n, height, width = draw(st.integers(0, 2)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    size, lines = draw(st.integers(1, 3)), draw(st.sampled_from(LINES))
    taps = draw(st.sampled_from([1, 3, 5])) if lines == "rows" else 2
    gates = draw(arrays((n, height, width, 4 * size)))
    return Case((gates, draw(arrays((4 * size, size, taps)))), {"lines": lines})


def _torch_lines(gates: Any, weight: Any, lines: str) -> Any:
    """Cell by cell: where each one finds its predecessors is written out."""
    n, height, width, _ = gates.shape
    _, size, taps = weight.shape
    outside = torch.zeros(n, size, dtype=gates.dtype)
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
        i, f, g, o = z.chunk(4, 1)
        cell = torch.sigmoid(f) * memory.get(same, outside) + torch.sigmoid(i) * torch.tanh(g)
        memory[r, c] = cell
        h[r, c] = torch.sigmoid(o) * torch.tanh(cell)
    rows = [torch.stack([h[r, c] for c in range(width)], 1) for r in range(height)]
    return torch.stack(rows, 1)


SPECS = [
    Spec(
        "line_lstm",
        _lines(),
        call=line_lstm,
        torch=_torch_lines,
        ops=("line_lstm",),
    ),
    Spec(
        "lstm_sequence",
        _sequence(4, 2),
        call=registry["lstm_sequence"],
        torch=_torch_lstm,
        ops=("lstm_sequence",),
    ),
    Spec("gru_sequence", _sequence(3, 1), call=_gru, torch=_torch_gru, ops=("gru_sequence",)),
]
