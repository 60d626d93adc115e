"""Dense layers: what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="Linear: in_features must be an integer ≥ 1, got 0"):
        nn.Linear(0, 1)
    with pytest.raises(TypeError, match="Linear: out_features must be an integer ≥ 1, got '3'"):
        nn.Linear(1, "3")
    with pytest.raises(ValueError, match=r"Linear: input must have 2 features .* got shape \(3,\)"):
        nn.Linear(2, 1)(mg.ones(3))
    with pytest.raises(TypeError, match="Linear: input must be a Tensor, got ndarray"):
        nn.Linear(2, 1)(np.ones((3, 2)))
    with pytest.raises(ValueError, match="shape"):
        nn.Unflatten(1, (2, 2))(mg.ones(1, 5))


def test_reset_draws_new_values():
    layer = nn.Linear(3, 3, generator=mg.Generator(0))
    before = layer.weight.numpy().copy()
    layer.reset_parameters(mg.Generator(1))
    assert not np.array_equal(before, layer.weight.numpy())
    layer.reset_parameters(mg.Generator(0))
    np.testing.assert_array_equal(before, layer.weight.numpy())
