"""RAdam (Liu et al. 2020, "On the variance of the adaptive learning rate and beyond"): Adam that
waits until its second moment can be trusted.

With the gradient g at step t::

    m ← β₁ m + (1 - β₁) g            m̂ = m / (1 - β₁ᵗ)
    v ← β₂ v + (1 - β₂) g²           v̂ = v / (1 - β₂ᵗ)
    ρ∞ = 2/(1 - β₂) - 1              ρₜ = ρ∞ - 2t β₂ᵗ/(1 - β₂ᵗ)
    p ← p - lr · m̂ · r / (√v̂ + ε)    where ρₜ > 5,  r² = (ρₜ-4)(ρₜ-2)ρ∞ / ((ρ∞-4)(ρ∞-2)ρₜ)
    p ← p - lr · m̂                   before: some first steps of plain momentum

ρₜ is the length of the average that v amounts to: over a handful of gradients v is a poor estimate,
and dividing by it makes the first steps of Adam wild. r makes up for what is left of that. (As in
PyTorch, ε is added to √v before the correction.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from minigen.backends import active
from minigen.numeric import number
from minigen.ops.kernel import kernel
from minigen.optim.flat import FlatParameters, Run, blocks
from minigen.optim.optimizer import Optimizer, beta_pair, ignore_how, switch

__all__ = ["RAdam"]


def rectification(beta2: float, step: int) -> float | None:
    """√(1 - β₂ᵗ) · r, or None while ρₜ ≤ 5; see the top of this file."""
    longest = 2 / (1 - beta2) - 1
    remaining = 1 - beta2**step
    length = longest - 2 * step * beta2**step / remaining
    if length <= 5:
        return None
    r = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return math.sqrt(remaining * r)


@kernel
def radam_step(
    b: Any,
    value: Any,
    grad: Any,
    mean: Any,
    square: Any,
    *,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    shrink: float,
    scale: float,
    is_rectified: bool,
) -> None:
    """One step in place on 1-D buffers: parameter, gradient, m, v.

    ``p ← shrink·p - scale · m / (√v + ε)``, or ``shrink·p - scale · m`` if not ``is_rectified``.
    """
    xp = b.xp
    beta1, beta2 = betas
    scratch = xp.empty_like(value[: next(blocks(value.size)).stop])
    decayed = xp.empty_like(scratch) if weight_decay else None
    for part in blocks(value.size):
        p, g, m, v = value[part], grad[part], mean[part], square[part]
        t = scratch[: p.size]
        if shrink != 1:
            xp.multiply(p, shrink, out=p)
        if decayed is not None:
            xp.multiply(p, weight_decay, out=decayed[: p.size])
            g = xp.add(g, decayed[: p.size], out=decayed[: p.size])
        xp.multiply(m, beta1, out=m)
        xp.multiply(g, 1 - beta1, out=t)
        xp.add(m, t, out=m)
        xp.multiply(v, beta2, out=v)
        xp.multiply(g, g, out=t)
        xp.multiply(t, 1 - beta2, out=t)
        xp.add(v, t, out=v)
        if is_rectified:
            xp.sqrt(v, out=t)
            xp.add(t, eps, out=t)
            xp.divide(m, t, out=t)
            xp.multiply(t, scale, out=t)
        else:
            xp.multiply(m, scale, out=t)
        xp.subtract(p, t, out=p)


class RAdam(Optimizer):
    """RAdam; see the top of this file.

    Args:
        params: parameters or groups.
        lr: step length.
        betas: β₁ and β₂, in [0, 1).
        eps: ε, added to √v.
        weight_decay: λ, added to the gradient as λp.
        decoupled_weight_decay: shrink the parameter by 1 - lr·λ instead, as AdamW does.
        maximize: climb: the gradient counts with the other sign.
        foreach, capturable: PyTorch's ways to run the same step; without effect.
        differentiable: must be False.
    """

    moments = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        ignore_how(foreach, None, capturable, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
        )

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Ranges of the options."""
        return {
            "lr": number("lr", options["lr"]),
            "betas": beta_pair(options["betas"]),
            "eps": number("eps", options["eps"]),
            "weight_decay": number("weight_decay", options["weight_decay"]),
            "decoupled_weight_decay": switch(
                "decoupled_weight_decay", options["decoupled_weight_decay"]
            ),
            "maximize": switch("maximize", options["maximize"]),
        }

    def update(self, flat: FlatParameters, run: Run, step: int, options: Mapping[str, Any]) -> None:
        """One step of the formula."""
        lr, betas, decay = options["lr"], options["betas"], options["weight_decay"]
        is_decoupled = options["decoupled_weight_decay"]
        rectified = rectification(betas[1], step)
        radam_step(
            active.backend,
            flat.values[run.part],
            flat.grads[run.part],
            *[flat.moment(name)[run.part] for name in self.moments],
            betas=betas,
            eps=options["eps"],
            weight_decay=0.0 if is_decoupled else decay,
            shrink=1 - lr * decay if is_decoupled else 1.0,
            scale=lr / (1 - betas[0] ** step) * (1.0 if rectified is None else rectified),
            is_rectified=rectified is not None,
        )
