"""GPT: one training step (Radford et al. 2019).

    token and position table, added
    four blocks  x + attention(norm(x)),  x + contract(GELU(expand(norm(x))))   four heads, E = 128
    norm, logits by the token table
    loss  cross-entropy, mean over tokens; gradients' norm clipped to 1; AdamW, learning rate 1e-3

GELU is the approximation by tanh; there is no dropout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.gemm import Gemm, attention_gemms, layer_gemms
from benchmarks.workload import Setting, Step, Workload


@dataclass(frozen=True)
class Gpt(Workload):
    """Four layers, four heads, 128 wide, context 64, batch 12, 65 characters."""

    name: ClassVar[str] = "gpt"
    title: ClassVar[str] = "GPT training step"
    small: ClassVar[str] = "batch=2,context=6,layers=2,heads=2,width=8,vocabulary=11"

    batch: int = 12
    context: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    vocabulary: int = 65

    def batches(self) -> list[list[np.ndarray]]:
        """Four batches of tokens and of the tokens that follow, (N, T) each."""
        generator = np.random.default_rng(0)
        texts = generator.integers(0, self.vocabulary, (4, self.batch, self.context + 1))
        return [[text[:, :-1].copy(), text[:, 1:].copy()] for text in texts]

    def gemms(self) -> list[Gemm]:
        """Four layers a block, attention over all pairs, and the logits."""
        rows, width = self.batch * self.context, self.width
        heads = attention_gemms(self.batch * self.heads, self.context, width // self.heads)
        sizes = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
        block = [product for size in sizes for product in layer_gemms(rows, *size)] + heads
        return block * self.layers + layer_gemms(rows, width, self.vocabulary)

    def minigen(self, setting: Setting) -> Step:
        """The step in minigen."""
        import minigen as mg
        from benchmarks.sides.minigen_side import training_step
        from minigen.models.gpt import GPT

        def loss_of(model: Any, tokens: mg.Tensor, targets: mg.Tensor) -> mg.Tensor:
            return model.loss(tokens, targets)

        model = GPT(self.vocabulary, self.context, self.layers, self.heads, self.width)
        return training_step(model, loss_of, self.batches(), setting, decoupled=True, clip=1.0)

    def torch(self, setting: Setting) -> Step:
        """The step in PyTorch."""
        import torch
        import torch.nn.functional as F
        from torch.nn import Embedding, LayerNorm, Linear

        from benchmarks.sides.torch_side import training_step

        class Attention(torch.nn.Module):
            def __init__(self, width: int, heads: int) -> None:
                super().__init__()
                self.heads = heads
                self.qkv, self.out = Linear(width, 3 * width), Linear(width, width)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                n, t, width = x.shape
                parts = self.qkv(x).split(width, dim=2)  # (N, T, 3E) -> (N, T, E) three times
                q, k, v = (part.view(n, t, self.heads, -1).transpose(1, 2) for part in parts)
                mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (N, h, T, D)
                return self.out(mixed.transpose(1, 2).reshape(n, t, width))

        class Block(torch.nn.Module):
            def __init__(self, width: int, heads: int) -> None:
                super().__init__()
                self.norm1, self.norm2 = LayerNorm(width), LayerNorm(width)
                self.attention = Attention(width, heads)
                self.expand, self.contract = Linear(width, 4 * width), Linear(4 * width, width)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                x = x + self.attention(self.norm1(x))
                hidden = F.gelu(self.expand(self.norm2(x)), approximate="tanh")
                return x + self.contract(hidden)  # (N, T, 4E) -> (N, T, E)

        class Network(torch.nn.Module):
            positions: torch.Tensor

            def __init__(self, sizes: Gpt) -> None:
                super().__init__()
                self.token = Embedding(sizes.vocabulary, sizes.width)
                self.position = Embedding(sizes.context, sizes.width)
                self.blocks = torch.nn.Sequential(
                    *[Block(sizes.width, sizes.heads) for _ in range(sizes.layers)]
                )
                self.norm = LayerNorm(sizes.width)

            def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
                x = self.token(tokens) + self.position.weight  # (N, T) -> (N, T, E)
                logits = F.linear(self.norm(self.blocks(x)), self.token.weight)  # (N, T, V)
                return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

        def loss_of(network: Any, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return network(tokens, targets)

        network = Network(self)
        return training_step(network, loss_of, self.batches(), setting, decoupled=True, clip=1.0)

    def jax(self, setting: Setting) -> Step:
        """The step in JAX."""
        import jax
        import jax.numpy as jnp

        from benchmarks.sides import jax_side as side

        width, heads, context = self.width, self.heads, self.context
        visible = np.tril(np.ones((context, context), dtype=bool))

        def norm(parameters: side.Parameters, name: str, x: jax.Array) -> jax.Array:
            mean = x.mean(-1, keepdims=True)
            scale = jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
            return (x - mean) * scale * parameters[f"{name}.weight"] + parameters[f"{name}.bias"]

        def attention(parameters: side.Parameters, name: str, x: jax.Array) -> jax.Array:
            n, t, _ = x.shape
            qkv = side.dense(parameters, f"{name}.qkv", x)  # (N, T, E) -> (N, T, 3E)
            qkv = qkv.reshape(n, t, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
            q, k, v = qkv  # (3, N, h, T, D) -> (N, h, T, D) three times
            scores = q @ k.swapaxes(-1, -2) / np.sqrt(width / heads).astype(np.float32)
            mixed = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf)) @ v  # (N, h, T, D)
            return side.dense(
                parameters, f"{name}.out", mixed.transpose(0, 2, 1, 3).reshape(n, t, width)
            )

        def loss_of(
            parameters: side.Parameters, tokens: jax.Array, targets: jax.Array
        ) -> jax.Array:
            x = parameters["token.weight"][tokens] + parameters["position.weight"]  # (N, T, E)
            for number in range(self.layers):
                name = f"blocks.{number}"
                normed = norm(parameters, f"{name}.norm1", x)
                x = x + attention(parameters, f"{name}.attention", normed)
                normed = norm(parameters, f"{name}.norm2", x)
                hidden = jax.nn.gelu(side.dense(parameters, f"{name}.expand", normed))
                x = x + side.dense(parameters, f"{name}.contract", hidden)
            logits = norm(parameters, "norm", x) @ parameters["token.weight"].T  # (N, T, V)
            right = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
            return (jax.nn.logsumexp(logits, axis=-1) - right).mean()

        shapes = [("attention.qkv", width, 3 * width), ("attention.out", width, width)]
        shapes += [("expand", width, 4 * width), ("contract", 4 * width, width)]
        # The tables keep their layout (V, E) and (T, E).
        parameters: side.Parameters = {
            "token.weight": side.matrix("token.weight", width, self.vocabulary).T,
            "position.weight": side.matrix("position.weight", width, context).T,
        }
        norms = ["norm"]
        for number in range(self.layers):
            norms += [f"blocks.{number}.norm1", f"blocks.{number}.norm2"]
            for layer, inputs, outputs in shapes:
                name = f"blocks.{number}.{layer}"
                parameters[f"{name}.weight"] = side.matrix(f"{name}.weight", inputs, outputs)
                parameters[f"{name}.bias"] = side.vector(f"{name}.bias", outputs)
        for name in norms:
            parameters[f"{name}.weight"] = side.vector(f"{name}.weight", width)
            parameters[f"{name}.bias"] = side.vector(f"{name}.bias", width)
        return side.training_step(
            parameters, loss_of, self.batches(), setting, weight_decay=0.01, clip=1.0
        )
