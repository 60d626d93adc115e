"""What is stored in float16 is computed in float32: results and gradients are the float32 ones,
rounded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from summing import WAYS, running

import minigen as mg
from minigen import nn
from minigen.ops.coupling import affine_coupling
from minigen.ops.dense import dense
from minigen.ops.einsum import einsum
from minigen.ops.time_first import conv_time_first

every_way = pytest.mark.parametrize("way", WAYS)


def halves(*shape: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape) * scale, np.float16)


def near_300(*shape: int) -> np.ndarray:
    """±300 in turns and a little more: the square of one is no half."""
    sign = np.where(np.arange(np.prod(shape)).reshape(shape) % 2, 300, -300)
    return (sign + halves(*shape)).astype(np.float16)


WIDE = near_300(4, 6, 10)
SQUARE = near_300(12, 12)
LABELS = np.arange(12) % 5

Op = Callable[..., Any]

OPS: dict[str, tuple[Op, list[np.ndarray]]] = {
    "sum": (lambda x: x.sum(0), [halves(3000, 3)]),
    "mean": (lambda x: x.mean(0), [near_300(70_000, 2) + np.float16(300)]),
    "var": (lambda x: x.var(1, unbiased=False) * 2**-4, [halves(3, 500, scale=100)]),
    "std": (lambda x: x.std(1), [SQUARE]),
    "norm": (lambda x: mg.norm(x, dim=1), [SQUARE]),
    "norm of order 3": (lambda x: mg.norm(x, 3, dim=1), [SQUARE]),
    "cumsum": (lambda x: x.cumsum(0), [halves(3000, 2)]),
    "logsumexp": (lambda x: mg.logsumexp(x, 0), [halves(70_000, 2)]),
    "softmax": (lambda x: mg.softmax(x, 0) * 2.0**10, [halves(70_000, 1, scale=2)]),
    "log_softmax": (lambda x: mg.log_softmax(x, 0), [halves(70_000, 1)]),
    "layer_norm": (lambda x, w, b: mg.layer_norm(x, 10, w, b), [WIDE, halves(10), halves(10)]),
    "group_norm": (lambda x, w, b: mg.group_norm(x, 2, w, b), [WIDE, halves(6), halves(6)]),
    "instance_norm": (
        lambda x, w, b: mg.instance_norm(x, weight=w, bias=b), [WIDE, halves(6), halves(6)]
    ),
    "batch_norm": (
        lambda x, w, b: mg.batch_norm(x, None, None, w, b, training=True),
        [WIDE, halves(6), halves(6)],
    ),
    "mse_loss": (mg.mse_loss, [SQUARE / 2, np.zeros_like(SQUARE)]),
    "l1_loss": (mg.l1_loss, [near_300(300, 300), np.zeros((300, 300), np.float16)]),
    "smooth_l1_loss": (mg.smooth_l1_loss, [near_300(300, 300), np.zeros((300, 300), np.float16)]),
    "huber_loss": (mg.huber_loss, [near_300(300, 300), np.zeros((300, 300), np.float16)]),
    "kl_div": (mg.kl_div, [halves(300, 300), np.abs(halves(300, 300, seed=2))]),
    "gaussian_nll_loss": (
        mg.gaussian_nll_loss, [SQUARE / 8, np.zeros((12, 12)), 100 + np.abs(halves(12, 12))]
    ),
    "cross_entropy": (
        lambda x: mg.cross_entropy(x, mg.from_numpy(LABELS)), [halves(12, 5, scale=4)]
    ),
    "nll_loss": (lambda x: mg.nll_loss(x, mg.from_numpy(LABELS)), [halves(12, 5)]),
    "binary_cross_entropy_with_logits": (
        mg.binary_cross_entropy_with_logits, [halves(300, 300), np.ones((300, 300), np.float16)]
    ),
    "binary_cross_entropy": (
        mg.binary_cross_entropy, [0.5 + np.tanh(halves(9, 9)) / 4, np.ones((9, 9), np.float16)]
    ),
    "matmul": (mg.matmul, [halves(3, 4000), halves(4000, 2)]),
    "einsum": (lambda x, y: einsum("ij,jk->ki", x, y), [halves(3, 4000), halves(4000, 2)]),
    "linear": (mg.linear, [halves(3000, 20), halves(4, 20), halves(4)]),
    "dense": (lambda *xs: dense(*xs, "tanh"), [halves(3000, 20), halves(4, 20), halves(4)]),
    "conv1d": (mg.conv1d, [halves(3, 40, 50), halves(4, 40, 5), halves(4)]),
    "conv2d": (mg.conv2d, [halves(3, 40, 9, 9), halves(4, 40, 3, 3), halves(4)]),
    "rectified conv2d": (
        lambda *xs: mg.conv2d(*xs, rectify=0.2), [halves(3, 9, 9, 9), halves(4, 9, 3, 3), halves(4)]
    ),
    "conv_transpose2d": (
        mg.conv_transpose2d, [halves(3, 40, 9, 9), halves(40, 4, 3, 3), halves(4)]
    ),
    "conv_time_first": (conv_time_first, [halves(50, 3, 40), halves(4, 40, 3), halves(4)]),
    "attention": (
        mg.scaled_dot_product_attention,
        [halves(2, 5, 8, scale=9), halves(2, 3000, 8, scale=9), halves(2, 3000, 8)],
    ),
    "avg_pool2d": (lambda x: mg.avg_pool2d(x, 12), [near_300(1, 1, 12, 12)]),
    "interpolate": (
        lambda x: mg.interpolate(x, (30, 5), mode="bilinear"), [near_300(1, 1, 12, 12)]
    ),
    "adaptive_avg_pool2d": (lambda x: mg.adaptive_avg_pool2d(x, 5), [near_300(1, 1, 12, 12)]),
    "affine_coupling": (
        lambda x, said: affine_coupling(x, said)[1], [halves(2, 4, 40, 40), halves(2, 4, 40, 40)]
    ),
    "what broadcasting repeated": (mg.add, [halves(3000, 2), halves(2)]),
}  # fmt: skip


def value_and_gradients(op: Op, arrays: list[np.ndarray], dtype: str) -> list[np.ndarray]:
    xs = [mg.from_numpy(np.asarray(x, dtype)).requires_grad_() for x in arrays]
    out = op(*xs)
    out.backward(mg.from_numpy(halves(*out.shape, seed=1).astype(dtype)))
    return [t.numpy() for t in (out, *[x.grad for x in xs if x.grad is not None])]


@every_way
@pytest.mark.parametrize("name", sorted(OPS))
def test_halves_are_computed_in_float32_and_rounded_once(way: str, name: str):
    op, arrays = OPS[name]
    arrays = [x.astype(np.float16) for x in arrays]
    with running(way):
        found = value_and_gradients(op, arrays, "float16")
        truth = value_and_gradients(op, arrays, "float64")
    assert len(found) == len(truth)
    for one, other in zip(found, truth):
        assert one.dtype == np.float16
        assert np.isfinite(one).all()
        # half a unit in the last place, and another where the op has two steps
        scale = max(float(np.abs(other).max()), 2**-14)
        assert np.abs(one - other).max() <= 2 * 2**-11 * scale


@every_way
def test_the_softmax_of_many_equal_halves_adds_up_to_1(way: str):
    with running(way):
        out = mg.softmax(mg.zeros(70_000, dtype="float16"), 0)
    np.testing.assert_allclose(out.numpy(), 1 / 70_000, rtol=2**-8)  # below 2⁻¹⁴ halves are coarse


@every_way
def test_the_running_statistics_of_halves_stay_whole(way: str):
    with running(way):
        middle, variance = mg.zeros(6), mg.ones(6)
        x = mg.from_numpy(WIDE)
        out = mg.batch_norm(x, middle, variance, training=True, momentum=1.0)
        same = mg.batch_norm(x, middle, variance, training=False)
    wide = WIDE.astype(np.float64)
    np.testing.assert_allclose(variance.numpy(), wide.var((0, 2), ddof=1), rtol=1e-5)
    assert (out.dtype, same.dtype) == (np.float16, np.float16)
    np.testing.assert_allclose(same.numpy(), out.numpy(), rtol=0.02)


@every_way
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_recurrent_layer_of_halves_follows_that_of_float32(way: str, kind: Any):
    x = halves(20, 2, 3)
    with running(way):
        mg.manual_seed(0)
        layer = kind(3, 4)
        wide = layer(mg.from_numpy(x.astype(np.float32)))[0]
        for p in layer.parameters():
            p.data = p.data.astype(np.float16)
        narrow = layer(mg.from_numpy(x))[0]
    assert narrow.dtype == np.float16
    np.testing.assert_allclose(narrow.numpy(), wide.numpy(), atol=3e-3)


@every_way
def test_halves_beside_float32_give_float32(way: str):
    with running(way):
        out = mg.layer_norm(mg.from_numpy(WIDE), 10, mg.ones(10), mg.zeros(10))
    assert out.dtype == np.float32
    assert abs(abs(out.numpy()).mean() - 1) < 1e-2
