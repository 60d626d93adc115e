"""The layers of StyleGAN2 (Karras et al. 2020): what its two networks are put together from.

**Equalised learning rate** (Karras et al. 2018, section 4.1). A weight is stored as N(0, 1) and
multiplied by c = gain/√fan_in whenever it is used. The layer begins as with He's initialisation,
and Adam, whose steps do not know how large a weight is, moves all layers at one relative speed.

**Modulated convolution** (section 2.2). The style s says how strongly each input channel speaks:

    w'_{n,o,i,k} = s_{n,i} · w_{o,i,k}                                               (equation 1)
    w''_{n,o,i,k} = w'_{n,o,i,k} / √(Σ_{i,k} w'_{n,o,i,k}² + ε)                      (equation 3)

Each sample n has a kernel of its own. The second line, *demodulation*, takes the style's strength
out again: inputs of independent channels with deviation 1 come out with deviation 1. It does by
expectation what instance norm does by the pixels that are there, and so leaves no droplets in the
picture. A batch of N different kernels need not be built. A convolution is linear, and s belongs
to the input channel, the divisor to the output channel:

    y_{n,o} = Σ_i w''_{n,o,i} ∗ x_{n,i} = d_{n,o} · Σ_i w_{o,i} ∗ (s_{n,i} x_{n,i}),
    d_{n,o} = 1/√(Σ_i s_{n,i}² · Σ_k w_{o,i,k}² + ε)

Scale, convolve with the one shared kernel, scale: `modulated_conv2d`. The paper's way, N kernels
and one grouped convolution, is beside it as the reference.

**Sampling rates** change through the filter [1, 3, 3, 1]/8 along both axes (Zhang 2019). It is a
band matrix times the image, so all uses of it are two matrix products. Growing, the kernel is
applied first (a transposed convolution with stride 2) and the filter smooths what it made;
shrinking, the filter comes first.

**A gain inside.** leaky_relu(a·x) = a·leaky_relu(x) for a > 0, so the factor √2 that gives an
activation its deviation back is taken into weights, biases and noise, where it costs nothing.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.backends import active

__all__ = [
    "ACTIVATION_GAIN",
    "SLOPE",
    "EqualConv2d",
    "EqualLinear",
    "MinibatchDeviation",
    "StyledConv",
    "ToImage",
    "modulated_conv2d",
    "modulated_conv2d_reference",
    "smooth",
]

SLOPE = 0.2  # of LeakyReLU
ACTIVATION_GAIN = math.sqrt(2.0)
EPSILON = 1e-8
FILTER = np.array([1.0, 3.0, 3.0, 1.0]) / 8.0


# ---------------------------------------------------------------- equalised learning rate


class EqualLinear(nn.Module):
    """y = x (c·W)ᵀ + m·b with c = gain·m/√in: a dense layer with equalised learning rate.

    Args:
        in_features, out_features: the sizes.
        bias: the first value of every m·b.
        multiplier: m, of the learning rate: W and b are stored 1/m times as large.
        gain: of the output.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: float = 0.0,
        multiplier: float = 1.0,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(mg.randn(out_features, in_features) * (1.0 / multiplier))
        self.bias = nn.Parameter(mg.full((out_features,), bias / multiplier))
        self.scale = gain * multiplier / math.sqrt(in_features)
        self.bias_scale = gain * multiplier

    def forward(self, x: Tensor) -> Tensor:
        """(N, in) -> (N, out)."""
        bias = self.bias if self.bias_scale == 1.0 else self.bias * self.bias_scale
        return mg.linear(x, self.weight * self.scale, bias)


class EqualConv2d(nn.Module):
    """A convolution with equalised learning rate: kernel c·W, c = gain/√(in·k²); bias gain·b.

    Args:
        in_channels, out_channels, kernel: the sizes.
        stride, padding: as of `mg.conv2d`.
        bias: whether there is one.
        gain: of the output.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(mg.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(mg.zeros(out_channels)) if bias else None
        self.scale = gain / math.sqrt(in_channels * kernel**2)
        self.gain, self.stride, self.padding = gain, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H', W')."""
        bias = None if self.bias is None else self.bias * self.gain
        return mg.conv2d(x, self.weight * self.scale, bias, self.stride, self.padding)


