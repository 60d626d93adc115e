"""Attention: each position asks all others, and takes a weighted mean of their answers.

Attention(Q, K, V) = softmax(Q Kᵀ / √d + mask) V        (Vaswani et al. 2017, eq. 1)
"""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd.primitive import functions, fused
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.ops.linalg import matmul
from minigen.ops.random import Generator, dropout
from minigen.ops.reduction import softmax

__all__ = ["scaled_dot_product_attention"]


def _causal_mask(xp: Any, queries: int, keys: int) -> Any:
    """(T, S): True where the key is not later than the query."""
    return xp.arange(keys)[None, :] <= xp.arange(queries)[:, None]


def _attention_reference(
    q: Tensor, k: Tensor, v: Tensor, mask: Any, *, scale: float, is_causal: bool
) -> Tensor:
    """The definition, one line for each symbol."""
    scores = matmul(q, k.transpose(-2, -1)) * scale  # (…, T, S)
    if is_causal:
        seen = Tensor(_causal_mask(active.backend.xp, *scores.shape[-2:]))
        scores = functions.where(seen, scores, -math.inf)
    if mask is not None:
        scores = _apply_mask(scores, mask)
    return matmul(softmax(scores, -1), v)  # (…, T, S) (…, S, D) -> (…, T, D)


def _apply_mask(scores: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype.kind == "b":
        return functions.where(mask, scores, -math.inf)
    return scores + mask


@fused(reference=_attention_reference, name="attention")
def _attention(b, q, k, v, mask, *, scale, is_causal):
    """The same with one buffer for scores and weights; keeps the weights."""
    xp = b.xp
    weights = xp.matmul(q * scale, _swapped(xp, k))  # (…, T, S)
    if is_causal:
        later = xp.where(_causal_mask(xp, *weights.shape[-2:]), 0, -math.inf)
        weights += later.astype(weights.dtype)
    if mask is not None:
        if mask.dtype.kind == "b":
            weights += xp.where(mask, 0, -math.inf).astype(weights.dtype)
        else:
            weights += mask
    weights -= weights.max(axis=-1, keepdims=True)
    xp.exp(weights, out=weights)
    weights /= weights.sum(axis=-1, keepdims=True)
    return xp.matmul(weights, v), (weights,)


@_attention.backward
def _(b, g, inputs, out, saved, needs, *, scale, is_causal):
    """∂V = Wᵀ G; ∂S = W ∘ (G Vᵀ - rowsum(G ∘ out)); ∂Q = ∂S K · scale; ∂K = ∂Sᵀ Q · scale."""
    xp = b.xp
    q, k, v, mask = inputs
    (weights,) = saved
    g_v = _sum_to(xp.matmul(_swapped(xp, weights), g), v.shape) if needs[2] else None
    # rowsum(G ∘ out) = rowsum(W ∘ (G Vᵀ)): the softmax rule's mean, on the smaller array
    g_scores = xp.matmul(g, _swapped(xp, v))
    g_scores -= (g * out).sum(axis=-1, keepdims=True)
    g_scores *= weights
    g_mask = None
    if needs[3]:
        g_mask = _sum_to(g_scores, mask.shape)
    g_q = _sum_to(xp.matmul(g_scores, k) * scale, q.shape) if needs[0] else None
    g_k = None
    if needs[1]:
        g_k = _sum_to(xp.matmul(_swapped(xp, g_scores), q) * scale, k.shape)
    return g_q, g_k, g_v, g_mask


def _swapped(xp: Any, x: Any) -> Any:
    return xp.swapaxes(x, -1, -2)


def _sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    """Sum over what broadcasting repeated."""
    extra = x.ndim - len(shape)
    axes = tuple([d for d in range(x.ndim) if d < extra or x.shape[d] != shape[d - extra]])
    return x.sum(axis=axes, keepdims=True).reshape(shape) if axes else x


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """``softmax(Q Kᵀ · scale + mask) V``.

    Args:
        query: (…, T, D).
        key: (…, S, D).
        value: (…, S, E).
        attn_mask: broadcasts to (…, T, S): boolean, True where a query may look; or numbers
            that are added to the scores. A row that may look nowhere gives NaN, as in PyTorch.
        dropout_p: probability of dropping a weight (also outside training: pass 0 there).
        is_causal: query t sees keys 0 … t only.
        scale: by default 1/√D.
        generator: for dropout.

    Returns:
        (…, T, E).

    Raises:
        ValueError: shapes do not fit.
    """
    if min(query.ndim, key.ndim, value.ndim) < 2 or query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"attention: query {query.shape} (…, T, D) does not fit key {key.shape} (…, S, D)"
        )
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"attention: key {key.shape} and value {value.shape} differ in length")
    if key.shape[-2] == 0:
        raise ValueError(f"attention needs at least one key, got key {key.shape}")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    if not dropout_p:
        return _attention(query, key, value, attn_mask, scale=scale, is_causal=is_causal)
    scores = matmul(query, key.transpose(-2, -1)) * scale
    if is_causal:
        seen = Tensor(_causal_mask(active.backend.xp, *scores.shape[-2:]))
        scores = functions.where(seen, scores, -math.inf)
    if attn_mask is not None:
        scores = _apply_mask(scores, attn_mask)
    return matmul(dropout(softmax(scores, -1), dropout_p, generator=generator), value)
