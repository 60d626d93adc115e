"""Dropout (Srivastava et al. 2014, "Dropout: a simple way to prevent overfitting")."""

from __future__ import annotations

from minigen.autograd.tensor import Tensor
from minigen.nn._arguments import need_tensor, probability
from minigen.nn.module import Module
from minigen.ops.random import Generator, dropout, rand

__all__ = ["Dropout", "Dropout2d"]


class Dropout(Module):
    """In training each element is 0 with probability ``p`` and divided by 1 - p otherwise.

    Args:
        p: in [0, 1].
        generator: where the draws come from, the default generator if None. Its state belongs
            into the checkpoint.
    """

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        super().__init__()
        probability(type(self).__name__, p)
        self.p, self.generator = p, generator

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the input itself in eval mode."""
        need_tensor("Dropout", input)
        return dropout(input, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


class Dropout2d(Dropout):
    """Like :class:`Dropout`, but whole channels at a time: (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> the same; the input itself in eval mode."""
        need_tensor("Dropout2d", input)
        if input.ndim != 4:
            raise ValueError(f"Dropout2d: input must have shape (N, C, H, W), got {input.shape}")
        if not self.training or self.p == 0:
            return input
        draws = rand((*input.shape[:2], 1, 1), dtype=input.dtype, generator=self.generator)
        kept = (draws >= self.p).to(input.dtype)
        return input * (kept * (1 / (1 - self.p) if self.p < 1 else 0.0))
