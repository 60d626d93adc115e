"""Methods with an underscore write into the tensor itself, where writing is allowed."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen.ops.in_place import __all__ as NAMES

pytestmark = pytest.mark.usefixtures("backend")

START = [[-2.0, 0.5, 3.0], [1.0, 4.0, -0.5]]
CALLS = {
    "add_": (lambda x: x.add_(mg.tensor([1.0, 2.0, 3.0]), alpha=2), lambda x: np.add(x, [2, 4, 6])),
    "sub_": (lambda x: x.sub_(1, alpha=0.5), lambda x: x - 0.5),
    "mul_": (lambda x: x.mul_(mg.tensor([[2.0], [3.0]])), lambda x: x * [[2], [3]]),
    "div_": (lambda x: x.div_(2, rounding_mode="floor"), lambda x: np.floor(x / 2)),
    "pow_": (lambda x: x.pow_(2), lambda x: x**2),
    "clamp_": (lambda x: x.clamp_(-1, max=2), lambda x: np.clip(x, -1, 2)),
    "lerp_": (lambda x: x.lerp_(mg.ones(2, 3), 0.25), lambda x: x + 0.25 * (1 - x)),
    "masked_fill_": (lambda x: x.masked_fill_(x > 0, 7), lambda x: np.where(x > 0, 7, x)),
    "fill_": (lambda x: x.fill_(mg.tensor(2.5)), lambda x: np.full_like(x, 2.5)),
    "zero_": (lambda x: x.zero_(), np.zeros_like),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_result_is_written_into_the_same_memory(name):
    call, expected = CALLS[name]
    x = mg.tensor(START)
    row, memory = x[0], x.data
    assert call(x) is x
    assert x.data is memory
    np.testing.assert_allclose(x.numpy(), expected(np.array(START, np.float32)), rtol=1e-6)
    np.testing.assert_array_equal(row.numpy(), x.numpy()[0])  # a view sees it


@pytest.mark.parametrize("name", NAMES)
def test_what_the_tape_needs_is_not_overwritten(name):
    call, expected = CALLS[name]
    x = mg.tensor(START, requires_grad=True)
    for y in (x, x * 2):
        with pytest.raises(RuntimeError, match="cannot write into"):
            call(y)
    with mg.no_grad():
        call(x)
    np.testing.assert_allclose(x.numpy(), expected(np.array(START, np.float32)), rtol=1e-6)
    x = mg.tensor(START)
    loss = (x * mg.tensor(START, requires_grad=True)).sum()
    call(x)
    with pytest.raises(RuntimeError, match="was overwritten"):
        loss.backward()


def test_a_gradient_is_not_lost_by_writing():
    w = mg.ones(2, 3, requires_grad=True)
    for wrong in (
        lambda x: x.add_(w),
        lambda x: x.mul_(w * 2),
        lambda x: x.fill_(w.sum()),
        lambda x: x.clamp_(max=w),
        lambda x: x.lerp_(mg.ones(2, 3), w.sum()),
    ):
        x = mg.tensor(START)
        with pytest.raises(RuntimeError, match="requires grad"):
            wrong(x)
        np.testing.assert_array_equal(x.numpy(), np.array(START, np.float32))


def test_shape_and_dtype_stay():
    x = mg.tensor([1, 2, 3])
    with pytest.raises(TypeError, match="cannot keep float32 values in a tensor of int64"):
        x.mul_(0.5)
    with pytest.raises(ValueError, match="cannot change the shape"):
        x.add_(mg.ones(2, 3, dtype="int64"))
    with pytest.raises(ValueError, match="value must be a number or 0-d"):
        x.fill_(mg.tensor([1, 2, 3]))
    assert x.add_(2).tolist() == [3, 4, 5]


def test_zeroing_a_gradient_between_steps():
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    assert w.grad.tolist() == [2.0, 4.0]
    w.grad.zero_()
    (3 * w).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]
