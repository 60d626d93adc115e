"""The n-gram ladder, against probabilities worked out by hand and by a slow, literal formula."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from minigen.errors import UserError
from minigen.metrics.ngrams import ngram_ladder


def points(text: str) -> np.ndarray:
    return np.array([ord(character) for character in text])


def slow(train: str, held_out: str, order: int) -> float:
    """Witten and Bell's formula, letter by letter."""
    followers: dict[str, Counter] = defaultdict(Counter)
    for k in range(order):
        for i in range(k, len(train)):
            followers[train[i - k : i]][train[i]] += 1

    def p(character: str, context: str | None) -> float:
        if context is None:
            return 1 / len(set(train + held_out))
        seen = followers[context]
        shorter = p(character, context[1:] if context else None)
        if not seen:
            return shorter
        return (seen[character] + len(seen) * shorter) / (sum(seen.values()) + len(seen))

    contexts = [held_out[max(0, i - order + 1) : i] for i in range(len(held_out))]
    return -sum(math.log(p(c, h)) for c, h in zip(held_out, contexts)) / len(held_out)


def test_a_toy_text_equals_the_fractions_worked_out_by_hand():
    # train "abab": n(a) = n(b) = 2, d = 2, so p_1(a) = p_1(b) = (2 + 2·½) / 6 = ½.
    # After a only b came, twice: p_2(b | a) = (2 + 1·½) / 3 = 5/6. After b came a, once:
    # p_2(a | b) = (1 + 1·½) / 2 = ¾. Held out "aba": ½, then 5/6, then ¾.
    ladder = ngram_ladder(points("abab"), points("aba"), (1, 2))
    assert ladder[1] == pytest.approx(math.log(2), rel=1e-14)
    expected = -(math.log(1 / 2) + math.log(5 / 6) + math.log(3 / 4)) / 3
    assert ladder[2] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 6])
def test_every_order_equals_the_literal_formula(order):
    train = "the cat sat on the mat and the rat ate that hat at the gate"
    held_out = "that fat cat ate the rat on the mat, quite"
    got = ngram_ladder(points(train), points(held_out), [order])[order]
    assert got == pytest.approx(slow(train, held_out, order), rel=1e-12)


def test_coin_flips_cost_log_2_whatever_the_order_and_a_period_is_learned():
    flips = np.random.default_rng(0).integers(0, 2, 60_000)
    for nats in ngram_ladder(flips[:50_000], flips[50_000:], (1, 3, 5)).values():
        assert nats == pytest.approx(math.log(2), abs=2e-3)
    period = np.tile([0, 0, 1, 1], 2_000)
    ladder = ngram_ladder(period, period[:400], (1, 2, 3))
    assert ladder[1] == pytest.approx(math.log(2), rel=1e-3)
    assert ladder[2] == pytest.approx(math.log(2), rel=0.01)  # after one symbol: either
    assert ladder[3] < 0.02  # after two: certain


def test_a_text_shorter_than_the_order_uses_what_context_there_is():
    assert ngram_ladder(points("ab"), points("b"), [5])[5] == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("train", "held_out", "orders", "message"),
    [
        ("ab", "ab", (0, 3), "orders must be whole numbers >= 1"),
        ("ab", "ab", (), "orders must be whole numbers >= 1"),
        ("", "ab", (3,), "at least one symbol"),
        ("".join(map(chr, range(32, 700))), "ab", (7,), "order must be shorter"),
    ],
)
def test_what_cannot_be_counted_is_one_line(train, held_out, orders, message):
    with pytest.raises(UserError, match=message):
        ngram_ladder(points(train), points(held_out), orders)
