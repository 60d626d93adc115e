"""GPT: a causal transformer that predicts the next token (Radford et al. 2018; 2019 for pre-norm).

**The model.** The probability of a text is a product, one factor for each token:

    p(x_1 … x_L) = ∏_t p(x_t | x_1 … x_{t−1})

and one network computes all factors at once: position t of its output sees the tokens up to t and
says how likely each token is to come next. Nothing may flow from a later token to an earlier
position; the only place where positions meet is the attention, and there a mask forbids it.

**The network.** A token becomes a vector of E numbers, its row in a table plus a learned row for
its position. L blocks follow, each of which *adds* to what is there (so gradients pass unharmed):

    x ← x + attention(norm(x))       positions exchange information
    x ← x + mlp(norm(x))             each position thinks for itself, 4E wide, GELU

with the norm in front ("pre-norm": the sum itself is never normalised, deep stacks train without
tricks), and a last norm before the logits. Attention (Vaswani et al. 2017, section 3.2) in h heads
of D = E/h numbers: every position asks with a query and takes the mean of the values of all
earlier positions, weighted by how well their keys match,

    softmax(Q Kᵀ/√D + mask) V

**One table.** The logits are products with the same table that the tokens came from (Press & Wolf
2017): what a token means when it is read and when it is written is one thing, held in one buffer.

**Writing, without doing everything again.** A new token changes nothing at earlier positions (that
is what the mask says), so their keys and values are kept: `KeyValueCache`. A step then costs one
position instead of all. Positions are learned, so a text that outgrows the window of `context`
tokens must be moved: when the window is full, its newer half is read again from position 0 and
the next half-window of tokens is cheap again. `window_start` is that policy; it depends on the
length alone, and `next_logits` is its definition, without a cache, that the cached computation must
equal to rounding.

**Initial weights** as in GPT-2: N(0, 0.02²), biases 0, and the two matrices of a block that write
into the sum smaller by √(2L), so that the sum of 2L contributions starts with the deviation of one.

The recipe that trains it, with the numbers reached, is `minigen/recipes/gpt.py`; how a text is
drawn from the probabilities is in `minigen/models/generation.py`.
"""

from __future__ import annotations

import math

import numpy as np

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.models.gpt_step import newest_logits
from minigen.nn import init

__all__ = ["GPT", "KeyValueCache", "window_start"]


def window_start(length: int, context: int) -> int:
    """The first token that counts for predicting what follows `length` tokens.

    The window grows from token 0 until it holds `context` tokens. For one more token it drops its
    older half, and goes on so. With context 4, lengths 1 … 4 start at 0, 5 and 6 at
    2, 7 and 8 at 4.
    """
    if length <= context:
        return 0
    stride = context - context // 2  # how many are dropped at a time
    return stride * math.ceil((length - context) / stride)


def visible(queries: int, keys: int) -> Tensor:
    """(T, S) boolean: may query t, the (S − T + t)-th position of the window, see key s?"""
    xp = active.backend.xp
    position = xp.arange(keys - queries, keys)[:, None]  # (T, 1)
    return Tensor(xp.arange(keys)[None, :] <= position)  # (1, S) and (T, 1) -> (T, S)


