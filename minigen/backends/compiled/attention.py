"""The softmax of attention."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.support import FLOATS, loops_for, without_gaps


def softmax_over_keys(b: Any, scores: Array, *, scale: float, is_causal: bool) -> Any:
    """In place, in float32; equals ``softmax_over_keys`` in ``ops/attention.py``."""
    if not without_gaps(scores, dtypes=FLOATS[:1]):
        return NotImplemented
    flat = scores.reshape(-1, *scores.shape[-2:])  # (…, S, T) -> (M, S, T)
    top, total = (b.xp.empty((flat.shape[0], flat.shape[2]), scores.dtype) for _ in range(2))
    b.run(
        loops_for(scores).softmax_over_keys, flat, top, total, scores.dtype.type(scale), is_causal
    )
    return None


def softmax_over_keys_backward(
    b: Any, g: Array, weights: Array, *, scale: float, is_causal: bool
) -> Any:
    """In place; equals ``softmax_over_keys_backward`` in ``ops/attention.py``."""
    if g.shape != weights.shape or not without_gaps(g, weights):
        return NotImplemented
    flat = [x.reshape(-1, *x.shape[-2:]) for x in (g, weights)]  # (…, S, T) -> (M, S, T)
    total = b.xp.empty((flat[0].shape[0], flat[0].shape[2]), g.dtype)
    numbers = g.dtype.type(scale), g.dtype.type(0), is_causal
    b.run(loops_for(g).softmax_over_keys_backward, *flat, total, *numbers)
    return None


KERNELS = (
    softmax_over_keys,
    softmax_over_keys_backward,
)
"""As the backend registers them, by their names."""
