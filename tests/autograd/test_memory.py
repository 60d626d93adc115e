"""Memory: freed at once without the garbage collector, flat over thousands of steps."""

from __future__ import annotations

import gc
import sys
import weakref

import numpy as np
import pytest

import minigen as mg


def step(w, x):
    """One training step with a second-order term, written in place."""
    y = mg.tanh(x @ w)
    loss = (y * y).mean() + mg.cross_entropy(y, mg.tensor([0, 1, 0, 1]))
    (g,) = mg.grad(loss, w, create_graph=True)
    (loss + 0.1 * (g * g).sum()).backward()
    with mg.no_grad():
        w.copy_(w - 0.01 * w.grad)
    w.grad = None


def test_memory_is_flat_over_thousands_of_steps(backend):
    w = mg.tensor(np.ones((3, 2), np.float32), requires_grad=True)
    x = mg.tensor(np.ones((4, 3), np.float32))
    gc.disable()
    try:
        for _ in range(100):
            step(w, x)
        blocks, memory = sys.getallocatedblocks(), backend.memory().used
        for _ in range(2000 if backend.name == "numpy" else 500):
            step(w, x)
        blocks, memory = sys.getallocatedblocks() - blocks, backend.memory().used - memory
    finally:
        gc.enable()
    assert blocks < 200, f"{blocks} objects more after all steps"
    assert memory < 4e6, f"{memory} bytes more after all steps"


def test_the_record_of_writes_stays_small_and_keeps_the_latest():
    from minigen.autograd import writes

    everywhere = mg.zeros(20_000)
    w, last = mg.tensor([1.0], requires_grad=True), mg.zeros(1)
    y = w * last
    for n in range(10_000):
        everywhere[2 * n : 2 * n + 1][...] = 1.0
    last[...] = 2.0
    assert len(writes._written) <= 4096
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.backward()


def test_the_saved_arrays_are_freed_while_backward_walks():
    x = mg.tensor(np.ones(10), requires_grad=True)
    y = mg.exp(x)
    z = mg.exp(y).sum()
    saved = weakref.ref(z.node.inputs[0])
    assert saved().saved is not None
    z.backward()
    assert saved().saved is None


def test_a_sum_does_not_keep_its_input():
    x = mg.tensor(np.ones(10), requires_grad=True)
    y = x * 2
    array = weakref.ref(y.data)
    z = y.sum()
    del y
    assert array() is None
    z.backward()
    assert x.grad.tolist() == [2] * 10