class KeyValueCache:
    """Keys and values of the tokens in the window, for N texts that grow in step.

    Made by `GPT.new_cache`, filled by `GPT.cached_logits`.

    Attributes:
        seen: how many tokens each text has had.
        start: the first of them that is in the window.
        tokens: (N, context) int64, the window; its first `seen − start` columns are in use.
        keys, values: for each block (N, h, context, D), as many rows in use.
    """

    def __init__(self, batch: int, model: GPT) -> None:
        self.seen = self.start = 0
        head = model.width // model.heads
        shape, dtype = (batch, model.heads, model.context, head), model.token.weight.dtype
        xp = active.backend.xp
        self.tokens = xp.zeros((batch, model.context), dtype=np.int64)
        self.keys = [xp.zeros(shape, dtype=dtype) for _ in model.blocks]
        self.values = [xp.zeros(shape, dtype=dtype) for _ in model.blocks]

    def extend(self, block: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Put the newest keys and values behind the others; all of them: (N, h, T, D) → S rows."""
        end = self.seen - self.start
        first = end - k.shape[2]
        self.keys[block][:, :, first:end] = k.data
        self.values[block][:, :, first:end] = v.data
        return Tensor(self.keys[block][:, :, :end]), Tensor(self.values[block][:, :, :end])


class CausalSelfAttention(nn.Module):
    """Every position takes a weighted mean over itself and the ones before, in h heads."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of every head."""
        n, t, width = x.shape
        split = (n, t, 3, self.heads, width // self.heads)
        qkv = self.qkv(x).reshape(*split)  # (N, T, E) -> (N, T, 3E) -> (N, T, 3, h, D)
        qkv = qkv.permute(2, 0, 3, 1, 4)  # (N, T, 3, h, D) -> (3, N, h, T, D)
        return qkv[0], qkv[1], qkv[2]  # (3, N, h, T, D) -> (N, h, T, D) three times

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, block: int = 0) -> Tensor:
        """(N, T, E) → (N, T, E); with a cache, x are the newest T positions of S."""
        if cache is None and not (self.dropout and self.training):
            return self.out(mg.packed_attention(self.qkv(x), self.heads, is_causal=True))
        n, t, width = x.shape
        q, k, v = self.project(x)
        mask = None
        if cache is not None:
            k, v = cache.extend(block, k, v)  # (N, h, T, D) -> (N, h, S, D)
            mask = visible(t, k.shape[2]) if t > 1 else None  # the newest one sees all
        mixed = mg.scaled_dot_product_attention(
            q, k, v, mask, self.dropout if self.training else 0.0, is_causal=cache is None
        )  # (N, h, T, D)
        joined = mixed.transpose(1, 2).reshape(n, t, width)  # (N, h, T, D) -> (N, T, E)
        return self.out(joined)

    def weights(self, x: Tensor) -> Tensor:
        """Who looks at whom, by the formula itself: (N, T, E) → (N, h, T, T), rows sum to 1."""
        q, k, _ = self.project(x)
        scores = mg.matmul(q, k.transpose(-2, -1)) / math.sqrt(q.shape[-1])  # (N, h, T, T)
        scores = mg.where(visible(x.shape[1], x.shape[1]), scores, -math.inf)
        return mg.softmax(scores, dim=-1)


class Block(nn.Module):
    """Attention, then a two-layer network for each position; both are added to their input."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = CausalSelfAttention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, block: int = 0) -> Tensor:
        """(N, T, E) → (N, T, E)."""
        x = x + self.drop(self.attention(self.norm1(x), cache, block))
        hidden = mg.gelu(self.expand(self.norm2(x)), approximate="tanh")  # (N, T, E) -> (N, T, 4E)
        return x + self.drop(self.contract(hidden))  # (N, T, 4E) -> (N, T, E)


class GPT(nn.Module):
    """The transformer; see the top of this file.

    Args:
        vocabulary: V, the number of different tokens.
        context: the longest window that it can look at, in tokens.
        layers: blocks.
        heads: h; must divide `width`.
        width: E.
        dropout: probability, after the embedding, on attention weights and on what a block adds.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int = 128,
        layers: int = 4,
        heads: int = 4,
        width: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = {"vocabulary": vocabulary, "context": context, "layers": layers, "heads": heads}
        for name, value in {**sizes, "width": width}.items():
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a whole number >= 1, got {value!r}")
        if width % heads:
            raise ValueError(f"heads must divide width {width}, got {heads}")
        self.vocabulary, self.context, self.heads, self.width = vocabulary, context, heads, width
        self.token = nn.Embedding(vocabulary, width)  # read here, and by `logits`
        self.position = nn.Embedding(context, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self._initialise(layers)

    def _initialise(self, layers: int) -> None:
        for name, parameter in self.named_parameters():
            if "norm" in name:
                continue
            if name.endswith("bias"):
                init.zeros_(parameter)
            elif name.endswith(("attention.out.weight", "contract.weight")):
                init.normal_(parameter, std=0.02 / math.sqrt(2 * layers))
            else:
                init.normal_(parameter, std=0.02)

    # From tokens to logits, in three parts -------------------------------------------------------

    def embed(self, tokens: Tensor, first: int = 0) -> Tensor:
        """Tokens at positions `first`, `first` + 1, … of the window: (N, T) int → (N, T, E)."""
        if tokens.ndim != 2 or tokens.dtype.kind not in "iu":
            raise TypeError(f"tokens must be integers (N, T), got {tokens.dtype} {tokens.shape}")
        end = first + tokens.shape[1]
        if not first < end <= self.context:
            raise ValueError(
                f"tokens must be 1 to {self.context} in the window, got {end} in all, "
                f"{tokens.shape[1]} of them new"
            )
        x = self.token(tokens) + self.position.weight[first:end]  # (N, T) -> (N, T, E)
        return self.drop(x)

    def transform(self, x: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """The blocks and the last norm: (N, T, E) → (N, T, E)."""
        for number, block in enumerate(self.blocks):
            x = block(x, cache, number)
        return self.norm(x)

    def logits(self, x: Tensor) -> Tensor:
        """Products with the token table: (…, E) → (…, V)."""
        return mg.linear(x, self.token.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Position t of the output predicts token t + 1: (N, T) int → logits (N, T, V)."""
        return self.logits(self.transform(self.embed(tokens)))

    def loss(self, tokens: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy in nats per token: (N, T), (N, T) → (); (N, T) with reduction "none"."""
        logits = self(tokens)
        n, t, v = logits.shape
        flat = logits.reshape(n * t, v)  # (N, T, V) -> (N·T, V)
        loss = mg.cross_entropy(flat, targets.reshape(n * t), reduction=reduction)
        return loss.reshape(n, t) if reduction == "none" else loss

    def attention_maps(self, tokens: Tensor) -> list[Tensor]:
        """The attention weights of every block: (N, T) → for each block (N, h, T, T)."""
        x, maps = self.embed(tokens), []
        for block in self.blocks:
            assert isinstance(block, Block)
            maps.append(block.attention.weights(block.norm1(x)))
            x = block(x)
        return maps

    # Writing on ----------------------------------------------------------------------------------

    def next_logits(self, tokens: Tensor) -> Tensor:
        """What follows N texts of length L, of any L >= 1: (N, L) → (N, V). The definition."""
        start = window_start(tokens.shape[1], self.context)
        return self(tokens[:, start:])[:, -1]  # (N, T, V) -> (N, V)

    def new_cache(self, batch: int) -> KeyValueCache:
        """An empty cache for `batch` texts."""
        return KeyValueCache(batch, self)

    def cached_logits(self, tokens: Tensor, cache: KeyValueCache) -> Tensor:
        """Append tokens to the texts in the cache, and say what follows: (N, T) → (N, V).

        Equal to `next_logits` of all tokens so far, whatever the portions in which they came. To
        be called under `mg.no_grad()`, in evaluation mode. One token at a time is computed on raw
        arrays, `minigen/models/gpt_step.py`.
        """
        seen = cache.seen + tokens.shape[1]
        start = window_start(seen, self.context)
        held = cache.seen - cache.start
        new = tokens.data
        if start > cache.start:  # the window moves: what stays of it is read again
            new = active.backend.xp.concatenate([cache.tokens[:, :held], new], axis=1)
            new, held = new[:, -(seen - start) :], 0
        cache.seen, cache.start = seen, start
        cache.tokens[:, held : seen - start] = new
        if new.shape[1] == 1 and new.dtype.kind in "iu" and not self.training:
            return Tensor(newest_logits(self, new[:, 0], cache))
        x = self.transform(self.embed(Tensor(new), first=held), cache)  # (N, T) -> (N, T, E)
        return self.logits(x[:, -1])  # (N, T, E) -> (N, E) -> (N, V)
