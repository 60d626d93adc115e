"""The layers of a PixelRNN, one cell at a time: what sampling carries from pixel to pixel.

Drawing pixel (r, c) needs one new cell of every layer. What an LSTM reads of the row above is
finished when a row begins, and is multiplied then for the whole row at once; what is left for a
cell is its own input and, on a diagonal, the state to its left. The second LSTM of a Diagonal
BiLSTM is read one row late, so a whole row of it can be computed when the row is finished. All in
all every cell of every layer is computed once, as in one pass over the finished image.

Arrays are raw. `input[j][0]`, (N, 2h), is where a layer's input at cell j is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minigen.backends import Array, active
from minigen.models.pixel_cache import CachedConvolution, RowsAbove
from minigen.ops.line_recurrent import lstm_cell

if TYPE_CHECKING:
    from minigen.models.pixelrnn import DiagonalBiLSTM, RowLSTM

__all__ = ["DiagonalState", "RowState"]


class RowState:
    """A `RowLSTM`: keeps h and c of the row above."""

    def __init__(self, layer: RowLSTM, n: int, width: int) -> None:
        xp, weight = active.backend.xp, layer.lstm.state.data
        hidden = weight.shape[1]
        self.inputs = CachedConvolution(layer.lstm.inputs, n, width, 1)
        self.widen = CachedConvolution(layer.widen, n, width, 1)
        self.input = self.inputs.input
        self.above = RowsAbove(weight[:, :, None], n, width)  # (4h, h, k) -> (4h, h, 1, k)
        self.h = xp.zeros((n, width, hidden), dtype=weight.dtype)
        self.c = [xp.zeros((n, hidden), dtype=weight.dtype) for _ in range(width)]
        self.shape = n, width, 4 * hidden
        self.from_state = xp.zeros(self.shape, dtype=weight.dtype)

    def begin_row(self, pixels: Array | None) -> None:
        """State-to-state for the whole row: the row above is finished."""
        if pixels is not None:
            self.above.push(self.h)
            self.from_state = self.above.product().reshape(self.shape)

    def at(self, j: int) -> Array:
        """What the layer adds at cell j: (N, 2h)."""
        z = self.inputs.at(j, 0)  # (N, 4h)
        z += self.from_state[:, j]
        h = self.widen.input[j][0]
        _step(z, self.c[j], h)
        self.h[:, j] = h
        return self.widen.at(j, 0)


class DiagonalState:
    """A `DiagonalBiLSTM`.

    The first LSTM keeps h of the row above and h and c of the cell to the left. The second one is
    read a row later: when a row is finished, it walks it from the right end to the left.
    """

    def __init__(self, layer: DiagonalBiLSTM, n: int, width: int) -> None:
        xp, weight = active.backend.xp, layer.left.state.data
        hidden = weight.shape[1]
        self.inputs = CachedConvolution(layer.left.inputs, n, width, 1)
        self.right_inputs = CachedConvolution(layer.right.inputs, n, width, 1)
        self.pixel = None if layer.pixel is None else CachedConvolution(layer.pixel, n, width, 1)
        self.widen = CachedConvolution(layer.widen, n, width, 1)
        self.input = self.inputs.input
        (self.above, self.beside), (self.right_above, self.right_beside) = (
            [xp.ascontiguousarray(lstm.state.data[:, :, k].T) for k in range(2)]  # (h, 4h) each
            for lstm in (layer.left, layer.right)
        )
        self.h, self.right = (xp.zeros((width, n, hidden), dtype=weight.dtype) for _ in range(2))
        self.from_above = xp.zeros((width, n, 4 * hidden), dtype=weight.dtype)
        self.c = xp.zeros((n, hidden), dtype=weight.dtype)

    def begin_row(self, pixels: Array | None) -> None:
        """The second LSTM crosses the finished row; the first one starts anew at its left end."""
        xp = active.backend.xp
        self.c[...] = 0
        if pixels is None:
            return
        self.from_above = xp.matmul(self.h, self.above)  # (W, N, h) -> (W, N, 4h)
        features = self.inputs.current.finished()  # (N, W, 2h)
        from_above = xp.matmul(self.right, self.right_above)  # (W, N, h) -> (W, N, 4h)
        memory = xp.zeros_like(self.c)
        for j in reversed(range(features.shape[1])):
            self.right_inputs.input[j][0][...] = features[:, j]
            z = self.right_inputs.at(j, 0)  # (N, 4h)
            z += from_above[j]
            if j + 1 < features.shape[1]:
                z += xp.matmul(self.right[j + 1], self.right_beside)
            if self.pixel is not None:
                self.pixel.input[j][0][...] = pixels[:, j]
                z += self.pixel.at(j, 0)
            _step(z, memory, self.right[j])

    def at(self, j: int) -> Array:
        """What the layer adds at cell j: (N, 2h)."""
        xp = active.backend.xp
        z = self.inputs.at(j, 0)  # (N, 4h)
        z += self.from_above[j]
        if j:
            z += xp.matmul(self.h[j - 1], self.beside)
        _step(z, self.c, self.h[j])
        xp.add(self.h[j], self.right[j], out=self.widen.input[j][0])
        return self.widen.at(j, 0)


def _step(z: Array, c: Array, h: Array) -> None:
    """One cell of N images: c in place, h written; (N, 4h), (N, h), (N, h)."""
    xp = active.backend.xp
    lstm_cell(active.backend, z, c, xp.empty_like(c), h)
