"""Recurrent layers: LSTM and GRU over sequences, and their single steps. State keys and the
order of the gates are PyTorch's: (i, f, g, o) and (r, z, n).

The equations stand with the ops, in ``ops/recurrent.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigen.autograd.operation import FLOAT16
from minigen.autograd.tensor import Tensor
from minigen.nn import init
from minigen.nn._arguments import need_tensor, positive, probability
from minigen.nn.module import Module
from minigen.nn.parameter import Parameter
from minigen.ops.creation import empty, zeros
from minigen.ops.halves import in_float32
from minigen.ops.linalg import linear
from minigen.ops.random import Generator, dropout
from minigen.ops.recurrent import gru_sequence, lstm_sequence
from minigen.ops.shape import concatenate, flip

__all__ = ["GRU", "LSTM", "GRUCell", "LSTMCell"]


def _run_lstm(gates: Tensor, state: tuple[Tensor, ...], weight: Tensor, bias: Any) -> Any:
    """All outputs (T, N, H) and the last state (h, c)."""
    if bias is not None:
        gates = gates + bias
    if gates.dtype is FLOAT16:
        outputs, c = in_float32(lstm_sequence, gates, *state, weight)
    else:
        outputs, c = lstm_sequence(gates, *state, weight)
    return outputs, (outputs[-1], c)


def _run_gru(gates: Tensor, state: tuple[Tensor, ...], weight: Tensor, bias: Any) -> Any:
    """All outputs (T, N, H) and the last state (h,)."""
    if gates.dtype is FLOAT16:
        outputs = in_float32(gru_sequence, gates, *state, weight, bias)
    else:
        outputs = gru_sequence(gates, *state, weight, bias)
    return outputs, (outputs[-1],)


class _Recurrent(Module):
    """What LSTM and GRU share: layers, directions, layouts and the names of the weights.

    Args:
        input_size: width of the input.
        hidden_size: H, width of the state.
        num_layers: each layer reads the one below.
        bias: whether the two products of a layer have one.
        batch_first: shapes are (N, T, …) and not (T, N, …).
        dropout: probability, between layers, in training.
        bidirectional: a second set of weights reads backwards; outputs are side by side.
        generator: where initial weights and dropout come from.

    Attributes:
        weight_ih_lK: (gates·H, input of layer K), with ``_reverse`` for the second direction.
        weight_hh_lK: (gates·H, H).
        bias_ih_lK, bias_hh_lK: (gates·H,). All start as U(-1/√H, 1/√H).
    """

    gates: int
    states: int
    run: Callable[..., Any]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        positive(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        probability(f"{name}: dropout", dropout)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional, self.generator = bidirectional, generator
        self._ends = ("", "_reverse") if bidirectional else ("",)
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * len(self._ends)
            for end in self._ends:
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, width),
                    "weight_hh": (rows, hidden_size),
                }
                if bias:
                    shapes.update(bias_ih=(rows,), bias_hh=(rows,))
                for kind, shape in shapes.items():
                    weight = Parameter(empty(shape))
                    init.fan_in_uniform_(weight, hidden_size, generator)
                    setattr(self, f"{kind}_l{layer}{end}", weight)

    def _sequence(self, input: Any, state: tuple[Tensor, ...] | None) -> Any:
        """(output, last states), all in the caller's layout."""
        name = type(self).__name__
        need_tensor(name, input)
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: input must have 2 or 3 dimensions and end in {self.input_size}, "
                f"got shape {input.shape}"
            )
        single = input.ndim == 2
        if single:  # (T, I) -> (T, 1, I)
            input = input.unsqueeze(1)
        elif self.batch_first:  # (N, T, I) -> (T, N, I)
            input = input.transpose(0, 1)
        if input.shape[0] == 0:
            raise ValueError(f"{name}: input must have at least one step, got a length of 0")
        state = self._states(state, input.shape[1], single, input.dtype)
        output, last = self._layers(input, state)
        if single:
            return output.squeeze(1), tuple(s.squeeze(1) for s in last)
        return (output.transpose(0, 1) if self.batch_first else output), last

    def _states(
        self, state: tuple[Tensor, ...] | None, n: int, single: bool, dtype: Any
    ) -> tuple[Tensor, ...]:
        """The initial states, (layers·directions, N, H) each; zeros if none are given."""
        shape = (self.num_layers * len(self._ends), n, self.hidden_size)
        if state is None:
            return tuple(zeros(shape, dtype=dtype) for _ in range(self.states))
        wanted = (shape[0], shape[2]) if single else shape
        for given in state:
            need_tensor(type(self).__name__, given, "hx")
            if given.shape != wanted:
                raise ValueError(
                    f"{type(self).__name__}: hx must have shape {wanted}, got {given.shape}"
                )
        return tuple(given.unsqueeze(1) for given in state) if single else tuple(state)

    def _layers(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(T, N, I) -> (T, N, directions·H) and the last states."""
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = dropout(x, self.dropout, generator=self.generator)
            sides = []
            for end in self._ends:
                weights: dict[str, Any] = {
                    kind: getattr(self, f"{kind}_l{layer}{end}", None)
                    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                }
                start = tuple(s[len(last)] for s in state)
                gates = linear(flip(x, 0) if end else x, weights["weight_ih"], weights["bias_ih"])
                side, final = type(self).run(gates, start, weights["weight_hh"], weights["bias_hh"])
                sides.append(flip(side, 0) if end else side)
                last.append(final)
            x = sides[0] if len(sides) == 1 else concatenate(sides, 2)
        states = zip(*last)
        return x, tuple(concatenate([s.unsqueeze(0) for s in group]) for group in states)

    def multiply_adds(self, args: tuple[Any, ...], output: Any) -> int:
        """Every weight matrix once for each step and sample."""
        rows = args[0].numel() // max(self.input_size, 1)
        matrices = (p for p in self.parameters(recurse=False) if p.ndim == 2)
        return rows * sum(p.numel() for p in matrices)

    def extra_repr(self) -> str:
        """The sizes."""
        text = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"
        text += ", batch_first=True" if self.batch_first else ""
        return text + (", bidirectional=True" if self.bidirectional else "")


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), forget gate included.

    The arguments are ``input_size, hidden_size, num_layers=1, bias=True, batch_first=False,
    dropout=0.0, bidirectional=False, generator=None``.
    """

    gates, states = 4, 2
    run = staticmethod(_run_lstm)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(T, N, input_size) -> (output (T, N, directions·H), (h, c)).

        ``hx`` and the returned states are pairs of (layers·directions, N, H). A sequence
        without the batch's dimension, (T, input_size), works likewise.
        """
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise TypeError(f"LSTM: hx must be a pair (h, c), got {type(hx).__name__}")
        return self._sequence(input, None if hx is None else tuple(hx))


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al. 2014).

    The arguments are ``input_size, hidden_size, num_layers=1, bias=True, batch_first=False,
    dropout=0.0, bidirectional=False, generator=None``.
    """

    gates, states = 3, 1
    run = staticmethod(_run_gru)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(T, N, input_size) -> (output (T, N, directions·H), h (layers·directions, N, H)).

        A sequence without the batch's dimension, (T, input_size), works likewise.
        """
        output, (h,) = self._sequence(input, None if hx is None else (hx,))
        return output, h


class _Cell(Module):
    """One step: weight_ih (gates·H, input), weight_hh (gates·H, H), bias_ih, bias_hh."""

    gates: int
    states: int
    run: Callable[..., Any]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size))
        self.weight_hh = Parameter(empty(rows, hidden_size))
        self.bias_ih = Parameter(empty(rows)) if bias else None
        self.bias_hh = Parameter(empty(rows)) if bias else None
        for parameter in self.parameters():
            init.fan_in_uniform_(parameter, hidden_size, generator)

    def _step(self, input: Any, state: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
        name = type(self).__name__
        need_tensor(name, input)
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: input must have shape (N, {self.input_size}), got {input.shape}"
            )
        single = input.ndim == 1
        x = input.reshape(-1, self.input_size) if single else input
        wanted = (*input.shape[:-1], self.hidden_size)
        if state is None:
            state = tuple(zeros(wanted, dtype=input.dtype) for _ in range(self.states))
        for given in state:
            need_tensor(name, given, "hx")
            if given.shape != wanted:
                raise ValueError(f"{name}: hx must have shape {wanted}, got {given.shape}")
        rows = tuple(s.reshape(x.shape[0], self.hidden_size) for s in state)
        gates = linear(x, self.weight_ih, self.bias_ih).unsqueeze(0)  # (N, G) -> (1, N, G)
        _, last = type(self).run(gates, rows, self.weight_hh, self.bias_hh)
        return tuple(s.reshape(wanted) for s in last)

    def multiply_adds(self, args: tuple[Any, ...], output: Any) -> int:
        """Both weight matrices once for each sample."""
        rows = args[0].numel() // max(self.input_size, 1)
        return rows * (self.weight_ih.numel() + self.weight_hh.numel())

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}"


class LSTMCell(_Cell):
    """One step of an LSTM. Arguments: ``input_size, hidden_size, bias=True, generator=None``."""

    gates, states = 4, 2
    run = staticmethod(_run_lstm)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """(N, input_size) and states (N, H) -> the next (h, c)."""
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise TypeError(f"LSTMCell: hx must be a pair (h, c), got {type(hx).__name__}")
        h, c = self._step(input, None if hx is None else tuple(hx))
        return h, c


class GRUCell(_Cell):
    """One step of a GRU. Arguments: ``input_size, hidden_size, bias=True, generator=None``."""

    gates, states = 3, 1
    run = staticmethod(_run_gru)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(N, input_size) and the state (N, H) -> the next state."""
        (h,) = self._step(input, None if hx is None else (hx,))
        return h
