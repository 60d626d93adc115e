"""Coupling layers: one part of the data decides how the other part is shifted and stretched.

The data are cut in two, (a, b). Part a passes unchanged; b becomes::

    z_b = b + t(a)                 additive: NICE (Dinh et al. 2015)
    z_b = b · exp(s(a)) + t(a)     affine: RealNVP (Dinh et al. 2017, "Density estimation using
                                   Real NVP", equations 7 and 8)

Since a is still there, t(a) and s(a) can be computed again and the map undone, whatever the
network. The Jacobian is triangular, with log-determinant ``Σ s(a)``. One coupling leaves a
untouched, so the next one must swap the two parts (or take the complementary mask): a flow in
which none does never changes half of the data.

Directions are those of ``flow.py``: ``forward`` from data to noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.nn._arguments import need_tensor
from minigen.nn.container import _need_module
from minigen.nn.flow import FlowLayer
from minigen.nn.module import Module
from minigen.numeric import number
from minigen.ops.activation import logsigmoid, tanh
from minigen.ops.coupling import affine_coupling
from minigen.ops.creation import tensor, zeros
from minigen.ops.elementwise import exp, where
from minigen.ops.shape import concatenate, split

__all__ = ["AdditiveCoupling", "AffineCoupling"]


class _Coupling(FlowLayer):
    """What both share: how the data are cut, and the conditioner.

    Without a mask, the channels (dimension 1) are cut in halves: part a is the first ⌈C/2⌉ and
    part b the rest, or with ``swap`` exactly the other way round. The conditioner maps a to
    ``outputs`` numbers for each one in b, stacked along dimension 1.

    With a mask m, part a is where m = 1 and b where m = 0 (swapped with ``swap``). The
    conditioner sees ``m·x``, all channels, and returns ``outputs`` times as many channels.
    """

    outputs: int

    def __init__(self, conditioner: Module, mask: Any = None, swap: bool = False) -> None:
        super().__init__()
        self.conditioner = _need_module(f"{type(self).__name__}: conditioner", conditioner)
        self.swap = bool(swap)
        self.mask: Tensor | None
        if mask is not None:
            host = np.asarray(mask.numpy() if isinstance(mask, Tensor) else mask)
            if not ((host == 0) | (host == 1)).all():
                raise ValueError(f"{type(self).__name__}: mask must hold 0 and 1 only")
            mask = tensor((host == 0) if swap else (host == 1))
        self.register_buffer("mask", mask, persistent=False)

    def _cut(self, x: Any) -> tuple[Tensor, Tensor]:
        """(a, b): halves along dimension 1, or with a mask (m·x, x)."""
        name = type(self).__name__
        need_tensor(name, x)
        if x.ndim < 2:
            raise ValueError(f"{name}: input must have shape (N, C, …), got {x.shape}")
        if self.mask is not None:
            shape = self.mask.shape
            fits = len(shape) < x.ndim and all(
                m in (1, n) for m, n in zip(shape[::-1], x.shape[:0:-1])
            )
            if not fits:
                raise ValueError(f"{name}: input {x.shape} does not fit the mask {shape}")
            return where(self.mask, x, 0.0), x
        if x.shape[1] < 2:
            raise ValueError(f"{name}: input must have two or more channels, got shape {x.shape}")
        first = -(-x.shape[1] // 2)
        one, two = split(x, [first, x.shape[1] - first], 1)
        return (two, one) if self.swap else (one, two)

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        """The inverse of ``_cut``; with a mask, m·a + (1 - m)·b."""
        if self.mask is not None:
            return where(self.mask, a, b)
        return concatenate([b, a] if self.swap else [a, b], 1)

    def _said(self, a: Tensor, b: Tensor) -> Tensor:
        """What the conditioner says about b, ``outputs`` times as many channels."""
        said = self.conditioner(a)
        wanted = (b.shape[0], self.outputs * b.shape[1], *b.shape[2:])
        if not isinstance(said, Tensor) or said.shape != wanted:
            raise ValueError(
                f"{type(self).__name__}: the conditioner must return shape {wanted} for an input "
                f"of {a.shape}, got {getattr(said, 'shape', type(said).__name__)}"
            )
        return said

    def _condition(self, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        """The same in ``outputs`` tensors of b's shape."""
        return split(self._said(a, b), b.shape[1], 1)

    def extra_repr(self) -> str:
        """How the data are cut."""
        how = "halves" if self.mask is None else f"mask {self.mask.shape}"
        return f"{how}, swap={self.swap}"


