"""An interrupt, wherever it comes, leaves a library that computes right: eagerly and captured."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from interrupted import interrupt, points

import minigen as mg
from minigen.backends import active
from minigen.thread_state import at_work

POINTS = 25
"""Points tried of each phase, evenly spread (and another offset for each phase)."""


class Training:
    """A small model in training, that can be put back to its start."""

    def __init__(self) -> None:
        mg.manual_seed(0)
        self.model = mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.Tanh(), mg.nn.Linear(4, 2))
        self.free = mg.nn.Parameter(mg.ones(2))  # no optimizer has it
        self.optimizer = mg.optim.Adam(self.model.parameters(), lr=0.1)
        self.noise = mg.Generator(1)
        self.x = mg.tensor(np.random.default_rng(0).random((5, 3)).astype(np.float32))
        self.start = {key: value.clone() for key, value in self.model.state_dict().items()}
        self.fresh = self.optimizer.state_dict()

    def step(self, x: mg.Tensor) -> mg.Tensor:
        self.optimizer.zero_grad()
        self.free.grad = None
        y = self.model(x + 0.1 * self.noise.normal(5, 3)) * self.free
        loss = (y * y).mean()
        loss.backward()
        self.optimizer.step()
        return loss

    def reset(self) -> None:
        self.model.load_state_dict(self.start)
        self.optimizer.load_state_dict(self.fresh)
        self.noise.load_state(mg.Generator(1).state())
        self.optimizer.zero_grad()
        self.free.grad = None

    def run(self, step: Callable[[mg.Tensor], mg.Tensor], calls: int) -> list[Any]:
        """The losses of ``calls`` steps from the start, and what they end in."""
        self.reset()
        losses = [step(self.x).item() for _ in range(calls)]
        tensors = [*self.model.parameters(), self.free]
        return [*losses, *[p.tolist() for p in tensors], *[p.grad.tolist() for p in tensors]]


def assert_usable(training: Training, wanted: list[Any], captured: Any, place: str) -> None:
    assert mg.is_grad_enabled(), place
    assert active.recorder is None, place
    assert not at_work, place
    assert type(active.backend).__name__ in ("NumpyBackend", "StrictBackend"), place
    kind = active.backend.array_type
    for p in [*training.model.parameters(), training.free]:
        for tensor in (p, p.grad):
            assert tensor is None or type(tensor.data) is kind, place
    assert training.run(training.step, 4) == wanted, place
    assert training.run(mg.capture(training.step), 4) == wanted, place
    assert training.run(captured, 4) == wanted, place


PHASES = {"eager": 0, "recording": 1, "replaying": 2}
"""How many calls of the captured step come before the one that is interrupted."""


def try_phase(phase: str, chosen: Callable[[int], Any]) -> int:
    """Interrupt a phase at the points that ``chosen`` picks of so many; how many there were."""

    def prepared() -> tuple[Training, Any]:
        training = Training()
        captured = mg.capture(training.step)
        for _ in range(PHASES[phase]):
            captured(training.x)
        return training, captured

    reference = Training()
    wanted = reference.run(reference.step, 4)
    prepared()[1](reference.x)
    training, captured = prepared()
    total = points(lambda: captured(training.x))
    reached = []
    for at in chosen(total):
        training, captured = prepared()
        place = interrupt(lambda: captured(training.x), at)  # noqa: B023 - called at once
        reached.append(bool(place))
        assert_usable(training, wanted, captured, f"{phase}, point {at} of {total}, {place}")
    assert sum(reached) > 0.8 * len(reached)
    return total


@pytest.mark.parametrize("on", ["numpy", "strict"])
@pytest.mark.parametrize("phase", PHASES)
def test_after_an_interrupt_eager_and_captured_steps_are_right(phase, on):
    with mg.use(on):
        try_phase(phase, lambda total: np.linspace(1, total, POINTS).astype(int).tolist())


def _copying(w: mg.Tensor) -> Callable[[], Any]:
    return mg.no_grad()(lambda: w.copy_(mg.full((2,), 7.0)))


def _stepping(w: mg.Tensor) -> Callable[[], Any]:
    w.grad = mg.ones(2)
    return mg.optim.SGD([w], lr=1.0).step


@pytest.mark.parametrize("writing", [_copying, _stepping])
def test_a_write_that_is_interrupted_is_known_to_graphs_that_need_the_memory(writing):
    def fresh() -> tuple[mg.Tensor, Callable[[], Any], mg.Tensor]:
        w = mg.tensor([1.0, 2.0], requires_grad=True)
        return w, writing(w), (w * w).sum()

    fresh()[1]()
    total = points(fresh()[1])
    outcomes = set()
    for at in range(1, total + 1):
        w, write, y = fresh()
        memory = w.data
        interrupt(write, at)
        w.grad = None
        try:
            y.backward()
        except RuntimeError as error:
            outcomes.add("overwritten in place" in str(error) and "refused")
        else:
            assert w.grad.tolist() == [2.0, 4.0], at
            assert memory.tolist() == [1.0, 2.0], at
            outcomes.add("right")
        other = threading.Thread(target=fresh()[1], daemon=True)
        other.start()
        other.join(20)
        assert not other.is_alive(), f"point {at} keeps other threads from writing"
    assert outcomes == {"right", "refused"}
