"""Instance norm: each channel of each sample normalized over its own places.

    out = (x - mean) / √(variance + eps) · weight + bias          Ulyanov et al. 2016

Group norm with as many groups as channels. It can remember running statistics as batch norm does,
the means over the samples of those of each one; hardly anybody does, but the arguments of PyTorch's
function, and their order, are such.
"""

from __future__ import annotations

import math

from minigen.autograd.operation import FLOAT16, FLOAT32, functions
from minigen.autograd.tensor import Tensor
from minigen.ops.batch_norm import batch_norm, follow
from minigen.ops.normalization import check_float, check_vector, group_norm
from minigen.ops.reduction import var_mean

__all__ = ["instance_norm"]


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel of each sample over its places: (N, C, …).

    Args:
        input: (N, C, …).
        running_mean, running_var: (C,), both or neither. They follow the statistics of the input,
            with the *unbiased* variance, as in ``batch_norm``; or replace them.
        weight, bias: (C,), or None.
        use_input_stats: normalize by the input's own statistics, else by the running ones.
        momentum: how fast the running statistics follow.
        eps: added to the variance.

    Raises:
        ValueError: there is only one place, whose variance is 0; running statistics are missing.
    """
    check_float("instance_norm", input)
    if input.ndim < 3:
        raise ValueError(f"instance_norm: input must have shape (N, C, …), got {input.shape}")
    channels = input.shape[1]
    for argument, value in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        check_vector("instance_norm", argument, value, channels)
    if (running_mean is None) != (running_var is None):
        raise ValueError("instance_norm needs both running_mean and running_var, or neither")
    if not use_input_stats:
        if running_mean is None:
            raise ValueError("instance_norm with use_input_stats=False needs running statistics")
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    if math.prod(input.shape[2:]) == 1:
        raise ValueError(f"instance_norm needs more than one place per channel, got {input.shape}")
    if running_mean is not None and running_var is not None and input.numel():
        x = input.detach()
        if x.dtype is FLOAT16:  # whose variance may be no half
            x = functions.cast(x, dtype=FLOAT32)
        variance, middle = var_mean(x, tuple(range(2, input.ndim)))  # (N, C)
        follow(running_mean, middle.mean(0).data, momentum)
        follow(running_var, variance.mean(0).data, momentum)
    return group_norm(input, max(channels, 1), weight, bias, eps)
