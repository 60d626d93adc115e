"""µ-law: 65,536 amplitudes as 256 levels, fine for quiet sounds and coarse for loud ones.

The ear judges loudness by ratios, so equal steps of amplitude waste levels on the loud. µ-law
companding (ITU-T G.711; van den Oord et al. 2016, section 2.2) takes equal steps of

    f(x) = sign(x) · ln(1 + µ|x|) / ln(1 + µ),      −1 ≤ x ≤ 1,  µ = 255

and a model then has 256 classes to choose among instead of 65,536. Amplitudes here are 16-bit
integers a = 32768 x, as in a WAV file, and the levels are

    level = ⌊(f(x) + 1)/2 · 255 + ½⌋

`encode(decode(level)) == level` for every level; the other way round an amplitude moves by at most
half the distance of two levels, at most 2.3 % of itself (and 3 of 32768).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LEVELS", "SILENCE", "decode", "encode"]

LEVELS = 256
MU = LEVELS - 1
FULL = 32768  # the amplitude that counts as 1
SILENCE = 128
"""The level of amplitude 0."""


def encode(amplitudes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Amplitudes of 16 bits → levels 0 … 255, of the same shape.

    Raises:
        TypeError: the amplitudes are not int16.
    """
    if amplitudes.dtype != np.int16:
        raise TypeError(f"amplitudes must be int16, got {amplitudes.dtype}")
    x = amplitudes.astype(np.float64) / FULL
    companded = np.sign(x) * np.log1p(MU * np.abs(x)) / math.log1p(MU)
    return np.floor((companded + 1) / 2 * MU + 0.5).astype(np.uint8)


def decode(levels: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """Levels 0 … 255 → amplitudes of 16 bits, of the same shape.

    Raises:
        TypeError, ValueError: the levels are no integers, or not in 0 … 255.
    """
    if levels.dtype.kind not in "iu":
        raise TypeError(f"levels must be integers, got {levels.dtype}")
    if levels.size and not (levels.min() >= 0 and levels.max() < LEVELS):
        raise ValueError(f"levels must lie in 0 … 255, got {levels.min()} … {levels.max()}")
    companded = 2 * levels.astype(np.float64) / MU - 1
    x = np.sign(companded) * np.expm1(np.abs(companded) * math.log1p(MU)) / MU
    return np.clip(np.rint(x * FULL), -FULL, FULL - 1).astype(np.int16)
