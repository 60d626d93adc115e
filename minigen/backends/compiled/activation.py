"""Activations, gates and losses."""

from __future__ import annotations

from typing import Any

from minigen.backends.base import Array
from minigen.backends.compiled.support import FLOATS, loops, new_like, without_gaps


def rectify(b: Any, x: Array, *, low: float) -> Array:
    """ReLU and leaky ReLU; equals ``rectify`` in ``ops/activation.py``."""
    found = new_like(b, x)
    if found is None:
        return NotImplemented
    run, out, flat = found
    b.run(run.rectify if low else run.relu, *flat, x.dtype.type(low))
    return out


def gate(b: Any, g: Array, like: Array, *, low: float) -> Array:
    """The gradient of the ReLU family; equals ``gate`` in ``ops/activation.py``."""
    found = new_like(b, g, like)
    if found is None:
        return NotImplemented
    run, out, flat = found
    b.run(run.gate if low else run.relu_gate, *flat, g.dtype.type(low))
    return out


def logistic(b: Any, x: Array) -> Array:
    """The sigmoid in float32; equals ``logistic`` in ``ops/activation.py``."""
    found = new_like(b, x, dtypes=FLOATS[:1])
    if found is None:
        return NotImplemented
    run, out, flat = found
    b.run(run.sigmoid, *flat)
    return out


def logit_cross_entropy(b: Any, x: Array, target: Array) -> Array:
    """Binary cross-entropy in float32; equals ``logit_cross_entropy`` in ``ops/loss.py``."""
    found = new_like(b, x, target, dtypes=FLOATS[:1])
    if found is None:
        return NotImplemented
    run, out, flat = found
    b.run(run.bce_with_logits, *flat)
    return out


def tanh_and_sigmoid(b: Any, parts: Array) -> Any:
    """In place, in float32; equals ``tanh_and_sigmoid`` in ``ops/time_first.py``."""
    if not without_gaps(parts, dtypes=FLOATS[:1]):
        return NotImplemented
    b.run(loops().tanh_and_sigmoid, parts.reshape(-1, parts.shape[-1]))
    return None


def gate_backward(b: Any, g: Array, parts: Array) -> Any:
    """The gradient of both halves; equals ``gate_backward`` in ``ops/time_first.py``."""
    if not without_gaps(parts, g):
        return NotImplemented
    out = b.xp.empty_like(parts)
    flat = [y.reshape(-1, y.shape[-1]) for y in (g, parts, out)]
    b.run(loops().gate_backward, *flat, g.dtype.type(1))
    return out


KERNELS = (
    rectify,
    gate,
    logistic,
    logit_cross_entropy,
    tanh_and_sigmoid,
    gate_backward,
)
"""As the backend registers them, by their names."""
