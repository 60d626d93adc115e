"""PyTorch's training step, with the settings that it is allowed to choose from.

``threads``: intra-op threads. ``adam``: ``fused`` (one kernel over all parameters), ``foreach``
(one call for each operation of the update, over a list of tensors) or ``for-loop`` (a loop over
parameters in Python). ``channels_last``: memory format of images and weights. ``compile``:
forward and loss through ``torch.compile``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, cast

import numpy as np
import torch

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


def adam(parameters: Any, setting: Setting, learning_rate: float) -> torch.optim.Optimizer:
    """Adam in the implementation that the setting names (fused where it names none)."""
    implementation = setting.get("adam") or "fused"
    return torch.optim.Adam(
        parameters,
        lr=learning_rate,
        fused=implementation == "fused",
        foreach=implementation == "foreach",
    )


def to_tensor(array: np.ndarray, setting: Setting) -> torch.Tensor:
    """A tensor of the array, channels-last where the setting says so and it is an image."""
    tensor = torch.from_numpy(array)
    if setting.get("channels_last") and tensor.ndim == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return tensor


def training_step(
    model: torch.nn.Module,
    loss_of: Callable[..., torch.Tensor],
    batches: Sequence[Sequence[np.ndarray]],
    setting: Setting,
    learning_rate: float = 1e-3,
) -> Step:
    """A step: ``loss_of(model, *batch)`` for the next batch of the cycle, backward, Adam."""
    set_threads(setting)
    load_weights(model)
    if setting.get("channels_last"):
        model = cast(Any, model).to(memory_format=torch.channels_last)
    optimizer = adam(model.parameters(), setting, learning_rate)
    if setting.get("compile"):
        loss_of = torch.compile(loss_of)
    endless = cycle([[to_tensor(array, setting) for array in batch] for batch in batches])

    def run() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, *next(endless))
        loss.backward()
        optimizer.step()
        return loss

    return Step(run)
