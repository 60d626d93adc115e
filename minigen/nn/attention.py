"""Multi-head attention (Vaswani et al. 2017, "Attention is all you need", section 3.2.2).

head_i = softmax(Q_i K_iᵀ / √d + mask) V_i          Q_i, K_i, V_i: slices of xWᵀ + b
out    = concat(head_1 … head_h) W_oᵀ + b_o
"""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.nn import init
from minigen.nn._arguments import need_tensor, positive, probability
from minigen.nn.linear import Linear
from minigen.nn.module import Module
from minigen.nn.parameter import Parameter
from minigen.ops.attention import scaled_dot_product_attention, softmax_or_zero
from minigen.ops.creation import empty
from minigen.ops.elementwise import where
from minigen.ops.linalg import linear, matmul
from minigen.ops.random import Generator, dropout

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention with several heads; state keys and masks as in PyTorch.

    Args:
        embed_dim: E, width of queries and of the output.
        num_heads: h, must divide E.
        dropout: probability of dropping an attention weight in training.
        bias: whether the four projections have one.
        kdim, vdim: widths of keys and values, if other than E.
        batch_first: shapes are (N, T, E) and not (T, N, E).
        generator: where initial weights and dropout come from.

    Attributes:
        in_proj_weight: (3E, E), the projections of queries, keys and values; with another kdim
            or vdim there are q_proj_weight, k_proj_weight and v_proj_weight in its place.
        in_proj_bias: (3E,), or None.
        out_proj: ``Linear(E, E)``.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        positive("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: num_heads must divide embed_dim {embed_dim}, got {num_heads}"
            )
        probability("MultiheadAttention: dropout", dropout)
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first, self.generator = batch_first, generator
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim))
            init.xavier_uniform_(self.in_proj_weight, generator=generator)
        else:
            self.q_proj_weight = Parameter(empty(embed_dim, embed_dim))
            self.k_proj_weight = Parameter(empty(embed_dim, self.kdim))
            self.v_proj_weight = Parameter(empty(embed_dim, self.vdim))
            for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
                init.xavier_uniform_(weight, generator=generator)
        self.in_proj_bias = Parameter(empty(3 * embed_dim)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, generator)
        for vector in (self.in_proj_bias, self.out_proj.bias):
            if vector is not None:
                init.zeros_(vector)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend, and return ``(output, weights)``.

        Args:
            query: (T, N, E), or (N, T, E) with ``batch_first``, or (T, E) for one sequence.
            key: (S, N, kdim) likewise; the query if None (self-attention).
            value: (S, N, vdim) likewise; the key if None.
            key_padding_mask: (N, S), True for keys that nobody may see.
            need_weights: whether to return the weights; False is faster.
            attn_mask: (T, S) or (N·h, T, S): boolean, **True where a query may not look**
                (PyTorch's convention for this layer), or numbers added to the scores.
            average_attn_weights: give the mean over heads, (N, T, S), and not (N, h, T, S).
            is_causal: position t sees keys 0 … t only. No ``attn_mask`` is needed for it.

        Returns:
            The output in the query's shape, and the weights or None.
        """
        key = query if key is None else key
        value = key if value is None else value
        for name, x, width in (
            ("query", query, self.embed_dim),
            ("key", key, self.kdim),
            ("value", value, self.vdim),
        ):
            need_tensor("MultiheadAttention", x, name)
            if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != width:
                raise ValueError(
                    f"MultiheadAttention: {name} must have 2 or 3 dimensions as the query and end "
                    f"in {width}, got shape {x.shape}"
                )
        if query.ndim == 2:
            padding = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
            one = query.unsqueeze(0)  # (T, E) -> (1, T, E)
            out, weights = self._attend(
                one,
                one if key is query else key.unsqueeze(0),
                one if value is query else value.unsqueeze(0),
                padding,
                need_weights,
                attn_mask,
                average_attn_weights,
                is_causal,
            )
            return out.squeeze(0), None if weights is None else weights.squeeze(0)
        same = key is query and value is query
        if not self.batch_first:  # (T, N, E) -> (N, T, E)
            query = query.transpose(0, 1)
            key = query if same else key.transpose(0, 1)
            value = query if same else value.transpose(0, 1)
        if query.shape[0] != key.shape[0] or key.shape[:2] != value.shape[:2]:
            raise ValueError(
                f"MultiheadAttention: query {query.shape}, key {key.shape} and value {value.shape} "
                f"(N, length, width) do not belong together"
            )
        out, weights = self._attend(
            query,
            key,
            value,
            key_padding_mask,
            need_weights,
            attn_mask,
            average_attn_weights,
            is_causal,
        )
        return (out if self.batch_first else out.transpose(0, 1)), weights

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None,
        need_weights: bool,
        attn_mask: Tensor | None,
        average: bool,
        is_causal: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """The mathematics, on (N, T, E), (N, S, kdim), (N, S, vdim)."""
        n, length, _ = query.shape
        q, k, v = (self._heads(x) for x in self._project(query, key, value))  # (N, h, T, D)
        mask = self._mask(attn_mask, key_padding_mask, n, length, k.shape[2], q.dtype)
        drop = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = matmul(q, k.transpose(-2, -1)) * (1 / math.sqrt(q.shape[-1]))  # (N, h, T, S)
            if is_causal:
                scores = where(self._causal(length, k.shape[2]), scores, -math.inf)
            if mask is not None:
                scores = scores + mask
            weights = dropout(softmax_or_zero(scores), drop, generator=self.generator)
            heads = matmul(weights, v)
            weights = weights.mean(1) if average else weights
        else:
            heads = scaled_dot_product_attention(
                q, k, v, mask, drop, is_causal, generator=self.generator
            )
        joined = heads.transpose(1, 2).reshape(n, length, self.embed_dim)  # (N, h, T, D)
        return self.out_proj(joined), weights

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, (N, T, E) each; one product if all come from one input."""
        biases: tuple[Tensor | None, ...] = (None, None, None)
        if hasattr(self, "in_proj_weight"):
            if key is query and value is query:
                return linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
            weights = self.in_proj_weight.chunk(3, 0)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        if self.in_proj_bias is not None:
            biases = self.in_proj_bias.chunk(3, 0)
        return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))

    def _heads(self, x: Tensor) -> Tensor:
        """(N, T, E) -> (N, h, T, E/h)."""
        n, length, _ = x.shape
        width = self.embed_dim // self.num_heads
        return x.reshape(n, length, self.num_heads, width).transpose(1, 2)

    def _causal(self, queries: int, keys: int) -> Tensor:
        """(T, S), True where a query may look."""
        xp = active.backend.xp
        return Tensor(xp.arange(keys)[None, :] <= xp.arange(queries)[:, None])

    def _mask(
        self, attn_mask: Any, padding: Any, n: int, queries: int, keys: int, dtype: Any
    ) -> Tensor | None:
        """Both masks as one that is added to the scores, broadcasting to (N, h, T, S)."""
        total: Tensor | None = None
        if attn_mask is not None:
            shapes = ((queries, keys), (n * self.num_heads, queries, keys))
            if attn_mask.shape not in shapes:
                raise ValueError(
                    f"MultiheadAttention: attn_mask must have shape {shapes[0]} or {shapes[1]}, "
                    f"got {attn_mask.shape}"
                )
            total = _added(attn_mask, dtype)
            if attn_mask.ndim == 3:
                total = total.reshape(n, self.num_heads, queries, keys)
        if padding is not None:
            if padding.shape != (n, keys):
                raise ValueError(
                    f"MultiheadAttention: key_padding_mask must have shape {(n, keys)}, "
                    f"got {padding.shape}"
                )
            hidden = _added(padding, dtype).reshape(n, 1, 1, keys)
            total = hidden if total is None else total + hidden
        return total

    def multiply_adds(self, args: tuple[Any, ...], output: Any) -> int:
        """The projections into heads, the scores and the weighted means (all pairs)."""
        query = args[0]
        key = args[1] if len(args) > 1 and args[1] is not None else query
        length, axis = self.embed_dim, 1 if self.batch_first or query.ndim == 2 else 0
        batch = 1 if query.ndim == 2 else query.shape[1 - axis]
        queries, keys = (x.shape[0 if x.ndim == 2 else axis] for x in (query, key))
        projections = queries * length + keys * (self.kdim + self.vdim)
        return batch * length * (projections + 2 * queries * keys)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.embed_dim}, {self.num_heads}, batch_first={self.batch_first}"


def _added(mask: Tensor, dtype: Any) -> Tensor:
    """A mask as numbers to add: a boolean one hides where it is True."""
    if mask.dtype.kind != "b":
        return mask.to(dtype)
    xp = active.backend.xp
    return Tensor(xp.where(mask.data, -math.inf, 0.0).astype(dtype))
