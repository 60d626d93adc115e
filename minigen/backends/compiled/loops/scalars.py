"""Functions of one number, which the loops call: eˣ, ln(1 + e), sigmoid and tanh in float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigen.backends.compiled.loops.compiling import contracted

LOG2_E = np.float32(1 / math.log(2))
LN2_HIGH = np.float32(0.693359375)  # few bits: n · LN2_HIGH is exact for |n| < 2¹⁴
LN2_LOW = np.float32(math.log(2) - 0.693359375)
ROUNDER = np.float32(1.5 * 2**23)  # adding it rounds to a whole number, kept in the low bits
LEAST = np.float32(-87.0)  # e^-87 is just above the smallest normal number
NOTHING = np.float32(-104.0)  # e^-104 is less than half of the smallest number: it rounds to 0
F1, F2, F3, F4, F5, F6, F7 = (np.float32(1 / math.factorial(k)) for k in range(1, 8))
# The same times 2⁻⁶⁴, beside which 2ⁿ⁺⁶⁴ is a normal number even where the result is not.
S0, S1, S2, S3, S4, S5, S6, S7 = (np.float32(2.0**-64 / math.factorial(k)) for k in range(8))
ONE = np.float32(1)
TWO = np.float32(2)


@contracted
def exp_of_negative(x: Any) -> Any:
    """``eˣ`` for float32 x ≤ 0, to 1 unit in the last place; 0 where it is too small for float32.

    x = n·ln 2 + r with a whole n and |r| ≤ ½ ln 2; then eʳ by Taylor's series up to r⁷, and 2ⁿ
    by writing n into the exponent. Nothing but arithmetic, so that many go side by side.
    """
    x = NOTHING if x < NOTHING else x
    shifted = x * LOG2_E + ROUNDER
    n = shifted - ROUNDER
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    bits = np.float32(shifted).view(np.int32)
    power = np.int32((bits + 127 + 64) << 23).view(np.float32)
    tail = S4 + r * (S5 + r * (S6 + r * S7))
    return power * (S0 + r * (S1 + r * (S2 + r * (S3 + r * tail))))


@contracted
def expm1_of_negative(x: Any) -> Any:
    """``eˣ - 1`` for float32 x ≤ 0, to 2 units in the last place also near 0.

    As ``exp_of_negative``, but eʳ - 1 is what the series gives: 2ⁿ(eʳ - 1) + (2ⁿ - 1).
    """
    x = LEAST if x < LEAST else x
    shifted = x * LOG2_E + ROUNDER
    n = shifted - ROUNDER
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    bits = np.float32(shifted).view(np.int32)
    power = np.int32((bits + 127) << 23).view(np.float32)
    tail = F4 + r * (F5 + r * (F6 + r * F7))
    return power * (r * (F1 + r * (F2 + r * (F3 + r * tail)))) + (power - ONE)


A1, A2, A3, A4, A5, A6, A7, A8 = (np.float32(2 / (2 * k + 1)) for k in range(8))


@contracted
def log_of_one_plus(e: Any) -> Any:
    """``ln(1 + e)`` for float32 e in [0, 1]: 2 artanh s = 2(s + s³/3 + s⁵/5 + …), s = e/(2+e)."""
    s = e / (TWO + e)
    q = s * s  # at most 1/9
    tail = A5 + q * (A6 + q * (A7 + q * A8))
    return s * (A1 + q * (A2 + q * (A3 + q * (A4 + q * tail))))


@contracted
def sigmoid_of(x: Any) -> Any:
    """``1/(1 + e⁻ˣ)`` for float32 x, from e^-|x|, which cannot overflow."""
    e = exp_of_negative(-abs(x))
    return (e if x < 0 else ONE) / (ONE + e)


@contracted
def tanh_of(x: Any) -> Any:
    """``tanh x`` = ±m/(2 - m), m = 1 - e^-2|x| with all its digits near 0, for float32 x."""
    m = -expm1_of_negative(-TWO * abs(x))
    t = m / (TWO - m)
    return -t if x < 0 else t
