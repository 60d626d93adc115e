"""StyleGAN in its second form (Karras et al. 2020, "Analyzing and improving the image quality of
StyleGAN"): a generator whose levels of detail can be steered one by one.

**The generator.** Noise does not go in at the bottom. A mapping network turns z into a *style* w,
and w goes into every layer of a synthesis that begins with one learned constant:

    z ~ N(0, I) → z/√(mean z²) → 4 dense layers → w
    constant 4×4 → conv(w) → tRGB(w) ──────────────────┐
            → conv, up(w) → conv(w) → tRGB(w) ── + ← up(image)
            → conv, up(w) → conv(w) → tRGB(w) ── + ← up(image)   …   until the size is reached

Every resolution adds its part to the image (skip outputs: no growing of the network in steps).
Each convolution draws fresh noise for what is truly random in a picture. `stylegan_layers.py` has
the layers. Convolutions and the last tRGB have a w each: L = 2·log₂(side) − 2 of them.

**Which layer does what.** w at 4×4 and 8×8 decides about pose and shape, that of the finest layers
about stroke and texture. *Style mixing*: in training, 9 of 10 samples get a second w from a random
layer on, so that neighbouring layers cannot rely on having the same one; afterwards the coarse
style of one picture can be combined with the fine style of another.

**Truncation.** w̄, the mean of w, is followed during training, w̄ ← 0.995·w̄ + 0.005·mean(w).
w̄ + ψ(w − w̄) with ψ < 1 stays nearer to the usual: better pictures, less variety; at ψ = 0 there is
one w only.

**The last tanh** is not in the paper, and drawings need it. Photographs have every shade; four
fifths of a digit are exactly black. Sums of tRGBs cannot come out as one exact value over
hundreds of pixels, so the discriminator tells the two apart by the faint unrest of the ground
alone, and says nothing about shapes: the generator then falls on one of them, whatever z is. tanh
makes black out of everything far below.

**The discriminator** halves the size in residual blocks, (x + f(x))/√2, with smoothing before each
halving; at 4×4 it sees how much the samples of its batch differ (minibatch deviation).

**Sizes**: square, side 4·2^k from 16 on; one channel or three. The recipe, with losses and lazy
penalties, is `minigen/recipes/stylegan.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.models.stylegan_layers import (
    ACTIVATION_GAIN,
    EPSILON,
    SLOPE,
    EqualConv2d,
    EqualLinear,
    MinibatchDeviation,
    StyledConv,
    ToImage,
    smooth,
)

__all__ = [
    "NOISE",
    "MappingNetwork",
    "StyleDiscriminator",
    "StyleGenerator",
    "SynthesisNetwork",
    "levels",
    "mix_styles",
    "resolutions",
]

BASE = 4  # the side of the constant
NOISE = ("each", "shared", "none")


def resolutions(shape: Sequence[int]) -> list[int]:
    """The sides from the constant's to the image's: (1, 32, 32) → [4, 8, 16, 32].

    Raises:
        ValueError: for an image that is not square with a side of 4·2^k from 16 on, or that has
            neither one channel nor three.
    """
    channels, height, width = shape
    ratio = height // BASE
    if height != width or height < 16 or height % BASE or ratio & (ratio - 1):
        raise ValueError(
            "images must be square with a side of 16, 32, 64, 128, … pixels (4·2^k), "
            f"got {height}×{width}"
        )
    if channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, got {channels}")
    return [BASE << k for k in range(int(math.log2(ratio)) + 1)]


def levels(shape: Sequence[int]) -> dict[str, tuple[list[int], list[int]]]:
    """The three levels of style: name → (resolutions, indices of their layers).

    For 32×32: coarse, 4 and 8, layers 0–2; middle, 16, layers 3–4; fine, 32, layers 5–7.
    """
    found, sides = {}, resolutions(shape)
    for name, part in zip(("coarse", "middle", "fine"), np.array_split(np.array(sides), 3)):
        own = [layer for side in part for layer in _layers_at(int(side), sides[-1])]
        found[name] = ([int(side) for side in part], own)
    return found


def _layers_at(side: int, last: int) -> list[int]:
    """4 has layer 0; 4·2^k has 2k − 1 and 2k; the last tRGB is counted to the last side."""
    k = int(math.log2(side // BASE))
    own = [0] if k == 0 else [2 * k - 1, 2 * k]
    return [*own, 2 * k + 1] if side == last else own


def mix_styles(first: Tensor, second: Tensor, crossover: Tensor, layers: int) -> Tensor:
    """Layers before the crossover get the first style, the others the second.

    Args:
        first, second: (N, W).
        crossover: (N,), integers: the first layer of `second`; `layers` for none.
        layers: L.

    Returns:
        (N, L, W).
    """
    early = mg.arange(layers).reshape(1, layers, 1) < crossover.reshape(-1, 1, 1)  # (N, L, 1)
    return mg.where(early, first.unsqueeze(1), second.unsqueeze(1))


class MappingNetwork(nn.Module):
    """z → w: z normalised to mean square 1, then dense layers that learn more slowly.

    Args:
        latent: length of z.
        style: length of w.
        layers: how many, at least 1.
        rate: learning rate of these layers, as a share of the others'.
    """

    def __init__(self, latent: int, style: int, layers: int = 4, rate: float = 0.01) -> None:
        super().__init__()
        widths = [latent, *[style] * layers]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            gain = ACTIVATION_GAIN
            parts += [EqualLinear(before, after, multiplier=rate, gain=gain)]
            parts += [nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*parts)

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent) -> (N, style)."""
        z = z * mg.rsqrt(mg.square(z).mean(dim=1, keepdim=True) + EPSILON)
        return self.layers(z)


