"""Two tables that predict the next sample of a sound: what a network has to beat.

**Order 1** looks at one sample a, **order 2** at two, a and before it b, and both only count how
often each level c followed in the training sounds:

    p_1(c | a)   = ( n(a c) + α · V · p_0(c) ) / ( n(a) + α · V )       p_0: how often c is at all
    p_2(c | b a) = ( n(b a c) + β · p_1(c | a) ) / ( n(b a) + β )

Of the 65,536 pairs of levels many were never seen, so the table of order 2 is mixed with that of
order 1, as if β samples drawn from it had been counted too (a Dirichlet prior, MacKay & Peto 1995).
α and β are the best ones of a ladder on every tenth training sound, which is left out for that; the
tables are then counted on all of them.

Before a sound there is silence, as for the network, so that both predict the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError

__all__ = ["markov_nats"]

Array = npt.NDArray[Any]

ALPHAS = tuple(10.0**k for k in (-4, -3, -2, -1, 0, 1, 2))
BETAS = tuple(2.0**k for k in range(0, 14))
HELD_OUT = 10  # every tenth sound chooses the smoothing


def markov_nats(
    train: Sequence[Array], held_out: Sequence[Array], levels: int, silence: int
) -> dict[int, float]:
    """Return the tables' negative log-likelihood of the held-out sounds, in nats per sample.

    train, held_out: sounds as levels, each (T,) integers in [0, levels).
    levels:          V.
    silence:         the level of the samples before each sound.

    Returns {1: …, 2: …}. Raises UserError where there is no sound.
    """
    if not train or not held_out:
        raise UserError("train and held_out must have at least one sound each, got none")
    chosen = [clip for i, clip in enumerate(train) if i % HELD_OUT == 0]
    rest = [clip for i, clip in enumerate(train) if i % HELD_OUT] or chosen
    fitted = _Tables(_triples(rest, levels, silence), levels)
    asked = _Asked(fitted, _triples(chosen, levels, silence))
    alpha = min(ALPHAS, key=lambda a: _nats(asked.first(a)))
    p1 = asked.first(alpha)
    beta = min(BETAS, key=lambda b: _nats(asked.second(p1, b)))
    fitted = _Tables(_triples(train, levels, silence), levels)
    asked = _Asked(fitted, _triples(held_out, levels, silence))
    p1 = asked.first(alpha)
    return {1: _nats(p1), 2: _nats(asked.second(p1, beta))}


def _nats(p: Array) -> float:
    return float(-np.log(p).mean())


def _triples(clips: Sequence[Array], levels: int, silence: int) -> Array:
    """(b, a, c) of every sample c as one number in base V; silence stands before each sound."""
    kind = np.int32 if levels**3 < 2**31 else np.int64  # the narrower is sorted faster
    codes = []
    for clip in clips:
        clip = np.concatenate([[silence, silence], clip]).astype(kind)
        codes.append((clip[:-2] * levels + clip[1:-1]) * levels + clip[2:])
    return np.concatenate(codes)


class _Tables:
    """The counts of both orders."""

    def __init__(self, codes: Array, levels: int) -> None:
        self.levels = v = levels
        self.triples, self.times = np.unique(codes, return_counts=True)  # n(b a c), sparse
        self.pairs = np.bincount(codes // v, minlength=v * v)  # n(b a)
        followed = np.bincount(codes % (v * v), minlength=v * v)
        self.after = followed.reshape(v, v).astype(np.float64)  # n(a c)
        self.share = (self.after.sum(axis=0) + 1) / (len(codes) + v)  # p_0


class _Asked:
    """The probabilities that tables give to the last samples of triples, each (count,)."""

    def __init__(self, tables: _Tables, codes: Array) -> None:
        self.tables = tables
        place = np.searchsorted(tables.triples, codes)
        place = np.minimum(place, len(tables.triples) - 1)
        self.seen = np.where(tables.triples[place] == codes, tables.times[place], 0)
        self.pairs = tables.pairs[codes // tables.levels]
        self.codes = codes % tables.levels**2

    def first(self, alpha: float) -> Array:
        """p_1 with this α."""
        table = self.tables.after + alpha * self.tables.levels * self.tables.share
        table /= table.sum(axis=1, keepdims=True)
        return table.reshape(-1)[self.codes]

    def second(self, p1: Array, beta: float) -> Array:
        """p_2 with this β."""
        return (self.seen + beta * p1) / (self.pairs + beta)
