"""What an affine coupling refuses. (Its values and gradients: ``test_every_op.py``.)"""

from __future__ import annotations

import pytest

import minigen as mg


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, 4, 3), (2, 0, 3)),  # nothing is moved
        ((2, 4, 3), (2, 3, 3)),  # no pairs of t and r
        ((2, 4, 3), (2, 8, 3)),  # nothing is kept
        ((2, 4, 3), (1, 4, 3)),  # another batch
        ((2, 4, 3), (2, 4, 1)),  # other places
        ((2, 4, 3), (2, 4)),
        ((4,), (4,)),
    ],
)
def test_what_was_said_fits_the_input(shape, said):
    with pytest.raises(ValueError, match="said must have twice as many channels as are moved"):
        mg.affine_coupling(mg.ones(*shape), mg.ones(*said))


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_the_limit_is_positive(limit):
    with pytest.raises(ValueError, match="limit must be > 0"):
        mg.affine_coupling(mg.ones(2, 4), mg.ones(2, 4), limit=limit)
