"""NAdam (Dozat 2016, "Incorporating Nesterov momentum into Adam"): Adam that looks ahead.

With the gradient g at step t and a momentum that grows to β₁ in some ψ⁻¹ steps::

    μₜ = β₁ (1 - ½ · 0.96^(tψ))      Πₜ = μ₁ μ₂ … μₜ
    m ← β₁ m + (1 - β₁) g
    v ← β₂ v + (1 - β₂) g²           v̂ = v / (1 - β₂ᵗ)
    p ← p - lr · ((1 - μₜ)/(1 - Πₜ) · g + μₜ₊₁/(1 - Πₜ₊₁) · m) / (√v̂ + ε)

Where Adam goes along m, which g has just entered, NAdam goes along what the *next* m would be if g
came again.
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

__all__ = ["NAdam"]


@kernel
def nadam_step(
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
    step: int,
    along_gradient: float,
    along_mean: float,
) -> None:
    """One step in place on 1-D buffers: parameter, gradient, m, v.

    ``along_gradient`` and ``along_mean`` are the factors of g and m, the learning rate included;
    the parameter is multiplied by ``shrink`` first.
    """
    xp = b.xp
    beta1, beta2 = betas
    root = math.sqrt(1 - beta2**step)
    scratch = xp.empty_like(value[: next(blocks(value.size)).stop])
    other = xp.empty_like(scratch)
    decayed = xp.empty_like(scratch) if weight_decay else None
    for part in blocks(value.size):
        p, g, m, v = value[part], grad[part], mean[part], square[part]
        t, u = scratch[: p.size], other[: p.size]
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
        xp.multiply(g, along_gradient, out=t)
        xp.multiply(m, along_mean, out=u)
        xp.add(t, u, out=t)
        xp.sqrt(v, out=u)
        xp.divide(u, root, out=u)
        xp.add(u, eps, out=u)
        xp.divide(t, u, out=t)
        xp.subtract(p, t, out=p)


class NAdam(Optimizer):
    """NAdam; see the top of this file.

    Args:
        params: parameters or groups.
        lr: step length.
        betas: β₁ and β₂, in [0, 1).
        eps: ε, added to √v̂.
        weight_decay: λ, added to the gradient as λp.
        momentum_decay: ψ.
        decoupled_weight_decay: shrink the parameter by 1 - lr·λ instead, as AdamW does.
        maximize: climb: the gradient counts with the other sign.
        foreach, capturable: PyTorch's ways to run the same step; without effect.
        differentiable: must be False.
    """

    moments = ("exp_avg", "exp_avg_sq")
    numbers = ("mu_product",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
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
                "momentum_decay": momentum_decay,
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
            "momentum_decay": number("momentum_decay", options["momentum_decay"]),
            "decoupled_weight_decay": switch(
                "decoupled_weight_decay", options["decoupled_weight_decay"]
            ),
            "maximize": switch("maximize", options["maximize"]),
        }

    def update(self, flat: FlatParameters, run: Run, step: int, options: Mapping[str, Any]) -> None:
        """One step of the formula."""
        lr, decay = options["lr"], options["weight_decay"]
        is_decoupled = options["decoupled_weight_decay"]
        now, following = (
            options["betas"][0] * (1 - 0.5 * 0.96 ** (t * options["momentum_decay"]))
            for t in (step, step + 1)
        )
        product = flat.number("mu_product", run.places, 1.0) * now
        flat.set_number("mu_product", run.places, product)
        nadam_step(
            active.backend,
            flat.values[run.part],
            flat.grads[run.part],
            *[flat.moment(name)[run.part] for name in self.moments],
            betas=options["betas"],
            eps=options["eps"],
            weight_decay=0.0 if is_decoupled else decay,
            shrink=1 - lr * decay if is_decoupled else 1.0,
            step=step,
            along_gradient=lr * (1 - now) / (1 - product),
            along_mean=lr * following / (1 - product * following),
        )
