"""Recipes: dense GAN, DCGAN and WGAN-GP; the game itself is in `minigen/recipes/adversarial.py`.

    minigen train gan                                       eight Gaussians on a ring, in the plane
    minigen train gan --data mnist                          the dense GAN of images
    minigen train gan --data mnist --set conditional=true   a class for each column of samples
    minigen train gan --set loss=lsgan instance_noise=0     another game, no safety belt
    minigen train dcgan --data mnist
    minigen train wgan-gp --data grid                       25 Gaussians
    minigen train dcgan --data few.npz --set augment=colour,translation,cutout

**What keeps the games in the plane together.** Two plain networks run in circles: the generator
sits on one heap until the discriminator has learned to refuse it, and moves on; and heaps narrower
than the circle are never settled on. `PLANE` starts in a fog (instance noise of 0.4, in units in
which the data have deviation 1) where eight heaps are one, so that every one gets its share, and
lets the fog and both learning rates fall along one half cosine. The discriminator learns twice as
fast as the generator, of which an average is shown.

Reached on `ring` (`minigen train gan --data ring --seed S`, 10,000 samples, one core of a busy
machine, 57 to 101 seconds a run), seeds 0, 1, 2, 3, 4: 8 of 8 modes each time, with 83.2, 85.0,
84.6, 84.6 and 84.2 % of the samples within 3σ (the data: 98.9 %). The rest are the bridges: a
continuous map of connected noise cannot tear.

**What keeps the dense game of images together** is the R1 penalty on every step, with the average
of the generator. Reached on MNIST (`minigen train gan --data mnist --seed 0`, 12,000 steps in 706 s
of one core, 10,000 samples against val): own FID 19.7, the rarest digit 7.3 % of the samples and
the commonest 16.5 %. Without both, 20,000 steps end at 135, with 2.4 % and 30.8 %.
`dcgan --data mnist --seed 0`, 5,000 steps in 840 s of one core: 60.1, with 4.2 % and 16.1 %; the
dense game is at 138 after as many steps.

On `grid` (`minigen train wgan-gp --data grid --seed S`, 158 to 187 seconds, two runs at a time),
seeds 0, 1, 2, 3, 4: 25 of 25 modes each time, with 80.2, 81.9, 85.8, 78.1 and 82.5 % within 3σ; the
norm of the slope ends between 0.99 and 1.03. The weight of the penalty is 0.2, not the 10 of
images: with 1 the critic is too stiff at first to tell the outer heaps apart, and seeds end at 18
to 25.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import minigen as mg
from minigen import nn
from minigen.data import Dataset
from minigen.errors import UserError
from minigen.models.dcgan import NORMS, ConvDiscriminator, ConvGenerator
from minigen.models.gan import DenseDiscriminator, DenseGenerator
from minigen.recipes.adversarial import AdversarialConfig, AdversarialRecipe
from minigen.recipes.base import Budgets
from minigen.recipes.config import option

__all__ = ["DCGANConfig", "DCGANRecipe", "GANConfig", "GANRecipe", "WGANGPConfig", "WGANGPRecipe"]


POINTS = ("ring", "grid", "moons", "eight-gaussians")
PLANE = {
    **{"steps": 16_000, "evaluate_every": 2000, "batch_size": 64, "latent": 4},
    **{"generator_lr": 2e-3, "discriminator_lr": 4e-3, "beta2": 0.99, "decay": True, "ema": 0.995},
    **{"r1": 0.0, "hidden": (64, 64, 64, 64), "instance_noise": 0.4, "instance_noise_end": 0.01},
}

CRITIC_PLANE = {
    **{"steps": 20_000, "evaluate_every": 2000, "batch_size": 128, "latent": 2, "ema": 0.99},
    **{"hidden": (64, 64, 64), "generator_lr": 3e-3, "discriminator_lr": 3e-3, "decay": True},
    **{"critic_steps": 2, "gradient_penalty": 0.2},
}


@dataclass(frozen=True, kw_only=True)
class GANConfig(AdversarialConfig):
    """The hyper-parameters of the dense GAN."""

    steps: int = option(12_000, "training steps", minimum=1)
    evaluate_every: int = option(1000, "steps between measurements", minimum=1)
    r1: float = option(1.0, "γ of the R1 penalty on real samples; 0 for none", minimum=0)
    ema: float = option(0.999, "of the generator's average; 0 for none", minimum=0, maximum=1)
    hidden: tuple[int, ...] = option(
        (256, 512, 1024), "widths of the generator; the discriminator mirrors them", minimum=1
    )
    dropout: float = option(0.0, "in the discriminator", minimum=0, maximum=0.9)
    spectral_norm: bool = option(False, "in the discriminator")
    conditional: bool = option(False, "the networks are told the label")


class GANRecipe(AdversarialRecipe):
    """Two dense networks, for images and for points."""

    name = "gan"
    Config = GANConfig
    default_data = "ring"
    budgets: ClassVar[Budgets] = {"short": {}, "long": {"steps": 100_000}}
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {
        name: {"short": PLANE, "long": {**PLANE, "steps": 50_000}} for name in POINTS
    }

    @classmethod
    def describe(cls, config: GANConfig, train: Dataset) -> dict[str, Any]:
        """What the base wants, and the number of classes."""
        classes = 0
        if config.conditional:
            if train.labels is None:
                raise UserError(f"conditional needs labels, and {train.name} has none")
            classes = int(train.labels.max()) + 1
        return {**super().describe(config, train), "classes": classes}

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """The dense pair."""
        config: GANConfig = self.config
        self.classes = int(self.facts["classes"])
        generator = DenseGenerator(
            config.latent, self.shape, config.hidden, self.classes, bounded=self.is_image
        )
        discriminator = DenseDiscriminator(
            self.shape, config.hidden[::-1], self.classes, config.dropout, config.spectral_norm
        )
        return generator, discriminator

    def labels_of(self, batch: Any) -> mg.Tensor | None:
        """The batch's labels; fake samples get the same ones, so both halves have one mixture."""
        return mg.tensor(batch.labels) if self.classes else None

    def labels_for(self, count: int) -> mg.Tensor | None:
        """0, 1, …, 9, 0, 1, …: in a grid of ten columns each has one class."""
        return mg.arange(count) % self.classes if self.classes else None


