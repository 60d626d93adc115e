"""Dense generative adversarial network: one training step (Goodfellow et al. 2014).

    G  100 - 256 - 512 - 1024 - 784     LeakyReLU(0.2) between, tanh at the end
    D  784 - 1024 - 512 - 256 - 1       LeakyReLU(0.2) between, a logit at the end
    discriminator's step on real images    softplus(−D(x)), Adam
    discriminator's step on fake images    softplus(D(G(z))), G without a tape, Adam
    generator's step                       softplus(−D(G(z′))), other noise, Adam

Adam with learning rate 2e-4 and β₁ = 0.5, means over the batch. D's weights need no gradient while
G learns, and no side computes one. Both noises are part of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from benchmarks.gemm import Gemm, layer_gemms
from benchmarks.workload import Setting, Step, Workload

SLOPE = 0.2


@dataclass(frozen=True)
class Gan(Workload):
    """100-256-512-1024-784 and its mirror; ``depth`` hidden layers, each half of the next."""

    name: ClassVar[str] = "gan"
    title: ClassVar[str] = "dense GAN training step"
    small: ClassVar[str] = "batch=8,pixels=20,hidden=16,latent=5"

    batch: int = 64
    pixels: int = 784
    hidden: int = 1024
    depth: int = 3
    latent: int = 100

    def batches(self) -> list[list[np.ndarray]]:
        """Four batches of pixels in [−1, 1] and two noises."""
        generator = np.random.default_rng(0)
        shapes = [(self.batch, self.latent)] * 2
        return [
            [
                generator.uniform(-1, 1, (self.batch, self.pixels)).astype(np.float32),
                *[generator.standard_normal(shape).astype(np.float32) for shape in shapes],
            ]
            for _ in range(4)
        ]

    def widths(self) -> tuple[list[int], list[int]]:
        """Of the generator's layers, and of the discriminator's."""
        hidden = [self.hidden // 2**k for k in range(self.depth)]
        return [self.latent, *hidden[::-1], self.pixels], [self.pixels, *hidden, 1]

    def gemms(self) -> list[Gemm]:
        """Forward, weights' and inputs' gradients, wherever the step needs them."""
        generator, discriminator = (list(pairwise(widths)) for widths in self.widths())
        products: list[Gemm] = []
        for index, (inputs, outputs) in enumerate(generator):
            products += layer_gemms(self.batch, inputs, outputs, False, False)
            products += layer_gemms(self.batch, inputs, outputs, input_gradient=index > 0)
        for index, (inputs, outputs) in enumerate(discriminator):
            judging = layer_gemms(self.batch, inputs, outputs, input_gradient=index > 0)
            products += [*judging, *judging]
            products += layer_gemms(self.batch, inputs, outputs, weight_gradient=False)
        return products

    def minigen(self, setting: Setting) -> Step:
        """The step in minigen."""
        from benchmarks.sides.minigen_side import adversarial_step
        from minigen.models.gan import DenseDiscriminator, DenseGenerator

        up, down = self.widths()
        return adversarial_step(
            DenseGenerator(self.latent, (self.pixels,), up[1:-1]),
            DenseDiscriminator((self.pixels,), down[1:-1]),
            self.batches(),
            setting,
            together=False,
        )

    def torch(self, setting: Setting) -> Step:
        """The step in PyTorch."""
        import torch

        from benchmarks.sides.torch_side import adversarial_step

        class Network(torch.nn.Module):
            def __init__(self, widths: list[int], end: list[torch.nn.Module]) -> None:
                super().__init__()
                layers: list[torch.nn.Module] = []
                for inputs, outputs in pairwise(widths):
                    layers += [torch.nn.Linear(inputs, outputs), torch.nn.LeakyReLU(SLOPE)]
                self.layers = torch.nn.Sequential(*layers[:-1], *end)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.layers(x)  # (N, first) -> (N, last)

        up, down = self.widths()
        generator, discriminator = Network(up, [torch.nn.Tanh()]), Network(down, [])
        return adversarial_step(generator, discriminator, self.batches(), setting, together=False)

    def jax(self, setting: Setting) -> Step:
        """The step in JAX."""
        from functools import partial

        import jax
        import jax.numpy as jnp

        from benchmarks.sides import jax_side as side

        del setting
        leaky = partial(jax.nn.leaky_relu, negative_slope=SLOPE)
        layers = self.depth + 1
        learn = partial(side.adam, learning_rate=2e-4, betas=(0.5, 0.999))

        def generate(parameters: side.Parameters, noise: jax.Array) -> jax.Array:
            return jnp.tanh(side.chain(parameters, "layers.", layers, noise, leaky))

        def judge(parameters: side.Parameters, x: jax.Array) -> jax.Array:
            return side.chain(parameters, "layers.", layers, x, leaky)

        def on_real(parameters: side.Parameters, images: jax.Array) -> jax.Array:
            return jax.nn.softplus(-judge(parameters, images)).mean()

        def on_fake(parameters: side.Parameters, fake: jax.Array) -> jax.Array:
            return jax.nn.softplus(judge(parameters, fake)).mean()

        def fooling(parameters: side.Parameters, judging: Any, noise: jax.Array) -> jax.Array:
            return jax.nn.softplus(-judge(judging, generate(parameters, noise))).mean()

        def update(
            state: Any, images: jax.Array, noise: jax.Array, more_noise: jax.Array
        ) -> tuple[Any, jax.Array]:
            up, up_moments, down, down_moments = state
            fake = generate(up, noise)
            real_loss, grads = jax.value_and_grad(on_real)(down, images)
            down, down_moments = learn(down, grads, down_moments)
            fake_loss, grads = jax.value_and_grad(on_fake)(down, fake)
            down, down_moments = learn(down, grads, down_moments)
            loss, grads = jax.value_and_grad(fooling)(up, down, more_noise)
            up, up_moments = learn(up, grads, up_moments)
            return (up, up_moments, down, down_moments), real_loss + fake_loss + loss

        up, down = (side.dense_layers("layers.", widths) for widths in self.widths())
        state = (up, side.Moments.zeros(up), down, side.Moments.zeros(down))
        return side.repeated(update, state, self.batches())
