"""Philox4x32-10: random numbers that are a pure function of a key and a block number.

Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". There is no
state to carry from number to number, so a GPU computes every block at once, and "where the
stream stands" is one integer. That makes a resumed run exactly the uninterrupted one.

This file holds the mathematics in NumPy and the stream that counts the blocks; the same
mathematics in CUDA C is ``cuda/philox.cu``, and the tests hold the two together.

=============  ================  ==========================================================
draw           numbers a block   from the block's four 32-bit words
=============  ================  ==========================================================
uniform f32    4                 the upper 24 bits of a word, times 2⁻²⁴
uniform f64    2                 53 bits of two words, times 2⁻⁵³
normal         4 (f32), 2 (f64)  Box-Muller: √(-2 ln u)·cos 2πv and √(-2 ln u)·sin 2πv
integers       2                 low + ⌊64 bits · range / 2⁶⁴⌋
permutation    2                 0 … n-1 sorted by 64 random bits each
=============  ================  ==========================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigen.backends.base import Array

_LOW32 = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEPS = 0x9E3779B9, 0xBB67AE85  # the golden ratio and √3 - 1, times 2³²

Key = tuple[int, int]
Draw = Callable[..., Array]

PER_BLOCK = {
    "uniform_float32": 4,
    "uniform_float64": 2,
    "normal_float32": 4,
    "normal_float64": 2,
    "integers": 2,
    "keys": 2,
}
"""How many numbers one block yields, by kind of draw; a kind is also its CUDA kernel's name."""

DTYPE = {
    "uniform_float32": np.float32,
    "uniform_float64": np.float64,
    "normal_float32": np.float32,
    "normal_float64": np.float64,
    "integers": np.int64,
    "keys": np.uint64,
}
"""The element type of each kind of draw."""


