"""minigen's training step, as it is or recorded by ``mg.capture`` (setting ``capture``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import numpy as np

import minigen as mg
from benchmarks.sides.weights import initial_weight
from benchmarks.workload import Setting, Step


def load_weights(model: mg.nn.Module) -> None:
    """Overwrite every parameter with the weight that its name and shape stand for."""
    weights = {
        name: mg.tensor(initial_weight(name, tuple(parameter.shape)))
        for name, parameter in model.named_parameters()
    }
    model.load_state_dict({**model.state_dict(), **weights})


def repeated(
    step: Callable[..., mg.Tensor], batches: Sequence[Sequence[np.ndarray]], setting: Setting
) -> Step:
    """``step(*batch)`` for the next batch of the cycle."""
    if setting.get("capture"):
        step = captured(step)
    endless = cycle([[mg.tensor(array) for array in batch] for batch in batches])
    return Step(lambda: step(*next(endless)))


def captured(step: Callable[..., mg.Tensor]) -> Callable[..., mg.Tensor]:
    """The recorded step."""
    capture: Any = getattr(mg, "capture", None)
    if capture is None:
        raise RuntimeError("this version of minigen has no mg.capture")
    recorded: Callable[..., mg.Tensor] = capture(step)
    return recorded


def training_step(
    model: mg.nn.Module,
    loss_of: Callable[..., mg.Tensor],
    batches: Sequence[Sequence[np.ndarray]],
    setting: Setting,
    learning_rate: float = 1e-3,
    decoupled: bool = False,
    clip: float | None = None,
) -> Step:
    """A step: ``loss_of(model, *batch)``, backward, Adam.

    ``decoupled``: AdamW with its usual weight decay. ``clip``: bound of the gradients' norm.
    """
    load_weights(model)
    parameters = list(model.parameters())
    optimizer = (mg.optim.AdamW if decoupled else mg.optim.Adam)(parameters, lr=learning_rate)

    def step(*batch: mg.Tensor) -> mg.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, *batch)
        loss.backward()
        if clip is not None:
            mg.optim.clip_grad_norm_(parameters, clip)
        optimizer.step()
        return loss

    return repeated(step, batches, setting)


def adversarial_step(
    generator: mg.nn.Module,
    discriminator: mg.nn.Module,
    batches: Sequence[Sequence[np.ndarray]],
    setting: Setting,
    together: bool,
) -> Step:
    """The discriminator's update on real and on fake images, then the generator's.

    ``together``: real and fake in one update of the discriminator, otherwise one update each. The
    value of a step is the sum of the three losses.
    """
    load_weights(generator)
    load_weights(discriminator)
    rate: dict[str, Any] = {"lr": 2e-4, "betas": (0.5, 0.999)}
    of_generator = mg.optim.Adam(generator.parameters(), **rate)
    of_discriminator = mg.optim.Adam(discriminator.parameters(), **rate)

    def learn(loss: mg.Tensor, optimizer: mg.optim.Adam) -> mg.Tensor:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def step(images: mg.Tensor, noise: mg.Tensor, more_noise: mg.Tensor) -> mg.Tensor:
        with mg.no_grad():
            fake = generator(noise)
        on_real = mg.softplus(-discriminator(images)).mean()
        if together:
            judged = learn(on_real + mg.softplus(discriminator(fake)).mean(), of_discriminator)
        else:
            judged = learn(on_real, of_discriminator).detach()
            on_fake = mg.softplus(discriminator(fake)).mean()
            judged = judged + learn(on_fake, of_discriminator).detach()
        discriminator.requires_grad_(False)
        fooled = learn(mg.softplus(-discriminator(generator(more_noise))).mean(), of_generator)
        discriminator.requires_grad_(True)
        return judged.detach() + fooled.detach()

    return repeated(step, batches, setting)
