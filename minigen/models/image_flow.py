"""Flows for images: squeeze, factor out, and bits per dimension. Shared by RealNVP and Glow.

**The change of variables.** An image y is turned into noise z = f(y) with as many numbers,

    log p(y) = log N(f(y); 0, I) + log |det ∂f(y)/∂y|

`forward` goes from data to noise, `inverse` from noise to data, and each log_det is that of the
direction taken (`minigen/nn/flow.py`).

**Squeeze** (Dinh et al. 2017, section 3.6) trades places for channels: every 2×2 square of pixels
becomes four channels at one place, in reading order,

    z[4c + 2·dy + dx, i, j] = x[c, 2i + dy, 2j + dx]         (C, H, W) -> (4C, H/2, W/2)

so that channels can be cut in halves and convolutions look further. It only moves numbers.

**Factoring out** (section 3.6): after each scale the second half of the channels is noise already,
and only the first half goes on. Half of the arithmetic is saved at every scale, and the loss speaks
to early layers directly. What leaves may be told apart by what stays, p(b | a): a learned prior
(Glow's code). Here that prior is a coupling, z_b = (b − μ(a))·exp(−s(a)), which is the same density
and leaves everything standard normal.

**The order of z.** (N, D), D = C·H·W: what left first comes first.

    z = [ half of scale 1 | half of scale 2 | … | all of the last scale ],  each in reading order

**Units.** Bits per dimension: −log₂ p of the *grey values*, divided by the number of pixels,

    bits/dim = −log p(y) / (D ln 2) + log₂ L

for y in [0, 1), L levels (`minigen/models/pixel_maps.py` has dequantization). The term log₂ L is 8
for 256 levels; a density that is even over all values has exactly log₂ L bits per dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.models.pixel_maps import HistogramMap, Logit, dequantize, quantize
from minigen.models.realnvp import standard_normal_log_density

__all__ = [
    "PIXEL_MAPS",
    "Conditioner",
    "ImageFlow",
    "MultiScale",
    "Reorder",
    "Squeeze",
    "bits_per_dim",
    "squeezed_shapes",
]

PIXEL_MAPS = ("histogram", "logit", "none")
Shape = tuple[int, int, int]  # (C, H, W)


def bits_per_dim(log_prob: Tensor, dims: int, levels: int) -> Tensor:
    """−log p(y) in nats for y in [0, 1)^dims → bits per pixel of `levels` values, any shape."""
    return log_prob * (-1.0 / (dims * math.log(2.0))) + math.log2(levels)


def _nothing(x: Tensor) -> Tensor:
    """The log-determinant of a map that only moves numbers, (N,)."""
    return mg.zeros(x.shape[0], dtype=x.dtype)


class Squeeze(nn.FlowLayer):
    """2×2 squares of pixels become channels, (N, C, H, W) → (N, 4C, H/2, W/2); see above."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (N, C, H, W) → (z (N, 4C, H/2, W/2), 0)."""
        return mg.pixel_unshuffle(x, 2), _nothing(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, 4C, H/2, W/2) → (x (N, C, H, W), 0)."""
        return mg.pixel_shuffle(z, 2), _nothing(z)


class Reorder(nn.FlowLayer):
    """The channels in another order, z[:, i] = x[:, order[i]].

    Args:
        order: every channel once.
    """

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        if sorted(order) != list(range(len(order))):
            raise ValueError(f"order must have every channel once, got {list(order)}")
        self.order = tuple(order)
        self.back = tuple(int(i) for i in np.argsort(order))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (N, C, H, W) → (z, 0)."""
        return mg.cat([x[:, i : i + 1] for i in self.order], 1), _nothing(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, C, H, W) → (x, 0)."""
        return mg.cat([z[:, i : i + 1] for i in self.back], 1), _nothing(z)


class Conditioner(nn.Module):
    """The network in a coupling: 3×3, ReLU, 1×1, ReLU, 3×3 (Glow, section 5), at one resolution.

    The last layer starts at zero, so that a new coupling is the identity. It is a transposed
    convolution: at stride 1 that is an ordinary one with its kernel turned round, and where the
    outputs are few it is cheaper to multiply first and add up the nine neighbours afterwards.

    A convolution does not know where in the picture it is; digits are always in the middle. `place`
    is a learned bias of its own for every pixel and channel, added to the first layer.

    Args:
        in_channels, out_channels: of the half that is seen, and of all that is said about the
            other one.
        hidden: channels between.
        size: (H, W).
    """

    def __init__(
        self, in_channels: int, out_channels: int, hidden: int, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, hidden, 3, padding=1)
        self.place = nn.Parameter(mg.zeros(*size, hidden))  # as a convolution's output lies
        self.middle = nn.Conv2d(hidden, hidden, 1)
        self.last = nn.ConvTranspose2d(hidden, out_channels, 3, padding=1)
        nn.init.kaiming_normal_(self.middle.weight)
        with mg.no_grad():
            for parameter in self.last.parameters():
                parameter.copy_(mg.zeros(*parameter.shape))

    def forward(self, a: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W)."""
        place = self.place.permute(2, 0, 1)  # (H, W, hidden) -> (hidden, H, W)
        hidden = mg.relu(self.first(a) + place)
        return self.last(mg.relu(self.middle(hidden)))


