"""Attention: each position asks all others, and takes a weighted mean of their answers.

Attention(Q, K, V) = softmax(Q Kᵀ / √d + mask) V        (Vaswani et al. 2017, eq. 1)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigen.autograd.fused import fused
from minigen.autograd.operation import FLOAT16, functions
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.numeric import number
from minigen.ops._arguments import check_float
from minigen.ops.choice import or_zero
from minigen.ops.halves import in_float32
from minigen.ops.kernel import kernel
from minigen.ops.linalg import matmul
from minigen.ops.product import product
from minigen.ops.random import Generator, dropout
from minigen.ops.reduction import softmax
from minigen.ops.summation import sum_of

__all__ = ["packed_attention", "scaled_dot_product_attention"]


def _causal_mask(xp: Any, queries: int, keys: int) -> Any:
    """(T, S): True where the key is not later than the query."""
    return xp.arange(keys)[None, :] <= xp.arange(queries)[:, None]


def _attention_reference(
    q: Tensor, k: Tensor, v: Tensor, mask: Any, *, scale: float, is_causal: bool
) -> Tensor:
    """The definition, one line for each symbol."""
    weights = _weights(q, k, mask, scale, is_causal)  # (…, T, S)
    return matmul(weights, v)  # (…, T, S) (…, S, D) -> (…, T, D)


def _weights(q: Tensor, k: Tensor, mask: Any, scale: float, is_causal: bool) -> Tensor:
    """``softmax(Q Kᵀ · scale + mask)``, and 0 in the rows that may look nowhere."""
    scores = matmul(q, k.transpose(-2, -1)) * scale  # (…, T, S)
    if is_causal:
        seen = Tensor(_causal_mask(active.backend.xp, *scores.shape[-2:]))
        scores = functions.where(seen, scores, -math.inf)
    if mask is not None and mask.dtype.kind == "b":
        scores = functions.where(mask, scores, -math.inf)
    elif mask is not None:
        scores = scores + mask
    return softmax_or_zero(scores)


def softmax_or_zero(scores: Tensor) -> Tensor:
    """The softmax along the last dimension; a row that is -inf throughout gives 0, not NaN."""
    hidden = Tensor((scores.data == -math.inf).all(axis=-1, keepdims=True))  # (…, 1)
    # Chosen before and after: a slope of NaN times 0 would be NaN.
    return functions.where(hidden, 0.0, softmax(functions.where(hidden, 0.0, scores), -1))


# ---------------------------------------------------------------- weights from scores
#
# Scores and weights lie keys first, (…, S, T): a sum over keys then adds rows of T neighbours in
# memory, which vector units do many at a time, and not the few numbers of each row one by one.


@kernel
def softmax_over_keys(b: Any, scores: Any, *, scale: float, is_causal: bool) -> None:
    """In place: softmax of scale · scores along the keys, (…, S, T); causal: weight 0 for s > t.

    A query whose scores are all -inf sees nothing: its weights are 0.
    """
    xp = b.xp
    if is_causal:
        seen = _causal_mask(xp, scores.shape[-1], scores.shape[-2]).T  # (S, T)
        scores[...] = xp.where(seen, scores, -math.inf)
    top = scores.max(axis=-2, keepdims=True)
    scores -= or_zero(b, top != -math.inf, top)  # -inf - -inf would be NaN
    scores *= scale
    xp.exp(scores, out=scores)
    total = sum_of(b, scores, -2, keepdims=True)
    scores /= xp.where(total == 0, 1, total)


@kernel
def softmax_over_keys_backward(
    b: Any, g: Any, weights: Any, *, scale: float, is_causal: bool
) -> None:
    """In place: from the gradient by the weights that by the scores, scale·W∘(g - Σₛ W∘g)."""
    g *= weights
    total = sum_of(b, g, -2, keepdims=True)
    total *= scale
    g *= scale
    g -= weights * total


def _attend(
    b: Any, q: Any, k: Any, v: Any, mask: Any, scale: float, is_causal: bool, out: Any = None
) -> tuple[Any, Any]:
    """(…, T, D), (…, S, D), (…, S, E) -> (…, T, E), written to ``out`` if given, and weights."""
    xp = b.xp
    weights = product(b, k, _swapped(xp, q))  # (…, S, D) (…, D, T) -> (…, S, T)
    if mask is not None:
        mask = _swapped(xp, xp.broadcast_to(mask, (*mask.shape[:-2], *weights.shape[:-3:-1])))
        weights *= scale
        weights = xp.where(mask, weights, -math.inf) if mask.dtype.kind == "b" else weights + mask
        scale = 1.0
    elif not scale > 0:  # the largest score is then not that with the largest weight
        weights *= scale
        scale = 1.0
    softmax_over_keys(b, weights, scale=scale, is_causal=is_causal)
    return product(b, _swapped(xp, weights), v, out), weights


def _attend_backward(
    b: Any,
    g: Any,
    inputs: Sequence[Any],
    weights: Any,
    scale: float,
    is_causal: bool,
    into: Sequence[Any],
) -> Any:
    """∂V = W G; ∂Wᵀ = V Gᵀ; ∂Q = ∂Sᵀ K; ∂K = ∂S Q, written to ``into``; also ∂S.

    An entry of ``into`` is an array, or None for a new one.
    """
    xp = b.xp
    q, k, v = inputs
    g_scores = product(b, v, _swapped(xp, g))  # (…, S, E) (…, E, T) -> (…, S, T)
    softmax_over_keys_backward(b, g_scores, weights, scale=scale, is_causal=is_causal)
    g_q = product(b, _swapped(xp, g_scores), k, into[0])
    g_k = product(b, g_scores, q, into[1])
    g_v = product(b, weights, g, into[2])
    return g_q, g_k, g_v, g_scores


@fused(reference=_attention_reference, name="attention")
def _attention(b, q, k, v, mask, *, scale, is_causal):
    """The same with one buffer for scores and weights; keeps the weights."""
    out, weights = _attend(b, q, k, v, mask, scale, is_causal)
    return out, (weights,)


@_attention.backward
def _(b, g, inputs, saved, needs, *, scale, is_causal):
    """See ``_attend_backward``; the mask was added to scores that had been scaled."""
    q, k, v, mask = inputs
    g_mask = None
    if mask is None:
        grads = _attend_backward(b, g, (q, k, v), saved[0], scale, is_causal, (None,) * 3)
    else:
        inner = q * scale, k * scale, v
        grads = _attend_backward(b, g, inner, saved[0], 1.0, is_causal, (None,) * 3)
        if needs[3]:
            g_mask = _sum_to(b, _swapped(b.xp, grads[3]), mask.shape)
    g_q, g_k, g_v = (_sum_to(b, y, x.shape) for x, y in zip((q, k, v), grads))
    return g_q, g_k, g_v, g_mask


# ---------------------------------------------------------------- all heads of one projection


def _heads(x: Any, heads: int) -> Any:
    """Queries, keys and values side by side: (N, T, 3E) -> (3, N, h, T, D), D = E/h."""
    n, t, width = x.shape
    split = x.reshape(n, t, 3, heads, width // (3 * heads))
    return split.permute(2, 0, 3, 1, 4) if isinstance(x, Tensor) else split.transpose(2, 0, 3, 1, 4)


def _packed_reference(qkv: Tensor, *, heads: int, scale: float, is_causal: bool) -> Tensor:
    """The definition: cut, attend, join."""
    q, k, v = _heads(qkv, heads)  # (N, h, T, D) each
    mixed = _attention_reference(q, k, v, None, scale=scale, is_causal=is_causal)
    return mixed.transpose(1, 2).reshape(*qkv.shape[:2], -1)  # (N, h, T, D) -> (N, T, E)


@fused(reference=_packed_reference, name="packed_attention")
def _packed(b, qkv, *, heads, scale, is_causal):
    """The products read and write heads where they lie; keeps the weights."""
    n, t, width = qkv.shape
    q, k, v = (_heads(qkv, heads)[i] for i in range(3))
    out = b.xp.empty((n, t, heads, width // (3 * heads)), dtype=qkv.dtype)
    _, weights = _attend(b, q, k, v, None, scale, is_causal, out.transpose(0, 2, 1, 3))
    return out.reshape(n, t, width // 3), (weights,)


@_packed.backward
def _(b, g, inputs, saved, needs, *, heads, scale, is_causal):
    """One gradient (N, T, 3E), whose thirds the products write."""
    (qkv,) = inputs
    n, t, _ = qkv.shape
    g = g.reshape(n, t, heads, -1).transpose(0, 2, 1, 3)  # (N, T, E) -> (N, h, T, D)
    g_qkv = b.xp.empty(qkv.shape, dtype=qkv.dtype)
    parts, into = _heads(qkv, heads), _heads(g_qkv, heads)
    thirds = tuple([into[i] for i in range(3)])
    _attend_backward(b, g, (parts[0], parts[1], parts[2]), saved[0], scale, is_causal, thirds)
    return (g_qkv,)


def _swapped(xp: Any, x: Any) -> Any:
    return xp.swapaxes(x, -1, -2)


def _sum_to(b: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """Sum over what broadcasting repeated."""
    extra = x.ndim - len(shape)
    axes = tuple([d for d in range(x.ndim) if d < extra or x.shape[d] != shape[d - extra]])
    return sum_of(b, x, axes, keepdims=True).reshape(shape) if axes else x


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
            that are added to the scores. The result for a query that may look nowhere is 0.
        dropout_p: probability of dropping a weight (also outside training: pass 0 there).
        is_causal: query t sees keys 0 … t only.
        scale: by default 1/√D.
        generator: for dropout.

    Returns:
        (…, T, E).

    Raises:
        ValueError: shapes do not fit.
    """
    for argument, x in (("query", query), ("key", key), ("value", value)):
        check_float("attention", x, argument)
    if query.dtype is FLOAT16:
        return in_float32(
            scaled_dot_product_attention,
            query,
            key,
            value,
            attn_mask,
            dropout_p,
            is_causal,
            scale,
            generator,
        )
    if min(query.ndim, key.ndim, value.ndim) < 2 or query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"attention: query {query.shape} (…, T, D) does not fit key {key.shape} (…, S, D)"
        )
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"attention: key {key.shape} and value {value.shape} differ in length")
    if key.shape[-2] == 0:
        raise ValueError(f"attention needs at least one key, got key {key.shape}")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else number("scale", scale, -math.inf)
    if not dropout_p:
        return _attention(query, key, value, attn_mask, scale=scale, is_causal=is_causal)
    weights = _weights(query, key, attn_mask, scale, is_causal)
    return matmul(dropout(weights, dropout_p, generator=generator), value)


