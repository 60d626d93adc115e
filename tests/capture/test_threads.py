"""Threads that record, replay, train and sample side by side: each computes what it would alone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigen as mg
from minigen.models.vae import VAE
from minigen.thread_state import at_work


@pytest.fixture(autouse=True)
def switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*works: Callable[[], Any]) -> list[Any]:
    """What the functions give that start at once, each in a thread of its own."""
    results: list[Any] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = works[number]()
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


class Training:
    """A small VAE, with its optimizer and its noise."""

    def __init__(self, seed: int) -> None:
        mg.manual_seed(seed)
        self.model = VAE(6, (5,), 2)
        self.optimizer = mg.optim.Adam(self.model.parameters(), lr=0.05)
        self.noise = mg.Generator(seed)
        self.x = mg.tensor((np.random.default_rng(seed).random((4, 6)) < 0.5).astype(np.float32))

    def step(self, x: mg.Tensor) -> mg.Tensor:
        self.optimizer.zero_grad()
        loss, _ = self.model.loss(x, self.noise)
        loss.backward()
        self.optimizer.step()
        return loss

    def run(self, is_captured: bool = True, calls: int = 5) -> list[float]:
        step = mg.capture(self.step) if is_captured else self.step
        return [step(self.x).item() for _ in range(calls)]

    def sample(self, calls: int = 20) -> list[Any]:
        with mg.no_grad():
            return [self.model.loss(self.x, self.noise)[0].item() for _ in range(calls)]


TRIALS = 12


@pytest.mark.parametrize("on", ["numpy", "strict"])
def test_two_captured_trainings_give_the_numbers_that_each_gives_alone(on):
    with mg.use(on):
        alone = [Training(seed).run() for seed in (1, 2)]
    for _ in range(TRIALS):

        def train(seed: int) -> list[float]:
            with mg.use(on):
                return Training(seed).run()

        assert together(lambda: train(1), lambda: train(2)) == alone


def test_one_thread_records_while_another_trains_eagerly_and_a_third_samples():
    alone = [Training(1).run(), Training(2).run(is_captured=False), Training(3).sample()]
    for _ in range(TRIALS):
        found = together(
            lambda: Training(1).run(),
            lambda: Training(2).run(is_captured=False),
            lambda: Training(3).sample(),
        )
        assert found == alone


def test_a_model_that_is_recorded_shows_another_thread_ordinary_arrays():
    training, seen = Training(1), []

    def step(x: mg.Tensor) -> mg.Tensor:
        loss = training.step(x)
        look = threading.Thread(target=look_at_it)
        look.start()
        look.join()
        return loss

    def look_at_it() -> None:
        parameters = list(training.model.parameters())
        seen.append({type(t.data) for p in parameters for t in (p, p.grad)})
        with mg.no_grad():
            seen.append(float((parameters[0] * 0 + 1).mean()))

    captured = mg.capture(step)
    losses = [captured(training.x).item() for _ in range(4)]
    assert seen == [{np.ndarray}, 1.0] * 2  # in the plain run and in the recorded one
    assert losses == Training(1).run(is_captured=False, calls=4)


def test_gradients_of_an_eager_thread_are_right_while_another_one_records():
    inside, leave = threading.Event(), threading.Event()
    found = []

    def step(x: mg.Tensor) -> mg.Tensor:
        inside.set()
        assert leave.wait(30)
        return x * 2

    def eager() -> None:
        assert inside.wait(30)
        w = mg.tensor(np.full(4, 2.0, dtype=np.float32), requires_grad=True)
        for _ in range(8):
            (w**3).sum().backward()
        found.append(w.grad.tolist())
        leave.set()

    captured, x = mg.capture(step), mg.ones(3)
    leave.set()
    captured(x)
    inside.clear()
    leave.clear()
    thread = threading.Thread(target=eager)
    thread.start()
    captured(x)
    thread.join()
    assert found == [[96.0] * 4]
    assert captured(mg.full((3,), 4.0)).tolist() == [8.0] * 3


def test_each_thread_records_one_captured_step_for_itself():
    captured = mg.capture(lambda x: (x * x).sum())

    def run(value: float) -> list[float]:
        x = mg.full((50,), value)
        return [captured(x).item() for _ in range(30)]

    for _ in range(TRIALS):
        assert together(*[lambda v=v: run(v) for v in (1.0, 2.0, 3.0)]) == [
            [50.0 * v * v] * 30 for v in (1.0, 2.0, 3.0)
        ]


def test_default_generators_of_threads_do_not_mix():
    captured = mg.capture(lambda: mg.randn(3))

    def draws(seed: int, step: Callable[[], mg.Tensor]) -> list[Any]:
        mg.manual_seed(seed)
        return [step().tolist() for _ in range(10)]

    alone = [together(lambda s=s: draws(s, lambda: mg.randn(3)))[0] for s in (5, 6)]
    for _ in range(TRIALS):
        found = together(lambda: draws(5, captured), lambda: draws(6, captured))
        assert found == alone


def test_writes_of_many_threads_are_all_known():
    def write_and_check(seed: int) -> bool:
        w = mg.full((3,), float(seed), requires_grad=True)
        for _ in range(40):
            y = (w * w).sum()
            w.requires_grad_(False)
            w[0] = 5.0
            w.requires_grad_()
            with pytest.raises(RuntimeError, match="overwritten in place"):
                y.backward()
            w.grad = None
            (w * w).sum().backward()
            assert w.grad.tolist() == [10.0, 2.0 * seed, 2.0 * seed]
            w.grad = None
        return True

    assert all(together(*[lambda s=s: write_and_check(s) for s in range(1, 5)]))


def test_a_result_stays_while_another_thread_calls_the_same_captured_step():
    captured = mg.capture(lambda x: x * 2)
    for value in (1.0, 2.0, 3.0):
        result = captured(mg.full((2,), value))
    together(lambda: [captured(mg.full((2,), 9.0)) for _ in range(4)])
    assert result.tolist() == [6.0, 6.0]


def test_a_thread_computes_while_another_one_captures_a_graph():
    seen = []

    def other() -> None:
        with mg.use("strict"):
            seen.append((mg.ones(2) + 1).tolist())

    def step(x: mg.Tensor) -> mg.Tensor:
        together(other)
        return x * 3

    with mg.use("strict"):
        captured = mg.capture(step)
        assert [captured(mg.full((1,), v)).item() for v in (1.0, 2.0, 3.0)] == [3.0, 6.0, 9.0]
    assert seen == [[2.0, 2.0]] * 2


@pytest.mark.parametrize("on", ["numpy", "strict"])
def test_what_another_thread_makes_while_a_step_is_recorded_is_refused_in_it(on):
    kept = []

    def step(x: mg.Tensor) -> mg.Tensor:
        def other() -> mg.Tensor:
            with mg.use(on):
                return mg.ones(2) * 2

        kept.extend(together(other))
        return x + kept[-1]

    with mg.use(on):
        captured, x = mg.capture(step), mg.ones(2)
        assert captured(x).tolist() == [3.0, 3.0]
        for _ in range(2):
            with pytest.raises(mg.CaptureError, match="another thread makes meanwhile") as error:
                captured(x)
            assert "\n" not in str(error.value)
            assert captured(x).tolist() == [3.0, 3.0]
        assert not at_work
