"""The tables over one and two samples, against counting by hand."""

import numpy as np
import pytest

from minigen.errors import UserError
from minigen.metrics import markov
from minigen.metrics.markov import markov_nats


def by_hand(train, held_out, v, silence, alpha, beta):
    """The formulas of the docstring, with dictionaries."""
    n1, n2, total = {}, {}, np.zeros(v)
    for clip in train:
        full = [silence, silence, *clip]
        for b, a, c in zip(full, full[1:], full[2:]):
            n1.setdefault(a, np.zeros(v))[c] += 1
            n2.setdefault((b, a), np.zeros(v))[c] += 1
            total[c] += 1
    p0 = (total + 1) / (total.sum() + v)
    first, second = [], []
    for clip in held_out:
        full = [silence, silence, *clip]
        for b, a, c in zip(full, full[1:], full[2:]):
            one = n1.get(a, np.zeros(v)) + alpha * v * p0
            one = one / one.sum()
            two = n2.get((b, a), np.zeros(v))
            first.append(-np.log(one[c]))
            second.append(-np.log((two[c] + beta * one[c]) / (two.sum() + beta)))
    return np.mean(first), np.mean(second)


def sounds(count, v=5, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, v, rng.integers(3, 30)) for _ in range(count)]


def test_the_tables_equal_counting_by_hand(monkeypatch):
    monkeypatch.setattr(markov, "ALPHAS", (0.3,))
    monkeypatch.setattr(markov, "BETAS", (2.0,))
    train, held_out = sounds(20), sounds(4, seed=1)
    got = markov_nats(train, held_out, 5, 2)
    first, second = by_hand(train, held_out, 5, 2, 0.3, 2.0)
    assert got[1] == pytest.approx(first, rel=1e-12)
    assert got[2] == pytest.approx(second, rel=1e-12)


def test_smoothing_is_chosen_on_train_alone(monkeypatch):
    train = sounds(30)
    alone = markov_nats(train, train[:1], 5, 2)
    both = markov_nats(train, [train[0], np.full(500, 4)], 5, 2)
    one = markov_nats(train, [np.full(500, 4)], 5, 2)
    n = len(train[0])
    for order in (1, 2):  # the mean of both is the mean of each, weighted: the tables are the same
        expected = (alone[order] * n + one[order] * 500) / (n + 500)
        assert both[order] == pytest.approx(expected, rel=1e-12)


def test_a_chain_of_order_two_is_seen_by_the_second_table_only():
    rng = np.random.default_rng(0)

    def chain():  # x_t = x_{t-2} in 9 of 10 steps, so that one sample tells nothing
        x = [0, 1]
        for _ in range(2000):
            x.append(x[-2] if rng.random() < 0.8 else int(rng.integers(0, 2)))
        return np.array(x)

    got = markov_nats([chain() for _ in range(20)], [chain()], 2, 0)
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert got[1] == pytest.approx(np.log(2), abs=0.02)
    assert got[2] == pytest.approx(entropy, abs=0.03)


def test_pure_noise_costs_the_logarithm_of_the_levels():
    got = markov_nats(sounds(300, 16), sounds(50, 16, seed=1), 16, 0)
    assert got[1] == pytest.approx(np.log(16), abs=0.05)
    assert got[2] == pytest.approx(np.log(16), abs=0.05)


def test_nothing_to_count_is_refused():
    with pytest.raises(UserError, match="at least one sound each"):
        markov_nats([], sounds(1), 5, 0)