class AdditiveCoupling(_Coupling):
    """``z_b = b + t(a)``; volume is kept, so both log-determinants are 0.

    Args:
        conditioner: a module that computes t: as many channels as b has (with a mask: as x).
        mask: where part a is, 1 or 0, broadcasting to one sample (C, …); None for halves.
        swap: exchange the two parts.
    """

    outputs = 1

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (N, C, …) -> (z, log |det ∂z/∂x| = 0 (N,))."""
        a, b = self._cut(x)
        (shift,) = self._condition(a, b)
        return self._join(a, b + shift), zeros(x.shape[0], dtype=x.dtype)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, C, …) -> (x, log |det ∂x/∂z| = 0 (N,))."""
        a, b = self._cut(z)
        (shift,) = self._condition(a, b)
        return self._join(a, b - shift), zeros(z.shape[0], dtype=z.dtype)


class AffineCoupling(_Coupling):
    """``z_b = b·exp(s(a)) + t(a)``, with ``log |det ∂z/∂x| = Σ s(a)``.

    Args:
        conditioner: a module that returns t and the raw s, stacked along dimension 1 in this
            order: twice as many channels as b has (with a mask: as x).
        mask: where part a is, 1 or 0, broadcasting to one sample (C, …); None for halves.
        swap: exchange the two parts.
        scale: how s comes from the raw number r. ``tanh``: ``limit·tanh(r/limit)``, so that no
            single layer can stretch by more than exp(limit); ``sigmoid``: ``ln σ(r + 2)``, as in
            Glow's code; ``exp``: r itself.
        limit: for ``tanh``.
    """

    outputs = 2

    def __init__(
        self,
        conditioner: Module,
        mask: Any = None,
        swap: bool = False,
        scale: str = "tanh",
        limit: float = 2.0,
    ) -> None:
        super().__init__(conditioner, mask, swap)
        if scale not in ("tanh", "sigmoid", "exp"):
            raise ValueError(
                f"AffineCoupling: scale must be 'tanh', 'sigmoid' or 'exp', got {scale!r}"
            )
        self.scale = scale
        self.limit = number("AffineCoupling: limit", limit, above=True)

    def _shift_and_log_scale(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """t, s and Σ s for each sample."""
        shift, raw = self._condition(a, b)
        if self.scale == "tanh":
            log_scale = tanh(raw * (1 / self.limit)) * self.limit
        else:
            log_scale = logsigmoid(raw + 2.0) if self.scale == "sigmoid" else raw
        if self.mask is not None:
            log_scale = where(self.mask, 0.0, log_scale)  # part a is not stretched
        return shift, log_scale, log_scale.sum(tuple(range(1, b.ndim)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (N, C, …) -> (z, log |det ∂z/∂x| (N,))."""
        a, b = self._cut(x)
        if self.scale == "tanh" and self.mask is None:  # the same in one pass
            said = self._said(a, b)
            return affine_coupling(x, said, swap=self.swap, limit=self.limit)
        shift, log_scale, total = self._shift_and_log_scale(a, b)
        return self._join(a, b * exp(log_scale) + shift), total

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, C, …) -> (x, log |det ∂x/∂z| (N,))."""
        a, b = self._cut(z)
        shift, log_scale, total = self._shift_and_log_scale(a, b)
        return self._join(a, (b - shift) * exp(-log_scale)), -total
