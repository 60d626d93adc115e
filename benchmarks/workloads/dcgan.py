"""Deep convolutional GAN for 28×28: one training step (Radford et al. 2016).

    G  100 -> 128   7×7 from 1×1             batch norm, ReLU
       128 -> 64    4×4, stride 2, transposed  batch norm, ReLU
       64 -> 1      4×4, stride 2, transposed  tanh
    D  1 -> 64      4×4, stride 2            LeakyReLU(0.2)
       64 -> 128    4×4, stride 2            batch norm, LeakyReLU(0.2)
       128 -> 1     7×7                      a logit
    discriminator's step    softplus(−D(x)) + softplus(D(G(z))), two passes, G without a tape
    generator's step        softplus(−D(G(z′))), other noise

Adam with learning rate 2e-4 and β₁ = 0.5, means over the batch. Real and fake images pass D apart,
so that batch norm does not mix them. D's weights need no gradient while G learns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.gemm import Gemm, layer_gemms
from benchmarks.workload import Setting, Step, Workload

SLOPE = 0.2


@dataclass(frozen=True)
class Dcgan(Workload):
    """100 → 128 → 64 → 1 channels and back, 1×1 → 7×7 → 14×14 → 28×28."""

    name: ClassVar[str] = "dcgan"
    title: ClassVar[str] = "DCGAN training step"
    has_images: ClassVar[bool] = True
    small: ClassVar[str] = "batch=4,latent=6,channels=4"

    batch: int = 64
    latent: int = 100
    channels: int = 64

    def batches(self) -> list[list[np.ndarray]]:
        """Four batches of images (N, 1, 28, 28) in [−1, 1] and two noises (N, latent)."""
        generator = np.random.default_rng(0)
        shapes = [(self.batch, self.latent)] * 2
        return [
            [
                generator.uniform(-1, 1, (self.batch, 1, 28, 28)).astype(np.float32),
                *[generator.standard_normal(shape).astype(np.float32) for shape in shapes],
            ]
            for _ in range(4)
        ]

    def gemms(self) -> list[Gemm]:
        """Convolutions as rows of pieces times a matrix, at the smaller picture of the two."""
        n, few, many = self.batch, self.channels, 2 * self.channels
        generator = [(n, self.latent, many * 49), (n * 49, many, few * 16), (n * 196, few, 16)]
        discriminator = [(n * 196, 16, few), (n * 49, few * 16, many), (n, many * 49, 1)]
        products: list[Gemm] = []
        for index, layer in enumerate(generator):
            products += layer_gemms(*layer, input_gradient=False, weight_gradient=False)
            products += layer_gemms(*layer, input_gradient=index > 0)
        for index, layer in enumerate(discriminator):
            judging = layer_gemms(*layer, input_gradient=index > 0)
            products += [*judging, *judging, *layer_gemms(*layer, weight_gradient=False)]
        return products

    def minigen(self, setting: Setting) -> Step:
        """The step in minigen."""
        from benchmarks.sides.minigen_side import adversarial_step
        from minigen.models.dcgan import ConvDiscriminator, ConvGenerator

        shape = (1, 28, 28)
        generator = ConvGenerator(self.latent, shape, self.channels)
        discriminator = ConvDiscriminator(shape, self.channels)
        return adversarial_step(generator, discriminator, self.batches(), setting, together=True)

    def torch(self, setting: Setting) -> Step:
        """The step in PyTorch."""
        import torch
        from torch.nn import BatchNorm2d, Conv2d, ConvTranspose2d, LeakyReLU, ReLU, Tanh

        from benchmarks.sides.torch_side import adversarial_step

        few, many = self.channels, 2 * self.channels

        class Generator(torch.nn.Module):
            def __init__(self, latent: int) -> None:
                super().__init__()
                self.layers = torch.nn.Sequential(
                    ConvTranspose2d(latent, many, 7, bias=False),  # -> (N, 128, 7, 7)
                    BatchNorm2d(many),
                    ReLU(inplace=True),
                    ConvTranspose2d(many, few, 4, 2, 1, bias=False),  # -> (N, 64, 14, 14)
                    BatchNorm2d(few),
                    ReLU(inplace=True),
                    ConvTranspose2d(few, 1, 4, 2, 1),  # -> (N, 1, 28, 28)
                    Tanh(),
                )

            def forward(self, noise: torch.Tensor) -> torch.Tensor:
                return self.layers(noise[:, :, None, None])  # (N, 100) -> (N, 100, 1, 1)

        class Discriminator(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layers = torch.nn.Sequential(
                    Conv2d(1, few, 4, 2, 1),  # (N, 1, 28, 28) -> (N, 64, 14, 14)
                    Conv2d(few, many, 4, 2, 1, bias=False),  # -> (N, 128, 7, 7)
                    BatchNorm2d(many),
                    Conv2d(many, 1, 7),  # -> (N, 1, 1, 1)
                )
                self.rectifier = LeakyReLU(SLOPE, inplace=True)

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                first, second, norm, last = self.layers
                x = self.rectifier(first(images))
                return last(self.rectifier(norm(second(x))))

        return adversarial_step(
            Generator(self.latent), Discriminator(), self.batches(), setting, together=True
        )

    def jax(self, setting: Setting) -> Step:
        """The step in JAX. The layers from and to 1×1 are matrix products."""
        from functools import partial

        import jax
        import jax.numpy as jnp

        from benchmarks.sides import jax_side as side

        how = setting.get("convolution", "lax")
        few, many, latent = self.channels, 2 * self.channels, self.latent
        learn = partial(side.adam, learning_rate=2e-4, betas=(0.5, 0.999))
        Networks = tuple[side.Parameters, side.Parameters]  # what is learned; running statistics

        def norm(network: Networks, name: str, x: jax.Array) -> jax.Array:
            """Batch norm over (N, H, W); the running statistics are replaced in place."""
            parameters, running = network
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            count = x.size // x.shape[-1]
            for key, new in [("mean", mean), ("var", variance * (count / (count - 1)))]:
                old = running[f"{name}.running_{key}"]
                running[f"{name}.running_{key}"] = 0.9 * old + 0.1 * lax_stop(new)
            scale = jax.lax.rsqrt(variance + 1e-5) * parameters[f"{name}.weight"]
            return (x - mean) * scale + parameters[f"{name}.bias"]

        lax_stop = jax.lax.stop_gradient

        def generate(network: Networks, noise: jax.Array) -> jax.Array:
            parameters, _ = network
            weight = parameters["layers.0.weight"]
            x = (noise @ weight).reshape(-1, 7, 7, many)  # (N, 100) -> (N, 7, 7, 128)
            x = jax.nn.relu(norm(network, "layers.1", x))
            x = side.convolve_transposed(x, parameters["layers.3.weight"], how, 2, 1)
            x = jax.nn.relu(norm(network, "layers.4", x))  # (N, 14, 14, 64)
            x = side.convolve_transposed(x, parameters["layers.6.weight"], how, 2, 1)
            return jnp.tanh(x + parameters["layers.6.bias"])  # (N, 28, 28, 1)

        def judge(network: Networks, images: jax.Array) -> jax.Array:
            parameters, _ = network
            x = side.convolve(images, parameters["layers.0.weight"], how, 2, 1)
            x = jax.nn.leaky_relu(x + parameters["layers.0.bias"], SLOPE)  # (N, 14, 14, 64)
            x = side.convolve(x, parameters["layers.1.weight"], how, 2, 1)
            x = jax.nn.leaky_relu(norm(network, "layers.2", x), SLOPE)  # (N, 7, 7, 128)
            flat = x.reshape(x.shape[0], -1)  # (N, 7, 7, 128) -> (N, 6272)
            return flat @ parameters["layers.3.weight"] + parameters["layers.3.bias"]

        def judging(
            parameters: side.Parameters, running: side.Parameters, real: jax.Array, fake: jax.Array
        ) -> tuple[jax.Array, side.Parameters]:
            network = (parameters, dict(running))
            loss = jax.nn.softplus(-judge(network, real)).mean()
            return loss + jax.nn.softplus(judge(network, fake)).mean(), network[1]

        def fooling(
            parameters: side.Parameters, running: side.Parameters, other: Networks, z: jax.Array
        ) -> tuple[jax.Array, tuple[side.Parameters, side.Parameters]]:
            network, judges = (parameters, dict(running)), (other[0], dict(other[1]))
            loss = jax.nn.softplus(-judge(judges, generate(network, z))).mean()
            return loss, (network[1], judges[1])

        def update(
            state: Any, images: jax.Array, noise: jax.Array, more_noise: jax.Array
        ) -> tuple[Any, jax.Array]:
            up, up_running, up_moments, down, down_running, down_moments = state
            up_running, down_running = dict(up_running), dict(down_running)
            fake = generate((up, up_running), noise)
            slope = partial(jax.value_and_grad, has_aux=True)
            (judged, down_running), grads = slope(judging)(down, down_running, images, fake)
            down, down_moments = learn(down, grads, down_moments)
            (fooled, (up_running, down_running)), grads = slope(fooling)(
                up, up_running, (down, down_running), more_noise
            )
            up, up_moments = learn(up, grads, up_moments)
            state = (up, up_running, up_moments, down, down_running, down_moments)
            return state, judged + fooled

        def norms(layers: dict[str, int]) -> Networks:
            parameters = {
                f"{name}.{kind}": side.vector(f"{name}.{kind}", count)
                for name, count in layers.items()
                for kind in ("weight", "bias")
            }
            running = {}
            for name, count in layers.items():
                running[f"{name}.running_mean"] = jnp.zeros(count)
                running[f"{name}.running_var"] = jnp.ones(count)
            return parameters, running

        up, up_running = norms({"layers.1": many, "layers.4": few})
        first = side.transposed_kernel("layers.0.weight", latent, many, 7)
        # (7, 7, 100, 128) -> (100, 7, 7, 128) -> (100, 6272)
        up["layers.0.weight"] = first.transpose(2, 0, 1, 3).reshape(latent, -1)
        up["layers.3.weight"] = side.transposed_kernel("layers.3.weight", many, few, 4)
        up["layers.6.weight"] = side.transposed_kernel("layers.6.weight", few, 1, 4)
        up["layers.6.bias"] = side.vector("layers.6.bias", 1)
        down, down_running = norms({"layers.2": many})
        down["layers.0.weight"] = side.kernel("layers.0.weight", 1, few, 4)
        down["layers.0.bias"] = side.vector("layers.0.bias", few)
        down["layers.1.weight"] = side.kernel("layers.1.weight", few, many, 4)
        down["layers.3.weight"] = side.kernel("layers.3.weight", many, 1, 7).reshape(-1, 1)
        down["layers.3.bias"] = side.vector("layers.3.bias", 1)
        zeros = side.Moments.zeros
        state = (up, up_running, zeros(up), down, down_running, zeros(down))
        batches = [
            [images.transpose(0, 2, 3, 1).copy(), *noises] for images, *noises in self.batches()
        ]
        return side.repeated(update, state, batches)
