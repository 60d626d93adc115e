"""What the ops on sequences refuse. (Their values and gradients: ``test_every_op.py``.)"""

from __future__ import annotations

import pytest

import minigen as mg


@pytest.mark.parametrize(
    ("x", "weight", "bias", "dilation", "words"),
    [
        ((6, 2, 3), (4, 3, 3), (4,), 3, "needs at least 7 time steps, got 6"),
        ((0, 2, 3), (4, 3, 1), (4,), 1, "needs at least 1 time steps, got 0"),
        ((6, 2, 3), (4, 2, 3), (4,), 1, "must fit"),
        ((6, 3), (4, 3, 3), (4,), 1, "must fit"),
        ((6, 2, 3), (4, 3), (4,), 1, "must fit"),
        ((6, 2, 3), (4, 3, 3), (3,), 1, r"bias must have shape \(4,\) or \(2, 4\), got \(3,\)"),
        ((6, 2, 3), (4, 3, 3), (1, 4), 1, "bias must have shape"),
        ((6, 2, 3), (4, 3, 3), (4,), 0, "dilation must be a whole number >= 1, got 0"),
        ((6, 2, 3), (4, 3, 3), (4,), 1.0, "dilation must be a whole number >= 1, got 1.0"),
    ],
)
def test_a_convolution_names_what_does_not_fit(x, weight, bias, dilation, words):
    with pytest.raises(ValueError, match=words):
        mg.conv_time_first(mg.ones(*x), mg.ones(*weight), mg.ones(*bias), dilation)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_the_gate_wants_two_halves(shape):
    with pytest.raises(ValueError, match="needs an even last dimension"):
        mg.gated_tanh(mg.ones(*shape))
