"""Batch normalization (Ioffe and Szegedy 2015): statistics over the batch, kept for later.

In training each channel is normalized by the mean and the biased variance of the batch, and the
running statistics move towards them: ``running ← (1 - momentum)·running + momentum·batch``,
where the batch's variance is the *unbiased* one (divided by n - 1), as in PyTorch. In evaluation
the running statistics take the batch's place.
"""

from __future__ import annotations

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import note_write
from minigen.nn._arguments import need_channels, positive
from minigen.nn.module import Module
from minigen.nn.parameter import Parameter
from minigen.numeric import number
from minigen.ops.batch_norm import batch_norm
from minigen.ops.creation import ones, zeros

__all__ = ["BatchNorm1d", "BatchNorm2d"]


class _BatchNorm(Module):
    """What both share; the arguments are PyTorch's, eps *before* momentum.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: how fast the running statistics follow; None for their plain average.
        affine: whether a scale and a shift for each channel are learned.
        track_running_stats: False normalizes by the batch in evaluation too.

    Attributes:
        weight, bias: (C,), start as ones and zeros; or None.
        running_mean, running_var: (C,), start as zeros and ones; or None.
        num_batches_tracked: how many batches the running statistics have seen.
    """

    ndims: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        positive(name, num_features=num_features)
        self.num_features, self.eps = num_features, number(f"{name}: eps", eps, above=True)
        self.momentum = None if momentum is None else number(f"{name}: momentum", momentum, high=1)
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None
        track = track_running_stats
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        self.register_buffer("running_mean", zeros(num_features) if track else None)
        self.register_buffer("running_var", ones(num_features) if track else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype=np.int64) if track else None)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, …) -> the same."""
        need_channels(type(self).__name__, input, self.num_features, self.ndims, 1)
        by_batch = self.training or self.running_mean is None
        momentum = self.momentum or 0.0
        if self.training and self.num_batches_tracked is not None:
            if self.momentum is None:  # the only case that must know the count on the host
                momentum = 1 / (self.num_batches_tracked.item() + 1)
            note_write(self.num_batches_tracked.data)
            self.num_batches_tracked.data += 1
        return batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            by_batch,
            momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        """The sizes and options."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """Batch norm of features (N, C) or sequences (N, C, L).

    The arguments are ``num_features, eps=1e-5, momentum=0.1, affine=True,
    track_running_stats=True``; momentum None averages all batches evenly.
    """

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm of images (N, C, H, W).

    The arguments are ``num_features, eps=1e-5, momentum=0.1, affine=True,
    track_running_stats=True``; momentum None averages all batches evenly.
    """

    ndims = (4,)
