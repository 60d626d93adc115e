"""From pixels to numbers on the whole line: dequantization, logit, and a histogram's own map.

A flow gives a *density*, and a grey value out of 256 has none: a model could pile up as much of it
as it likes on the 256 points. Three small bijections, with nothing learned by gradient, lead from
the one to the other; each is exact, and each counts its change of volume.

**Dequantization** (Uria et al. 2013; Theis et al. 2016, section 3.1). A pixel with value
k ∈ {0, …, L−1} is spread evenly over its bin,

    y = (k + u) / L,   u ~ U[0, 1)

and E_u log p(y) − log L is a lower bound on log P(k), by Jensen's inequality. The log L is there
once for each pixel: y has bins of width 1/L. It is added where bits per dimension are counted
(`minigen.models.image_flow.bits_per_dim`), nowhere else.

**Logit** (Dinh et al. 2017, section 4.1): y ∈ [0, 1) is squeezed into (α, 1 − α) and stretched,

    z = logit(α + (1 − 2α) y),   dz/dy = (1 − 2α) / (q (1 − q)),  q = α + (1 − 2α) y

so that samples cannot leave [0, 1).

**HistogramMap**: the same with each pixel's own distribution function F_d in place of the ramp,

    z = Φ̃⁻¹(F_d(y)),   F_d the integral of a smoothed histogram of pixel d, linear within a bin

(Chen & Gopinath 2000, "Gaussianization": one marginal step). Each pixel alone is then standard
normal, whatever its histogram, and a flow that does nothing has exactly the likelihood of
independent pixels. What a pixel of a dark border costs is settled there; the couplings only learn
what the pixels have to do with one another.
"""

from __future__ import annotations

import math

import numpy as np

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.metrics.baselines import pixel_histograms

__all__ = ["HistogramMap", "Logit", "dequantize", "quantize"]

# Φ(z) ≈ sigmoid(A z + B z³) to 1.4e-4 (Bowling et al. 2009), which has an inverse in closed form.
A, B = 1.5976, 0.07056
EDGE = 2.0**-16


def dequantize(x: Tensor, levels: int, generator: mg.Generator) -> Tensor:
    """Values k/(L − 1) in [0, 1] → (k + u)/L in (0, 1), u ~ U[0, 1) drawn for each pixel.

    u stays 2⁻¹⁶ away from 0 and 1: in float32 255 + u would be rounded to 256 now and then, where
    nothing is left of 1 − F, and one NaN is enough to lose a run.
    """
    noise = mg.clamp(generator.uniform(x.shape, dtype=x.dtype), EDGE, 1.0 - EDGE)
    return (x * (levels - 1) + noise) * (1.0 / levels)


def quantize(y: Tensor, levels: int) -> Tensor:
    """The way back: y → the value k/(L − 1) in whose bin it lies; what is outside is cut off."""
    return mg.clamp(mg.floor(y * levels), 0, levels - 1) * (1.0 / (levels - 1))


def _per_sample(values: Tensor) -> Tensor:
    """The sum over everything but the first dimension: (N, …) → (N,)."""
    return values.sum(dim=tuple(range(1, values.ndim)))


class Logit(nn.FlowLayer):
    """z = logit(α + (1 − 2α) y), elementwise.

    Args:
        alpha: in (0, ½), how far the ends 0 and 1 are kept from infinity.
    """

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"alpha must be a number between 0 and 0.5, got {alpha}")
        self.alpha = float(alpha)

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (N, …) in [0, 1] → (z, log |det ∂z/∂y| = Σ log (1−2α) − log q − log (1−q))."""
        q = y * (1.0 - 2.0 * self.alpha) + self.alpha
        low, high = q.log(), (1.0 - q).log()
        return low - high, _per_sample(math.log1p(-2.0 * self.alpha) - low - high)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, …) → (y, log |det ∂y/∂z|)."""
        y = (mg.sigmoid(z) - self.alpha) * (1.0 / (1.0 - 2.0 * self.alpha))
        log_slope = mg.logsigmoid(z) + mg.logsigmoid(-z) - math.log1p(-2.0 * self.alpha)
        return y, _per_sample(log_slope)

    def extra_repr(self) -> str:
        """α."""
        return f"alpha={self.alpha:g}"


