"""Normalization by the statistics of one sample: layer, group and instance norm.

The batch does not matter, so training and evaluation are the same. Batch norm, for which it
does, has a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from minigen.autograd.tensor import Tensor
from minigen.nn._arguments import lengths, need_channels, need_tensor, positive
from minigen.nn.module import Module
from minigen.nn.parameter import Parameter
from minigen.numeric import number
from minigen.ops.creation import ones, zeros
from minigen.ops.instance_norm import instance_norm
from minigen.ops.normalization import group_norm, layer_norm, rms_norm

__all__ = ["GroupNorm", "InstanceNorm2d", "LayerNorm", "RMSNorm"]


class LayerNorm(Module):
    """Normalize over the last dimensions of each sample (Ba et al. 2016).

    Args:
        normalized_shape: lengths of the dimensions to normalize over.
        eps: added to the variance.
        elementwise_affine: whether scale and shift are learned.
        bias: whether, if so, there is a shift.

    Attributes:
        weight: of shape ``normalized_shape``, starts as ones; or None.
        bias: the same, starts as zeros; or None.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        count = len(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else 1
        shape = lengths("LayerNorm", normalized_shape, count, "normalized_shape", 1)
        self.normalized_shape, self.eps = shape, number("LayerNorm: eps", eps)
        self.weight = Parameter(ones(shape)) if elementwise_affine else None
        self.bias = Parameter(zeros(shape)) if elementwise_affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        """(…, *normalized_shape) -> the same."""
        need_tensor("LayerNorm", input)
        shape = self.normalized_shape
        if input.shape[-len(shape) :] != shape:
            raise ValueError(f"LayerNorm: input must end in {shape}, got shape {input.shape}")
        return layer_norm(input, shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The shape."""
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    """Divide by the root mean square of the last dimensions (Zhang and Sennrich 2019).

    Args:
        normalized_shape: lengths of the dimensions to normalize over.
        eps: added to the mean square; by default the spacing of numbers at 1 in the input's dtype.
        elementwise_affine: whether a scale is learned.

    Attributes:
        weight: of shape ``normalized_shape``, starts as ones; or None.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
    ) -> None:
        super().__init__()
        count = 1 if isinstance(normalized_shape, int) else len(normalized_shape)
        shape = lengths("RMSNorm", normalized_shape, count, "normalized_shape", 1)
        self.normalized_shape, self.eps = shape, eps
        self.weight = Parameter(ones(shape)) if elementwise_affine else None

    def forward(self, input: Tensor) -> Tensor:
        """(…, *normalized_shape) -> the same."""
        need_tensor("RMSNorm", input)
        shape = self.normalized_shape
        if input.shape[-len(shape) :] != shape:
            raise ValueError(f"RMSNorm: input must end in {shape}, got shape {input.shape}")
        return rms_norm(input, shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The shape."""
        return f"{self.normalized_shape}, eps={self.eps}"


class GroupNorm(Module):
    """Normalize each sample over groups of channels: (N, C, …) (Wu and He 2018).

    Args:
        num_groups: into how many groups the channels are cut.
        num_channels: C.
        eps: added to the variance.
        affine: whether a scale and a shift for each channel are learned.
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True
    ) -> None:
        super().__init__()
        positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups must divide {num_channels} channels, got {num_groups}"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps = number("GroupNorm: eps", eps)
        self.weight = Parameter(ones(num_channels)) if affine else None
        self.bias = Parameter(zeros(num_channels)) if affine else None

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, …) -> the same."""
        need_tensor("GroupNorm", input)
        need_channels("GroupNorm", input, self.num_channels, (max(input.ndim, 2),), 1)
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class InstanceNorm2d(Module):
    """Normalize each channel of each image: (N, C, H, W) (Ulyanov et al. 2016).

    Args:
        num_features: C.
        eps: added to the variance.
        momentum, track_running_stats: accepted for PyTorch's order of arguments; running
            statistics of an instance norm are not kept, so the second must be False.
        affine: whether a scale and a shift for each channel are learned.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
    ) -> None:
        super().__init__()
        positive("InstanceNorm2d", num_features=num_features)
        if track_running_stats:
            raise ValueError("InstanceNorm2d: track_running_stats must be False, got True")
        self.num_features, self.eps = num_features, number("InstanceNorm2d: eps", eps)
        self.momentum = number("InstanceNorm2d: momentum", momentum, high=1)
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        need_channels("InstanceNorm2d", input, self.num_features, (3, 4), -3)
        if input.ndim == 3:
            return self.forward(input.unsqueeze(0)).squeeze(0)
        return instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"
