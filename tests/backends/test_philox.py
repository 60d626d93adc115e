"""Philox against its published vectors, exact integers and the moments of its distributions."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from minigen.backends.philox import PER_BLOCK, PhiloxStream, blocks, draw, philox4x32

# Salmon et al. 2011: the known answers shipped with Random123, counter, key -> words
PUBLISHED = [
    ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), PUBLISHED)
def test_the_published_known_answers_come_out(counter: str, key: str, answer: str) -> None:
    got = philox4x32(np.array([words(counter)], dtype=np.uint32), tuple(words(key)))
    assert got.dtype == np.uint32
    assert got[0].tolist() == words(answer)


def test_a_block_number_beyond_32_bits_reaches_the_second_counter_word() -> None:
    number = 2**32 - 1
    counters = np.array([[number, 0, 0, 0], [0, 1, 0, 0]], dtype=np.uint32)
    np.testing.assert_array_equal(blocks(number, 2, (7, 8)), philox4x32(counters, (7, 8)))


@pytest.mark.parametrize("kind", PER_BLOCK)
def test_numbers_depend_on_key_and_block_only(kind: str) -> None:
    """Drawing 10 blocks at once, or the last 3 alone, gives the same numbers."""
    per, bounds = PER_BLOCK[kind], {"low": -5, "high": 1000} if kind == "integers" else {}
    whole = draw(kind, 10 * per, 40, (1, 2), **bounds)
    np.testing.assert_array_equal(whole[7 * per :], draw(kind, 3 * per, 47, (1, 2), **bounds))
    assert not np.array_equal(whole, draw(kind, 10 * per, 40, (1, 3), **bounds))


def test_bounded_integers_are_the_exact_upper_half_of_the_product() -> None:
    for low, high in [(0, 1), (0, 10), (-7, 2**40), (-(2**63), 2**63 - 1), (-(2**63), 2**63)]:
        keys = draw("keys", 50, 3, (9, 9)).tolist()
        expected = [low + (key * (high - low) >> 64) for key in keys]
        assert draw("integers", 50, 3, (9, 9), low=low, high=high).tolist() == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_and_normal_numbers_have_the_moments_of_their_distributions(dtype: str) -> None:
    stream, n = PhiloxStream(0), 1 << 18
    u = stream.uniform((n,), dtype)
    z = stream.normal((n,), dtype).astype(np.float64)
    assert u.dtype == dtype
    assert u.min() >= 0
    assert u.max() < 1
    five = 5 / math.sqrt(n)  # five standard errors, for a deviation of 1
    u = u.astype(np.float64)
    assert abs(u.mean() - 1 / 2) < five * math.sqrt(1 / 12)
    assert abs(u.var() - 1 / 12) < five * math.sqrt(1 / 180)
    assert abs(z.mean()) < five
    assert abs((z**2).mean() - 1) < five * math.sqrt(2)
    assert abs((z**4).mean() - 3) < five * math.sqrt(96)
    assert abs((z[0::2] * z[1::2]).mean()) < five  # the two of one Box-Muller pair
    assert abs((z[:-1] * z[1:]).mean()) < five


def test_the_smallest_uniform_gives_a_finite_normal() -> None:
    from minigen.backends.philox import _box_muller

    zeros, ones = np.zeros((1, 4), np.uint32), np.full((1, 4), 0xFFFFFFFF, np.uint32)
    for dtype in (np.float32, np.float64):
        assert np.isfinite(_box_muller(zeros, dtype)).all()
        assert np.isfinite(_box_muller(ones, dtype)).all()
    # √(-2 ln 2⁻³³) = 6.76…: float32 normals have tails that far out
    assert _box_muller(zeros, np.float32)[0, 0] == pytest.approx(math.sqrt(66 * math.log(2)))


def test_a_permutation_holds_every_number_once_and_all_orders_are_equally_likely() -> None:
    stream = PhiloxStream(5)
    assert sorted(stream.permutation(1000).tolist()) == list(range(1000))
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(2400):
        order = tuple(stream.permutation(4).tolist())
        counts[order] = counts.get(order, 0) + 1
    chi_squared = sum((count - 100) ** 2 / 100 for count in counts.values())
    assert len(counts) == 24
    assert chi_squared < 58  # 23 degrees of freedom: passed with probability 0.9999


def test_a_stream_resumed_from_its_saved_state_goes_on_exactly() -> None:
    stream = PhiloxStream(11)
    stream.normal((3, 5), "float32")
    stream.permutation(7)
    saved = json.loads(json.dumps(stream.state()))
    expected = stream.normal((9,), "float64"), stream.integers(0, 99, (4,)), stream.permutation(6)
    resumed = PhiloxStream(0)
    resumed.load_state(saved)
    got = resumed.normal((9,), "float64"), resumed.integers(0, 99, (4,)), resumed.permutation(6)
    for a, b in zip(got, expected):
        np.testing.assert_array_equal(a, b)


def test_draws_of_one_stream_never_share_a_block() -> None:
    stream = PhiloxStream(2)
    drawn = np.concatenate([stream.uniform((size,), "float64") for size in (1, 2, 3, 4, 5)])
    assert len(set(drawn.tolist())) == 15
    assert stream.state()["next"] == 1 + 1 + 2 + 2 + 3


def test_shapes_without_elements_and_0d_draws_work() -> None:
    stream = PhiloxStream(2)
    assert stream.normal((0, 3), "float32").shape == (0, 3)
    assert stream.normal((), "float32").shape == ()
    assert stream.permutation(0).shape == (0,)


def test_a_state_of_another_algorithm_and_another_dtype_are_refused_in_one_line() -> None:
    stream = PhiloxStream(2)
    with pytest.raises(ValueError, match=r"^state must be of philox4x32-10, got PCG64$"):
        stream.load_state({"algorithm": "PCG64"})
    with pytest.raises(TypeError, match=r"^dtype must be float32 or float64, got float16$"):
        stream.normal((3,), "float16")
