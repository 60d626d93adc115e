"""RealNVP for images (Dinh, Sohl-Dickstein & Bengio 2017, "Density estimation using Real NVP").

**The model.** Affine couplings, as for vectors (`minigen/models/realnvp.py`), whose networks are
convolutions, at several scales (section 3.6 and figure 4 of the paper). One scale:

    three couplings with a checkerboard mask         (C, H, W)
    squeeze                                          (4C, H/2, W/2)
    three couplings with a mask of channels
    half of the channels leave as noise              (2C, H/2, W/2)

and after the last one four more checkerboard couplings. In every row of three the mask is exchanged
from one coupling to the next: what is kept now is moved then.

**The checkerboard, squeezed.** Of the four channels that a squeeze makes of a 2×2 square, the first
and last are pixels of one colour of the board, the second and third of the other:

    ┌───┬───┐
    │ 0 │ 1 │     colour of pixel (i, j): (i + j) mod 2
    ├───┼───┤
    │ 2 │ 3 │     0 and 3 are even, 1 and 2 are odd
    └───┴───┘

So a checkerboard mask at H×W is the same as halves of channels at H/2×W/2, once the channels are
ordered (0, 3 | 1, 2). The couplings are made there: no convolution runs over pixels that its mask
blanks out, none computes what a mask throws away, and a 3×3 kernel sees 6×6 pixels, for an eighth
of the arithmetic. Only the last scale, whose sides may be odd (28 → 14 → 7), keeps a literal mask.

**ActNorm** stands before every coupling, where the paper has batch normalisation, whose likelihood
of an image depends on the others in its batch.

The recipe that trains it, with the numbers reached, is `minigen/recipes/realnvp_image.py`.
"""

from __future__ import annotations

import numpy as np

from minigen import nn
from minigen.models.image_flow import (
    Conditioner,
    ImageFlow,
    MultiScale,
    Reorder,
    Shape,
    Squeeze,
    squeezed_shapes,
)

__all__ = ["ImageRealNVP", "by_colour", "checkerboard"]

IN_A_ROW, AT_THE_END = 3, 4  # couplings with one kind of mask, as in the paper


def checkerboard(height: int, width: int) -> np.ndarray:
    """1 where row + column is even, else 0: (H, W)."""
    return (np.indices((height, width)).sum(axis=0) + 1) % 2


def by_colour(channels: int) -> list[int]:
    """The order of a squeeze's `channels` that puts the checkerboard's even pixels first.

    Channel 4c + 2·dy + dx holds pixels (2i + dy, 2j + dx), whose colour is (dy + dx) mod 2.
    """
    return sorted(range(channels), key=lambda k: (k % 4 in (1, 2), k))


class ImageRealNVP(ImageFlow):
    """RealNVP for images of even sides.

    Args:
        shape: (C, H, W).
        levels: grey values of a pixel.
        hidden: channels in the couplings' networks: one number for each scale, and one for the
            couplings at the end.
        pixels: "histogram", "logit" or "none", see `ImageFlow`.
        alpha: of the logit.
        limit: no coupling stretches by more than exp(limit).
        couplings: in a row with one kind of mask; the paper has 3.
    """

    def __init__(
        self,
        shape: Shape,
        levels: int = 256,
        hidden: tuple[int, ...] = (32, 64, 64),
        pixels: str = "histogram",
        alpha: float = 0.05,
        limit: float = 2.0,
        couplings: int = IN_A_ROW,
    ) -> None:
        if len(hidden) < 2 or min(hidden) < 1:
            raise ValueError(
                "hidden must be at least 1 everywhere, a number for each scale and one for the "
                f"end, got {hidden}"
            )
        if couplings < 2:
            raise ValueError(f"couplings must be at least 2, to move both halves, got {couplings}")
        shapes = squeezed_shapes(shape, len(hidden) - 1)
        scales: list[nn.FlowLayer] = []
        for inside, width in zip(shapes, hidden):
            order = by_colour(inside[0])
            back = [order.index(k) for k in range(len(order))]
            scales.append(
                nn.Flow(
                    Squeeze(),
                    Reorder(order),  # halves: the two colours of the board
                    *_halves(inside, couplings, width, limit),
                    Reorder(back),  # halves: what stays at this scale, what leaves
                    *_halves(inside, couplings, width, limit),
                )
            )
        channels, height, size = shapes[-1]
        last = (channels // 2, height, size)
        scales.append(nn.Flow(*_board(last, AT_THE_END, hidden[-1], limit)))
        flow = MultiScale(scales, [None] * len(shapes), [*shapes, last])
        super().__init__(shape, levels, flow, pixels, alpha)


def _halves(shape: Shape, count: int, hidden: int, limit: float) -> list[nn.FlowLayer]:
    """ActNorm and a coupling of the channels' halves, `count` times, the halves exchanged."""
    channels, height, width = shape
    layers: list[nn.FlowLayer] = []
    for index in range(count):
        network = Conditioner(channels // 2, channels, hidden, (height, width))
        swap = index % 2 == 1
        layers += [nn.ActNorm(channels), nn.AffineCoupling(network, swap=swap, limit=limit)]
    return layers


def _board(shape: Shape, count: int, hidden: int, limit: float) -> list[nn.FlowLayer]:
    """ActNorm and a coupling with a checkerboard mask, `count` times, the colours exchanged."""
    channels, height, width = shape
    layers: list[nn.FlowLayer] = []
    for index in range(count):
        network = Conditioner(channels, 2 * channels, hidden, (height, width))
        layers.append(nn.ActNorm(channels))
        layers.append(
            nn.AffineCoupling(
                network, mask=checkerboard(height, width), swap=index % 2 == 1, limit=limit
            )
        )
    return layers
