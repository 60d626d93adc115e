"""Layer, group and instance norm: over which values."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (nn.LayerNorm((3, 4)), (5, 3, 4), (1, 2)),
        (nn.InstanceNorm2d(3), (2, 3, 4, 5), (2, 3)),
        (nn.GroupNorm(1, 3), (2, 3, 4), (1, 2)),
        (nn.GroupNorm(3, 3), (2, 3, 4), (2,)),
    ],
)
def test_the_values_that_are_normalized_together(layer, shape, axes):
    x = np.random.default_rng(0).normal(4, 3, shape)
    y = layer.double()(mg.tensor(x)).numpy()
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axes), 1, atol=1e-3)


def test_training_and_evaluation_are_the_same():
    layer = nn.InstanceNorm2d(2, affine=True)
    x = mg.randn(2, 2, 3, 3, generator=mg.Generator(0))
    np.testing.assert_array_equal(layer.train()(x).numpy(), layer.eval()(x).numpy())
    one = layer(x[0])
    np.testing.assert_allclose(one.numpy(), layer(x).numpy()[0], atol=1e-6)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="GroupNorm: num_groups must divide 3 channels, got 2"):
        nn.GroupNorm(2, 3)
    with pytest.raises(ValueError, match="InstanceNorm2d: track_running_stats must be False"):
        nn.InstanceNorm2d(2, track_running_stats=True)
    with pytest.raises(
        ValueError, match=r"LayerNorm: input must end in \(4,\), got shape \(4, 3\)"
    ):
        nn.LayerNorm(4)(mg.ones(4, 3))
    with pytest.raises(ValueError, match="LayerNorm: normalized_shape must be an integer ≥ 1"):
        nn.LayerNorm((3, 0))