def squeezed_shapes(shape: Shape, scales: int) -> list[Shape]:
    """The shape inside each scale, after its squeeze; half of the channels leave after each.

    Raises:
        ValueError: where a side is odd and cannot be squeezed.
    """
    shapes: list[Shape] = []
    channels, height, width = shape
    for scale in range(scales):
        if height % 2 or width % 2:
            raise ValueError(
                f"scales must be at most {scale} for images of {shape[1]}×{shape[2]}: "
                f"{height}×{width} cannot be squeezed into halves, got {scales}"
            )
        channels, height, width = 4 * channels, height // 2, width // 2
        shapes.append((channels, height, width))
        channels //= 2
    return shapes


class MultiScale(nn.FlowLayer):
    """Scales one after the other; after each but the last, half of the channels leave as noise.

    Args:
        scales: the flow of each scale, its squeeze included.
        priors: for each scale but the last, a coupling that shifts and stretches the half that
            leaves by what the other half says, or None.
        shapes: the shape that each scale returns, (C, H, W).
    """

    def __init__(
        self,
        scales: Sequence[nn.FlowLayer],
        priors: Sequence[nn.FlowLayer | None],
        shapes: Sequence[Shape],
    ) -> None:
        super().__init__()
        if not len(scales) == len(priors) + 1 == len(shapes):
            raise ValueError(
                f"scales must be as many as shapes and one more than priors, got {len(scales)}, "
                f"{len(shapes)} and {len(priors)}"
            )
        self.scales = nn.ModuleList(scales)
        self.priors = nn.ModuleList([nn.Flow() if p is None else p for p in priors])
        self.shapes = tuple(tuple(shape) for shape in shapes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (N, C, H, W) → (z (N, C·H·W), log |det ∂z/∂x| (N,))."""
        parts: list[Tensor] = []
        total = _nothing(x)
        for index, scale in enumerate(self.scales):
            x, log_det = scale(x)
            total = total + log_det
            if index < len(self.priors):
                x, log_det = self.priors[index](x)
                total = total + log_det
                half = x.shape[1] // 2
                parts.append(x[:, half:].reshape(x.shape[0], -1))  # (N, C/2, H, W) -> (N, …)
                x = x[:, :half]
        parts.append(x.reshape(x.shape[0], -1))
        return mg.cat(parts, 1), total

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, C·H·W) → (x (N, C, H, W), log |det ∂x/∂z| (N,))."""
        sizes = [math.prod(shape) // 2 for shape in self.shapes[:-1]]
        parts = list(mg.split(z, [*sizes, math.prod(self.shapes[-1])], 1))
        total = _nothing(z)
        x = parts.pop().reshape(-1, *self.shapes[-1])
        for index in reversed(range(len(self.shapes))):
            if index < len(parts):
                channels, height, width = self.shapes[index]
                left = parts[index].reshape(-1, channels // 2, height, width)
                x, log_det = self.priors[index].inverse(mg.cat([x, left], 1))
                total = total + log_det
            x, log_det = self.scales[index].inverse(x)
            total = total + log_det
        return x, total


class ImageFlow(nn.Module):
    """An exact density of images with L grey values; RealNVP and Glow are two of them.

    Args:
        shape: (C, H, W).
        levels: L, the number of values of a pixel.
        flow: from mapped pixels (N, C, H, W) to noise (N, D).
        pixels: "logit", "histogram" or "none" (y − ½): how [0, 1) becomes the whole line.
        alpha: of the logit.

    Images y are (N, C, H, W) in [0, 1), dequantized; `loss` takes grey values k/(L − 1) in [0, 1].
    """

    def __init__(
        self,
        shape: Shape,
        levels: int,
        flow: nn.FlowLayer,
        pixels: str = "histogram",
        alpha: float = 0.05,
    ) -> None:
        super().__init__()
        if pixels not in PIXEL_MAPS:
            raise ValueError(f"pixels must be one of {', '.join(PIXEL_MAPS)}, got {pixels!r}")
        self.shape, self.levels, self.dims = tuple(shape), int(levels), math.prod(shape)
        self.pixels: nn.FlowLayer
        if pixels == "histogram":
            self.pixels = HistogramMap(self.shape, self.levels)
        else:
            self.pixels = Logit(alpha) if pixels == "logit" else Centre()
        self.flow = flow

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Data → noise: (N, C, H, W) in [0, 1) → z (N, D), log |det ∂z/∂y| (N,)."""
        if y.ndim != 4 or tuple(y.shape[1:]) != self.shape:
            accepted = ", ".join(map(str, self.shape))
            raise ValueError(f"y must have shape (N, {accepted}), got {tuple(y.shape)}")
        x, log_det = self.pixels(y)
        z, more = self.flow(x)
        return z, log_det + more

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise → data: (N, D) → y (N, C, H, W), log |det ∂y/∂z| (N,)."""
        if z.ndim != 2 or z.shape[1] != self.dims:
            raise ValueError(f"z must have shape (N, {self.dims}), got {tuple(z.shape)}")
        x, log_det = self.flow.inverse(z)
        y, more = self.pixels.inverse(x)
        return y, log_det + more

    def log_prob(self, y: Tensor) -> Tensor:
        """log p(y) in nats, y in [0, 1): (N, C, H, W) → (N,)."""
        z, log_det = self(y)
        return standard_normal_log_density(z) + log_det

    def dequantize(self, x: Tensor, generator: mg.Generator | None = None) -> Tensor:
        """Grey values k/(L − 1) → (k + u)/L, one draw of u for each pixel."""
        return dequantize(x, self.levels, generator or mg.default_generator())

    def loss(
        self, x: Tensor, generator: mg.Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean bits per dimension of grey values (N, C, H, W) in [0, 1], dequantized here.

        Returns:
            The scalar to minimise, and its terms (scalars, bits per dimension): `nll` = `prior` −
            `log_det` + log₂ L.
        """
        z, log_det = self(self.dequantize(x, generator))
        log_prior = standard_normal_log_density(z).mean()  # (N,) -> ()
        volume = log_det.mean()  # (N,) -> ()
        nll = bits_per_dim(log_prior + volume, self.dims, self.levels)
        unit = 1.0 / (self.dims * math.log(2.0))
        return nll, {"nll": nll, "prior": log_prior * -unit, "log_det": volume * unit}

    def decode(self, z: Tensor) -> Tensor:
        """Noise (N, D) → grey values k/(L − 1) in [0, 1], (N, C, H, W)."""
        return quantize(self.inverse(z)[0], self.levels)

    def sample(
        self, n: int, generator: mg.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """`n` new images, f⁻¹(temperature · ε) with ε ~ N(0, I): (n, C, H, W) in [0, 1].

        Only temperature 1 draws from p; Glow's pictures are at 0.7.
        """
        if not temperature >= 0:
            raise ValueError(f"temperature must be a number >= 0, got {temperature}")
        generator = generator or mg.default_generator()
        dtype = next(iter(self.parameters())).dtype
        return self.decode(generator.normal((n, self.dims), dtype=dtype) * temperature)


class Centre(nn.FlowLayer):
    """z = y − ½: pixels as they are, about 0."""

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (N, …) → (z, 0)."""
        return y - 0.5, _nothing(y)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, …) → (y, 0)."""
        return z + 0.5, _nothing(z)
