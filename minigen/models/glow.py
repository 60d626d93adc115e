"""Glow (Kingma & Dhariwal 2018, "Glow: generative flow with invertible 1×1 convolutions").

**The model.** RealNVP's couplings, with two things between them made better. At each of L scales
the image is squeezed (2×2 pixels to four channels), then K *steps* follow, then half of the
channels leave as noise (`minigen/models/image_flow.py`). A step is three bijections (section 3):

    ActNorm                  z = (x + b)·exp(s), one b and s for each channel
                             log |det| = H·W·∑ s
    invertible 1×1 conv      z = W x at every pixel, W = P L (U + diag(d))
                             log |det| = H·W·∑ log |d|
    affine coupling          z_a = a,  z_b = b·exp(s(a)) + t(a)
                             log |det| = ∑ s(a)

ActNorm takes its b and s from the first batch, which then has mean 0 and deviation 1: no batch
normalisation, whose likelihood of an image would depend on the others in its batch. The 1×1
convolution replaces RealNVP's fixed exchange of halves: a rotation at first, then any mixture of
channels that helps. In its LU form the determinant costs C, not C³.

**One product.** The first two are affine in x with the same matrix everywhere, and are multiplied
out before they meet the image:

    W ((x + b)·exp(s)) = (W diag(exp s)) x + (W diag(exp s)) b

`GlowStep` does so: one 1×1 convolution with a bias instead of three passes over the image.

**The prior.** What leaves at each scale is normal with mean and deviation that a convolution of the
other half says (a learned prior, zero at first: standard normal). See "factoring out" in
`minigen/models/image_flow.py`.

The recipe that trains it, with the numbers reached, is `minigen/recipes/glow.py`.
"""

from __future__ import annotations

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.models.image_flow import (
    Conditioner,
    ImageFlow,
    MultiScale,
    Shape,
    Squeeze,
    squeezed_shapes,
)

__all__ = ["Glow", "GlowStep"]


class GlowStep(nn.FlowLayer):
    """ActNorm, invertible 1×1 convolution, affine coupling.

    Args:
        shape: (C, H, W), C even.
        hidden: channels inside the coupling's network.
        limit: no coupling stretches by more than exp(limit).
    """

    def __init__(self, shape: Shape, hidden: int, limit: float = 2.0) -> None:
        super().__init__()
        channels, height, width = shape
        self.actnorm = nn.ActNorm(channels)
        self.mix = nn.InvertibleConv1x1(channels)
        network = Conditioner(channels // 2, channels, hidden, (height, width))
        self.coupling = nn.AffineCoupling(network, limit=limit)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (N, C, H, W) → (z, log |det ∂z/∂x| (N,))."""
        if self.training:
            self.actnorm.initialize(x)
        scaled = self.mix.matrix() * self.actnorm.log_scale.exp()  # W diag(exp s), (C, C)
        shift = mg.matmul(scaled, self.actnorm.bias)  # (C,)
        x = mg.conv2d(x, scaled.reshape(*scaled.shape, 1, 1), shift)
        z, log_det = self.coupling(x)
        volume = (self.actnorm.log_scale.sum() + self.mix.log_s.sum()) * (x.shape[2] * x.shape[3])
        return z, log_det + volume

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, C, H, W) → (x, log |det ∂x/∂z| (N,)); layer by layer."""
        x, total = self.coupling.inverse(z)
        for layer in (self.mix, self.actnorm):
            x, log_det = layer.inverse(x)
            total = total + log_det
        return x, total


class Glow(ImageFlow):
    """Glow for images of even sides.

    Args:
        shape: (C, H, W).
        levels: grey values of a pixel.
        scales: L, how often the image is squeezed; each must find even sides.
        steps: K for each scale, one number or as many as scales.
        hidden: channels in the couplings, one number for each scale.
        pixels: "histogram", "logit" or "none", see `ImageFlow`.
        alpha: of the logit.
        limit: of each coupling's log-scale.
    """

    def __init__(
        self,
        shape: Shape,
        levels: int = 256,
        steps: tuple[int, ...] = (8, 8),
        hidden: tuple[int, ...] = (32, 64),
        pixels: str = "histogram",
        alpha: float = 0.05,
        limit: float = 2.0,
    ) -> None:
        if not steps or min(steps) < 1 or len(steps) != len(hidden) or min(hidden) < 1:
            raise ValueError(
                f"steps and hidden must be at least 1, one for each scale, got {steps}, {hidden}"
            )
        shapes = squeezed_shapes(shape, len(steps))
        scales: list[nn.FlowLayer] = [
            nn.Flow(Squeeze(), *(GlowStep(inside, width, limit) for _ in range(count)))
            for inside, count, width in zip(shapes, steps, hidden, strict=True)
        ]
        priors = [_learned_prior(inside, limit) for inside in shapes[:-1]]
        scales[-1] = nn.Flow(scales[-1], nn.ActNorm(shapes[-1][0]))  # the prior of what is left
        super().__init__(shape, levels, MultiScale(scales, priors, shapes), pixels, alpha)


def _learned_prior(shape: Shape, limit: float) -> nn.FlowLayer:
    """p(b | a) of the half that leaves: μ and s by one 3×3 convolution, zero at first."""
    channels, _, _ = shape
    network = nn.ConvTranspose2d(channels // 2, channels, 3, padding=1)
    with mg.no_grad():
        for parameter in network.parameters():
            parameter.copy_(mg.zeros(*parameter.shape))
    return nn.AffineCoupling(network, limit=limit)
