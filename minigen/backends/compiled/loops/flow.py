"""The affine coupling of images and the way back."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled, contracted
from minigen.backends.compiled.loops.scalars import (
    ONE,
    exp_of_negative,
    tanh_of,
)


@contracted
def couple(
    z: Array,
    squashed: Array,
    scale: Array,
    x: Array,
    said: Array,
    log_det: Array,
    start: Any,
    limit: Any,
    inverse: Any,
) -> None:
    """z_b = x_b·exp(limit·tanh(r/limit)) + t in float32; (N, P, C), channels from ``start`` on."""
    samples, places, channels = x.shape
    moved = squashed.shape[2]
    for n in range(samples):
        t, e = squashed[n].reshape(-1), scale[n].reshape(-1)
        for p in range(places):
            for c in range(moved):
                t[p * moved + c] = said[n, p, moved + c]
        total = 0.0
        for k in range(t.size):  # without gaps, so that many go side by side
            t[k] = tanh_of(t[k] * inverse)
        for k in range(t.size):
            s = t[k] * limit
            low = exp_of_negative(-abs(s))
            e[k] = low if s < 0 else ONE / low
        for k in range(t.size):
            total += t[k]
        log_det[n] = total * limit
        for p in range(places):
            for c in range(channels):
                z[n, p, c] = x[n, p, c]
            for c in range(moved):
                z[n, p, start + c] = x[n, p, start + c] * e[p * moved + c] + said[n, p, c]


@compiled
def couple_backward(
    g_x: Array,
    g_said: Array,
    g: Array,
    x: Array,
    squashed: Array,
    scale: Array,
    g_log_det: Array,
    start: Any,
    one: Any,
) -> None:
    """g_b·eˢ, g_b, and (g_b·eˢ·x_b + g_log_det)·(1 - squashed²)."""
    samples, places, channels = x.shape
    moved = squashed.shape[2]
    for n in range(samples):
        for p in range(places):
            for c in range(channels):
                g_x[n, p, c] = g[n, p, c]
            for c in range(moved):
                through = g[n, p, start + c] * scale[n, p, c]
                g_x[n, p, start + c] = through
                g_said[n, p, c] = g[n, p, start + c]
                t = squashed[n, p, c]
                by_raw = through * x[n, p, start + c] + g_log_det[n]
                g_said[n, p, moved + c] = by_raw * (one - t * t)