class HistogramMap(nn.FlowLayer):
    """z = Φ̃⁻¹(F_d(y)): each pixel through its own distribution function to a standard normal.

    F_d rises linearly within each of the L bins by the bin's share of the training images,

        share_dk = (n_dk + a) / (N + L·a)

    with a = `smoothing`; Φ̃(z) = sigmoid(1.5976 z + 0.07056 z³) is the normal distribution function
    up to 1.4e-4, chosen because both directions have a closed form. It starts with even shares (F_d
    is the identity); `fit` counts.

    Args:
        shape: (C, H, W) of an image.
        levels: L.

    Attributes:
        share, below, above: buffers (C·H·W, L), the mass in each bin, below it and above it. All
            three are kept because 1 − F near 1 would lose what a rare bright pixel is about.
    """

    def __init__(self, shape: tuple[int, ...], levels: int) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f"levels must be a whole number >= 2, got {levels}")
        self.shape, self.levels = tuple(shape), int(levels)
        self.share: Tensor
        self.below: Tensor
        self.above: Tensor
        even = np.full((math.prod(self.shape), self.levels), 1.0 / self.levels)
        for name, table in zip(("share", "below", "above"), _tables(even), strict=True):
            self.register_buffer(name, mg.tensor(table.astype(np.float32)))

    def fit(self, values: np.ndarray, smoothing: float = 1.0) -> None:
        """Count the training images: whole numbers (N, C, H, W) in [0, L), on the host."""
        if not smoothing > 0:
            raise ValueError(f"smoothing must be a number > 0, got {smoothing}")
        if tuple(values.shape[1:]) != self.shape:
            accepted = ", ".join(map(str, self.shape))
            raise ValueError(f"values must have shape (N, {accepted}), got {values.shape}")
        shares = pixel_histograms(values, self.levels, smoothing)
        for buffer, table in zip((self.share, self.below, self.above), _tables(shares)):
            with mg.no_grad():
                buffer.copy_(mg.tensor(table.astype(buffer.dtype)))

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (N, C, H, W) in [0, 1] → (z, log |det ∂z/∂y| (N,)).

        dz/dy = L·share / (F (1 − F) (A + 3B z²)), as dΦ̃⁻¹/dF = 1 / (F (1 − F) (A + 3B z²)).
        """
        flat = y.reshape(y.shape[0], -1) * self.levels  # (N, C, H, W) -> (N, D)
        bins = mg.clamp(mg.floor(flat), 0, self.levels - 1)
        share, below, above = self._look_up(bins.to("int64"))
        within = flat - bins  # in [0, 1]
        low = (below + share * within).log()  # log F
        high = (above + share * (1.0 - within)).log()  # log (1 − F)
        z = _cubic_root(low - high)
        log_slope = (share * self.levels).log() - low - high - (A + 3.0 * B * z * z).log()
        return z.reshape(y.shape), log_slope.sum(dim=1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, C, H, W) → (y in [0, 1], log |det ∂y/∂z| (N,))."""
        flat = z.reshape(z.shape[0], -1)  # (N, C, H, W) -> (N, D)
        logit = A * flat + B * flat * flat * flat
        bins = self._bin_of(logit)
        share, below, above = self._look_up(bins)
        low, high = mg.sigmoid(logit), mg.sigmoid(-logit)  # F and 1 − F, each exact where small
        within = mg.where(logit < 0, (low - below) / share, 1.0 - (high - above) / share)
        y = (bins.to(z.dtype) + mg.clamp(within, 0.0, 1.0)) * (1.0 / self.levels)
        log_slope = (A + 3.0 * B * flat * flat).log() - (share * self.levels).log()
        log_slope = log_slope + mg.logsigmoid(logit) + mg.logsigmoid(-logit)
        return y.reshape(z.shape), log_slope.sum(dim=1)

    def _look_up(self, bins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Share, mass below and mass above of one bin for each pixel: (N, D) int64 → (N, D)."""
        count, levels = self.share.shape
        index = (bins + mg.arange(count).reshape(1, count) * levels).data
        share, below, above = (
            table.reshape(-1)[index] for table in (self.share, self.below, self.above)
        )
        return share, below, above

    def _bin_of(self, logit: Tensor) -> Tensor:
        """The last bin whose lower edge is at or below `logit`, by bisection: (N, D) → int64."""
        bins = mg.zeros(*logit.shape, dtype="int64")
        step = 1 << (self.levels - 1).bit_length()
        while step := step // 2:
            further = mg.clamp(bins + step, 0, self.levels - 1)
            share, below, above = self._look_up(further)
            bins = mg.where(below.log() - (share + above).log() <= logit, further, bins)
        return bins

    def extra_repr(self) -> str:
        """The pixels and their values."""
        return f"{self.shape}, levels={self.levels}"


def _tables(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(D, L) → the shares, what is below each bin, what is above it."""
    upto = np.cumsum(shares, axis=1)
    down = np.cumsum(shares[:, ::-1], axis=1)[:, ::-1]
    return shares, upto - shares, np.append(down[:, 1:], np.zeros((len(shares), 1)), axis=1)


def _cubic_root(logit: Tensor) -> Tensor:
    """The z with A z + B z³ = logit: 2√(A/3B) sinh(⅓ asinh(logit · 3/(2A) · √(3B/A)))."""
    t = logit * (1.5 / A * math.sqrt(3.0 * B / A))
    size = mg.abs(t)
    asinh = mg.sign(t) * (size + (size * size + 1.0).sqrt()).log()
    return mg.sinh(asinh * (1.0 / 3.0)) * (2.0 * math.sqrt(A / (3.0 * B)))
