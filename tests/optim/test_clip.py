"""Gradient clipping."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigen as mg
from minigen import nn

try:
    import torch
except ImportError:  # PyTorch is an optional oracle
    torch = None

GRADIENTS = [np.array([[3.0, -4.0]], dtype="f4"), None, np.array(12.0, dtype="f4")]


def parameters() -> list[nn.Parameter]:
    found = []
    for gradient in GRADIENTS:
        p = nn.Parameter(mg.zeros(*np.shape(gradient)) if gradient is not None else mg.zeros(3))
        p.grad = None if gradient is None else mg.tensor(gradient)
        found.append(p)
    return found


def norm_of(ps: list[nn.Parameter]) -> float:
    return math.sqrt(sum(float((p.grad.numpy() ** 2).sum()) for p in ps if p.grad is not None))


def test_the_common_norm_is_returned_and_brought_down():
    ps = parameters()
    assert mg.optim.clip_grad_norm_(ps, 2.6).item() == pytest.approx(13)
    assert norm_of(ps) == pytest.approx(2.6, rel=1e-5)
    np.testing.assert_allclose(ps[0].grad.numpy(), [[0.6, -0.8]], rtol=1e-5)  # one factor for all
    assert ps[1].grad is None


def test_grad_norm_only_looks():
    ps = parameters()
    assert mg.optim.grad_norm(iter(ps)).item() == pytest.approx(13)
    assert mg.optim.grad_norm(ps, math.inf).item() == pytest.approx(12)
    np.testing.assert_array_equal(ps[0].grad.numpy(), GRADIENTS[0])
    assert mg.optim.grad_norm([ps[1]]).item() == 0


def test_small_gradients_stay_as_they_are():
    ps = parameters()
    mg.optim.clip_grad_norm_(ps, 100.0)
    np.testing.assert_array_equal(ps[0].grad.numpy(), GRADIENTS[0])


NORMS = pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, math.inf])
LIMITS = pytest.mark.parametrize("max_norm", [0.5, 1000.0])


@NORMS
@LIMITS
def test_norm_and_gradients_are_those_of_the_formula(norm_type, max_norm):
    ps = parameters()
    every = np.concatenate([g.ravel() for g in GRADIENTS if g is not None]).astype(float)
    norm = np.linalg.norm(every, norm_type)
    assert mg.optim.clip_grad_norm_(ps, max_norm, norm_type).item() == pytest.approx(norm)
    for p, gradient in zip(ps, GRADIENTS, strict=True):
        if gradient is not None:
            expected = gradient * min(1.0, max_norm / norm)
            np.testing.assert_allclose(p.grad.numpy(), expected, rtol=1e-5)


@pytest.mark.torch
@NORMS
@LIMITS
def test_norm_and_gradients_are_pytorchs(norm_type, max_norm):
    ps, twins = parameters(), []
    for p, gradient in zip(ps, GRADIENTS, strict=True):
        twin = torch.zeros(p.shape)
        twin.grad = None if gradient is None else torch.tensor(gradient)
        twins.append(twin)
    mine = mg.optim.clip_grad_norm_(ps, max_norm, norm_type)
    theirs = torch.nn.utils.clip_grad_norm_(twins, max_norm, norm_type)
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-6)
    for p, twin in zip(ps, twins, strict=True):
        if twin.grad is not None:
            np.testing.assert_allclose(p.grad.numpy(), twin.grad.numpy(), rtol=1e-5)


def from_bytes(x: np.ndarray) -> np.ndarray:
    """A view of bytes, as of a file that was read."""
    return np.frombuffer(bytearray(b"abcdefgh" + x.tobytes()), np.uint8)[8:].view(x.dtype)


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: from_bytes(x).reshape(x.shape),
        np.asfortranarray,
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.stack([x, x], -1)[..., 0],
        lambda x: np.lib.stride_tricks.as_strided(np.repeat(x, 2), (x.size,), (8,)).reshape(
            x.shape
        ),
    ],
    ids=["bytes", "Fortran", "backwards", "gaps", "gaps in one dimension"],
)
def test_gradients_are_clipped_wherever_they_lie_in_memory(layout):
    gradient = np.array([[3.0, -4.0], [0.0, 12.0]], dtype="f4")
    p = nn.Parameter(mg.zeros(2, 2))
    p.grad = mg.from_numpy(layout(gradient))
    assert mg.optim.clip_grad_norm_([p], 1.3).item() == pytest.approx(13)
    np.testing.assert_allclose(p.grad.numpy(), gradient / 10, rtol=1e-5)
    mg.optim.clip_grad_value_([p], 0.5)
    np.testing.assert_allclose(p.grad.numpy(), np.clip(gradient / 10, -0.5, 0.5), rtol=1e-5)


def test_clipping_reaches_the_optimizers_buffer():
    p = nn.Parameter(mg.zeros(2))
    optimizer = mg.optim.SGD([p], lr=1.0)
    (p * mg.tensor([30.0, 40.0])).sum().backward()
    mg.optim.clip_grad_norm_([p], 5.0)
    optimizer.step()
    np.testing.assert_allclose(p.numpy(), [-3, -4], rtol=1e-5)


def test_values_are_limited_one_by_one():
    ps = parameters()
    mg.optim.clip_grad_value_(ps, 3.5)
    assert ps[0].grad.tolist() == [[3.0, -3.5]]
    assert ps[2].grad.item() == 3.5


def test_without_gradients_the_norm_is_0():
    assert mg.optim.clip_grad_norm_([nn.Parameter(mg.zeros(2))], 1.0).item() == 0


def test_a_norm_that_is_not_finite_can_be_an_error_before_anything_changes():
    ps = parameters()
    ps[2].grad = mg.tensor(float("inf"))
    with pytest.raises(FloatingPointError, match=r"the gradients' norm of order 2.0 is inf"):
        mg.optim.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(ps[0].grad.numpy(), GRADIENTS[0])


@pytest.mark.parametrize("norm_type", [2.0, math.inf, 1.0])
def test_nothing_is_brought_to_the_host(norm_type):
    from minigen.backends import strict

    with mg.use("strict"):
        p = nn.Parameter(mg.zeros(2))
        p.grad = mg.tensor([3.0, 4.0])
        with strict.count_transfers() as count:
            mg.optim.clip_grad_norm_(p, 1.0, norm_type)
            mg.optim.clip_grad_value_(p, 0.1)
        assert count.total == 0


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (lambda ps: mg.optim.clip_grad_norm_(ps, -1), "max_norm must be a number ≥ 0, got -1"),
        (lambda ps: mg.optim.clip_grad_norm_(ps, math.nan), "max_norm must be .* got nan"),
        (lambda ps: mg.optim.clip_grad_norm_(ps, True), "max_norm must be .* got True"),
        (lambda ps: mg.optim.clip_grad_norm_(ps, "1"), "max_norm must be .* got '1'"),
        (lambda ps: mg.optim.clip_grad_value_(ps, -1), "clip_value must be a number ≥ 0, got -1"),
        (lambda ps: mg.optim.clip_grad_norm_(ps, 1.0, 0), "norm_type must be a number > 0, got 0"),
        (lambda ps: mg.optim.grad_norm(ps, -1), "norm_type must be a number > 0, got -1"),
        (lambda ps: mg.optim.grad_norm([1.0]), r"parameters\[0\] must be a tensor, got float"),
    ],
)
def test_bounds_that_are_none_are_named_and_change_nothing(clip, message):
    ps = parameters()
    before = [None if p.grad is None else p.grad.numpy().copy() for p in ps]
    with pytest.raises((TypeError, ValueError), match=message):
        clip(ps)
    for p, old in zip(ps, before, strict=True):
        assert (p.grad is None) == (old is None)
        if old is not None:
            np.testing.assert_array_equal(p.grad.numpy(), old)


@pytest.mark.parametrize("one", [np.float32(1), np.int64(1), np.array(1.0), mg.tensor(1.0)])
def test_bounds_are_numbers_of_any_library(one):
    p = nn.Parameter(mg.zeros(2))
    p.grad = mg.tensor([3.0, 4.0])
    mg.optim.clip_grad_norm_(p, one, np.float64(2))
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-5)
    p.grad = mg.tensor([3.0, -4.0])
    mg.optim.clip_grad_value_(p, one)
    assert p.grad.tolist() == [1, -1]


def test_an_infinite_bound_only_measures():
    p = nn.Parameter(mg.zeros(2))
    for values, norm in (([3.0, 4.0], 5.0), ([3.0, math.inf], math.inf)):
        p.grad = mg.tensor(values)
        assert mg.optim.clip_grad_norm_(p, math.inf).item() == norm
        assert p.grad.tolist() == values
        mg.optim.clip_grad_value_(p, math.inf)
        assert p.grad.tolist() == values


def test_a_bound_of_zero_leaves_nothing():
    p = nn.Parameter(mg.zeros(2))
    p.grad = mg.tensor([3.0, -4.0])
    assert mg.optim.clip_grad_norm_(p, 0).item() == 5
    assert p.grad.tolist() == [0, 0]


def test_gradients_side_by_side_in_an_optimizers_buffer_are_clipped_as_apart():
    """A gap (7 elements are no multiple of 16) and one without a gradient part the buffer."""
    rng = np.random.default_rng(0)
    shapes = [(4, 8), (16,), (7,), (16, 2), (16,), (32,)]
    ps = [nn.Parameter(mg.zeros(*shape)) for shape in shapes]
    optimizer = mg.optim.SGD(ps, lr=0.1)
    values = [rng.normal(size=shape).astype("f4") for shape in shapes]
    loss = sum((p * mg.tensor(v)).sum() for i, (p, v) in enumerate(zip(ps, values)) if i != 4)
    loss.backward()
    buffer = ps[0].grad.data.base
    assert all(p.grad is None or p.grad.data.base is buffer for p in ps)
    del values[4]
    norm = math.sqrt(sum(float((v**2).sum()) for v in values))
    assert mg.optim.clip_grad_norm_(ps, 1.0).item() == pytest.approx(norm, rel=1e-6)
    for p, v in zip([p for p in ps if p.grad is not None], values):
        np.testing.assert_allclose(p.grad.numpy(), v / norm, rtol=1e-5)
    optimizer.step()


@pytest.mark.parametrize("size", [1023, 1024, 2051])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_norm_of_many_numbers_counts_each_of_them_once(backend, dtype, size):
    """A whole number of the 1024 that are added at a time, and some more or less."""
    values = np.random.default_rng(0).normal(size=size).astype(dtype)
    p = nn.Parameter(mg.zeros(size, dtype=dtype))
    p.grad = mg.tensor(values)
    exact = math.sqrt(math.fsum(values.astype("f8") ** 2))
    rounding = float(np.finfo(dtype).eps)
    assert mg.optim.grad_norm(p).item() == pytest.approx(exact, rel=4 * rounding)


def test_a_gradient_with_gaps_in_memory_is_clipped_in_place():
    p = nn.Parameter(mg.zeros(3))
    p.grad = mg.Tensor(np.array([3.0, 9, 4, 9, 12, 9], "f4")[::2])
    assert mg.optim.clip_grad_norm_(p, 6.5).item() == pytest.approx(13)
    np.testing.assert_allclose(p.grad.numpy(), [1.5, 2, 6], rtol=1e-5)
