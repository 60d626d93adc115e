"""Small training steps of every kind of model, with all their state, for the tests of capture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minigen as mg
from minigen.backends import active, to_host
from minigen.models.adversarial import LOSSES, frozen, gradient_penalty
from minigen.models.dcgan import ConvDiscriminator, ConvGenerator
from minigen.models.gan import DenseDiscriminator, DenseGenerator
from minigen.models.gpt import GPT
from minigen.models.pixelcnn import PixelCNN
from minigen.models.realnvp import RealNVP
from minigen.models.vae import VAE
from minigen.ops.random import default_generator


class Work:
    """A step and everything that it changes.

    Attributes:
        step: the function; takes the arrays of ``batch(i)`` as tensors.
        batch: the i-th batch.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        batch: Callable[[int], list[np.ndarray]],
        models: Sequence[mg.nn.Module],
        optimizers: Sequence[Any],
        generators: Sequence[mg.Generator],
    ) -> None:
        self.step, self.batch = step, batch
        self.models, self.optimizers, self.generators = models, optimizers, generators

    def state(self) -> dict[str, Any]:
        """Parameters, buffers, moments, counts, streams and gradients as one flat dictionary."""
        found: dict[str, Any] = {}
        for number, model in enumerate(self.models):
            for name, value in model.state_dict().items():
                found[f"model {number} {name}"] = np.array(value.numpy())
            for name, parameter in model.named_parameters():
                grad = parameter.grad
                found[f"grad {number} {name}"] = None if grad is None else np.array(grad.numpy())
        for number, one in enumerate(self.optimizers):
            for name, value in one.state_dict().items():
                is_array = isinstance(value, active.backend.array_type)
                value = to_host(value) if is_array else value
                found[f"optimizer {number} {name}"] = np.array(value)
        for number, generator in enumerate(self.generators):
            found[f"generator {number}"] = generator.state()
        return found

    def run(self, step: Callable[..., Any], calls: int) -> list[list[np.ndarray]]:
        """What ``calls`` calls return, copied at once."""
        results = []
        for i in range(calls):
            out = step(*[mg.tensor(x) for x in self.batch(i)])
            out = out if isinstance(out, (tuple, list)) else [out]
            results.append([np.array(y.numpy()) for y in out])
        return results


def _rng(i: int) -> np.random.Generator:
    return np.random.default_rng(100 + i)


def _pixels(*shape: int) -> Callable[[int], list[np.ndarray]]:
    return lambda i: [(_rng(i).random(shape) < 0.3).astype(np.float32)]


def vae(optimizer: Callable[..., Any] = mg.optim.Adam, pixels: int = 20, hidden: int = 16) -> Work:
    """Noise drawn inside the step."""
    mg.manual_seed(0)
    model, generator = VAE(pixels, (hidden, 8), 3), mg.Generator(5)
    adam = optimizer(model.parameters(), lr=1e-3)

    def step(x: mg.Tensor) -> mg.Tensor:
        adam.zero_grad()
        loss, _ = model.loss(x, generator)
        loss.backward()
        adam.step()
        return loss

    return Work(step, _pixels(8, pixels), [model], [adam], [generator])


