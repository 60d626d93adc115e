"""Dense variational autoencoder: one training step.

    encoder  784 - 512 - 256 - (mean, log-variance) of z     ReLU between
    decoder  z - 256 - 512 - 784 logits                      ReLU between
    loss     -log p(x|z) (Bernoulli) + KL(q(z|x) ‖ N(0, I)), summed over dimensions,
             averaged over the batch                         Kingma & Welling 2013, appendix B
    Adam, learning rate 1e-3

The noise of the reparametrisation is part of the batch, so that both sides compute the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from benchmarks.gemm import Gemm, layer_gemms
from benchmarks.workload import Setting, Step, Workload


@dataclass(frozen=True)
class Vae(Workload):
    """784-512-256-z and its mirror, Bernoulli likelihood."""

    name: ClassVar[str] = "vae"
    title: ClassVar[str] = "dense VAE training step"
    small: ClassVar[str] = "batch=8,pixels=20,hidden=16"

    batch: int = 128
    pixels: int = 784
    hidden: int = 512
    latent: int = 2

    def batches(self) -> list[list[np.ndarray]]:
        """Four batches of binary pixels (a fifth of them on, as in MNIST) and noise."""
        generator = np.random.default_rng(0)
        return [
            [
                (generator.random((self.batch, self.pixels)) < 0.2).astype(np.float32),
                generator.standard_normal((self.batch, self.latent)).astype(np.float32),
            ]
            for _ in range(4)
        ]

    def layers(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of the six dense layers."""
        encoder = [self.pixels, self.hidden, self.hidden // 2, 2 * self.latent]
        decoder = [self.latent, self.hidden // 2, self.hidden, self.pixels]
        return [*pairwise(encoder), *pairwise(decoder)]

    def gemms(self) -> list[Gemm]:
        """The six layers; only the pixels need no gradient."""
        return [
            product
            for index, (inputs, outputs) in enumerate(self.layers())
            for product in layer_gemms(self.batch, inputs, outputs, input_gradient=index > 0)
        ]

    def minigen(self, setting: Setting) -> Step:
        """The step in minigen."""
        import minigen as mg
        from benchmarks.sides.minigen_side import training_step

        def dense(layers: list[tuple[int, int]]) -> mg.nn.Sequential:
            (a, b), (_, c), (_, d) = layers
            return mg.nn.Sequential(
                mg.nn.Linear(a, b),
                mg.nn.ReLU(),
                mg.nn.Linear(b, c),
                mg.nn.ReLU(),
                mg.nn.Linear(c, d),
            )

        class Network(mg.nn.Module):
            def __init__(self, layers: list[tuple[int, int]]) -> None:
                super().__init__()
                self.encoder = dense(layers[:3])
                self.decoder = dense(layers[3:])

        def loss_of(network: Any, x: mg.Tensor, noise: mg.Tensor) -> mg.Tensor:
            statistics = network.encoder(x)  # (N, 2·z)
            mean, log_variance = statistics[:, : self.latent], statistics[:, self.latent :]
            z = mean + mg.exp(0.5 * log_variance) * noise  # (N, z)
            logits = network.decoder(z)  # (N, 784)
            reconstruction = mg.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            kl = -0.5 * (1 + log_variance - mean * mean - mg.exp(log_variance)).sum()
            return (reconstruction + kl) / self.batch

        return training_step(Network(self.layers()), loss_of, self.batches(), setting)

    def torch(self, setting: Setting) -> Step:
        """The step in PyTorch."""
        import torch
        import torch.nn.functional as F

        from benchmarks.sides.torch_side import training_step

        def dense(layers: list[tuple[int, int]]) -> torch.nn.Sequential:
            (a, b), (_, c), (_, d) = layers
            return torch.nn.Sequential(
                torch.nn.Linear(a, b),
                torch.nn.ReLU(),
                torch.nn.Linear(b, c),
                torch.nn.ReLU(),
                torch.nn.Linear(c, d),
            )

        class Network(torch.nn.Module):
            def __init__(self, layers: list[tuple[int, int]]) -> None:
                super().__init__()
                self.encoder = dense(layers[:3])
                self.decoder = dense(layers[3:])

        def loss_of(network: Any, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
            statistics = network.encoder(x)  # (N, 2·z)
            mean, log_variance = statistics[:, : self.latent], statistics[:, self.latent :]
            z = mean + torch.exp(0.5 * log_variance) * noise  # (N, z)
            logits = network.decoder(z)  # (N, 784)
            reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            kl = -0.5 * (1 + log_variance - mean * mean - torch.exp(log_variance)).sum()
            return (reconstruction + kl) / self.batch

        return training_step(Network(self.layers()), loss_of, self.batches(), setting)

    def jax(self, setting: Setting) -> Step:
        """The step in JAX."""
        import jax
        import jax.numpy as jnp

        from benchmarks.sides import jax_side as side

        def loss_of(parameters: side.Parameters, x: jax.Array, noise: jax.Array) -> jax.Array:
            statistics = side.chain(parameters, "encoder.", 3, x, jax.nn.relu)  # (N, 2·z)
            mean, log_variance = statistics[:, : self.latent], statistics[:, self.latent :]
            z = mean + jnp.exp(0.5 * log_variance) * noise  # (N, z)
            logits = side.chain(parameters, "decoder.", 3, z, jax.nn.relu)  # (N, 784)
            reconstruction = (jax.nn.softplus(logits) - x * logits).sum()
            kl = -0.5 * (1 + log_variance - mean * mean - jnp.exp(log_variance)).sum()
            return (reconstruction + kl) / self.batch

        layers = self.layers()
        parameters: side.Parameters = {}
        for prefix, part in [("encoder.", layers[:3]), ("decoder.", layers[3:])]:
            sizes = [part[0][0], *[outputs for _, outputs in part]]
            parameters |= side.dense_layers(prefix, sizes)
        return side.training_step(parameters, loss_of, self.batches(), setting)