# ---------------------------------------------------------------- sampling rates


def smooth(x: Tensor, before: int, after: int, step: int = 1, gain: float = 1.0) -> Tensor:
    """The filter [1, 3, 3, 1]/8 along both axes, every `step`-th result, times `gain`².

    out[i] = gain · Σ_k filter[k] · x[step·i + k − before], with `before` and `after` zeros around.

    (N, C, H, W) -> (N, C, H', W'), H' = (H + before + after − 4)//step + 1.
    """
    n, c, h, w = x.shape
    backend = active.backend.name
    down = _band(h, before, after, step, gain, x.dtype, backend)  # (H', H)
    across = _band(w, before, after, step, gain, x.dtype, backend)  # (W', W)
    rows = x.permute(0, 2, 3, 1).reshape(n, h, w * c)  # (N, C, H, W) -> (N, H, W·C)
    rows = mg.matmul(down, rows).reshape(n * down.shape[0], w, c)  # -> (N·H', W, C)
    out = mg.matmul(across, rows).reshape(n, down.shape[0], across.shape[0], c)
    return out.permute(0, 3, 1, 2)  # (N, H', W', C) -> (N, C, H', W')


@functools.lru_cache(maxsize=64)
def _band(
    length: int, before: int, after: int, step: int, gain: float, dtype: Any, backend: str
) -> Tensor:
    """The matrix of `smooth` along one axis; kept, since a network asks for few of them."""
    count = (length + before + after - len(FILTER)) // step + 1
    matrix = np.zeros((count, length))
    for i in range(count):
        for k, weight in enumerate(FILTER):
            place = step * i + k - before
            if 0 <= place < length:
                matrix[i, place] = gain * weight
    return Tensor(active.backend.asarray(matrix.astype(dtype)))


# ---------------------------------------------------------------- modulated convolution


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    demodulate: bool = True,
    up: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """Convolution with a kernel for each sample, without building the kernels; see the top.

    Args:
        x: (N, I, H, W).
        weight: (O, I, k, k), k odd; 3 when `up`.
        style: s, (N, I).
        demodulate: divide by the norm of each sample's and output channel's kernel.
        up: double the sides.
        gain: of the output; only when `demodulate`, since without it the weight may carry it.

    Returns:
        (N, O, H, W), or (N, O, 2H, 2W) when `up`.
    """
    y = _convolved(x * style.unsqueeze(2).unsqueeze(3), weight, up)
    if demodulate:
        energy = mg.square(weight).sum(dim=(2, 3))  # (O, I, k, k) -> (O, I)
        norms = mg.matmul(mg.square(style), energy.mT)  # (N, I) (I, O) -> (N, O)
        y = y * (gain * mg.rsqrt(norms + EPSILON)).unsqueeze(2).unsqueeze(3)
    return smooth(y, 1, 1, gain=2.0) if up else y


