"""RMSprop (Hinton 2012, lecture 6e of "Neural networks for machine learning"; the centred form
from Graves 2013, "Generating sequences with recurrent neural networks", section 4.2).

With the gradient g, to which weight decay has added λp::

    v ← α v + (1 - α) g²             running mean of the square
    a ← α a + (1 - α) g              only if centred, else a = 0
    u ← μ u + g / (√(v - a²) + ε)
    p ← p - lr · u
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minigen.backends import active
from minigen.numeric import number
from minigen.ops.kernel import kernel
from minigen.optim.flat import FlatParameters, Run, blocks
from minigen.optim.optimizer import Optimizer, ignore_how, switch

__all__ = ["RMSprop"]


@kernel
def rmsprop_step(
    b: Any,
    value: Any,
    grad: Any,
    square: Any,
    mean: Any,
    velocity: Any,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
) -> None:
    """One step in place on 1-D buffers: parameter, gradient, v, a (or None), u (or None)."""
    xp = b.xp
    scratch = xp.empty_like(value[: next(blocks(value.size)).stop])
    decayed = xp.empty_like(scratch) if weight_decay else None
    for part in blocks(value.size):
        p, g, v = value[part], grad[part], square[part]
        t = scratch[: p.size]
        if decayed is not None:
            xp.multiply(p, weight_decay, out=decayed[: p.size])
            g = xp.add(g, decayed[: p.size], out=decayed[: p.size])
        xp.multiply(v, alpha, out=v)
        xp.multiply(g, g, out=t)
        xp.multiply(t, 1 - alpha, out=t)
        xp.add(v, t, out=v)
        if mean is None:
            xp.sqrt(v, out=t)
        else:
            a = mean[part]
            xp.multiply(a, alpha, out=a)
            xp.multiply(g, 1 - alpha, out=t)
            xp.add(a, t, out=a)
            xp.multiply(a, a, out=t)
            xp.subtract(v, t, out=t)
            xp.maximum(t, 0, out=t)  # v ≥ a², but for rounding
            xp.sqrt(t, out=t)
        xp.add(t, eps, out=t)
        xp.divide(g, t, out=t)
        if velocity is not None:
            u = velocity[part]
            xp.multiply(u, momentum, out=u)
            xp.add(u, t, out=u)
            xp.multiply(u, lr, out=t)
        else:
            xp.multiply(t, lr, out=t)
        xp.subtract(p, t, out=p)


class RMSprop(Optimizer):
    """RMSprop; see the top of this file.

    Args:
        params: parameters or groups.
        lr: step length.
        alpha: α, how slowly the running means forget.
        eps: ε, added to the root.
        weight_decay: λ, added to the gradient as λp.
        momentum: μ; 0 keeps no velocity.
        centered: divide by the deviation and not by the root of the mean square.
        maximize: climb: the gradient counts with the other sign.
        capturable, foreach: PyTorch's ways to run the same step; without effect.
        differentiable: must be False.
    """

    moments = ("square_avg", "grad_avg", "momentum_buffer")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        ignore_how(foreach, None, capturable, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
        )

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Ranges of the options."""
        return {
            "lr": number("lr", options["lr"]),
            "alpha": number("alpha", options["alpha"], below=1.0),
            "eps": number("eps", options["eps"]),
            "weight_decay": number("weight_decay", options["weight_decay"]),
            "momentum": number("momentum", options["momentum"]),
            "centered": switch("centered", options["centered"]),
            "maximize": switch("maximize", options["maximize"]),
        }

    def needs(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """A mean only if centred, a velocity only with momentum."""
        wanted = (True, options["centered"], options["momentum"] > 0)
        return tuple(name for name, is_kept in zip(self.moments, wanted) if is_kept)

    def update(self, flat: FlatParameters, run: Run, step: int, options: Mapping[str, Any]) -> None:
        """One step of the formula."""
        part, needed = run.part, self.needs(options)
        rmsprop_step(
            active.backend,
            flat.values[part],
            flat.grads[part],
            *[flat.moment(name)[part] if name in needed else None for name in self.moments],
            lr=options["lr"],
            alpha=options["alpha"],
            eps=options["eps"],
            weight_decay=options["weight_decay"],
            momentum=options["momentum"],
        )