def packed_attention(
    qkv: Tensor, num_heads: int, is_causal: bool = False, scale: float | None = None
) -> Tensor:
    """Attention of several heads on one projection that holds queries, keys and values.

    The same as cutting ``qkv`` into heads, ``scaled_dot_product_attention`` and joining what comes
    out, but nothing is moved in memory for it.

    Args:
        qkv: (N, T, 3E): queries, keys and values of all heads, each (N, T, h, D) with h·D = E.
        num_heads: h.
        is_causal: position t sees positions 0 … t only.
        scale: by default 1/√D.

    Returns:
        (N, T, E).

    Raises:
        ValueError: shapes do not fit.
    """
    check_float("packed_attention", qkv, "qkv")
    if qkv.dtype is FLOAT16:
        return in_float32(packed_attention, qkv, num_heads, is_causal, scale)
    if num_heads < 1 or qkv.ndim != 3 or not qkv.shape[2] or qkv.shape[2] % (3 * num_heads):
        raise ValueError(
            f"packed_attention: qkv {qkv.shape} must be (N, T, 3·E) with E divisible by "
            f"num_heads {num_heads}"
        )
    if qkv.shape[1] == 0:
        raise ValueError(f"packed_attention needs at least one position, got qkv {qkv.shape}")
    depth = qkv.shape[2] // (3 * num_heads)
    scale = 1 / math.sqrt(depth) if scale is None else number("scale", scale, -math.inf)
    return _packed(qkv, heads=num_heads, scale=scale, is_causal=is_causal)
