"""Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"): momentum
whose every step is made orthogonal.

For a weight matrix W (A×B) with the gradient G::

    M ← μ M + (1 - μ) G
    U = (1 - μ) G + μ M              with nesterov, else U = M
    O = U's nearest orthogonal matrix: with U = P Σ Qᵀ it is P Qᵀ
    W ← W - lr·λ·W - lr·√max(1, A/B) · O

A gradient matrix is usually of low effective rank: a few directions hold nearly all of it. O moves
along *all* of its directions by the same length. A singular value decomposition would take too
long; the iteration of Newton and Schulz needs only products. It starts from X = U/‖U‖, whose
singular values lie in [0, 1], and replaces X by a·X + b·(XXᵀ)X + c·(XXᵀ)²X, which replaces every
singular value s by a·s + b·s³ + c·s⁵. The usual coefficients are not chosen for exactness: five
rounds bring everything above some 0.01 into 0.7 … 1.2, which is good enough.

Muon is for the matrices of hidden layers. Biases, embeddings and output layers go to another
optimizer, such as AdamW. PyTorch iterates in bfloat16; here it is the precision of the parameter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from minigen.backends import active
from minigen.errors import unknown_name
from minigen.numeric import integer, number
from minigen.ops.product import product
from minigen.optim.flat import FlatParameters, Run
from minigen.optim.optimizer import Optimizer, switch

__all__ = ["Muon"]

RATIOS = {
    "original": lambda rows, columns: math.sqrt(max(1, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
}
"""What the learning rate is multiplied with for a matrix of so many rows and columns: the first
keeps the size of what a layer puts out, the second makes the steps as long as AdamW's are."""


def orthogonalized(
    b: Any, matrix: Any, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Any:
    """Newton and Schulz's iteration: (A, B) -> (A, B), singular values near 1."""
    factor_a, factor_b, factor_c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix  # the smaller of XXᵀ and XᵀX
    x = x / b.xp.maximum(b.xp.sqrt((x * x).sum()), eps)
    for _ in range(steps):
        gram = product(b, x, x.T)  # (n, B) · (B, n) -> (n, n)
        x = factor_a * x + product(b, factor_b * gram + factor_c * product(b, gram, gram), x)
    return x.T if is_tall else x


class Muon(Optimizer):
    """Muon; see the top of this file.

    Args:
        params: matrices (two dimensions), or groups of them.
        lr: step length.
        weight_decay: λ, which shrinks the parameter by lr·λ a step.
        momentum: μ.
        nesterov: look ahead along the momentum.
        ns_coefficients: a, b and c of the iteration.
        eps: the least norm that is divided by.
        ns_steps: rounds of the iteration, fewer than 100.
        adjust_lr_fn: how the learning rate depends on the matrix's shape: ``original`` (None is the
            same) or ``match_rms_adamw``.
    """

    moments = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Ranges of the options."""
        coefficients = options["ns_coefficients"]
        if not isinstance(coefficients, (tuple, list)) or len(coefficients) != 3:
            raise ValueError(f"ns_coefficients must be three numbers, got {coefficients!r}")
        steps = integer("ns_steps", options["ns_steps"], 0)
        if steps >= 100:
            raise ValueError(f"ns_steps must be less than 100, got {steps}")
        adjust = options["adjust_lr_fn"]
        if adjust not in (None, *RATIOS):
            raise unknown_name("adjust_lr_fn", adjust, RATIOS, "None")
        return {
            "lr": number("lr", options["lr"]),
            "weight_decay": number("weight_decay", options["weight_decay"]),
            "momentum": number("momentum", options["momentum"]),
            "nesterov": switch("nesterov", options["nesterov"]),
            "ns_coefficients": tuple(
                number(f"ns_coefficients[{i}]", c, low=-math.inf)
                for i, c in enumerate(coefficients)
            ),
            "eps": number("eps", options["eps"]),
            "ns_steps": steps,
            "adjust_lr_fn": adjust,
        }

    def check_parameter(self, name: str, parameter: Any) -> None:
        """Matrices only."""
        super().check_parameter(name, parameter)
        if parameter.ndim != 2:
            raise ValueError(
                f"{name} must have 2 dimensions for Muon, got shape {parameter.shape}; give it to "
                f"another optimizer, such as AdamW"
            )

    def update(self, flat: FlatParameters, run: Run, step: int, options: Mapping[str, Any]) -> None:
        """One step of the formula: the momentum for all at once, then matrix by matrix."""
        b, part = active.backend, run.part
        lr, momentum = options["lr"], options["momentum"]
        grads, velocity = flat.grads[part], flat.moment("momentum_buffer")[part]
        velocity *= momentum
        velocity += (1 - momentum) * grads
        direction = velocity
        if options["nesterov"]:
            direction = (1 - momentum) * grads + momentum * velocity
        flat.values[part] *= 1 - lr * options["weight_decay"]
        ratio = RATIOS[options["adjust_lr_fn"] or "original"]
        for place in run.places:
            own, (rows, columns) = flat.parts[place], flat.shapes[place]
            if own.start == own.stop:
                continue
            within = slice(own.start - part.start, own.stop - part.start)
            step_along = orthogonalized(
                b,
                direction[within].reshape(rows, columns),
                options["ns_coefficients"],
                options["ns_steps"],
                options["eps"],
            )
            flat.values[own] -= (lr * ratio(rows, columns)) * step_along.reshape(-1)
