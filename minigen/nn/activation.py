"""Activations as modules, for use in ``Sequential``. Each calls the function of its name."""

from __future__ import annotations

import math

from minigen.autograd.tensor import Tensor
from minigen.nn.module import Module
from minigen.numeric import number
from minigen.ops import activation as functional
from minigen.ops.reduction import log_softmax, softmax

__all__ = [
    "ELU",
    "GELU",
    "GLU",
    "LeakyReLU",
    "LogSoftmax",
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


class Softplus(Module):
    """``ln(1 + e^(βx))/β``."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = number("Softplus: beta", beta, above=True)

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.softplus(x, self.beta)

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
