"""Coupling layers with a mask: what the mask hides is hidden, whatever it is."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn

pytestmark = pytest.mark.usefixtures("backend")

MASK = np.array([1.0, 0.0, 1.0, 0.0])


class Sum(nn.Module):
    """Says the sum of what it sees, for every channel that it is asked about."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        return mg.expand(x.sum(1, keepdim=True), x.shape[0], self.channels)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("wild", [np.inf, np.nan])
def test_the_conditioner_does_not_see_what_the_mask_hides(swap, wild):
    layer = nn.AffineCoupling(Sum(8), mask=MASK, swap=swap)
    hidden = 0 if swap else 1
    x = np.array([[1.0, 2.0, 3.0, 4.0]], "float32")
    tame, log_det = layer(mg.tensor(x))
    x[0, hidden] = wild
    z, same = layer(mg.tensor(x))
    others = [k for k in range(4) if k != hidden]
    np.testing.assert_array_equal(z.numpy()[0, others], tame.numpy()[0, others])
    np.testing.assert_array_equal(same.numpy(), log_det.numpy())


def test_an_unbounded_scale_of_the_part_that_passes_is_not_used():
    class Wild(nn.Module):
        def forward(self, x):
            shift = mg.zeros(*x.shape)
            raw = mg.where(mg.tensor(MASK == 1), np.inf, mg.zeros(*x.shape))
            return mg.cat([shift, raw], 1)

    layer = nn.AffineCoupling(Wild(), mask=MASK, scale="exp")
    x = mg.tensor([[1.0, 2.0, 3.0, 4.0]]).requires_grad_()
    z, log_det = layer(x)
    np.testing.assert_array_equal(z.numpy(), x.numpy())
    np.testing.assert_array_equal(log_det.numpy(), [0])
    (g,) = mg.grad(z.sum(), [x])
    np.testing.assert_array_equal(g.numpy(), np.ones((1, 4)))
    back, _ = layer.inverse(z)
    np.testing.assert_array_equal(back.numpy(), x.numpy())
