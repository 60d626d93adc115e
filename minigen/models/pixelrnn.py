"""PixelRNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016, "Pixel Recurrent Neural Networks").

**The model.** An image is drawn pixel by pixel in raster order, each given all before it:

    p(x) = ∏_i p(x_i | x_1 … x_{i−1})

as in `pixelcnn.py`; but what came before is carried by LSTMs that cross the image, so that a
single layer looks as far as the image goes, where a convolution looks as far as its kernel.

    7×7, mask A                     1 → 2h
    layers ×                        x + (LSTM 2h → h, 1×1 h → 2h)         residual, section 3.3
    ReLU, 1×1, ReLU, 1×1            2h → 2h → P numbers for the head

**The LSTM of a layer.** What does not depend on the state, the *input-to-state* product, is one
convolution of the whole map. The *state-to-state* part goes line by line, all cells of a line at
once, by the equations of `minigen/ops/line_recurrent.py`. Two kinds of line:

*Row LSTM* (section 3.1): lines are rows. State-to-state reads k places of the row above,
input-to-state k places of the row itself up to the pixel (mask B). What a pixel sees is a
triangle that opens upwards, and what lies above but outside of it is never seen.

*Diagonal BiLSTM* (section 3.2): lines are diagonals, on which a cell finds its neighbours above
and to the left on the diagonal before; input-to-state is 1×1. From the left upper corner it sees
everything above *and* to the left. A second LSTM starts at the right upper corner and sees
everything above and to the right; but at cell (r, c) that includes (r, c+1), which is still to
come. Hence its map is moved *down by one row* before the two are added: at (r, c) one reads what
it had at (r−1, c). Without that shift the model sees the answer.

**The last pixel of the row above.** The first layer's features at (r−1, c) do not know the pixel
(r−1, c), by mask A. For c < W−1 the features to its right do, and the second LSTM brings them; for
the last pixel of a row there is no right, and as the paper has it, the row below it would hardly
see it. Because the second LSTM's map is read one row later, it may see its own pixel: in the first
layer a 1×1 product of the image is added to its gates. With that a pixel sees *all* before it.

**Sampling**: `minigen/models/raster.py`; the state is carried from pixel to pixel, see
`minigen/models/pixelrnn_state.py`. Heads: `minigen/models/pixel_heads.py`. The recipe, with the
numbers reached: `minigen/recipes/pixelrnn.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.backends import Array, active
from minigen.models.pixel_cache import CachedConvolution
from minigen.models.pixelrnn_state import DiagonalState, RowState
from minigen.models.raster import RasterModel, check_sizes
from minigen.nn import init
from minigen.ops.line_recurrent import line_lstm

__all__ = ["KINDS", "DiagonalBiLSTM", "PixelRNN", "RowLSTM"]

KINDS = ("row", "diagonal")


class LineLSTM(nn.Module):
    """Input-to-state for all cells at once, then the lines one after another.

    Args:
        channels: of the input.
        hidden: h.
        lines: "rows", "diagonals" or "antidiagonals", see `line_lstm`.
        kernel: k of input-to-state along the row, odd; 1 for the diagonals.
        taps: K of state-to-state; 2 for the diagonals.

    Attributes:
        inputs: the convolution; its bias is the gates'. That of the forget gate starts at 1, so
            that memory lasts from the first step on (Gers et al. 2000).
        state: (4h, h, K).
    """

    def __init__(self, channels: int, hidden: int, lines: str, kernel: int, taps: int) -> None:
        super().__init__()
        self.lines = lines
        self.inputs = nn.MaskedConv2d(
            channels, 4 * hidden, (1, kernel), padding=(0, kernel // 2), mask_type="B"
        )
        self.state = nn.Parameter(mg.zeros(4 * hidden, hidden, taps))
        bound = 1.0 / math.sqrt(hidden * taps)
        init.uniform_(self.state, -bound, bound)
        assert self.inputs.bias is not None
        self.inputs.bias.data[hidden : 2 * hidden] = 1.0

    def forward(self, x: Tensor, more: Tensor | None = None) -> Tensor:
        """(N, C, H, W), and what is added to the gates (N, 4h, H, W) → h, (N, H, W, h)."""
        gates = self.inputs(x)
        if more is not None:
            gates = gates + more
        return line_lstm(gates.permute(0, 2, 3, 1), self.state, lines=self.lines)


class RowLSTM(nn.Module):
    """One residual layer, from top to bottom: (N, 2h, H, W) → (N, 2h, H, W)."""

    def __init__(self, hidden: int, kernel: int) -> None:
        super().__init__()
        self.lstm = LineLSTM(2 * hidden, hidden, "rows", kernel, kernel)
        self.widen = nn.MaskedConv2d(hidden, 2 * hidden, 1, mask_type="B")

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """The layer has no use for the image."""
        h = self.lstm(x).permute(0, 3, 1, 2)  # (N, 2h, H, W) -> (N, H, W, h) -> (N, h, H, W)
        return x + self.widen(h)

    def start(self, n: int, width: int) -> RowState:
        """For drawing n images cell by cell."""
        return RowState(self, n, width)


class DiagonalBiLSTM(nn.Module):
    """One residual layer, from both upper corners: (N, 2h, H, W) → (N, 2h, H, W).

    Args:
        hidden: h.
        first: whether the layer is the first, whose second LSTM sees its own pixel.
    """

    def __init__(self, hidden: int, first: bool) -> None:
        super().__init__()
        self.left = LineLSTM(2 * hidden, hidden, "diagonals", 1, 2)
        self.right = LineLSTM(2 * hidden, hidden, "antidiagonals", 1, 2)
        self.pixel = nn.MaskedConv2d(1, 4 * hidden, 1, mask_type="B", bias=False) if first else None
        self.widen = nn.MaskedConv2d(hidden, 2 * hidden, 1, mask_type="B")

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """The sum of both directions, the second one row later."""
        own = None if self.pixel is None else self.pixel(image)
        h = self.left(x) + shift_down(self.right(x, own))  # (N, H, W, h)
        return x + self.widen(h.permute(0, 3, 1, 2))  # (N, H, W, h) -> (N, h, H, W)

    def start(self, n: int, width: int) -> DiagonalState:
        """For drawing n images cell by cell."""
        return DiagonalState(self, n, width)


def shift_down(x: Tensor) -> Tensor:
    """Row r becomes row r + 1, zeros come in above: (N, H, W, C) → (N, H, W, C)."""
    return mg.pad(x[:, :-1], (0, 0, 0, 0, 1, 0))


class PixelRNN(RasterModel):
    """Both kinds of PixelRNN; see the top of this file.

    Args:
        shape: (1, H, W) of an image; one colour.
        kind: "row" or "diagonal".
        hidden: h; the residual stream is 2h wide.
        layers: LSTM layers.
        kernel: k of the Row LSTM, odd, for both of its parts.
        first_kernel: side of the first convolution, odd, at least 3.
        head, values, components: what a pixel may be, see `RasterModel`.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        kind: str = "diagonal",
        hidden: int = 32,
        layers: int = 1,
        kernel: int = 3,
        first_kernel: int = 7,
        head: str = "bernoulli",
        values: int = 256,
        components: int = 5,
    ) -> None:
        super().__init__(shape, head, values, components)
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        if self.shape[0] != 1:
            raise ValueError(f"shape must have one colour, (1, H, W), got {self.shape}")
        check_sizes(1, hidden=hidden, layers=layers, kernel=kernel, first_kernel=first_kernel)
        wide = 2 * hidden
        self.kind = kind
        self.first = nn.MaskedConv2d(
            1, wide, first_kernel, padding=first_kernel // 2, mask_type="A"
        )
        self.layers = nn.ModuleList(
            [
                RowLSTM(hidden, kernel) if kind == "row" else DiagonalBiLSTM(hidden, number == 0)
                for number in range(layers)
            ]
        )
        self.last = nn.MaskedConv2d(wide, wide, 1, mask_type="B")
        self.out = nn.MaskedConv2d(wide, self.head.parameters, 1, mask_type="B")

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """All factors at once: (N, 1, H, W) in [0, 1] → (N, P, H, W)."""
        self._one_hot(x.shape[0], labels)
        image = self._centred(x)
        h = self.first(image)  # (N, 1, H, W) -> (N, 2h, H, W)
        for layer in self.layers:
            h = layer(h, image)
        h = self.last(mg.relu(h))
        return self.out(mg.relu(h))  # (N, 2h, H, W) -> (N, P, H, W)

    def painter(self, n: int, labels: Tensor | None = None) -> Carried:
        """The fast painter."""
        return Carried(self, n)


