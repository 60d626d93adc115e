"""Flow layers: invertible maps with a known change of volume.

A flow turns data x into noise z by a bijection f whose Jacobian determinant is cheap, so that
the density of the data is known exactly::

    log p(x) = log p_z(f(x)) + log |det ∂f(x)/∂x|

**The convention everywhere in minigen.** ``forward`` goes from data to noise, ``inverse`` from
noise to data, and each returns the logarithm of its *own* determinant, one number for each
sample::

    z, log_det = layer(x)             # log |det ∂z/∂x|, shape (N,)
    x, log_det = layer.inverse(z)     # log |det ∂x/∂z|, shape (N,): the negative of the other

A sign that is wrong in both directions agrees with itself; the tests therefore compare with
the determinant of the numeric Jacobian and integrate the density over a grid.

The layers of Glow (Kingma and Dhariwal 2018, "Glow: generative flow with invertible 1×1
convolutions") are here; couplings have a file of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import note_write
from minigen.backends import active
from minigen.nn import init
from minigen.nn._arguments import need_channels, need_tensor, positive
from minigen.nn.container import _need_module
from minigen.nn.module import Module
from minigen.nn.parameter import Parameter
from minigen.ops.convolution import conv2d
from minigen.ops.creation import empty, eye, tensor, zeros
from minigen.ops.diagonal import tril, triu
from minigen.ops.elementwise import exp
from minigen.ops.linalg import inv, linear, matmul, slogdet
from minigen.ops.random import Generator
from minigen.ops.shape import broadcast_to

__all__ = ["ActNorm", "Flow", "FlowLayer", "InvertibleConv1x1"]


class FlowLayer(Module):
    """A bijection: ``forward`` from data to noise, ``inverse`` back; see the top of this file."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data x (N, …) -> (z, log |det ∂z/∂x| (N,))."""
        raise TypeError(f"{type(self).__name__} has no forward method")

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise z (N, …) -> (x, log |det ∂x/∂z| (N,))."""
        raise TypeError(f"{type(self).__name__} has no inverse method")


class Flow(FlowLayer):
    """Flow layers one after the other; the log-determinants add up.

    Args:
        layers: in the order from data to noise. ``inverse`` runs them backwards.
    """

    def __init__(self, *layers: FlowLayer) -> None:
        super().__init__()
        for place, layer in enumerate(layers):
            if not hasattr(_need_module(f"Flow[{place}]", layer), "inverse"):
                raise TypeError(
                    f"Flow[{place}] must have an inverse method, got {type(layer).__name__}"
                )
            setattr(self, str(place), layer)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (N, …) -> (z, log |det ∂z/∂x| (N,))."""
        need_tensor("Flow", x)
        total = zeros(x.shape[0], dtype=x.dtype)
        for layer in self.children():
            x, log_det = layer(x)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, …) -> (x, log |det ∂x/∂z| (N,))."""
        need_tensor("Flow", z)
        total = zeros(z.shape[0], dtype=z.dtype)
        for layer in reversed(list(self.children())):
            z, log_det = layer.inverse(z)  # type: ignore[attr-defined]
            total = total + log_det
        return z, total

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]


def _places(x: Tensor) -> int:
    """The number of pixels of an image (N, C, H, W); 1 for features (N, C)."""
    return x.shape[2] * x.shape[3] if x.ndim == 4 else 1


def _for_each(x: Tensor, log_det: Tensor) -> Tensor:
    """One log-determinant that is the same for all samples: () -> (N,)."""
    return broadcast_to(log_det.reshape(1), (x.shape[0],))


class ActNorm(FlowLayer):
    """A scale and a shift for each channel: ``z = (x + bias)·exp(log_scale)`` (Glow, section 3.1).

    ``log |det ∂z/∂x| = H·W·Σ log_scale``. The first batch in training sets both so that z has
    mean 0 and deviation 1 in every channel; from then on they are ordinary parameters.

    Args:
        num_features: C, for images (N, C, H, W) or features (N, C).

    Attributes:
        bias, log_scale: (C,).
        initialized: a buffer, whether that first batch has come. Part of the state.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        positive("ActNorm", num_features=num_features)
        self.num_features = num_features
        self.bias = Parameter(zeros(num_features))
        self.log_scale = Parameter(zeros(num_features))
        self.initialized: Tensor
        self.register_buffer("initialized", zeros((), dtype=np.bool_))
        self._is_ready: bool | None = False  # the flag on the host; None if not known

    def state_loaded(self) -> None:
        """The flag may have changed."""
        self._is_ready = None

    def initialize(self, x: Tensor) -> None:
        """Set scale and shift from the first batch (N, C) or (N, C, H, W); once."""
        if self._is_ready is None:
            self._is_ready = bool(self.initialized.item())
        if self._is_ready or not x.numel():
            return
        xp = active.backend.xp
        dims = (0, 2, 3)[: x.ndim - 1]
        deviation = xp.sqrt(x.data.var(axis=dims))
        # A channel that is constant keeps scale 1: there is nothing to bring to deviation 1.
        deviation = xp.where(deviation > 1e-6, deviation, xp.ones_like(deviation))
        for written in (self.bias, self.log_scale, self.initialized):
            note_write(written.data)
        self.bias.data[...] = -x.data.mean(axis=dims)
        self.log_scale.data[...] = -xp.log(deviation)
        self.initialized.data[...] = True
        self._is_ready = True

    def _shaped(self, x: Tensor) -> tuple[Tensor, Tensor]:
        need_channels("ActNorm", x, self.num_features, (2, 4), 1)
        shape = (1, -1, *(1,) * (x.ndim - 2))
        return self.bias.reshape(shape), self.log_scale.reshape(shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (N, C) or (N, C, H, W) -> (z, log |det ∂z/∂x| (N,))."""
        bias, log_scale = self._shaped(x)
        if self.training:
            self.initialize(x)
        log_det = self.log_scale.sum() * _places(x)
        return (x + bias) * exp(log_scale), _for_each(x, log_det)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, C) or (N, C, H, W) -> (x, log |det ∂x/∂z| (N,))."""
        bias, log_scale = self._shaped(z)
        log_det = self.log_scale.sum() * -_places(z)
        return z * exp(-log_scale) - bias, _for_each(z, log_det)

    def extra_repr(self) -> str:
        """The number of channels."""
        return f"{self.num_features}"


class InvertibleConv1x1(FlowLayer):
    """A learned mix of the channels: ``z = W x`` at every pixel (Glow, section 3.2).

    ``log |det ∂z/∂x| = H·W·log |det W|``: the matrix acts once at every pixel. W starts as a
    random rotation, whose log-determinant is 0.

    Args:
        num_channels: C, for images (N, C, H, W) or features (N, C).
        lu: keep W as ``P L (U + diag(s))``, so that log |det W| = Σ log |s| costs C and not C³.
            P (a permutation) and the signs of s stay as they began.
        generator: where the rotation comes from.

    Attributes:
        weight: (C, C), without ``lu``; with it
        lower, upper: (C, C), of which only the strict triangles count, log_s: (C,), and the
            buffers permutation (C, C) and sign_s (C,).
    """

    def __init__(
        self, num_channels: int, lu: bool = True, generator: Generator | None = None
    ) -> None:
        super().__init__()
        positive("InvertibleConv1x1", num_channels=num_channels)
        self.num_channels, self.lu = num_channels, lu
        rotation = init.orthogonal_(empty(num_channels, num_channels), generator=generator)
        if not lu:
            self.weight = Parameter(rotation)
            return
        p, lower, upper = _lu_factors(active.backend.to_host(rotation.data).astype(np.float64))
        s = np.diag(upper)
        self.lower = Parameter(_single(np.tril(lower, -1)))
        self.upper = Parameter(_single(np.triu(upper, 1)))
        self.log_s = Parameter(_single(np.log(np.abs(s))))
        self.permutation: Tensor
        self.sign_s: Tensor
        self.register_buffer("permutation", _single(p))
        self.register_buffer("sign_s", _single(np.sign(s)))

    def matrix(self) -> Tensor:
        """W, (C, C)."""
        if not self.lu:
            return self.weight
        one = eye(self.num_channels, dtype=self.lower.dtype)
        lower = tril(self.lower, -1) + one
        upper = triu(self.upper, 1) + one * (self.sign_s * exp(self.log_s))
        return matmul(self.permutation, matmul(lower, upper))

    def _log_det(self) -> Tensor:
        """log |det W|, a scalar."""
        return self.log_s.sum() if self.lu else slogdet(self.weight)[1]

    def _mix(self, x: Tensor, matrix: Tensor) -> Tensor:
        """The matrix at every pixel."""
        if x.ndim == 2:
            return linear(x, matrix)
        return conv2d(x, matrix.reshape(self.num_channels, self.num_channels, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (N, C) or (N, C, H, W) -> (z, log |det ∂z/∂x| (N,))."""
        need_channels("InvertibleConv1x1", x, self.num_channels, (2, 4), 1)
        return self._mix(x, self.matrix()), _for_each(x, self._log_det() * _places(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, C) or (N, C, H, W) -> (x, log |det ∂x/∂z| (N,))."""
        need_channels("InvertibleConv1x1", z, self.num_channels, (2, 4), 1)
        return self._mix(z, inv(self.matrix())), _for_each(z, self._log_det() * -_places(z))

    def multiply_adds(self, args: tuple[Any, ...], output: Any) -> int:
        """One C × C product for each pixel."""
        return args[0].numel() * self.num_channels

    def extra_repr(self) -> str:
        """The number of channels and the form."""
        return f"{self.num_channels}, lu={self.lu}"


def _single(host: np.ndarray) -> Tensor:
    return tensor(host.astype(np.float32))


def _lu_factors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``matrix = P L U`` by Gaussian elimination with row exchanges."""
    n = len(matrix)
    upper, lower, order = matrix.copy(), np.eye(n), np.arange(n)
    for column in range(n):
        pivot = column + int(np.argmax(np.abs(upper[column:, column])))
        for rows in (upper, order):
            rows[[column, pivot]] = rows[[pivot, column]]
        lower[[column, pivot], :column] = lower[[pivot, column], :column]
        factors = upper[column + 1 :, column] / upper[column, column]
        lower[column + 1 :, column] = factors
        upper[column + 1 :] -= np.outer(factors, upper[column])
    return np.eye(n)[:, order], lower, upper
