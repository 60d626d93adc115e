"""Activations as modules, for use in ``Sequential``. Each calls the function of its name."""

from __future__ import annotations

import math

from minigen.autograd.tensor import Tensor
from minigen.nn._arguments import positive
from minigen.nn.module import Module
from minigen.nn.parameter import Parameter
from minigen.numeric import number
from minigen.ops import activation as functional
from minigen.ops.creation import full
from minigen.ops.reduction import log_softmax, softmax

__all__ = [
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardtanh",
    "LeakyReLU",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]


class ReLU(Module):
    """``max(x, 0)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.relu(x)


class ReLU6(Module):
    """``min(max(x, 0), 6)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.relu6(x)


class LeakyReLU(Module):
    """``x`` if x > 0, else ``negative_slope · x``."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = number("LeakyReLU: negative_slope", negative_slope, -math.inf)

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """``x`` if x > 0, else ``alpha · (eˣ - 1)``."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = number("ELU: alpha", alpha, -math.inf)

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """The scale."""
        return f"alpha={self.alpha}"


class GELU(Module):
    """``x · Φ(x)``; ``approximate`` is ``none`` or ``tanh``."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        """Which formula."""
        return f"approximate={self.approximate!r}"


class GLU(Module):
    """``a · sigmoid(b)`` of the two halves along ``dim``: (…, 2n, …) -> (…, n, …)."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Halves the length of ``dim``."""
        return functional.glu(x, self.dim)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


class SiLU(Module):
    """``x · sigmoid(x)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.silu(x)


class Sigmoid(Module):
    """``1/(1 + e⁻ˣ)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.sigmoid(x)


class Tanh(Module):
    """``tanh x``."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.tanh(x)


class SELU(Module):
    """``λ·x`` if x > 0, else ``λ·α·(eˣ - 1)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.selu(x)


class Mish(Module):
    """``x · tanh(softplus(x))``."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.mish(x)


class Hardtanh(Module):
    """``min(max(x, min_val), max_val)``."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        if not min_val < max_val:
            raise ValueError(f"Hardtanh: min_val must be < max_val, got {min_val} and {max_val}")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        """The bounds."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class PReLU(Module):
    """``x`` if x > 0, else ``weight · x`` with a learned weight (He et al. 2015).

    Args:
        num_parameters: 1, or the number of channels, each of which then has a slope of its own.
        init: where the slopes start.

    Attributes:
        weight: (num_parameters,).
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        positive("PReLU", num_parameters=num_parameters)
        self.num_parameters = num_parameters
        self.weight = Parameter(full((num_parameters,), float(init)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …), or any shape for one parameter."""
        return functional.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """How many slopes."""
        return f"num_parameters={self.num_parameters}"


class Softplus(Module):
    """``ln(1 + e^(βx))/β``; x itself where βx > ``threshold``."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = number("Softplus: beta", beta, above=True)
        self.threshold = number("Softplus: threshold", threshold, -math.inf)

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The sharpness."""
        return f"beta={self.beta}"


class Softmax(Module):
    """``eˣ / Σ eˣ`` along ``dim``."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """``x - ln Σ eˣ`` along ``dim``."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"