class Carried:
    """A PixelRNN, one pixel's column of features at a time (`raster.Painter`)."""

    def __init__(self, model: PixelRNN, n: int) -> None:
        width = model.shape[2]
        self.first, self.last, self.out = (
            CachedConvolution(layer, n, width, 1) for layer in (model.first, model.last, model.out)
        )
        self.layers = [_with_state(layer).start(n, width) for layer in model.layers]
        self.started = False

    def begin_row(self) -> None:
        """Move every layer down a row."""
        pixels = self.first.current.finished() if self.started else None  # (N, W, 1)
        for layer in self.layers:
            layer.begin_row(pixels)
        self.first.begin_row(finished=self.started)
        self.started = True

    def parameters(self, j: int, c: int) -> Array:
        """One column, from the first layer to the head's numbers: (N, P)."""
        relu = active.backend.xp.maximum
        x = self.first.at(j, 0)  # (N, 2h)
        for layer in self.layers:
            layer.input[j][0][...] = x
            x += layer.at(j)
        relu(x, 0, out=self.last.input[j][0])
        relu(self.last.at(j, 0), 0, out=self.out.input[j][0])
        return self.out.at(j, 0)  # (N, P)

    def put(self, j: int, c: int, values: Array) -> None:
        """The first layer's input."""
        self.first.input[j][0][:, 0] = values * 2.0 - 1.0


def _with_state(layer: nn.Module) -> RowLSTM | DiagonalBiLSTM:
    assert isinstance(layer, RowLSTM | DiagonalBiLSTM)
    return layer
