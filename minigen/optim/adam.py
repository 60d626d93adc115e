"""Adam (Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 1) and
AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization").

With the gradient g at step t::

    m ← β₁ m + (1 - β₁) g            running mean of the gradient
    v ← β₂ v + (1 - β₂) g²           running mean of its square
    p ← p - lr · m̂ / (√v̂ + ε)        m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

m and v start at 0 and are too small at first; the hats divide the shortfall out.

What is kept is not the means but the sums they are made of, M ← β₁ M + g and V ← β₂ V + g², with
m = (1 - β₁) M and v = (1 - β₂) V: the factors then meet in two numbers a step instead of being
multiplied into every element, which saves two of twelve passes over memory. Adam adds
weight decay to the gradient (g + λp), where the division by √v̂ distorts it; AdamW shrinks the
parameter itself, p ← p - lr·λ·p.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from minigen.backends import active
from minigen.ops.kernel import kernel
from minigen.optim.flat import FlatParameters, blocks
from minigen.optim.optimizer import Optimizer, check_number

__all__ = ["Adam", "AdamW"]


def step_numbers(
    lr: float, betas: tuple[float, float], eps: float, step: int
) -> tuple[float, float]:
    """The two numbers of a step, ``scale`` and ``small``: p - scale · M / (√V + small)."""
    beta1, beta2 = betas
    k = math.sqrt((1 - beta2) / (1 - beta2**step))
    return lr * (1 - beta1) / ((1 - beta1**step) * k), eps / k


@kernel
def adam_step(
    b: Any,
    value: Any,
    grad: Any,
    first: Any,
    second: Any,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
) -> None:
    """One step in place on 1-D buffers of equal length: parameter, gradient, M, V.

    With k = √((1 - β₂)/(1 - β₂ᵗ)) the formula becomes
    ``p - lr·(1 - β₁)/((1 - β₁ᵗ)·k) · M / (√V + ε/k)``. ``grad`` is not changed.
    """
    xp = b.xp
    beta1, beta2 = betas
    scale, small = step_numbers(lr, betas, eps, step)
    scratch = xp.empty_like(value[: next(blocks(value.size)).stop])
    decayed = xp.empty_like(scratch) if weight_decay and not decoupled else None
    for part in blocks(value.size):
        p, g, m, v = value[part], grad[part], first[part], second[part]
        t = scratch[: p.size]
        if decoupled:
            if weight_decay:
                xp.multiply(p, 1 - lr * weight_decay, out=p)
        elif decayed is not None:
            xp.multiply(p, weight_decay, out=decayed[: p.size])
            g = xp.add(g, decayed[: p.size], out=decayed[: p.size])
        xp.multiply(m, beta1, out=m)
        xp.add(m, g, out=m)
        xp.multiply(v, beta2, out=v)
        xp.multiply(g, g, out=t)
        xp.add(v, t, out=v)
        xp.sqrt(v, out=t)
        xp.add(t, small, out=t)
        xp.divide(m, t, out=t)
        xp.multiply(t, scale, out=t)
        xp.subtract(p, t, out=p)


class Adam(Optimizer):
    """Adam; see the top of this file.

    Args:
        params: parameters or groups.
        lr: step length.
        betas: β₁ and β₂, in [0, 1).
        eps: ε, added to √v̂.
        weight_decay: λ, added to the gradient as λp.
    """

    decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Ranges of lr, betas, eps and weight_decay."""
        check_number("lr", options["lr"])
        check_number("eps", options["eps"])
        check_number("weight_decay", options["weight_decay"])
        betas = options["betas"]
        if not isinstance(betas, tuple) or len(betas) != 2:
            raise TypeError(f"betas must be a pair of numbers, got {betas!r}")
        for number, beta in enumerate(betas):
            check_number(f"betas[{number}]", beta, below=1.0)

    def update(
        self, flat: FlatParameters, part: slice, step: int, options: Mapping[str, Any]
    ) -> None:
        """One step of the formula."""
        adam_step(
            active.backend,
            flat.values[part],
            flat.grads[part],
            flat.moment("gradient_sum")[part],
            flat.moment("square_sum")[part],
            lr=options["lr"],
            betas=options["betas"],
            eps=options["eps"],
            weight_decay=options["weight_decay"],
            decoupled=self.decoupled,
            step=step,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: p ← p - lr·λ·p, apart from the gradient.

    Args:
        params: parameters or groups.
        lr: step length.
        betas: β₁ and β₂, in [0, 1).
        eps: ε, added to √v̂.
        weight_decay: λ.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
