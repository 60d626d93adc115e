"""Dense layers: an affine map of the last dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.nn import init
from minigen.nn._arguments import positive
from minigen.nn.activation import LeakyReLU, ReLU, Sigmoid, Tanh
from minigen.nn.module import Module
from minigen.nn.parameter import Parameter
from minigen.ops.creation import empty
from minigen.ops.dense import dense
from minigen.ops.linalg import linear
from minigen.ops.random import Generator

__all__ = ["Flatten", "Linear", "Unflatten"]

FUSED: dict[type[Module], str] = {
    ReLU: "relu",
    LeakyReLU: "leaky_relu",
    Sigmoid: "sigmoid",
    Tanh: "tanh",
}
"""The activations that ``dense`` computes in the same op."""


class Linear(Module):
    """``y = x Wᵀ + b`` on the last dimension.

    Args:
        in_features: length of the last dimension of the input.
        out_features: length of the last dimension of the output.
        bias: whether there is a ``b``.
        generator: where the initial weights come from; the default generator if None.

    Attributes:
        weight: (out_features, in_features), starts as U(-1/√in, 1/√in).
        bias: (out_features,), the same; or None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features))
        self.bias = Parameter(empty(out_features)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        init.fan_in_uniform_(self.weight, self.in_features, generator)
        if self.bias is not None:
            init.fan_in_uniform_(self.bias, self.in_features, generator)

    def forward(self, input: Tensor) -> Tensor:
        """(…, in_features) -> (…, out_features)."""
        return linear(self._checked(input), self.weight, self.bias)

    def with_next(self, following: Module) -> Callable[[Tensor], Tensor] | None:
        """A dense layer and the activation behind it as one op, if it is one of those that can."""
        bias, fused = self.bias, FUSED.get(type(following))
        if type(self) is not Linear or fused is None or bias is None:
            return None
        slope = getattr(following, "negative_slope", 1.0)
        if self.is_hooked or following.is_hooked or not 0 < slope <= 1:
            return None
        return lambda x: dense(self._checked(x), self.weight, bias, fused, slope)

    def _checked(self, input: Tensor) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(f"Linear: input must be a Tensor, got {type(input).__name__}")
        if input.ndim == 0 or input.shape[-1] != self.in_features:
            raise ValueError(
                f"Linear: input must have {self.in_features} features in its last dimension, "
                f"got shape {input.shape}"
            )
        return input

    def multiply_adds(self, args: tuple[Any, ...], output: Tensor) -> int:
        """One for each weight and row."""
        return output.numel() * self.in_features

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Flatten(Module):
    """Dimensions ``start_dim`` … ``end_dim`` made one: (N, C, H, W) -> (N, C·H·W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """(…) -> (…, product, …)."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The range."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Dimension ``dim`` split into the lengths ``unflattened_size``: (N, C·H·W) -> (N, C, H, W)."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """(…, product, …) -> (…)."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The dimension and its lengths."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