def philox4x32(counter: np.ndarray, key: Key) -> np.ndarray:
    """Ten rounds of Philox: counters (n, 4) of 32-bit words -> random words (n, 4) uint32."""
    c0, c1, c2, c3 = (counter[:, i].astype(np.uint64) for i in range(4))
    key0, key1 = key
    for _ in range(10):
        left, right = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (right >> _HALF) ^ c1 ^ np.uint64(key0),
            right & _LOW32,
            (left >> _HALF) ^ c3 ^ np.uint64(key1),
            left & _LOW32,
        )
        key0 = (key0 + _KEY_STEPS[0]) & 0xFFFFFFFF
        key1 = (key1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def blocks(first: int, count: int, key: Key) -> np.ndarray:
    """Random words of the blocks ``first`` … ``first + count - 1``: (count, 4) uint32."""
    number = np.arange(count, dtype=np.uint64) + np.uint64(first)
    zero = np.zeros_like(number)
    return philox4x32(np.stack([number & _LOW32, number >> _HALF, zero, zero], axis=1), key)


def _unit(words: np.ndarray, dtype: Any) -> np.ndarray:
    """Uniform numbers in [0, 1), exact: (n, 4) words -> (n, 4) float32 or (n, 2) float64."""
    if dtype == np.float32:
        return (words >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
    high, low = words[:, 0::2] >> np.uint32(5), words[:, 1::2] >> np.uint32(6)
    return (high.astype(np.float64) * 2**26 + low) * 2**-53


def _box_muller(words: np.ndarray, dtype: Any) -> np.ndarray:
    """Standard normals: (n, 4) words -> (n, 4) float32 or (n, 2) float64."""
    if dtype == np.float32:
        u = words[:, 0::2].astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)
        v = _unit(words[:, 1::2], dtype)
    else:
        unit = _unit(words, dtype)
        u, v = 1 - unit[:, :1], unit[:, 1:]
    radius = np.sqrt(-2 * np.log(u))  # (n, pairs)
    angle = (2 * math.pi) * v
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return pairs.reshape(len(words), -1).astype(dtype)


def _bits(words: np.ndarray) -> np.ndarray:
    """Two words as 64 bits: (n, 4) -> (n, 2) uint64."""
    return words[:, 0::2].astype(np.uint64) << _HALF | words[:, 1::2].astype(np.uint64)


def _high_product(a: np.ndarray, b: int) -> np.ndarray:
    """The upper 64 bits of the 128-bit product, by schoolbook multiplication in halves."""
    b_high, b_low = np.uint64(b >> 32), np.uint64(b & 0xFFFFFFFF)
    a_high, a_low = a >> _HALF, a & _LOW32
    middle = a_high * b_low + (a_low * b_low >> _HALF)
    other = a_low * b_high + (middle & _LOW32)
    return a_high * b_high + (middle >> _HALF) + (other >> _HALF)


def draw(kind: str, count: int, first: int, key: Key, low: int = 0, high: int = 0) -> np.ndarray:
    """``count`` numbers of a ``kind`` (see ``PER_BLOCK``) from block ``first`` on: (count,).

    ``low`` and ``high`` bound the kind ``integers``.
    """
    words = blocks(first, -(-count // PER_BLOCK[kind]), key)
    if kind.startswith("uniform"):
        numbers = _unit(words, DTYPE[kind])
    elif kind.startswith("normal"):
        numbers = _box_muller(words, DTYPE[kind])
    elif kind == "keys":
        numbers = _bits(words)
    else:
        offset = _high_product(_bits(words), high - low)
        numbers = (offset + np.uint64(low % 2**64)).view(np.int64)  # wraps as two's complement
    return numbers.reshape(-1)[:count]


class PhiloxStream:
    """A random stream whose whole state is a key and the number of the next block.

    Args:
        seed: an integer ≥ 0, of any size.
        xp: the array namespace, for sorting.
        draw: computes the numbers; :func:`draw` above, or a backend's kernels.
    """

    ALGORITHM = "philox4x32-10"

    def __init__(self, seed: int, xp: Any = np, draw: Draw = draw) -> None:
        first, second = np.random.SeedSequence(seed).generate_state(2, np.uint32)
        self._key: Key = (int(first), int(second))
        self._next = 0
        self._xp = xp
        self._draw = draw

    def _numbers(self, kind: str, shape: tuple[int, ...], **bounds: int) -> Array:
        count = math.prod(shape)
        first = self._next
        self._next += -(-count // PER_BLOCK[kind])
        if not count:
            return self._xp.zeros(shape, dtype=DTYPE[kind])
        return self._draw(kind, count, first, self._key, **bounds).reshape(shape)

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Standard normal draws, float32 or float64."""
        return self._numbers(f"normal_{_float_name(dtype)}", shape)

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Uniform draws from [0, 1), float32 or float64."""
        return self._numbers(f"uniform_{_float_name(dtype)}", shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers (int64) drawn from [low, high), uneven by less than (high - low)/2⁶⁴."""
        return self._numbers("integers", shape, low=low, high=high)

    def permutation(self, n: int) -> Array:
        """The integers 0 … n-1 (int64) in random order: sorted by random keys."""
        keys = self._numbers("keys", (n,))
        return self._xp.argsort(keys, kind="stable").astype(np.int64, copy=False)

    def fill(self, kind: str, out: Array) -> None:
        """The next ``normal`` or ``uniform`` draws, written into ``out``."""
        out[...] = getattr(self, kind)(out.shape, out.dtype)

    def state(self) -> dict[str, Any]:
        """The algorithm, the key and the number of the next block."""
        return {"algorithm": self.ALGORITHM, "key": list(self._key), "next": self._next}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from where ``state()`` was taken.

        Raises:
            ValueError: the state is of another algorithm.
        """
        if state.get("algorithm") != self.ALGORITHM:
            raise ValueError(
                f"state must be of {self.ALGORITHM}, got {state.get('algorithm', 'another kind')}"
            )
        self._key = (int(state["key"][0]), int(state["key"][1]))
        self._next = int(state["next"])


def _float_name(dtype: Any) -> str:
    name = np.dtype(dtype).name
    if name not in ("float32", "float64"):
        raise TypeError(f"dtype must be float32 or float64, got {name}")
    return name