class SynthesisNetwork(nn.Module):
    """Styles, one for each layer → images.

    Args:
        shape: of an image, (C, side, side).
        style: length of w.
        width: channels at the full side; each smaller one has twice as many …
        most: … up to this.
        bounded: end in tanh.
    """

    def __init__(
        self, shape: Sequence[int], style: int, width: int, most: int, bounded: bool = True
    ) -> None:
        super().__init__()
        self.sides, self.bounded = resolutions(shape), bounded
        counts = [min(most, width * self.sides[-1] // side) for side in self.sides]
        self.constant = nn.Parameter(mg.randn(1, counts[0], BASE, BASE))
        convolutions = [StyledConv(counts[0], counts[0], style)]
        for before, after in pairwise(counts):
            convolutions += [
                StyledConv(before, after, style, up=True),
                StyledConv(after, after, style),
            ]
        self.convolutions = nn.ModuleList(convolutions)
        self.outputs = nn.ModuleList([ToImage(count, shape[0], style) for count in counts])
        self.layers = len(convolutions) + 1

    def forward(
        self, styles: Tensor, generator: mg.Generator | None = None, noise: str = "each"
    ) -> Tensor:
        """(N, L, W) -> (N, C, side, side).

        Args:
            styles: w of every layer.
            generator: where the noise comes from.
            noise: "each" sample its own, one "shared" by all, or "none".
        """
        n, generator = len(styles), generator or mg.default_generator()
        w = [styles[:, layer] for layer in range(self.layers)]
        x = mg.broadcast_to(self.constant, (n, *self.constant.shape[1:]))
        image: Tensor | None = None
        for level, side in enumerate(self.sides):
            for layer in range(max(0, 2 * level - 1), 2 * level + 1):
                count = n if noise == "each" else 1
                drawn = None
                if noise != "none":
                    drawn = generator.normal((count, 1, side, side), dtype=styles.dtype)
                x = self.convolutions[layer](x, w[layer], drawn)  # (N, channels, side, side)
            own = self.outputs[level](x, w[2 * level + 1])  # (N, C, side, side)
            if image is None:
                image = own
            else:
                image = mg.interpolate(image, scale_factor=2, mode="bilinear") + own
        assert image is not None
        return mg.tanh(image) if self.bounded else image


class StyleGenerator(nn.Module):
    """Noise (N, latent) → images (N, C, side, side) in [−1, 1].

    Args:
        latent: length of z.
        shape: of an image, (C, side, side).
        style: length of w.
        width: channels at the full side.
        most: channels at any side.
        mapping_layers: of the mapping network.
        mapping_rate: learning rate of the mapping network, as a share of the others'.
        mixing: the share of samples that get two styles in training.
        momentum: of the mean style: what is kept of it at every step.
        bounded: end in tanh; without it, as in the paper, nothing keeps images in [−1, 1].

    Attributes:
        mean_style: w̄, a buffer; moves in training only.
    """

    mean_style: Tensor

    def __init__(
        self,
        latent: int = 64,
        shape: Sequence[int] = (1, 32, 32),
        style: int = 64,
        width: int = 16,
        most: int = 64,
        mapping_layers: int = 4,
        mapping_rate: float = 0.01,
        mixing: float = 0.9,
        momentum: float = 0.995,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.shape, self.mixing, self.momentum = tuple(shape), mixing, momentum
        self.mapping = MappingNetwork(latent, style, mapping_layers, mapping_rate)
        self.synthesis = SynthesisNetwork(shape, style, width, most, bounded)
        self.layers = self.synthesis.layers
        self.register_buffer("mean_style", mg.zeros(style))

    def forward(
        self, z: Tensor, labels: Tensor | None = None, generator: mg.Generator | None = None
    ) -> Tensor:
        """(N, latent) -> (N, C, side, side). There are no classes: `labels` are not looked at.

        In training the mean style moves and styles are mixed; all that is drawn on the way comes
        from `generator`.
        """
        generator = generator or mg.default_generator()
        w = self.mapping(z)
        if not self.training:
            return self.synthesis(self.spread(w), generator)
        self.follow(w)
        if not self.mixing:
            return self.synthesis(self.spread(w), generator)
        other = self.mapping(generator.normal(z.shape, dtype=z.dtype))
        crossover = self.crossovers(len(z), generator)
        return self.synthesis(mix_styles(w, other, crossover, self.layers), generator)

    def follow(self, w: Tensor) -> None:
        """w̄ ← momentum·w̄ + (1 − momentum)·mean(w): (N, W)."""
        with mg.no_grad():
            mean = w.detach().mean(dim=0)  # (N, W) -> (W,)
            self.mean_style.copy_(mean + self.momentum * (self.mean_style - mean))

    def crossovers(self, count: int, generator: mg.Generator) -> Tensor:
        """(count,): uniform over 1 … L − 1 for the share `mixing` of samples, L for the rest."""
        places = generator.integers(1, self.layers, (count,))
        mixed = generator.uniform((count,)) < self.mixing
        return mg.where(mixed, places, mg.full((count,), self.layers, dtype="int64"))

    def truncated(self, w: Tensor, psi: float) -> Tensor:
        """w̄ + ψ(w − w̄): (N, W) -> (N, W). ψ = 1 changes nothing."""
        return w if psi == 1.0 else self.mean_style + psi * (w - self.mean_style)

    def spread(self, w: Tensor) -> Tensor:
        """The same style for every layer: (N, W) -> (N, L, W)."""
        return mg.broadcast_to(w.unsqueeze(1), (len(w), self.layers, w.shape[1]))


class _Halving(nn.Module):
    """A residual block that halves the side: (x·S + f(x))/√2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = EqualConv2d(in_channels, in_channels, 3, padding=1, gain=ACTIVATION_GAIN)
        # √2 for the activation and 1/√2 for the sum are 1 together.
        self.second = EqualConv2d(in_channels, out_channels, 3, stride=2)
        self.skip = EqualConv2d(in_channels, out_channels, 1, bias=False, gain=math.sqrt(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H/2, W/2)."""
        y = mg.leaky_relu(self.first(x), SLOPE)
        y = mg.leaky_relu(self.second(smooth(y, 2, 2)), SLOPE)  # H -> H + 1 -> H/2
        return y + self.skip(smooth(x, 1, 1, step=2))  # H -> H/2


class StyleDiscriminator(nn.Module):
    """Images (N, C, side, side) → logits (N,).

    Args:
        shape: of an image.
        width: channels at the full side; each smaller one has twice as many …
        most: … up to this.
        group: samples that the minibatch deviation compares.
    """

    def __init__(
        self, shape: Sequence[int] = (1, 32, 32), width: int = 16, most: int = 64, group: int = 4
    ) -> None:
        super().__init__()
        sides = resolutions(shape)[::-1]  # largest first
        counts = [min(most, width * sides[0] // side) for side in sides]
        gain = ACTIVATION_GAIN
        self.begin = EqualConv2d(shape[0], counts[0], 1, gain=gain)
        self.blocks = nn.Sequential(*[_Halving(*pair) for pair in pairwise(counts)])
        self.deviation = MinibatchDeviation(group)
        self.convolution = EqualConv2d(counts[-1] + 1, counts[-1], 3, padding=1, gain=gain)
        self.hidden = EqualLinear(counts[-1] * BASE**2, counts[-1], gain=gain)
        self.logit = EqualLinear(counts[-1], 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, side, side) -> (N,). There are no classes: `labels` are not looked at."""
        x = self.blocks(mg.leaky_relu(self.begin(x), SLOPE))  # (N, channels, 4, 4)
        x = mg.leaky_relu(self.convolution(self.deviation(x)), SLOPE)
        x = mg.leaky_relu(self.hidden(x.reshape(len(x), -1)), SLOPE)
        return self.logit(x).reshape(-1)  # (N, 1) -> (N,)
