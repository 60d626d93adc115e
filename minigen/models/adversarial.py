"""Adversarial training (Goodfellow et al. 2014): two networks, and what each is charged for.

**The game.** A generator G turns noise z into samples; a discriminator D looks at a sample and
gives one number, its *logit*: high for "real", low for "made up". D learns to tell the two apart,
G learns to be taken for real. No likelihood is written down anywhere; what G is told comes through
D's gradient alone. That is why a game that goes wrong says nothing by itself, and why
`minigen/metrics/verdict.py` watches it.

**The losses**, d = D(x) for real x, f = D(G(z)), all means over the batch, all to be minimised:

    name            of the discriminator                of the generator
    non-saturating  softplus(−d) + softplus(f)          softplus(−f)
    minimax         softplus(−d) + softplus(f)          −softplus(f)
    lsgan           ½(d − 1)² + ½ f²                    ½(f − 1)²
    hinge           max(0, 1 − d) + max(0, 1 + f)       −f
    wasserstein     f − d                               −f

softplus(−d) = −log σ(d): the first two are the cross-entropy of Goodfellow et al. 2014, equation 1.
*minimax* is their game itself; where D is sure (f ≪ 0) its generator gets no gradient, and the
*non-saturating* loss of their section 3 pulls hardest just there. *lsgan*: Mao et al. 2017,
equation 9. *hinge*: Miyato et al. 2018, equations 16 and 17. *wasserstein*: Arjovsky et al. 2017;
D is then a critic, its number has no zero, and it must be kept 1-Lipschitz.

**Penalties on D's slope.** The gradient of D by its *input*, squared or measured, becomes a part of
the loss, so training differentiates it again by the weights: second-order gradients.

    gradient_penalty   E (‖∇D(x̂)‖ − 1)²,  x̂ = εx + (1 − ε)G(z), ε ~ U(0, 1)   Gulrajani et al. 2017
    r1_penalty         E ‖∇D(x)‖²  on real x only                             Mescheder et al. 2018

The norm is over all numbers of *one* sample, and its gradient at 0 is 0: `mg.norm` is safe there, a
plain √ gives NaN at the first constant critic.

**Whose step it is.** While one network learns, the other is scenery: `frozen(other)` switches off
its parameters' gradients and puts its buffers (batch norm's running statistics, spectral norm's
vectors) back afterwards. So each step leaves the other network as it was, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import note_write
from minigen.backends import Array

__all__ = [
    "LOSSES",
    "AdversarialLoss",
    "accuracies",
    "frozen",
    "gradient_penalty",
    "r1_penalty",
]


@dataclass(frozen=True)
class AdversarialLoss:
    """One game: what either side minimises, as functions of D's logits.

    Args:
        discriminator: (logits of real samples, logits of fake ones) → scalar.
        generator: (logits of fake samples) → scalar.
        threshold: the logit above which D says "real"; None where only differences mean anything.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    threshold: float | None = 0.0


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return mg.softplus(-real).mean() + mg.softplus(fake).mean()


LOSSES: dict[str, AdversarialLoss] = {
    "non-saturating": AdversarialLoss(_cross_entropy, lambda fake: mg.softplus(-fake).mean()),
    "minimax": AdversarialLoss(_cross_entropy, lambda fake: -mg.softplus(fake).mean()),
    "lsgan": AdversarialLoss(
        lambda real, fake: 0.5 * mg.square(real - 1.0).mean() + 0.5 * mg.square(fake).mean(),
        lambda fake: 0.5 * mg.square(fake - 1.0).mean(),
        threshold=0.5,
    ),
    "hinge": AdversarialLoss(
        lambda real, fake: mg.relu(1.0 - real).mean() + mg.relu(1.0 + fake).mean(),
        lambda fake: -fake.mean(),
    ),
    "wasserstein": AdversarialLoss(
        lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean(), threshold=None
    ),
}
"""The games by name; their formulas are at the top of this file."""


def accuracies(loss: AdversarialLoss, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The shares of real and of fake samples that D calls by their name: two scalars in [0, 1].

    Where the loss has no threshold, the middle between the two means takes its place.
    """
    with mg.no_grad():
        middle = loss.threshold
        line = 0.5 * (real.mean() + fake.mean()) if middle is None else middle
        return (real > line).to(real.dtype).mean(), (fake <= line).to(fake.dtype).mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    generator: mg.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """E (‖∇D(x̂)‖ − 1)² between real and fake samples (Gulrajani et al. 2017, equation 3).

    Args:
        critic: samples (N, …) → logits (N, …). Labels, if there are any, are bound already. A
            critic with batch norm has no gradient of one sample alone, and no such penalty.
        real: samples (N, …).
        fake: as many samples; neither they nor `real` receive a gradient.
        generator: where ε comes from, one for each sample.

    Returns:
        The penalty, a scalar that can be differentiated by the critic's parameters, and the norms
        (N,), off the tape: they should end near 1.
    """
    if real.shape != fake.shape:
        raise ValueError(f"fake must have the shape of real, {real.shape}, got {fake.shape}")
    generator = generator or mg.default_generator()
    epsilon = generator.uniform((len(real), *[1] * (real.ndim - 1)), dtype=real.dtype)
    between = epsilon * real.detach() + (1.0 - epsilon) * fake.detach()  # (N, …)
    norms = mg.norm(_slope(critic, between), dim=1)  # (N, D) -> (N,)
    return mg.square(norms - 1.0).mean(), norms.detach()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """E ‖∇D(x)‖² on real samples (Mescheder et al. 2018, equation 9): a scalar.

    Their loss has it with the weight γ/2. It takes no root, so nothing happens at 0, and no fakes:
    a discriminator that is flat where the data are cannot push the generator away from them.
    """
    return mg.square(_slope(discriminator, real.detach())).sum(dim=1).mean()  # (N, D) -> ()


def _slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∇ₓ of the sum of the outputs, on the tape: row n is the gradient of sample n's own (N, D)."""
    x = x.detach().requires_grad_()
    (slope,) = mg.grad(function(x).sum(), [x], create_graph=True, allow_unused=True)
    if slope is None:  # the function does not look at x
        slope = mg.zeros_like(x)
    return slope.reshape(len(x), -1)  # (N, …) -> (N, D)


class frozen:  # noqa: N801 (reads as what it does: `with frozen(network):`)
    """Inside, `network` computes as ever and learns nothing; afterwards it is as it was.

    Gradients flow *through* it to its inputs, but not to its parameters. Buffers may move inside,
    as a batch norm in training moves its statistics, and are put back.

    It may be kept and entered at every step, which saves the walk through the network's modules;
    not inside itself.
    """

    def __init__(self, network: nn.Module) -> None:
        self.learned = [p for p in network.parameters() if p.requires_grad]
        self.buffers = list(network.buffers())
        self.values: list[Array] = []

    def __enter__(self) -> None:
        self.values = [buffer.data.copy() for buffer in self.buffers]
        for parameter in self.learned:
            parameter.requires_grad_(False)

    def __exit__(self, *error: object) -> None:
        for parameter in self.learned:
            parameter.requires_grad_(True)
        for buffer, values in zip(self.buffers, self.values, strict=True):
            note_write(buffer.data)
            buffer.data[...] = values
        self.values = []