def modulated_conv2d_reference(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    demodulate: bool = True,
    up: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """`modulated_conv2d` as the paper writes it: equations 1 and 3, and one grouped convolution."""
    n, (o, i, k, _) = len(x), weight.shape
    kernels = weight.unsqueeze(0) * style.reshape(n, 1, i, 1, 1)  # (N, O, I, k, k), equation 1
    if demodulate:  # equation 3
        norms = mg.square(kernels).sum(dim=(2, 3, 4), keepdim=True)  # (N, O, 1, 1, 1)
        kernels = gain * kernels * mg.rsqrt(norms + EPSILON)
    grouped = kernels.reshape(n * o, i, k, k)  # (N, O, I, k, k) -> (N·O, I, k, k)
    side_by_side = x.reshape(1, n * i, *x.shape[2:])  # (N, I, H, W) -> (1, N·I, H, W)
    y = _convolved(side_by_side, grouped, up, groups=n)  # (1, N·O, H', W')
    y = y.reshape(n, o, *y.shape[2:])
    return smooth(y, 1, 1, gain=2.0) if up else y


def _convolved(x: Tensor, weight: Tensor, up: bool, groups: int = 1) -> Tensor:
    """A convolution that keeps the size, or a transposed one: H -> 2H + 1, before the filter."""
    if not up:
        return mg.conv2d(x, weight, padding=weight.shape[2] // 2, groups=groups)
    outputs, inputs, k, _ = weight.shape
    by_input = weight.reshape(groups, outputs // groups, inputs, k, k).permute(0, 2, 1, 3, 4)
    by_input = by_input.reshape(groups * inputs, outputs // groups, k, k)
    return mg.conv_transpose2d(x, by_input, stride=2, groups=groups)


class StyledConv(nn.Module):
    """One layer of the synthesis: modulated convolution, noise, bias, LeakyReLU.

    Args:
        in_channels, out_channels: the sizes.
        style: length of w.
        up: double the sides.

    Attributes:
        affine: w → s; begins at s = 1 on average.
        noise_strength: one learned number for the layer, 0 at first.
    """

    def __init__(self, in_channels: int, out_channels: int, style: int, up: bool = False) -> None:
        super().__init__()
        self.affine = EqualLinear(style, in_channels, bias=1.0)
        self.weight = nn.Parameter(mg.randn(out_channels, in_channels, 3, 3))
        self.noise_strength = nn.Parameter(mg.zeros(()))
        self.bias = nn.Parameter(mg.zeros(out_channels))
        self.scale = 1.0 / math.sqrt(in_channels * 9)
        self.up = up

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """(N, I, H, W), w (N, style), noise (N or 1, 1, H', W') -> (N, O, H', W')."""
        weight = self.weight * self.scale
        y = modulated_conv2d(x, weight, self.affine(w), up=self.up, gain=ACTIVATION_GAIN)
        if noise is not None:
            y = y + noise * (ACTIVATION_GAIN * self.noise_strength)
        return mg.leaky_relu(y + (ACTIVATION_GAIN * self.bias).reshape(1, -1, 1, 1), SLOPE)


class ToImage(nn.Module):
    """Hidden picture → image: modulated 1×1 convolution without demodulation ("tRGB")."""

    def __init__(self, in_channels: int, out_channels: int, style: int) -> None:
        super().__init__()
        self.affine = EqualLinear(style, in_channels, bias=1.0)
        self.weight = nn.Parameter(mg.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(mg.zeros(out_channels))
        self.scale = 1.0 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, I, H, W), w (N, style) -> (N, channels, H, W)."""
        y = modulated_conv2d(x, self.weight * self.scale, self.affine(w), demodulate=False)
        return y + self.bias.reshape(1, -1, 1, 1)


# ---------------------------------------------------------------- minibatch standard deviation


class MinibatchDeviation(nn.Module):
    """One more channel: how much the samples of a group differ (Karras et al. 2018, section 3).

    The deviation (biased) of each feature over the group's samples, averaged over all features, is
    written into every place of a new channel. A generator that always makes the same picture is
    seen through at once.

    Args:
        group: samples of a group. Of a batch that it does not divide, the groups are as large as
            the largest divisor ≤ group; the whole batch where that would be 1.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        if group < 1:
            raise ValueError(f"group must be at least 1, got {group}")
        self.group = group

    def size(self, count: int) -> int:
        """How many samples a group has in a batch of `count`."""
        best = max(size for size in range(1, min(self.group, count) + 1) if count % size == 0)
        return count if best == 1 and self.group > 1 else best

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + 1, H, W). Sample n is in group n mod (N/size)."""
        n, c, h, w = x.shape
        size = self.size(n)
        groups = x.reshape(size, n // size, c * h * w)  # (N, …) -> (G, N/G, C·H·W)
        away = groups - groups.mean(dim=0, keepdim=True)
        deviation = mg.sqrt(mg.square(away).mean(dim=0) + EPSILON).mean(dim=1)  # (N/G,)
        plane = mg.cat([deviation] * size, dim=0).reshape(n, 1, 1, 1)
        return mg.cat([x, mg.broadcast_to(plane, (n, 1, h, w))], dim=1)
