"""What a pixel may be, given what a network says of it: three output heads for likelihood models.

A model of images that goes pixel by pixel needs a distribution for one value at a time. A network
gives P numbers for each colour of each pixel, and a head reads them:

`bernoulli`: one logit for a pixel that is 0 or 1 (P = 1).

`categorical`: one logit for each of the K values (P = K): any histogram, and no idea that 130 lies
next to 131 (van den Oord et al. 2016a, section 3.3).

`logistic-mixture`: a few smooth bumps over the line of values (Salimans et al. 2017, "PixelCNN++",
section 2.1). With values mapped to v in [−1, 1], half a step h = 1/(K − 1) and the logistic
distribution function σ,

    P(v) = Σ_k π_k [ σ((v + h − μ_k)/s_k) − σ((v − h − μ_k)/s_k) ]                       eq. 1, 2

where the first σ is 1 at the greatest value and the second is 0 at the smallest: the *edge bins*
take the tails, so that the K probabilities sum to 1 (P = 3·components: logits of π, μ, log s).

**Without cancellation.** The difference of two σ that agree to seven digits is noise in float32.
With a and b the two arguments, a − b = 2h/s =: δ,

    log(σ(a) − σ(b)) = log σ(a) + log σ(−b) + log(1 − e^−δ)

is exact algebra, and all three logarithms are of numbers that keep their digits.

Values come as x in [0, 1], value number i of K as i/(K − 1). The P numbers of colour c are
channels c·P … (c + 1)·P − 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

import minigen as mg
from minigen.autograd.tensor import Tensor
from minigen.backends import Array, active
from minigen.errors import unknown_name
from minigen.ops.activation import logistic

__all__ = [
    "HEADS",
    "BernoulliHead",
    "CategoricalHead",
    "LogisticMixtureHead",
    "PixelHead",
    "make_head",
]

HEADS = ("bernoulli", "categorical", "logistic-mixture")
LEAST_LOG_SCALE = -7.0  # a bump narrower than 1/1000 is one value; below, gradients explode


class PixelHead(ABC):
    """The distribution of one colour of one pixel.

    Attributes:
        values: K, how many values there are.
        parameters: P, how many numbers of the network describe one distribution.
        uniforms: how many uniform numbers one draw takes.
    """

    values: int
    parameters: int
    uniforms = 1

    @abstractmethod
    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """log P of images, in nats: (N, C·P, H, W), (N, C, H, W) → (N,)."""

    @abstractmethod
    def draw(self, parameters: Array, uniforms: Array) -> Array:
        """One value in [0, 1] for each row, on raw arrays: (N, P), (uniforms, N) → (N,)."""

    def indices(self, x: Tensor) -> Tensor:
        """The numbers of the values: x in [0, 1] → int64 of the same shape."""
        return Tensor(active.backend.xp.rint(x.data * (self.values - 1)).astype(np.int64))

    def rows(self, parameters: Tensor) -> Tensor:
        """The P numbers of a distribution side by side: (N, C·P, H, W) → (N, C, H, W, P)."""
        n, channels, height, width = parameters.shape
        colors = channels // self.parameters
        split = parameters.reshape(n, colors, self.parameters, height, width)
        return split.permute(0, 1, 3, 4, 2)  # (N, C, P, H, W) -> (N, C, H, W, P)


class BernoulliHead(PixelHead):
    """A pixel is 1 with probability σ(logit)."""

    values, parameters = 2, 1

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """x·log σ(l) + (1 − x)·log σ(−l), summed over pixels."""
        nats = mg.binary_cross_entropy_with_logits(parameters, x, reduction="none")
        return -nats.sum(dim=(1, 2, 3))  # (N, C, H, W) -> (N,)

    def draw(self, parameters: Array, uniforms: Array) -> Array:
        """1 where u < σ(l), which is where log u − log(1 − u) < l."""
        probability = logistic(active.backend, parameters[:, 0])
        return (uniforms[0] < probability).astype(parameters.dtype)


class CategoricalHead(PixelHead):
    """A logit for each of K values."""

    def __init__(self, values: int = 256) -> None:
        self.values = self.parameters = values

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """The log softmax at the value, summed over pixels."""
        logits = self.rows(parameters).reshape(-1, self.values)  # -> (N·C·H·W, K)
        nats = mg.cross_entropy(logits, self.indices(x).reshape(-1), reduction="none")
        return -nats.reshape(x.shape[0], -1).sum(dim=1)  # (N·C·H·W,) -> (N,)

    def draw(self, parameters: Array, uniforms: Array) -> Array:
        """The first value whose cumulated probability exceeds u."""
        xp = active.backend.xp
        weight = xp.exp(parameters - parameters.max(axis=1, keepdims=True))
        cumulated = xp.cumsum(weight, axis=1)  # (N, K)
        passed = cumulated <= uniforms[0][:, None] * cumulated[:, -1:]
        # rounding may carry u·total up to the total itself: the last value is never passed
        index = xp.minimum(passed.sum(axis=1), self.values - 1)
        return index.astype(parameters.dtype) / (self.values - 1)


class LogisticMixtureHead(PixelHead):
    """A mixture of logistic distributions, cut into K values; see the top of this file."""

    uniforms = 2  # which component, and where in it

    def __init__(self, values: int = 256, components: int = 5) -> None:
        self.values, self.components = values, components
        self.parameters = 3 * components

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Equation 2 of Salimans et al. 2017 in logarithms, summed over pixels."""
        k = self.components
        rows = self.rows(parameters)  # (N, C, H, W, 3k)
        log_weight = mg.log_softmax(rows[..., :k], dim=-1)
        log_scale = mg.clamp(rows[..., 2 * k :], min=LEAST_LOG_SCALE)
        inverse_scale = (-log_scale).exp()
        half = 1.0 / (self.values - 1)
        index = self.indices(x).unsqueeze(-1)  # (N, C, H, W, 1)
        distance = (2.0 * x - 1.0).unsqueeze(-1) - rows[..., k : 2 * k]  # (N, C, H, W, k)
        below = mg.logsigmoid((distance + half) * inverse_scale)  # log σ(a)
        above = mg.logsigmoid((half - distance) * inverse_scale)  # log σ(−b)
        between = (-(-2.0 * half * inverse_scale).expm1()).log()  # log(1 − e^−δ)
        is_last, is_first = index == self.values - 1, index == 0
        log_bin = (
            mg.where(is_last, 0.0, below)
            + mg.where(is_first, 0.0, above)
            + mg.where(mg.logical_or(is_first, is_last), 0.0, between)
        )
        nats = mg.logsumexp(log_weight + log_bin, dim=-1)  # (N, C, H, W, k) -> (N, C, H, W)
        return nats.sum(dim=(1, 2, 3))

    def draw(self, parameters: Array, uniforms: Array) -> Array:
        """A component, then μ + s·(log u − log(1 − u)), put to the nearest value."""
        xp, k = active.backend.xp, self.components
        weight = xp.exp(parameters[:, :k] - parameters[:, :k].max(axis=1, keepdims=True))
        cumulated = xp.cumsum(weight, axis=1)  # (N, k)
        passed = (cumulated <= uniforms[0][:, None] * cumulated[:, -1:]).sum(axis=1)
        chosen = xp.arange(k)[None, :] == xp.minimum(passed, k - 1)[:, None]  # (N, k), one a row
        mean = xp.where(chosen, parameters[:, k : 2 * k], 0.0).sum(axis=1)
        log_scale = xp.where(chosen, parameters[:, 2 * k :], 0.0).sum(axis=1)
        scale = xp.exp(xp.maximum(log_scale, LEAST_LOG_SCALE))
        u = xp.clip(uniforms[1], 1e-7, 1.0 - 1e-7)
        v = mean + scale * (xp.log(u) - xp.log1p(-u))
        return xp.rint((xp.clip(v, -1.0, 1.0) + 1.0) * (0.5 * (self.values - 1))) / (
            self.values - 1
        )


def make_head(name: str, values: int = 256, components: int = 5) -> PixelHead:
    """The head of that name for `values` values; `components` counts for the mixture alone.

    Raises:
        UserError: for a name that is none of `HEADS`.
        ValueError: fewer than 2 values, or no component.
    """
    if name not in HEADS:
        raise unknown_name("head", name, HEADS)
    if values < 2 or components < 1:
        raise ValueError(
            f"values must be at least 2 and components at least 1, got {values} and {components}"
        )
    if name == "bernoulli":
        return BernoulliHead()
    return (
        CategoricalHead(values)
        if name == "categorical"
        else LogisticMixtureHead(values, components)
    )
