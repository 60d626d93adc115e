"""What the recipes of all adversarial models share: two networks, two optimizers, one game.

A step is `critic_steps` updates of the discriminator, each on real data of its own, then one of the
generator. `minigen/models/adversarial.py` has the losses and says why either step leaves the other
network alone; here they meet data, Adam, an optional moving average of the generator (from which
all samples are then drawn; Yazıcı et al. 2019), optional *instance noise* (below), and the things
one looks at:

* numbers of every step: both losses, the discriminator's accuracy on both halves, the norms of both
  gradients;
* numbers of every measurement, from a few thousand samples (`minigen/recipes/looks.py`);
* a verdict over both (`minigen/metrics/verdict.py`), in the log as soon as something looks wrong;
* pictures of one fixed handful of noise, from before the first step to the end, and an animation.

Instance noise (Sønderby et al. 2017, "Amortised MAP inference"; Arjovsky & Bottou 2017): the
discriminator sees real and made-up samples through the same fog, x + s·ε with ε from N(0, I).
Without it, samples that lie beside narrow data are told apart for certain, and the slope there says
nothing; with it the two densities overlap, and the slope leads to the nearest data from about s
away. s falls along the half cosine of the learning rates, so that the generator's restlessness and
the width over which the discriminator looks shrink together. Where s falls faster modes are lost:
between those that no longer overlap no slope leads back.

Images are [−1, 1] inside and [0, 1] outside; points are moved and scaled to deviation 1 inside.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minigen as mg
from minigen import nn, plots
from minigen.data import Batches, BatchGroups, Dataset
from minigen.errors import UserError
from minigen.metrics.verdict import verdict
from minigen.models.adversarial import LOSSES, accuracies, frozen, gradient_penalty, r1_penalty
from minigen.models.diffaugment import AUGMENTATIONS, diff_augment
from minigen.recipes.base import Oracle, Recipe
from minigen.recipes.config import Config, option
from minigen.recipes.looks import SAMPLES, THOROUGH_SAMPLES, Looks

__all__ = ["AdversarialConfig", "AdversarialRecipe", "InstanceNoise", "descend"]

EVALUATION_SEED = 20140610  # one fixed set of noise: two evaluations of one model agree exactly
PROGRESS_SEED = 1
CHUNK = 500  # samples at a time


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig(Config):
    """The hyper-parameters of a game."""

    batch_size: int = option(64, "samples per step, real and fake each", minimum=1)
    latent: int = option(100, "length of the noise z", minimum=1)
    loss: str = option("non-saturating", "the game", choices=tuple(LOSSES))
    critic_steps: int = option(1, "discriminator's steps for one of the generator", minimum=1)
    generator_lr: float = option(2e-4, "of the generator's Adam", above=0)
    discriminator_lr: float = option(2e-4, "of the discriminator's Adam", above=0)
    beta1: float = option(0.5, "of both Adams", minimum=0, maximum=0.999)
    beta2: float = option(0.999, "of both Adams", minimum=0, maximum=0.9999)
    decay: bool = option(False, "both learning rates fall to 0, along half a cosine")
    gradient_penalty: float = option(0.0, "λ of WGAN-GP's penalty; 0 for none", minimum=0)
    r1: float = option(0.0, "γ of the R1 penalty on real samples; 0 for none", minimum=0)
    ema: float = option(0.0, "of the generator's moving average; 0 for none", minimum=0, maximum=1)
    instance_noise: float = option(0.0, "its deviation at the start; 0 for none", minimum=0)
    instance_noise_end: float = option(0.01, "its deviation at the end", minimum=0)
    augment: tuple[str, ...] = option((), "DiffAugment, for few images", choices=(*AUGMENTATIONS,))


class AdversarialRecipe(Recipe):
    """A generator against a discriminator; a subclass says with which networks (`networks`)."""

    Config = AdversarialConfig
    headline = "spread"

    @classmethod
    def describe(cls, config: Any, train: Dataset) -> dict[str, Any]:
        """What samples are, how they are judged, and for points where they lie."""
        if train.kind not in ("image", "rows") or (train.kind == "rows" and train.data.ndim != 2):
            raise UserError(f"{cls.name} needs images or points, and {train.name} has {train.kind}")
        return Looks.describe(train)

    def check(self, data: Dataset) -> None:
        """`UserError` when a sample of `data` has another kind or shape."""
        found = {"kind": data.kind, "shape": list(data.sample_shape)}
        for name, value in found.items():
            if value != self.facts[name]:
                raise UserError(
                    f"the model was built for data with {name} {self.facts[name]}, got {value}"
                )

    # Training ----------------------------------------------------------------------------------

    @abstractmethod
    def networks(self) -> tuple[nn.Module, nn.Module]:
        """The generator, (z, labels) → samples, and the discriminator, (x, labels) → logits."""

    def build(self) -> None:
        """Networks, optimizers, schedules, the average."""
        config: AdversarialConfig = self.config
        self.looks = Looks(self.facts)
        self.headline = self.looks.headline
        self.shape, self.is_image = self.looks.shape, self.looks.is_image
        if config.augment and not self.is_image:
            raise ValueError("augment needs images, got points")
        self.game = LOSSES[config.loss]
        self.generator, self.discriminator = self.networks()
        self.generator_rests = frozen(self.generator)
        self.discriminator_rests = frozen(self.discriminator)
        betas = (config.beta1, config.beta2)
        self.generator_optimizer = mg.optim.Adam(
            self.generator.parameters(), lr=config.generator_lr, betas=betas
        )
        self.discriminator_optimizer = mg.optim.Adam(
            self.discriminator.parameters(), lr=config.discriminator_lr, betas=betas
        )
        self.saved = (
            *("generator", "discriminator", "generator_optimizer", "discriminator_optimizer"),
        )
        self.schedules = []
        if config.decay:
            self.generator_schedule, self.discriminator_schedule = (
                mg.optim.CosineWithWarmup(optimizer, warmup_steps=0, total_steps=config.steps)
                for optimizer in (self.generator_optimizer, self.discriminator_optimizer)
            )
            self.schedules = [self.generator_schedule, self.discriminator_schedule]
            self.saved += ("generator_schedule", "discriminator_schedule")
        if config.ema:
            self.average = mg.optim.EMA(self.generator, config.ema)
            self.saved += ("average",)
        self.fog: InstanceNoise | None = None
        if config.instance_noise:
            self.fog = InstanceNoise(config.instance_noise, config.instance_noise_end, config.steps)
            self.saved += ("fog",)

    def batches(self, train: Dataset) -> BatchGroups:
        """Shuffled batches, all of one size; data that do not fill one are one batch."""
        size = self.config.batch_size
        stream = Batches(train, size, seed=self.seed, drop_last=len(train) >= size)
        return BatchGroups(stream, self.config.critic_steps)

    def step(self, batch: Any) -> Mapping[str, Any]:
        """The discriminator's steps, one on each batch of the group, then the generator's."""
        self.generator.train()
        self.discriminator.train()
        numbers: dict[str, Any] = {}
        for part in batch:
            real, labels = self.inside(mg.tensor(part.x)), self.labels_of(part)
            numbers = self.discriminator_step(real, labels)
        numbers |= self.generator_step(len(real), labels)
        if self.config.ema:
            self.average.update()
        for schedule in self.schedules:
            schedule.step()
        if self.fog is not None:
            numbers["instance_noise"] = self.fog.deviation
            self.fog.steps += 1
        return numbers

    def discriminator_step(self, real: mg.Tensor, labels: mg.Tensor | None) -> dict[str, Any]:
        """One update of the discriminator; the generator stays as it is."""
        config: AdversarialConfig = self.config
        with mg.no_grad(), self.generator_rests:
            fake = self.generator(self.noise(len(real)), labels)
        real_logits, fake_logits = self.judge(real, labels), self.judge(fake, labels)
        loss = self.game.discriminator(real_logits, fake_logits)
        numbers: dict[str, Any] = {"discriminator_loss": loss}
        right = accuracies(self.game, real_logits, fake_logits)
        numbers["real_accuracy"], numbers["fake_accuracy"] = right
        if config.gradient_penalty:
            penalty, norms = gradient_penalty(
                lambda x: self.discriminator(x, labels), real, fake, self.random
            )
            loss = loss + config.gradient_penalty * penalty
            numbers["slope_norm"] = norms.mean()
        gamma = self.r1_weight()
        if gamma:
            penalty = r1_penalty(lambda x: self.discriminator(x, labels), real)
            loss = loss + 0.5 * gamma * penalty
            numbers["r1_penalty"] = penalty
        numbers["discriminator_grad_norm"] = descend(self.discriminator_optimizer, loss)
        return numbers

    def generator_step(self, count: int, labels: mg.Tensor | None) -> dict[str, Any]:
        """One update of the generator; the discriminator stays as it is."""
        with self.discriminator_rests:
            fake = self.generator(self.noise(count), labels)
            loss = self.game.generator(self.judge(fake, labels))
            norm = descend(self.generator_optimizer, loss)
        return {"generator_loss": loss, "generator_grad_norm": norm}

    def r1_weight(self) -> float:
        """γ of this step; a recipe that computes R1 at some steps only overrides it."""
        return float(self.config.r1)

    def judge(self, x: mg.Tensor, labels: mg.Tensor | None) -> mg.Tensor:
        """The discriminator's logits, of samples augmented and in fog if that was asked for."""
        if self.config.augment:
            x = diff_augment(x, self.config.augment, self.random)
        if self.fog is not None:
            x = x + self.fog.deviation * self.random.normal(x.shape, dtype=x.dtype)
        return self.discriminator(x, labels)

    def noise(self, count: int, generator: mg.Generator | None = None) -> mg.Tensor:
        """(count, latent) draws from N(0, I)."""
        return (generator or self.random).normal((count, self.config.latent))

    def labels_of(self, batch: Any) -> mg.Tensor | None:
        """The labels that the networks are told; here none."""
        return None

    def labels_for(self, count: int) -> mg.Tensor | None:
        """Labels for `count` samples to look at; here none."""
        return None

    def inside(self, x: mg.Tensor) -> mg.Tensor:
        """From a batch's units to the networks': [0, 1] → [−1, 1]; points → deviation 1."""
        return (x - mg.tensor(self.looks.centre)) * (1.0 / self.looks.scale)

    def outside(self, x: mg.Tensor) -> mg.Tensor:
        """The way back."""
        return x * self.looks.scale + mg.tensor(self.looks.centre)

    # Looking -------------------------------------------------------------------------------------

    def sample(self, n: int, seed: int) -> np.ndarray:
        """`n` new images (n, C, H, W) in [0, 1], or points (n, D) in the data's units."""
        network = self.average.model if self.config.ema else self.generator
        network.eval()
        z, labels = self.noise(n, mg.Generator(seed)), self.labels_for(n)
        parts = []
        with mg.no_grad():
            for start in range(0, n, CHUNK):
                rows = slice(start, start + CHUNK)
                own = None if labels is None else labels[rows]
                parts.append(self.outside(network(z[rows], own)).numpy())
        return np.concatenate(parts)

    def evaluate(self, data: Dataset, thorough: bool) -> dict[str, float]:
        """Scores of 2,000 samples against the split; of 10,000 when `thorough`."""
        samples = self.sample(THOROUGH_SAMPLES if thorough else SAMPLES, EVALUATION_SEED)
        return self.looks.metrics(samples, data, thorough)

    def oracles(self, data: Dataset, train: Dataset | None = None) -> list[Oracle]:
        """What the data themselves would get."""
        return self.looks.oracles(data, train)

    def verdict(self, records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Signs of collapse and divergence."""
        return verdict(records, self.config.steps)

    def progress(self, folder: Path, step: int) -> None:
        """The samples of one fixed handful of noise."""
        path = folder / "progress" / f"step_{step:06d}.png"
        path.parent.mkdir(exist_ok=True)
        samples = self.sample(64 if self.is_image else 1000, PROGRESS_SEED)
        self.looks.draw(path, samples, f"step {step}")

    def write_samples(self, path: Path, n: int, seed: int) -> None:
        """`.npy`: the array. `.png`: a grid of images, or the points."""
        if path.suffix == ".png":
            self.looks.draw(path, self.sample(n, seed), f"{self.name}: {n} samples")
        else:
            super().write_samples(path, n, seed)

    def figures(self, folder: Path, data: Dataset, records: Sequence[Mapping[str, Any]]) -> None:
        """Curves of both sides with the verdict above, samples, their labels, the animation."""
        where = f"{self.name}, {self.config.loss}, {data.name}"
        found = self.verdict(records)
        title = f"{where}: {', '.join(found) or 'no sign of collapse or divergence'}"
        sentences = list(found.values())
        plots.save_game(folder / "loss.png", records, self.headline, title, sentences)
        samples = self.sample(THOROUGH_SAMPLES, 0)
        shown = samples[: 100 if self.is_image else 4000]
        self.looks.draw(folder / "samples.png", shown, f"{where}: samples")
        self.looks.draw_labels(folder / "labels.png", samples, data, f"{where}: which digits")
        frames = sorted((folder / "progress").glob("step_*.png"))
        plots.save_animation(folder / "progress.gif", frames)


class InstanceNoise:
    """The deviation of the instance noise, and how far it has fallen; see the top of this file.

    Args:
        start: s(0).
        end: s(t) for t ≥ `length`.
        length: steps from the one to the other.
    """

    def __init__(self, start: float, end: float, length: int) -> None:
        self.start, self.end, self.length = start, end, length
        self.steps = 0

    @property
    def deviation(self) -> float:
        """s(t) = end + (start − end)·½(1 + cos(π·min(t/length, 1))), at t = `steps`."""
        share = min(self.steps / self.length, 1.0)
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * share))

    def state_dict(self) -> dict[str, Any]:
        """The count."""
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.steps = int(state_dict["steps"])


def descend(optimizer: mg.optim.Adam, loss: mg.Tensor) -> mg.Tensor:
    """One step down the gradient of `loss`; returns that gradient's norm."""
    optimizer.zero_grad()
    loss.backward()
    norm = mg.optim.grad_norm(optimizer.param_groups[0]["params"])
    optimizer.step()
    return norm
