"""Identical starting weights for every framework, made from the names and shapes of parameters."""

from __future__ import annotations

import zlib

import numpy as np


def initial_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in ±1/√fan_in, float32, a function of the parameter's name and shape alone.

    ``fan_in`` is the size of one row (``shape[1:]``), or for a vector its length. A vector called
    ``weight`` is the scale of a norm: a tenth of that, around 1.
    """
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else int(np.prod(shape))
    bound = 1.0 / np.sqrt(max(fan_in, 1))
    generator = np.random.default_rng(zlib.crc32(f"{name}{tuple(shape)}".encode()))
    values = generator.uniform(-bound, bound, shape)
    if len(shape) == 1 and name.endswith("weight"):
        values = 1 + 0.1 * values
    return values.astype(np.float32)
