"""DCGAN: the deep convolutional GAN (Radford, Metz & Chintala 2016).

**The model.** The generator begins with a small picture of many channels, made from the noise by
one transposed convolution, and doubles its side again and again while the channels halve; the
discriminator goes the same way back with strided convolutions. For 28×28, width 64:

    G:  z (100, 1, 1) → 128 × 7 × 7 → 64 × 14 × 14 → 1 × 28 × 28, tanh
    D:  1 × 28 × 28 → 64 × 14 × 14 → 128 × 7 × 7 → 1

The rules of the paper's section 3: no pooling (strides instead), no dense hidden layers, batch norm
everywhere but at G's output and D's input, ReLU in G and LeakyReLU(0.2) in D, tanh at the end,
weights from N(0, 0.02²).

**Any size.** The side is halved, rounding up, until it is at most 7. Going up, a kernel of 4 makes
2L out of L; where the side is odd a kernel of 3 makes 2L − 1. 64 → 4, 32 → 4, 28 → 7, 8 → 4.

**Batch norm in a discriminator.** Its verdict on one image depends on the others in the batch.
Real and fake ones must therefore never share a batch, and a penalty on the gradient of one sample
needs another norm: `layer` (all channels and places of a sample), as Gulrajani et al. 2017 advise,
or `spectral` (Miyato et al. 2018), which acts on the weights.

The recipe, with the numbers reached, is `minigen/recipes/gan.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor

__all__ = ["NORMS", "ConvDiscriminator", "ConvGenerator", "sizes_down"]

NORMS = ("batch", "layer", "spectral", "none")
LARGEST_BASE = 7
DEVIATION = 0.02  # of the initial weights
SLOPE = 0.2  # of LeakyReLU


def sizes_down(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes on the way down: (28, 28) → [(28, 28), (14, 14), (7, 7)]; at least one halving."""
    if min(height, width) < 4:
        raise ValueError(f"images must be at least 4×4 for a DCGAN, got {height}×{width}")
    sizes = [(height, width)]
    while len(sizes) == 1 or max(sizes[-1]) > LARGEST_BASE:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


class ConvGenerator(nn.Module):
    """Noise (N, latent) → images (N, C, H, W) in [−1, 1].

    Args:
        latent: length of z.
        shape: of one image, (C, H, W), each side at least 4.
        width: channels of the largest hidden picture; each smaller one has twice as many.
        batch_norm: after every layer but the last.
    """

    def __init__(
        self,
        latent: int = 100,
        shape: Sequence[int] = (1, 28, 28),
        width: int = 64,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        channels, height, across = shape
        sizes = sizes_down(height, across)[::-1]  # smallest first
        counts = [width * 2**k for k in reversed(range(len(sizes) - 1))] + [channels]
        self.latent = latent
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent, counts[0], sizes[0], bias=not batch_norm)
        ]
        for step in range(1, len(sizes)):
            layers += [nn.BatchNorm2d(counts[step - 1])] if batch_norm else []
            kernel = tuple(4 - side % 2 for side in sizes[step])
            last = step == len(sizes) - 1
            layers += [
                nn.ReLU(),
                nn.ConvTranspose2d(
                    counts[step - 1], counts[step], kernel, 2, 1, bias=last or not batch_norm
                ),
            ]
        self.layers = nn.Sequential(*layers)
        _initialise(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent) → (N, C, H, W). There are no classes: `labels` are not looked at."""
        return mg.tanh(self.layers(z.reshape(len(z), self.latent, 1, 1)))


class ConvDiscriminator(nn.Module):
    """Images (N, C, H, W) → logits (N,).

    Args:
        shape: of one image, (C, H, W), each side at least 4.
        width: channels of the first hidden picture; each smaller one has twice as many.
        norm: one of `NORMS`.
    """

    def __init__(
        self, shape: Sequence[int] = (1, 28, 28), width: int = 64, norm: str = "batch"
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
        channels, height, across = shape
        sizes = sizes_down(height, across)
        counts = [channels] + [width * 2**k for k in range(len(sizes) - 1)]
        layers: list[nn.Module] = []
        for step in range(1, len(sizes)):
            kernel = tuple(4 - side % 2 for side in sizes[step - 1])
            normed = step > 1 and norm in ("batch", "layer")
            # Each convolution rectifies what it reads: LeakyReLU as a part of it, but for pixels.
            slope = SLOPE if step > 1 else None
            layers.append(
                nn.Conv2d(
                    counts[step - 1], counts[step], kernel, 2, 1, bias=not normed, rectify=slope
                )
            )
            if normed:
                count = counts[step]
                layers.append(nn.BatchNorm2d(count) if norm == "batch" else nn.GroupNorm(1, count))
        layers.append(nn.Conv2d(counts[-1], 1, sizes[-1], rectify=SLOPE))
        self.layers = nn.Sequential(*layers)
        _initialise(self)
        if norm == "spectral":
            for layer in self.layers.children():
                if isinstance(layer, nn.Conv2d):
                    nn.spectral_norm(layer)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, H, W) → (N,). There are no classes: `labels` are not looked at."""
        return self.layers(x).reshape(-1)  # (N, 1, 1, 1) -> (N,)


def _initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02²), scales of batch norm from N(1, 0.02²), biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, DEVIATION)
        elif isinstance(module, nn.BatchNorm2d) and module.weight is not None:
            nn.init.normal_(module.weight, 1.0, DEVIATION)
        bias = getattr(module, "bias", None)
        if isinstance(bias, Tensor):
            nn.init.zeros_(bias)
