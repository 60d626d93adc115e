"""Batch norm: which statistics, when, and how they move."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn


def batch(seed: int = 0, n: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 2, size=(n, 2, 3, 3))


def test_training_uses_the_batch_and_moves_the_running_statistics_by_the_unbiased_variance():
    layer, x = nn.BatchNorm2d(2).double(), batch()
    y = layer(mg.tensor(x)).numpy()
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, atol=1e-4)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean((0, 2, 3)))
    unbiased = x.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * unbiased)
    assert layer.num_batches_tracked.item() == 1


def test_evaluation_uses_the_running_statistics_and_leaves_them():
    layer = nn.BatchNorm2d(2).double()
    layer(mg.tensor(batch()))
    layer.eval()
    before = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
    x = batch(1)
    y = layer(mg.tensor(x)).numpy()
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])
    mean, var = before["running_mean"], before["running_var"]
    expected = (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
    np.testing.assert_allclose(y, expected)
    one = layer(mg.tensor(x[:1])).numpy()
    np.testing.assert_allclose(one, expected[:1])


def test_without_momentum_the_statistics_are_the_plain_average_of_all_batches():
    layer = nn.BatchNorm2d(2, momentum=None).double()
    batches = [batch(seed) for seed in range(4)]
    for x in batches:
        layer(mg.tensor(x))
    means = np.mean([x.mean((0, 2, 3)) for x in batches], axis=0)
    np.testing.assert_allclose(layer.running_mean.numpy(), means)


def test_without_running_statistics_evaluation_uses_the_batch_too():
    layer = nn.BatchNorm1d(2, track_running_stats=False).double().eval()
    x = np.random.default_rng(0).normal(5, 3, size=(8, 2))
    np.testing.assert_allclose(layer(mg.tensor(x)).numpy().mean(0), 0, atol=1e-12)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_eps_comes_before_momentum():
    layer = nn.BatchNorm2d(2, 0.8)
    assert layer.eps == 0.8
    assert layer.momentum == 0.1


@pytest.mark.parametrize("shape", [(1, 2), (0, 2)])
def test_one_value_for_each_channel_has_no_variance(shape):
    with pytest.raises(ValueError, match="batch_norm in training needs more than one value"):
        nn.BatchNorm1d(2)(mg.ones(*shape))
