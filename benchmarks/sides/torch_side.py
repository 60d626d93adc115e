"""PyTorch's training step, with the settings that it is allowed to choose from.

``threads``: intra-op threads. ``adam``: ``fused`` (one kernel over all parameters), ``foreach``
(one call for each operation of the update, over a list of tensors), ``for-loop`` (a loop over
parameters in Python) or ``compiled`` (by ``torch.compile``). ``channels_last``: memory format of
images and weights. ``compile``: forward and loss through ``torch.compile``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.sides.weights import initial_weight
from benchmarks.workload import Setting, Step


def set_threads(setting: Setting) -> None:
    """Use the setting's number of intra-op threads; PyTorch's own choice if it names none."""
    if "threads" in setting:
        torch.set_num_threads(setting["threads"])


def load_weights(model: torch.nn.Module) -> None:
    """Overwrite every parameter with the weight that its name and shape stand for."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(initial_weight(name, tuple(parameter.shape))))


def prepared(model: torch.nn.Module, setting: Setting) -> torch.nn.Module:
    """The model with its initial weights, in the setting's memory format."""
    load_weights(model)
    if setting.get("channels_last"):
        model = cast(Any, model).to(memory_format=torch.channels_last)
    return model


def adam(
    parameters: Any,
    setting: Setting,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    decoupled: bool = False,
) -> torch.optim.Optimizer:
    """Adam or AdamW in the implementation that the setting names (fused where it names none)."""
    implementation = setting.get("adam") or "fused"
    optimizer = (torch.optim.AdamW if decoupled else torch.optim.Adam)(
        parameters,
        lr=learning_rate,
        betas=betas,
        fused=implementation == "fused",
        foreach=implementation in ("foreach", "compiled"),
    )
    if implementation == "compiled":
        cast(Any, optimizer).step = torch.compile(optimizer.step)
    return optimizer


def to_tensor(array: np.ndarray, setting: Setting) -> torch.Tensor:
    """A tensor of the array, channels-last where the setting says so and it is an image."""
    tensor = torch.from_numpy(array)
    if setting.get("channels_last") and tensor.ndim == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return tensor


def compiled(function: Any, setting: Setting) -> Any:
    """The function, through ``torch.compile`` if the setting says so."""
    return torch.compile(function, dynamic=False) if setting.get("compile") else function


def repeated(
    step: Callable[..., torch.Tensor], batches: Sequence[Sequence[np.ndarray]], setting: Setting
) -> Step:
    """``step(*batch)`` for the next batch of the cycle."""
    endless = cycle([[to_tensor(array, setting) for array in batch] for batch in batches])
    return Step(lambda: step(*next(endless)))


def training_step(
    model: torch.nn.Module,
    loss_of: Callable[..., torch.Tensor],
    batches: Sequence[Sequence[np.ndarray]],
    setting: Setting,
    learning_rate: float = 1e-3,
    decoupled: bool = False,
    clip: float | None = None,
) -> Step:
    """A step: ``loss_of(model, *batch)``, backward, Adam.

    ``decoupled``: AdamW with its usual weight decay. ``clip``: bound of the gradients' norm.
    """
    set_threads(setting)
    model = prepared(model, setting)
    parameters = list(model.parameters())
    optimizer = adam(parameters, setting, learning_rate, decoupled=decoupled)
    loss_of = compiled(loss_of, setting)

    def step(*batch: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, *batch)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip, foreach=True)
        optimizer.step()
        return loss

    return repeated(step, batches, setting)


def adversarial_step(
    generator: torch.nn.Module,
    discriminator: torch.nn.Module,
    batches: Sequence[Sequence[np.ndarray]],
    setting: Setting,
    together: bool,
) -> Step:
    """The discriminator's update on real and on fake images, then the generator's.

    ``together``: real and fake in one update of the discriminator, otherwise one update each. The
    value of a step is the sum of the three losses. The discriminator's parameters ask for no
    gradient while the generator learns, so that none is computed.
    """
    set_threads(setting)
    generator, discriminator = prepared(generator, setting), prepared(discriminator, setting)
    of_generator = adam(generator.parameters(), setting, 2e-4, (0.5, 0.999))
    of_discriminator = adam(discriminator.parameters(), setting, 2e-4, (0.5, 0.999))

    def loss_on_real(images: torch.Tensor) -> torch.Tensor:
        return F.softplus(-discriminator(images)).mean()

    def loss_on_fake(fake: torch.Tensor) -> torch.Tensor:
        return F.softplus(discriminator(fake)).mean()

    def loss_on_both(images: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return loss_on_real(images) + loss_on_fake(fake)

    def loss_of_generator(noise: torch.Tensor) -> torch.Tensor:
        return F.softplus(-discriminator(generator(noise))).mean()

    generate = compiled(generator, setting)
    on_real, on_fake, on_both, fooling = (
        compiled(function, setting)
        for function in (loss_on_real, loss_on_fake, loss_on_both, loss_of_generator)
    )

    def learn(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> torch.Tensor:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def step(images: torch.Tensor, noise: torch.Tensor, more_noise: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            fake = generate(noise)
        if together:
            judged = learn(on_both(images, fake), of_discriminator)
        else:
            judged = learn(on_real(images), of_discriminator)
            judged = judged + learn(on_fake(fake), of_discriminator)
        discriminator.requires_grad_(False)
        fooled = learn(fooling(more_noise), of_generator)
        discriminator.requires_grad_(True)
        return judged + fooled

    return repeated(step, batches, setting)
