"""Stochastic gradient descent, with momentum (Polyak 1964; Nesterov 1983, in the form of
Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning").

With the gradient g, to which weight decay has added λp::

    u ← μ u + (1 - d) g              u ← g at the first step
    p ← p - lr · u                   with nesterov: p - lr · (g + μ u)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from minigen.backends import active
from minigen.numeric import number
from minigen.ops.kernel import kernel
from minigen.optim.flat import FlatParameters, Run, blocks
from minigen.optim.optimizer import Optimizer, ignore_how, switch

__all__ = ["SGD"]


@kernel
def sgd_step(
    b: Any,
    value: Any,
    grad: Any,
    velocity: Any,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    step: int,
) -> None:
    """One step in place on 1-D buffers: parameter, gradient, u (None without momentum)."""
    xp = b.xp
    scratch = xp.empty_like(value[: next(blocks(value.size)).stop])
    decayed = xp.empty_like(scratch) if weight_decay else None
    for part in blocks(value.size):
        p, g = value[part], grad[part]
        t = scratch[: p.size]
        if decayed is not None:
            xp.multiply(p, weight_decay, out=decayed[: p.size])
            g = xp.add(g, decayed[: p.size], out=decayed[: p.size])
        direction = g
        if velocity is not None:
            u = velocity[part]
            if step == 1:
                u[...] = g
            else:
                xp.multiply(u, momentum, out=u)
                xp.multiply(g, 1 - dampening, out=t)
                xp.add(u, t, out=u)
            direction = u
            if nesterov:
                xp.multiply(u, momentum, out=t)
                direction = xp.add(t, g, out=t)
        xp.multiply(direction, lr, out=t)
        xp.subtract(p, t, out=p)


class SGD(Optimizer):
    """Gradient descent with momentum; see the top of this file.

    Args:
        params: parameters or groups.
        lr: step length.
        momentum: μ; 0 keeps no velocity.
        dampening: d, takes away from the new gradient's share.
        weight_decay: λ, added to the gradient as λp.
        nesterov: look ahead along the velocity; needs momentum and no dampening.
        maximize: climb: the gradient counts with the other sign.
        foreach, fused: PyTorch's ways to run the same step; without effect.
        differentiable: must be False.
    """

    moments = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        ignore_how(foreach, fused, differentiable=differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Ranges of the options; Nesterov's form needs momentum and no dampening."""
        plain = {
            "lr": number("lr", options["lr"]),
            "momentum": number("momentum", options["momentum"]),
            "dampening": number("dampening", options["dampening"], low=-math.inf),
            "weight_decay": number("weight_decay", options["weight_decay"]),
            "nesterov": switch("nesterov", options["nesterov"]),
            "maximize": switch("maximize", options["maximize"]),
        }
        if plain["nesterov"] and (plain["momentum"] <= 0 or plain["dampening"] != 0):
            raise ValueError(
                f"nesterov needs momentum > 0 and dampening 0, got {plain['momentum']} and "
                f"{plain['dampening']}"
            )
        return plain

    def needs(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """A velocity only with momentum."""
        return self.moments if options["momentum"] else ()

    def update(self, flat: FlatParameters, run: Run, step: int, options: Mapping[str, Any]) -> None:
        """One step of the formula."""
        part, momentum = run.part, options["momentum"]
        sgd_step(
            active.backend,
            flat.values[part],
            flat.grads[part],
            flat.moment("momentum_buffer")[part] if momentum else None,
            lr=options["lr"],
            momentum=momentum,
            dampening=options["dampening"],
            weight_decay=options["weight_decay"],
            nesterov=options["nesterov"],
            step=step,
        )
