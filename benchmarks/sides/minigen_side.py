"""minigen's training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

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


def training_step(
    model: mg.nn.Module,
    loss_of: Callable[..., mg.Tensor],
    batches: Sequence[Sequence[np.ndarray]],
    setting: Setting,
    learning_rate: float = 1e-3,
) -> Step:
    """A step: ``loss_of(model, *batch)`` for the next batch of the cycle, backward, Adam."""
    del setting
    load_weights(model)
    optimizer = mg.optim.Adam(model.parameters(), lr=learning_rate)
    endless = cycle([[mg.tensor(array) for array in batch] for batch in batches])

    def run() -> mg.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, *next(endless))
        loss.backward()
        optimizer.step()
        return loss

    return Step(run)
