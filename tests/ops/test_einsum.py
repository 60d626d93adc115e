"""What ``einsum`` holds in memory, and what it refuses. (Values: ``test_every_op.py``.)"""

from __future__ import annotations

import tracemalloc

import pytest

import minigen as mg


def test_a_letter_that_nobody_names_any_more_is_summed_at_once():
    x = mg.ones(128, 128)
    mg.einsum("ab,bc,cd->ad", x, x, x)
    tracemalloc.start()
    y = mg.einsum("ab,bc,cd->ad", x, x, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert y.tolist() == [[128.0**2] * 128] * 128
    assert peak < 8 * x.data.nbytes  # all letters kept would be 128 times as much


@pytest.mark.parametrize(
    ("equation", "shapes", "words"),
    [
        ("ab,bc->ac", [(2, 3)], "names 2 operands, got 1"),
        ("abc->a", [(2, 3)], "'abc' does not fit shape"),
        ("a1->a", [(2, 3)], "'a1' does not fit shape"),
        ("ab->ac", [(2, 3)], "must name known letters, each once"),
        ("ab->aab", [(2, 3)], "must name known letters, each once"),
        ("ab,bc->ac", [(2, 3), (4, 5)], "'b' is 3 and also 4"),
        ("aa->a", [(2, 3)], "'a' is 2 and also 3"),
    ],
)
def test_an_equation_that_does_not_fit_is_refused(equation, shapes, words):
    with pytest.raises(ValueError, match=words):
        mg.einsum(equation, *[mg.ones(*shape) for shape in shapes])
