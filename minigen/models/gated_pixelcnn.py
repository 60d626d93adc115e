"""Gated PixelCNN (van den Oord et al. 2016b, "Conditional Image Generation with PixelCNN …").

**The blind spot, and two stacks.** Masked kernels that lie upon one another see a wedge of the past
and miss a part on the right (see `pixelcnn.py`). So the past is cut in two, and each part gets a
stack of its own, whose kernels need no corner cut out:

    vertical     everything above      k/2 + 1 rows of k taps, no mask inside
    horizontal   left in this row      one row of k/2 + 1 taps

The horizontal stack predicts, and takes in what the vertical one found. Both have gates in place of
ReLUs (the paper's equation 2), ⊙ elementwise and σ the sigmoid:

    y = tanh(W_f ∗ x + V_f·label) ⊙ σ(W_g ∗ x + V_g·label)

**Where the row shift happens.** Once, and only here: the vertical stack starts from
`shift_down(x)`, the image moved down by one row. Its kernels look at their own row, to both sides,
and at the rows above; on the moved image that means x's rows up to i − 1, which is what the
horizontal stack of row i may hear of. Without the shift the model reads the pixel that it predicts,
and those to its right; with a second one it never sees the row above.

    v ──(k/2+1)×k──┬───── gate ──────────────── v'         v starts as shift_down(x)
                   └─ 1×1 ─┐
    h ───1×(k/2+1)──────── + ── gate ── 1×1 ─── + h'       h starts as x; no sum in the first layer

The horizontal kernel of the first layer is of type A (it does not see the pixel), later ones of
type B. The link takes v before its gate, as in the paper's figure 2. Two 1×1 convolutions turn h
into the head's numbers.

**Colours** (see `pixelcnn.py`) concern the horizontal stack alone: the rows above are whole. Of the
2h channels in front of a gate the first h go through tanh, the others through σ, so colour c owns
two runs of them, one in each half; `gate_mask` says so.

**Labels**: a bias for each class in both stacks of every layer, V of the equation above.

**Sampling**: `minigen/models/raster.py`. `Stacks` computes the vertical stack a whole row at a
time and the horizontal one a pixel at a time. Recipe and numbers: `minigen/recipes/pixelcnn.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.backends import Array, active
from minigen.models.pixel_cache import (
    CachedConvolution,
    CurrentRow,
    RowsAbove,
    masked_weight,
    parts,
)
from minigen.models.raster import RasterModel, check_sizes

__all__ = ["GatedPixelCNN", "gate", "shift_down"]


def gate(x: Tensor) -> Tensor:
    """tanh(first half of the channels) ⊙ σ(second half): (N, 2h, H, W) → (N, h, H, W)."""
    gated = mg.gated_tanh(x.permute(0, 2, 3, 1))  # (N, 2h, H, W) -> (N, H, W, h)
    return gated.permute(0, 3, 1, 2)


def shift_down(x: Tensor) -> Tensor:
    """Row i of the result is row i − 1 of x, row 0 is zero: (N, C, H, W) → (N, C, H, W)."""
    return mg.pad(x, (0, 0, 1, 0))[:, :, :-1]


def rows_mask(kernel: int) -> np.ndarray:
    """The vertical stack's kernel: the row of its centre and all above it, (k, k)."""
    mask = np.zeros((kernel, kernel), dtype=bool)
    mask[: kernel // 2 + 1] = True
    return mask


def gate_mask(mask_type: str, kernel: int, channels: int, hidden: int, colors: int) -> np.ndarray:
    """The horizontal stack's kernel, (1, k) for one colour, else (2h, channels, 1, k).

    Taps to the left always; at the pixel itself colour o of the outputs sees the colours i < o
    (type A) or i ≤ o (type B) of the inputs, where output channels k and h + k are of one colour.
    """
    if colors == 1:
        return np.arange(kernel)[None, :] < kernel // 2 + (mask_type == "B")
    into = np.arange(2 * hidden) % hidden * colors // hidden  # (2h,)
    of = np.arange(channels) * colors // channels
    mask = np.zeros((2 * hidden, channels, 1, kernel), dtype=bool)
    mask[..., : kernel // 2] = True
    later = of[None, :] < into[:, None] if mask_type == "A" else of[None, :] <= into[:, None]
    mask[..., 0, kernel // 2] = later
    return mask


class Layer(nn.Module):
    """One storey of both stacks; see the drawing above."""

    def __init__(
        self, channels: int, hidden: int, kernel: int, mask_type: str, colors: int, classes: int
    ) -> None:
        super().__init__()
        self.adds = mask_type == "B"
        side = kernel // 2
        self.vertical = nn.MaskedConv2d(
            channels, 2 * hidden, kernel, padding=side, mask=rows_mask(kernel)
        )
        self.horizontal = nn.MaskedConv2d(
            channels,
            2 * hidden,
            (1, kernel),
            padding=(0, side),
            mask=gate_mask(mask_type, kernel, channels, hidden, colors),
        )
        self.link = nn.Conv2d(2 * hidden, 2 * hidden, 1)
        self.mix = nn.MaskedConv2d(hidden, hidden, 1, mask_type="B", colors=colors)
        if classes:
            self.vertical_label = nn.Linear(classes, 2 * hidden, bias=False)
            self.horizontal_label = nn.Linear(classes, 2 * hidden, bias=False)

    def forward(self, v: Tensor, h: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Both stacks (N, channels, H, W), labels as rows of 0 and 1 → both, (N, h, H, W)."""
        above = self.vertical(v)  # (N, channels, H, W) -> (N, 2h, H, W)
        here = self.horizontal(h)
        if label is not None:
            above = above + _per_image(self.vertical_label(label))
            here = here + _per_image(self.horizontal_label(label))
        here = here + self.link(above)
        mixed = self.mix(gate(here))  # (N, 2h, H, W) -> (N, h, H, W)
        return gate(above), h + mixed if self.adds else mixed


def _per_image(bias: Tensor) -> Tensor:
    return bias.reshape(*bias.shape, 1, 1)  # (N, 2h) -> (N, 2h, 1, 1)


class GatedPixelCNN(RasterModel):
    """The Gated PixelCNN; see the top of this file.

    Args:
        shape: (C, H, W) of an image.
        hidden: h, width of both stacks. C must divide it.
        layers: storeys after the first.
        kernel: k of these, odd.
        first_kernel: k of the first, odd, at least 3.
        classes: number of labels; 0 for an unconditional model.
        head, values, components: what a pixel may be, see `RasterModel`.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        hidden: int = 32,
        layers: int = 5,
        kernel: int = 3,
        first_kernel: int = 7,
        classes: int = 0,
        head: str = "bernoulli",
        values: int = 256,
        components: int = 5,
    ) -> None:
        super().__init__(shape, head, values, components, classes)
        colors = self.shape[0]
        check_sizes(colors, hidden=hidden, layers=layers, kernel=kernel, first_kernel=first_kernel)
        first = Layer(colors, hidden, first_kernel, "A", colors, classes)
        later = [Layer(hidden, hidden, kernel, "B", colors, classes) for _ in range(layers)]
        self.layers = nn.ModuleList([first, *later])
        self.last = nn.MaskedConv2d(hidden, 2 * hidden, 1, mask_type="B", colors=colors)
        self.out = nn.MaskedConv2d(
            2 * hidden, colors * self.head.parameters, 1, mask_type="B", colors=colors
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """All factors at once: (N, C, H, W) in [0, 1], labels (N,) int → (N, C·P, H, W)."""
        h = self._centred(x)
        v = shift_down(h)  # the one row between the stacks
        label = self._one_hot(x.shape[0], labels)
        for layer in self.layers:
            v, h = layer(v, h, label)
        return self.out(mg.relu(self.last(mg.relu(h))))  # (N, h, H, W) -> (N, C·P, H, W)

    def painter(self, n: int, labels: Tensor | None = None) -> Stacks:
        """The fast painter."""
        return Stacks(self, n, labels)


class Stacks:
    """The vertical stack by rows, the horizontal one by pixels (`raster.Painter`)."""

    def __init__(self, model: GatedPixelCNN, n: int, labels: Tensor | None) -> None:
        colors, _, width = model.shape
        label = model._one_hot(n, labels)
        layers = [layer for layer in model.layers if isinstance(layer, Layer)]
        self.storeys = [Storey(layer, n, width, colors, label) for layer in layers]
        self.last = CachedConvolution(_masked(model.last), n, width, colors)
        self.out = CachedConvolution(_masked(model.out), n, width, colors)
        self.xp = active.backend.xp
        self.image = self.storeys[0].current

    def begin_row(self) -> None:
        """Take the row just finished up through the vertical stack; link it to the new row."""
        v = self.image.finished()  # (N, W, C), still zero when row 0 begins
        for storey in self.storeys:
            v = storey.begin_row(v)

    def parameters(self, j: int, c: int) -> Array:
        """One column of the horizontal stack, and the head's numbers: (N, P)."""
        relu, last, out = self.xp.maximum, self.last, self.out
        h = None
        for storey in self.storeys:
            if h is not None:
                storey.current.input[j][c][...] = h
            mixed = storey.pixel(j, c)  # (N, h/C): colour c's part
            if h is not None:
                mixed += h
            h = mixed
        relu(h, 0, out=last.input[j][c])
        relu(last.at(j, c), 0, out=out.input[j][c])
        return out.at(j, c)  # (N, P)

    def put(self, j: int, c: int, values: Array) -> None:
        """The image itself is what the first storey reads."""
        self.image.input[j][c][:, 0] = values * 2.0 - 1.0


class Storey:
    """One layer of `Stacks`."""

    def __init__(self, layer: Layer, n: int, width: int, colors: int, label: Tensor | None) -> None:
        self.xp = active.backend.xp
        vertical, horizontal = masked_weight(layer.vertical), masked_weight(layer.horizontal)
        hidden, channels = layer.mix.in_channels, layer.horizontal.in_channels
        self.shape = (n, width, 2 * hidden)
        side = layer.horizontal.kernel_size[1] // 2
        self.above = RowsAbove(vertical[:, :, : vertical.shape[2] // 2 + 1], n, width)
        # colour c's channels in front of a gate: one run in each half, tanh's first
        halves = [
            [*range(part.start, part.stop), *range(hidden + part.start, hidden + part.stop)]
            for part in parts(hidden, colors)
        ]
        taps = side + int(colors > 1 or layer.adds)
        inputs = parts(channels, colors)
        self.current = CurrentRow(horizontal[:, :, 0, :taps], side, n, width, inputs, halves)
        self.halves, self.half = halves, hidden // colors
        self.mix = CachedConvolution(layer.mix, n, width, colors)
        self.link = layer.link.weight.data[:, :, 0, 0].T  # (2h in, 2h out)
        assert layer.vertical.bias is not None
        assert layer.horizontal.bias is not None
        assert layer.link.bias is not None
        self.vertical_bias = layer.vertical.bias.data[None, None, :]  # (1, 1, 2h)
        here = layer.horizontal.bias.data + layer.link.bias.data
        self.horizontal_bias = here[None, None, :]
        if label is not None:
            up, left = layer.vertical_label(label).data, layer.horizontal_label(label).data
            self.vertical_bias = self.vertical_bias + up[:, None, :]  # (N, 1, 2h)
            self.horizontal_bias = self.horizontal_bias + left[:, None, :]

    def begin_row(self, v: Array) -> Array:
        """One more row of the vertical stack, (N, W, C) → (N, W, h), and its link to the other."""
        xp, hidden = self.xp, self.shape[2] // 2
        self.above.push(v)
        up = self.above.product().reshape(self.shape) + self.vertical_bias  # (N, W, 2h)
        here = xp.matmul(up, self.link) + self.horizontal_bias
        flat = here.reshape(-1, self.shape[2])  # (N, W, 2h) -> (N·W, 2h)
        for above, channels in zip(self.current.above, self.halves):
            above[...] = flat[:, channels]
        return xp.tanh(up[..., :hidden]) * (0.5 * xp.tanh(0.5 * up[..., hidden:]) + 0.5)

    def pixel(self, j: int, c: int) -> Array:
        """The horizontal stack at one pixel, before the sum: (N, h/C)."""
        xp, half = self.xp, self.half
        x = self.current.at(j, c)  # (N, 2h/C)
        sigma = x[:, half:]
        sigma *= 0.5  # σ(x) = ½ tanh(x/2) + ½: one tanh for both halves
        xp.tanh(x, out=x)
        sigma *= 0.5
        sigma += 0.5
        xp.multiply(x[:, :half], sigma, out=self.mix.input[j][c])
        return self.mix.at(j, c)


def _masked(layer: nn.Module) -> nn.MaskedConv2d:
    assert isinstance(layer, nn.MaskedConv2d)
    return layer