def gan() -> Work:
    """Two optimizers, and a discriminator that is frozen while the generator learns."""
    mg.manual_seed(0)
    g, d = DenseGenerator(4, (6,), (8, 8)), DenseDiscriminator((6,), (8, 8), spectral=True)
    adams = [mg.optim.Adam(n.parameters(), lr=1e-2, betas=(0.5, 0.99)) for n in (g, d)]
    noise, loss, still = mg.Generator(1), LOSSES["non-saturating"], frozen(d)

    def step(x: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        adams[1].zero_grad()
        with mg.no_grad():
            fake = g(noise.normal(8, 4))
        d_loss = loss.discriminator(d(x), d(fake))
        d_loss.backward()
        adams[1].step()
        adams[0].zero_grad()
        with still:
            g_loss = loss.generator(d(g(noise.normal(8, 4))))
            g_loss.backward()
        adams[0].step()
        return d_loss, g_loss

    return Work(step, _pixels(8, 6), [g, d], adams, [noise])


def wgan_gp() -> Work:
    """Differentiation twice."""
    mg.manual_seed(0)
    g, d = DenseGenerator(4, (6,), (8, 8)), DenseDiscriminator((6,), (8, 8))
    adams = [mg.optim.RMSprop(g.parameters()), mg.optim.Adam(d.parameters(), lr=1e-3)]
    noise = mg.Generator(1)

    def step(x: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        adams[1].zero_grad()
        fake = g(noise.normal(8, 4)).detach()
        penalty, norms = gradient_penalty(d, x, fake, noise)
        loss = d(fake).mean() - d(x).mean() + 10 * penalty
        loss.backward()
        adams[1].step()
        adams[0].zero_grad()
        (-d(g(noise.normal(8, 4))).mean()).backward()
        adams[0].step()
        return loss, norms.mean()

    return Work(step, _pixels(8, 6), [g, d], adams, [noise])


def dcgan() -> Work:
    """Convolutions both ways, and the running statistics of batch norm."""
    mg.manual_seed(0)
    g, d = ConvGenerator(4, (1, 8, 8), 4), ConvDiscriminator((1, 8, 8), 4)
    adams = [mg.optim.Adam(n.parameters(), lr=1e-3) for n in (g, d)]
    noise, loss = mg.Generator(1), LOSSES["non-saturating"]
    average = mg.optim.EMA(g, 0.9)

    def step(x: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        adams[1].zero_grad()
        fake = g(noise.normal(4, 4))
        d_loss = loss.discriminator(d(x), d(fake.detach()))
        d_loss.backward()
        adams[1].step()
        adams[0].zero_grad()
        g_loss = loss.generator(d(fake))
        g_loss.backward()
        adams[0].step()
        average.update()
        return d_loss, g_loss

    return Work(step, _pixels(4, 1, 8, 8), [g, d, average.model], adams, [noise])


def realnvp() -> Work:
    """Couplings, with momentum."""
    mg.manual_seed(0)
    model = RealNVP(2, 2, (8,))
    sgd = mg.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9, nesterov=True)

    def step(x: mg.Tensor) -> mg.Tensor:
        sgd.zero_grad()
        loss, _ = model.loss(x)
        loss.backward()
        sgd.step()
        return loss

    return Work(
        step, lambda i: [_rng(i).standard_normal((8, 2)).astype(np.float32)], [model], [sgd], []
    )


def gpt() -> Work:
    """Dropout, clipping, weight decay, and a schedule."""
    mg.manual_seed(0)
    model = GPT(vocabulary=11, context=6, layers=2, heads=2, width=8, dropout=0.2)
    adam = mg.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = mg.optim.CosineWithWarmup(adam, warmup_steps=2, total_steps=10)

    def step(tokens: mg.Tensor, targets: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        adam.zero_grad()
        loss = model.loss(tokens, targets)
        loss.backward()
        norm = mg.optim.clip_grad_norm_(model.parameters(), 0.5)
        adam.step()
        schedule.step()
        return loss, norm

    def batch(i: int) -> list[np.ndarray]:
        tokens = _rng(i).integers(0, 11, (3, 7))
        return [tokens[:, :-1].copy(), tokens[:, 1:].copy()]

    return Work(step, batch, [model], [adam], [default_generator()])


def pixelcnn() -> Work:
    """Masked convolutions."""
    mg.manual_seed(0)
    model = PixelCNN((1, 6, 6), hidden=4, blocks=1)
    adam = mg.optim.Adam(model.parameters(), lr=1e-3)

    def step(x: mg.Tensor) -> mg.Tensor:
        adam.zero_grad()
        loss = mg.binary_cross_entropy_with_logits(model(x), x)
        loss.backward()
        adam.step()
        return loss

    return Work(step, _pixels(2, 1, 6, 6), [model], [adam], [])


WORKS = {f.__name__: f for f in (vae, gan, wgan_gp, dcgan, realnvp, gpt, pixelcnn)}
