"""Dropout: how many, how scaled, when."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_a_share_of_p_is_dropped_and_the_expectation_stays(p):
    y = nn.Dropout(p, generator=mg.Generator(0))(mg.ones(200, 200)).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - p))}
    assert (y == 0).mean() == pytest.approx(p, abs=0.01)
    assert float(y.mean()) == pytest.approx(1, abs=0.03)


def test_whole_channels_are_dropped():
    y = nn.Dropout2d(0.5, generator=mg.Generator(0))(mg.ones(50, 40, 2, 3)).numpy()
    flat = y.reshape(50 * 40, 6)
    assert (flat == flat[:, :1]).all()
    assert (flat[:, 0] == 0).mean() == pytest.approx(0.5, abs=0.04)


def test_evaluation_and_p_of_zero_give_the_input_itself():
    x = mg.ones(2, 3, 1, 1)
    for kind in (nn.Dropout, nn.Dropout2d):
        assert kind(0.5).eval()(x) is x
        assert kind(0.0)(x) is x
        assert not kind(1.0)(x).numpy().any()


def test_the_gradient_passes_where_the_value_did():
    x = mg.ones(30, requires_grad=True)
    y = nn.Dropout(0.5, generator=mg.Generator(0))(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_an_own_generator_repeats():
    first, second = (nn.Dropout(0.5, generator=mg.Generator(3))(mg.ones(50)) for _ in range(2))
    np.testing.assert_array_equal(first.numpy(), second.numpy())


@pytest.mark.parametrize("p", [-0.1, 1.5, "half", True])
def test_p_must_be_a_probability(p):
    with pytest.raises((ValueError, TypeError), match=r"Dropout: p must be a number in \[0, 1\]"):
        nn.Dropout(p)
