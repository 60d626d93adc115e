"""PixelCNN (van den Oord, Kalchbrenner and Kavukcuoglu 2016a, "Pixel Recurrent Neural Networks").

**The model.** An image is drawn pixel by pixel in raster order, each given all before it:

    p(x) = ∏_i p(x_i | x_1 … x_{i−1})

and a convolutional network computes all factors in one pass. What makes that possible is the mask:
a kernel may look at the rows above and to the left, never at what is still to come.

    type A      type B          A, in the first layer only, hides the pixel itself: it is what is
    1 1 1       1 1 1           to be predicted. After it, place i of a feature map knows only
    1 0 0       1 1 0           x_1 … x_{i−1}, so the later layers may look at place i: type B.
    0 0 0       0 0 0

One B in the first place, or one kernel without a mask, and the model sees the answer: its loss
falls to nearly nothing and its samples are noise.

**The network** (the paper's table 1 and figure 5):

    7×7, mask A                     C → 2h
    blocks ×                        x + (ReLU, 1×1 2h → h, ReLU, 3×3 mask B, ReLU, 1×1 h → 2h)
    ReLU, 1×1, ReLU, 1×1            2h → 2h → C·P numbers for the head

**Colours** are predicted one after another: R from the pixels before, G from these and R, B from
these, R and G. The channels of every layer are cut into C parts in that order, and the masks look
at the parts as they look at pixels (the paper's figure 4).

**The blind spot.** Stacked 3×3 masks reach one row up and one column to the right at a time: what
lies in the row above and three columns to the right is never seen, however deep the stack. The
Gated PixelCNN (`gated_pixelcnn.py`) has no such spot.

**Sampling**: `minigen/models/raster.py`; here `Columns` computes one pixel's column of features at
a time from what the rows above left behind. Heads: `minigen/models/pixel_heads.py`. The recipe,
with the numbers reached: `minigen/recipes/pixelcnn.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.backends import Array, active
from minigen.models.pixel_cache import CachedConvolution
from minigen.models.raster import RasterModel, check_sizes

__all__ = ["PixelCNN"]


class Block(nn.Module):
    """x + (ReLU, 1×1, ReLU, k×k mask B, ReLU, 1×1): narrow in the middle, where it is dear."""

    def __init__(self, narrow: int, kernel: int, colors: int) -> None:
        super().__init__()
        wide = 2 * narrow
        options: dict[str, Any] = {"mask_type": "B", "colors": colors, "rectify": 0.0}
        self.reduce = nn.MaskedConv2d(wide, narrow, 1, **options)
        self.middle = nn.MaskedConv2d(narrow, narrow, kernel, padding=kernel // 2, **options)
        self.widen = nn.MaskedConv2d(narrow, wide, 1, **options)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 2h, H, W) → (N, 2h, H, W); ``rectify`` puts a ReLU before each convolution."""
        h = self.middle(self.reduce(x))  # (N, 2h, H, W) -> (N, h, H, W)
        return x + self.widen(h)  # (N, h, H, W) -> (N, 2h, H, W)


class PixelCNN(RasterModel):
    """The plain PixelCNN; see the top of this file.

    Args:
        shape: (C, H, W) of an image.
        hidden: h; the residual stream is 2h wide. C must divide it.
        blocks: residual blocks.
        kernel: side of the masked kernels in the blocks, odd.
        first_kernel: side of the first one, odd, at least 3.
        head, values, components: what a pixel may be, see `RasterModel`.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        hidden: int = 32,
        blocks: int = 5,
        kernel: int = 3,
        first_kernel: int = 7,
        head: str = "bernoulli",
        values: int = 256,
        components: int = 5,
    ) -> None:
        super().__init__(shape, head, values, components)
        colors = self.shape[0]
        check_sizes(colors, hidden=hidden, blocks=blocks, kernel=kernel, first_kernel=first_kernel)
        wide = 2 * hidden
        self.first = nn.MaskedConv2d(
            colors, wide, first_kernel, padding=first_kernel // 2, mask_type="A", colors=colors
        )
        self.blocks = nn.ModuleList([Block(hidden, kernel, colors) for _ in range(blocks)])
        options: dict[str, Any] = {"mask_type": "B", "colors": colors, "rectify": 0.0}
        self.last = nn.MaskedConv2d(wide, wide, 1, **options)
        self.out = nn.MaskedConv2d(wide, colors * self.head.parameters, 1, **options)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """All factors at once: (N, C, H, W) in [0, 1] → (N, C·P, H, W)."""
        self._one_hot(x.shape[0], labels)
        h = self.first(self._centred(x))  # (N, C, H, W) -> (N, 2h, H, W)
        for block in self.blocks:
            h = block(h)
        return self.out(self.last(h))  # (N, 2h, H, W) -> (N, C·P, H, W)

    def painter(self, n: int, labels: Tensor | None = None) -> Columns:
        """The fast painter."""
        return Columns(self, n)


class Columns:
    """PixelCNN, one pixel's column of features at a time (`raster.Painter`).

    Everything that a convolution sees in the rows above is finished when a row begins, and is
    multiplied then for the whole row at once; what is left for a pixel are the taps to its left
    and its own.
    """

    def __init__(self, model: PixelCNN, n: int) -> None:
        width, colors = model.shape[2], model.shape[0]

        def cached(layer: nn.Module) -> CachedConvolution:
            assert isinstance(layer, nn.MaskedConv2d)
            return CachedConvolution(layer, n, width, colors)

        self.first = cached(model.first)
        self.blocks = [
            (cached(block.reduce), cached(block.middle), cached(block.widen))
            for block in model.blocks
            if isinstance(block, Block)
        ]
        self.last, self.out = cached(model.last), cached(model.out)
        self.relu = active.backend.xp.maximum
        self.started = False

    def begin_row(self) -> None:
        """Move every layer down a row."""
        for layer in (self.first, *[middle for _, middle, _ in self.blocks]):
            layer.begin_row(finished=self.started)
        self.started = True

    def parameters(self, j: int, c: int) -> Array:
        """One column, from the first layer to the head's numbers: (N, P)."""
        relu, last, out = self.relu, self.last, self.out
        x = self.first.at(j, c)  # (N, 2h/C): colour c's part
        for reduce, middle, widen in self.blocks:
            relu(x, 0, out=reduce.input[j][c])
            relu(reduce.at(j, c), 0, out=middle.input[j][c])
            relu(middle.at(j, c), 0, out=widen.input[j][c])
            x += widen.at(j, c)
        relu(x, 0, out=last.input[j][c])
        relu(last.at(j, c), 0, out=out.input[j][c])
        return out.at(j, c)  # (N, P)

    def put(self, j: int, c: int, values: Array) -> None:
        """The first layer's input."""
        self.first.input[j][c][:, 0] = values * 2.0 - 1.0