@dataclass(frozen=True, kw_only=True)
class DCGANConfig(AdversarialConfig):
    """The hyper-parameters of DCGAN."""

    steps: int = option(5000, "training steps", minimum=1)
    evaluate_every: int = option(250, "steps between measurements", minimum=1)
    width: int = option(64, "channels of the largest hidden picture", minimum=1)
    norm: str = option("batch", "in the discriminator", choices=NORMS)


class DCGANRecipe(AdversarialRecipe):
    """Two convolutional networks, for images of any size from 4×4 on."""

    name = "dcgan"
    Config = DCGANConfig
    default_data = "digits"
    budgets: ClassVar[Budgets] = {"short": {}, "long": {"steps": 100_000}}

    @classmethod
    def describe(cls, config: Any, train: Dataset) -> dict[str, Any]:
        """As the base; points are refused."""
        if train.kind != "image":
            raise UserError(f"{cls.name} needs images, and {train.name} has {train.kind}")
        return super().describe(config, train)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """The convolutional pair."""
        config: DCGANConfig = self.config
        for penalty in ("gradient_penalty", "r1"):
            if getattr(config, penalty) and config.norm == "batch":
                raise ValueError(f"{penalty} needs norm layer, spectral or none, got batch")
        return (
            ConvGenerator(config.latent, self.shape, config.width),
            ConvDiscriminator(self.shape, config.width, config.norm),
        )


@dataclass(frozen=True, kw_only=True)
class WGANGPConfig(DCGANConfig):
    """The hyper-parameters of WGAN-GP: those of the paper's algorithm 1."""

    loss: str = option("wasserstein", "the game", choices=("wasserstein",))
    critic_steps: int = option(5, "critic's steps for one of the generator", minimum=1)
    gradient_penalty: float = option(10.0, "λ of the penalty", above=0)
    generator_lr: float = option(1e-4, "of the generator's Adam", above=0)
    discriminator_lr: float = option(1e-4, "of the critic's Adam", above=0)
    beta1: float = option(0.0, "of both Adams", minimum=0, maximum=0.999)
    beta2: float = option(0.9, "of both Adams", minimum=0, maximum=0.9999)
    norm: str = option("layer", "in the critic of images", choices=("layer", "spectral", "none"))
    hidden: tuple[int, ...] = option((256, 256, 256), "widths, for points", minimum=1)


class WGANGPRecipe(AdversarialRecipe):
    """DCGAN's pair on images, dense networks on points, with Wasserstein's loss and the penalty."""

    name = "wgan-gp"
    Config = WGANGPConfig
    default_data = "grid"
    budgets: ClassVar[Budgets] = {
        "short": {"steps": 1000, "evaluate_every": 100},
        "long": {"steps": 100_000},
    }
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {
        name: {"short": CRITIC_PLANE, "long": {**CRITIC_PLANE, "steps": 60_000}} for name in POINTS
    }

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Convolutional for images, dense for points."""
        config: WGANGPConfig = self.config
        if self.is_image:
            return (
                ConvGenerator(config.latent, self.shape, config.width),
                ConvDiscriminator(self.shape, config.width, config.norm),
            )
        return (
            DenseGenerator(config.latent, self.shape, config.hidden, bounded=False),
            DenseDiscriminator(self.shape, config.hidden[::-1]),
        )
