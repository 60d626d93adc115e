"""Captured training steps against the same steps run eagerly: every bit, all state included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from captured_steps import WORKS, Work, vae

import minigen as mg
from minigen.backends import active
from minigen.backends.compiled import support

CALLS = 5

GRAPHS = ["strict", pytest.param("cupy", marks=pytest.mark.gpu)]
"""Backends that record a step as device graphs."""


def check(make: Any, calls: int = CALLS) -> None:
    """As many captured steps as eager ones give the same results and leave the same state."""
    eager: Work = make()
    wanted = eager.run(eager.step, calls)
    wanted_state = eager.state()
    work: Work = make()
    captured = mg.capture(work.step)
    found = work.run(captured, calls)
    assert captured.replays == calls - 2
    for one, other in zip(found, wanted):
        for a, b in zip(one, other):
            assert np.array_equal(a, b, equal_nan=True)
    state = work.state()
    assert state.keys() == wanted_state.keys()
    for name, value in wanted_state.items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(state[name], value, equal_nan=value.dtype.kind == "f"), name
        else:
            assert state[name] == value, name


@pytest.mark.parametrize("name", WORKS)
def test_five_captured_steps_equal_five_eager_ones_bit_for_bit(name):
    check(WORKS[name])


@pytest.mark.parametrize("on", GRAPHS)
@pytest.mark.parametrize("name", WORKS)
def test_they_do_as_graphs(name, on):
    with mg.use(on):
        check(WORKS[name])


@pytest.mark.parametrize("name", ["vae", "gpt", "dcgan", "realnvp"])
def test_they_do_with_compiled_kernels_for_the_smallest_arrays_too(name, monkeypatch):
    monkeypatch.setattr(support, "SMALL", 1)
    check(WORKS[name])


@pytest.mark.parametrize("name", ["vae", "gpt", "dcgan", "realnvp"])
def test_they_do_without_compiled_kernels(name, monkeypatch):
    with mg.use("numpy"):
        monkeypatch.setattr(active.backend, "kernels", {})
        check(WORKS[name])


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p, lr: mg.optim.SGD(p, lr, momentum=0.9, weight_decay=0.1),
        lambda p, lr: mg.optim.RMSprop(p, lr, momentum=0.5, centered=True, weight_decay=0.1),
        lambda p, lr: mg.optim.AdamW(p, lr, weight_decay=0.1),
        lambda p, lr: mg.optim.Adam(p, lr, amsgrad=True, maximize=True),
        lambda p, lr: mg.optim.NAdam(p, lr, weight_decay=0.1),
        lambda p, lr: mg.optim.RAdam(p, lr, decoupled_weight_decay=True, weight_decay=0.1),
        lambda p, lr: mg.optim.Muon([w for w in p if w.ndim == 2], lr),
        lambda p, lr: mg.optim.Adam(p, lr, weight_decay=0.1),
    ],
    ids=["SGD", "RMSprop", "AdamW", "amsgrad", "NAdam", "RAdam", "Muon", "Adam"],
)
@pytest.mark.parametrize("on", ["numpy", *GRAPHS])
def test_they_do_with_every_optimizer(optimizer, on):
    with mg.use(on):
        check(lambda: vae(optimizer))
