"""Losses as modules: each keeps the options and calls the function of its name.

``loss = nn.CrossEntropyLoss(label_smoothing=0.1)``, then ``loss(logits, target)``. The functions
(``mg.cross_entropy`` …) say what is computed. Weights are buffers: they are saved with the model.
"""

from __future__ import annotations

from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.nn.module import Module
from minigen.ops import loss as functions

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]


class _Loss(Module):
    """What all have: a reduction, checked when the module is made."""

    reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, reduction: str, **options: Any) -> None:
        super().__init__()
        if reduction not in self.reductions:
            raise ValueError(
                f"{type(self).__name__}: reduction must be one of {', '.join(self.reductions)}, "
                f"got {reduction!r}"
            )
        self.reduction = reduction
        self.options = {**options, "reduction": reduction}

    def extra_repr(self) -> str:
        """The options."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


class MSELoss(_Loss):
    """``(input - target)²``."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape."""
        return functions.mse_loss(input, target, **self.options)


class L1Loss(_Loss):
    """``|input - target|``."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape."""
        return functions.l1_loss(input, target, **self.options)


class SmoothL1Loss(_Loss):
    """``d²/2β`` if d = |input - target| < β, else ``d - β/2``."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction, beta=beta)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape."""
        return functions.smooth_l1_loss(input, target, **self.options)


class HuberLoss(_Loss):
    """``d²/2`` if d = |input - target| ≤ δ, else ``δ(d - δ/2)``."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction, delta=delta)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape."""
        return functions.huber_loss(input, target, **self.options)


class KLDivLoss(_Loss):
    """``t·(ln t - input)``; ``reduction="batchmean"`` is the divergence of distributions."""

    reductions = ("batchmean", "mean", "sum", "none")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction, log_target=log_target)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Logarithms of probabilities, and probabilities, of one shape."""
        return functions.kl_div(input, target, **self.options)


class GaussianNLLLoss(_Loss):
    """``½(ln v + (input - target)²/v)``."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction, full=full, eps=eps)

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """Means, targets, and the variances v."""
        return functions.gaussian_nll_loss(input, target, var, **self.options)


class _Weighted(_Loss):
    """A loss with a factor for each class or element."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None, reduction: str, **options: Any) -> None:
        super().__init__(reduction, **options)
        self.register_buffer("weight", weight)


class BCELoss(_Weighted):
    """``-t·ln p - (1-t)·ln(1-p)`` from the probability p."""

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Probabilities and targets of one shape."""
        return functions.binary_cross_entropy(input, target, self.weight, **self.options)


class BCEWithLogitsLoss(_Weighted):
    """``-t·ln σ(x) - (1-t)·ln(1 - σ(x))`` from the logit x, without overflow."""

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Logits and targets of one shape."""
        return functions.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, **self.options
        )


class NLLLoss(_Weighted):
    """``-input[target]``, where the input holds logarithms of probabilities."""

    def __init__(
        self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction, ignore_index=ignore_index)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(N, C, …) and (N, …) class indices."""
        return functions.nll_loss(input, target, self.weight, **self.options)


class CrossEntropyLoss(_Weighted):
    """``-ln softmax(input)[target]`` in nats."""

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            weight, reduction, ignore_index=ignore_index, label_smoothing=label_smoothing
        )

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Logits (N, C, …), and class indices (N, …) or probabilities (N, C, …)."""
        return functions.cross_entropy(input, target, self.weight, **self.options)
