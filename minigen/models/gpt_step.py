"""One token more, on raw arrays: what `GPT.cached_logits` does when a text grows by one token.

Writing calls it hundreds of times with N rows of E numbers, where the products take microseconds;
what an op costs beyond them (looking at its arguments, deciding whether to record) is then most of
the time. There is no gradient here, so none of it is needed. The mathematics is that of `GPT`, line
by line, for T = 1; the definition remains `GPT.next_logits`, and tests hold the two together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from minigen.backends import Array, active

if TYPE_CHECKING:
    from minigen.models.gpt import GPT, KeyValueCache

__all__ = ["newest_logits"]


def newest_logits(model: GPT, tokens: Array, cache: KeyValueCache) -> Array:
    """What follows N texts whose newest token is `tokens`: (N,) → (N, V), raw arrays.

    The cache counts the token already; its keys and values are put in here.
    """
    place = cache.seen - cache.start - 1
    x = model.token.weight.data[tokens] + model.position.weight.data[place]  # (N,) -> (N, E)
    blocks: Any = model.blocks
    for block, keys, values in zip(blocks, cache.keys, cache.values):
        x += _attend(block.attention, _norm(block.norm1, x), keys, values, place)
        x += _linear(block.contract, _gelu(_linear(block.expand, _norm(block.norm2, x))))
    return active.backend.xp.matmul(_norm(model.norm, x), model.token.weight.data.T)


def _attend(attention: Any, x: Array, keys: Array, values: Array, place: int) -> Array:
    """The newest position looks at all up to itself: (N, E) → (N, E)."""
    xp = active.backend.xp
    n, width = x.shape
    h, d = attention.heads, width // attention.heads
    qkv = _linear(attention.qkv, x).reshape(n, 3, h, d)  # (N, 3E) -> (N, 3, h, D)
    keys[:, :, place], values[:, :, place] = qkv[:, 1], qkv[:, 2]
    end = place + 1
    q = qkv[:, 0, :, None]  # (N, h, 1, D)
    p = xp.matmul(q, keys[:, :, :end].swapaxes(2, 3))  # (N, h, 1, S)
    p *= 1.0 / math.sqrt(d)
    p -= p.max(axis=-1, keepdims=True)
    xp.exp(p, out=p)
    p /= p.sum(axis=-1, keepdims=True)
    mixed = xp.matmul(p, values[:, :, :end])  # (N, h, 1, D)
    return _linear(attention.out, mixed.reshape(n, width))


def _linear(layer: Any, x: Array) -> Array:
    y = active.backend.xp.matmul(x, layer.weight.data.T)
    y += layer.bias.data
    return y


def _norm(layer: Any, x: Array) -> Array:
    xp, width = active.backend.xp, x.shape[-1]
    y = x - x.sum(axis=-1, keepdims=True) * (1.0 / width)
    variance = xp.square(y).sum(axis=-1, keepdims=True) * (1.0 / width)
    y /= xp.sqrt(variance + layer.eps)
    y *= layer.weight.data
    y += layer.bias.data
    return y


def _gelu(x: Array) -> Array:
    """½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))."""
    xp = active.backend.xp
    t = xp.square(x)
    t *= 0.044715
    t += 1.0
    t *= x
    t *= math.sqrt(2.0 / math.pi)
    xp.tanh(t, out=t)
    t += 1.0
    t *= x
    t *= 0.5
    return t
