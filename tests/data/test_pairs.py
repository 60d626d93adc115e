"""Two data sets at once: names, orders of their own, and a stream that goes on where it stood."""

import numpy as np
import pytest

from minigen.data.pairs import Pair, PairBatches, load_pair, pair_name
from minigen.errors import UserError


def test_a_pair_loads_both_and_is_called_by_both_names() -> None:
    pair = load_pair(pair_name("digits", "moons"), "val")
    assert isinstance(pair, Pair)
    assert (pair.a.name, pair.b.name, pair.name) == ("digits", "moons", "digits::moons")
    assert pair.a.split == pair.b.split == "val"


@pytest.mark.parametrize("name", ["digits", "digits::", "::digits", "a::b::c", ""])
def test_anything_but_two_names_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="data must be two data sets, A::B, got "):
        load_pair(name, "train")


def test_a_half_must_not_hold_the_separator() -> None:
    with pytest.raises(UserError, match="without '::', got 'x::y'"):
        pair_name("digits", "x::y")


def test_a_stream_of_both_goes_on_where_it_stood() -> None:
    pair = load_pair("digits::moons", "val")
    batches = PairBatches(pair, 60, seed=5)
    for _ in range(7):  # through the end of an epoch of digits
        next(batches)
    other = PairBatches(pair, 60, seed=5)
    other.load_state(batches.state())
    for _ in range(5):
        expected, got = next(batches), next(other)
        np.testing.assert_array_equal(expected.a.x, got.a.x)
        np.testing.assert_array_equal(expected.b.x, got.b.x)
        assert len(got.a.x) == len(got.b.x) == 60
    with pytest.raises(UserError, match="with the keys a and b"):
        other.load_state({"a": batches.state()})
