"""Recipe: StyleGAN2, images whose coarse, middle and fine style can be changed one by one.

    minigen train stylegan                               the 8×8 digits enlarged to 16×16
    minigen train stylegan --data mnist                  MNIST in a frame of two pixels: 32×32
    minigen sample RUN --mix                             styles of two pictures combined, by level
    minigen sample RUN --truncation 0.7                  more usual, less different
    minigen sample RUN --interpolate                     walks from one style to another

The game is that of `minigen/recipes/adversarial.py`, non-saturating. Three things are added.

**Lazy penalties** (Karras et al. 2020, section 3.1). R1 costs as much as the step itself, and is
needed much less often: it is computed at every 16th step, with 16 times its weight, and so is the
path length of the generator at every 8th, on half a batch. In expectation nothing changes.

**The average** of the generator, its mean style with it, is what samples are drawn from.

**Reached**: `minigen train stylegan --data mnist --seed 0` (8,000 steps of 16 images in 976 s of
one core, 10,000 samples against val): own FID 26.2, where DCGAN's is 60; the rarest digit is 4.4 %
of the samples and the commonest 15.6 %. In the grid of mixed styles the coarse one (4 and 8 pixels)
decides about class and slant, the middle one (16) about the weight of the stroke, and the fine one
(32) changes next to nothing. The 8×8 digits: 1,000 steps in 62 s, own FID 16.9, where other real
digits have 8.0.

**What it depends on** is the tanh at the end (`bounded`; the reason is in `models/stylegan.py`):
without it and all else equal, the FID stays at 790 for 1,600 steps, and every z gives one shape.
And the learning rate: with 2e-3 for both sides the discriminator follows too slowly, 183 after
51,000 images (of batches of 64), where 5e-3 (batches of 32) is at 49.

**Sizes** are 4·2^k. The digits that come with minigen and MNIST are brought to 16×16 and 32×32 when
they are loaded; images of one's own must have such a size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import minigen as mg
from minigen import nn, plots
from minigen.data import Dataset
from minigen.data.resize import resized
from minigen.errors import UserError
from minigen.models.path_length import PathLength
from minigen.models.stylegan import StyleDiscriminator, StyleGenerator, levels, resolutions
from minigen.recipes.adversarial import CHUNK, AdversarialConfig, AdversarialRecipe, descend
from minigen.recipes.base import Budgets
from minigen.recipes.config import option

__all__ = ["Clock", "StyleGANConfig", "StyleGANRecipe"]

SIZES = {"digits": (16, "bilinear"), "mnist": (32, "pad"), "stacked-mnist": (32, "pad")}
"""How data sets of another size are brought to one that fits: (side, mode of `resize`)."""

MIX_COLUMNS, MIX_ROWS = 8, 2  # sources of the mixing grid; so many rows for each level
WALKS, WALK_STEPS = 8, 9  # of the interpolation grid


@dataclass(frozen=True, kw_only=True)
class StyleGANConfig(AdversarialConfig):
    """The hyper-parameters of StyleGAN2."""

    steps: int = option(5000, "training steps", minimum=1)
    evaluate_every: int = option(500, "steps between measurements", minimum=1)
    batch_size: int = option(16, "samples per step, real and fake each", minimum=1)
    latent: int = option(64, "length of the noise z", minimum=1)
    style: int = option(64, "length of the style w", minimum=1)
    mapping_layers: int = option(4, "dense layers from z to w", minimum=1)
    mapping_rate: float = option(0.01, "its learning rate, as a share of the others'", above=0)
    width: int = option(16, "channels at the full size; doubled at each smaller one …", minimum=1)
    most: int = option(64, "… up to this", minimum=1)
    mixing: float = option(0.9, "share of samples with two styles", minimum=0, maximum=1)
    bounded: bool = option(True, "the generator ends in tanh; drawings need it, photographs do not")
    group: int = option(4, "samples that the minibatch deviation compares", minimum=1)
    generator_lr: float = option(5e-3, "of the generator's Adam", above=0)
    discriminator_lr: float = option(5e-3, "of the discriminator's Adam", above=0)
    beta1: float = option(0.0, "of both Adams", minimum=0, maximum=0.999)
    beta2: float = option(0.99, "of both Adams", minimum=0, maximum=0.9999)
    r1: float = option(0.1, "γ of the R1 penalty on real samples; 0 for none", minimum=0)
    r1_every: int = option(16, "steps between two R1 penalties", minimum=1)
    path: float = option(2.0, "weight of the path-length penalty; 0 for none", minimum=0)
    path_every: int = option(8, "steps between two path-length penalties", minimum=1)
    path_decay: float = option(0.01, "of the mean path length", above=0, maximum=1)
    ema: float = option(0.998, "of the generator's moving average", minimum=0, maximum=1)


class Clock:
    """Counts steps and says when something lazy is due; a part of the checkpoint."""

    def __init__(self) -> None:
        self.steps = 0

    def due(self, every: int) -> bool:
        """Whether this step is one of every `every`: the first is."""
        return self.steps % every == 0

    def tick(self) -> None:
        """A step is over."""
        self.steps += 1

    def state(self) -> dict[str, Any]:
        """The count."""
        return {"steps": self.steps}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.steps = int(state["steps"])


class StyleGANRecipe(AdversarialRecipe):
    """StyleGAN2 on images of 16×16, 32×32, … pixels."""

    name = "stylegan"
    Config = StyleGANConfig
    default_data = "digits"
    sample_options: ClassVar[tuple[str, ...]] = ("mix", "truncation", "interpolate")
    budgets: ClassVar[Budgets] = {"short": {}, "long": {"steps": 50_000}}
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {
        "digits": {"short": {"steps": 1000, "evaluate_every": 200, "most": 32, "ema": 0.99}},
        "mnist": {"short": {"steps": 8000, "width": 8, "ema": 0.999}},
    }

    @classmethod
    def load_data(cls, data: str, split: str, data_dir: str | None) -> Dataset:
        """One split; digits and MNIST brought to a size that fits, see `SIZES`."""
        loaded: Dataset = super().load_data(data, split, data_dir)
        return resized(loaded, *SIZES[data]) if data in SIZES else loaded

    @classmethod
    def describe(cls, config: Any, train: Dataset) -> dict[str, Any]:
        """As the base; points and images of another size are refused."""
        if train.kind != "image":
            raise UserError(f"{cls.name} needs images, and {train.name} has {train.kind}")
        try:
            resolutions(train.sample_shape)
        except ValueError as error:
            raise UserError(f"data for {cls.name}: {error}") from None
        return super().describe(config, train)

    # Training ----------------------------------------------------------------------------------

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Generator and discriminator, mirrored in their channels."""
        config: StyleGANConfig = self.config
        generator = StyleGenerator(
            config.latent,
            self.shape,
            config.style,
            config.width,
            config.most,
            config.mapping_layers,
            config.mapping_rate,
            config.mixing,
            bounded=config.bounded,
        )
        return generator, StyleDiscriminator(self.shape, config.width, config.most, config.group)

    def build(self) -> None:
        """As the base, and what the lazy penalties remember."""
        super().build()
        self.clock, self.path_length = Clock(), PathLength(self.config.path_decay)
        self.saved += ("clock", "path_length")

    def step(self, batch: Any) -> Mapping[str, Any]:
        """As the base; then the clock moves on."""
        numbers = super().step(batch)
        self.clock.tick()
        return numbers

    def r1_weight(self) -> float:
        """`r1_every`·γ at every `r1_every`-th step, else 0."""
        config: StyleGANConfig = self.config
        return config.r1_every * config.r1 if self.clock.due(config.r1_every) else 0.0

    def path_weight(self) -> float:
        """The same for the path length."""
        config: StyleGANConfig = self.config
        return config.path_every * config.path if self.clock.due(config.path_every) else 0.0

    def generator_step(self, count: int, labels: mg.Tensor | None) -> dict[str, Any]:
        """One update of the generator, of the path length too where that is due."""
        weight = self.path_weight()
        with self.discriminator_rests:
            fake = self.generator(self.noise(count), labels, self.random)
            loss = self.game.generator(self.judge(fake, labels))
            numbers: dict[str, Any] = {"generator_loss": loss}
            total = loss
            if weight:
                penalty = self.path_penalty(max(1, count // 2))
                total = loss + weight * penalty
                numbers["path_penalty"] = penalty
                numbers["path_length"] = self.path_length.mean.clone()
            numbers["generator_grad_norm"] = descend(self.generator_optimizer, total)
        return numbers

    def path_penalty(self, count: int) -> mg.Tensor:
        """Of `count` new samples without mixing; moves the mean path length."""
        network: Any = self.generator
        styles = network.spread(network.mapping(self.noise(count)))  # (N, L, W)
        images = network.synthesis(styles, self.random)
        return self.path_length(images, styles, self.random.normal(images.shape))

    # Looking -----------------------------------------------------------------------------------

    @property
    def network(self) -> Any:
        """The generator that is looked at: the average where there is one; in evaluation mode."""
        return (self.average.model if self.config.ema else self.generator).eval()

    def sample(self, n: int, seed: int, truncation: float = 1.0) -> np.ndarray:
        """`n` new images (n, C, H, W) in [0, 1].

        Args:
            n: how many.
            seed: of z and of the noise inside.
            truncation: ψ; 1 for none, 0 for the mean style only.
        """
        generator = mg.Generator(seed)
        with mg.no_grad():
            w = self.network.truncated(self.network.mapping(self.noise(n, generator)), truncation)
        return self.pictures(self.network.spread(w), generator)

    def pictures(
        self, styles: mg.Tensor, generator: mg.Generator, noise: str = "each"
    ) -> np.ndarray:
        """Styles (N, L, W) → images on the host, (N, C, H, W) in [0, 1]."""
        parts = []
        state = generator.state()
        with mg.no_grad():
            for start in range(0, len(styles), CHUNK):
                if noise == "shared":  # by all chunks
                    generator.load_state(state)
                inside = self.network.synthesis(styles[start : start + CHUNK], generator, noise)
                parts.append(mg.clamp(self.outside(inside), 0.0, 1.0).numpy())
        return np.concatenate(parts)

    def styles(self, n: int, generator: mg.Generator, truncation: float = 1.0) -> mg.Tensor:
        """New styles (n, W)."""
        with mg.no_grad():
            w = self.network.mapping(self.noise(n, generator))
            styles: mg.Tensor = self.network.truncated(w, truncation)
        return styles

    def mixed(
        self, columns: int, seed: int, truncation: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """The pictures of a mixing grid, all with the same noise.

        Returns:
            The columns' sources (columns, C, H, W); the rows' sources (2 for each level, C, H, W);
            by level "coarse", "middle", "fine" images (2, columns, C, H, W): the column's picture
            with the row's style at the layers of that level.
        """
        generator = mg.Generator(seed)
        found = levels(self.shape)
        across = self.styles(columns, generator, truncation)
        down = self.styles(MIX_ROWS * len(found), generator, truncation)
        spread = self.network.spread
        blocks = []
        for number, (_, layers) in enumerate(found.values()):
            own = mg.tensor(np.isin(np.arange(self.network.layers), layers)).reshape(1, -1, 1)
            for row in range(MIX_ROWS * number, MIX_ROWS * (number + 1)):
                blocks.append(mg.where(own, spread(down[row : row + 1]), spread(across)))
        styles = mg.cat([spread(across), spread(down), *blocks], dim=0)  # (…, L, W)
        images = self.pictures(styles, generator, "shared")
        sources, rows = images[:columns], images[columns : columns + len(down)]
        grid = images[columns + len(down) :].reshape(-1, MIX_ROWS, columns, *self.shape)
        return sources, rows, dict(zip(found, grid))

    def walks(self, n: int, seed: int, truncation: float = 1.0) -> np.ndarray:
        """`n` straight ways from one style to another: (n, 9, C, H, W), noise the same in all."""
        generator = mg.Generator(seed)
        ends = self.styles(2 * n, generator, truncation).reshape(2, n, 1, -1)
        share = mg.tensor(np.linspace(0, 1, WALK_STEPS, dtype=np.float32)).reshape(1, -1, 1)
        w = ends[0] + share * (ends[1] - ends[0])  # (n, 9, W)
        images = self.pictures(
            self.network.spread(w.reshape(n * WALK_STEPS, -1)), generator, "shared"
        )
        return images.reshape(n, WALK_STEPS, *self.shape)

    def write_samples_with(self, path: Path, n: int | None, seed: int, **options: Any) -> None:
        """Samples with options: `truncation` ψ, and one of `mix` and `interpolate`.

        With `mix` n is the number of columns, with `interpolate` that of walks; both are pictures.
        """
        self.check_sample_options(options)
        psi = float(options.get("truncation", 1.0))
        if not 0 <= psi <= 2:
            raise UserError(f"--truncation must be a number from 0 to 2, got {psi:g}")
        special = [name for name in ("mix", "interpolate") if options.get(name)]
        if len(special) == 2:
            raise UserError("--mix and --interpolate are two pictures: ask for one of them")
        if special and path.suffix != ".png":
            raise UserError(f"--out must end in .png for --{special[0]}, got {path.name!r}")
        if special == ["mix"]:
            self._save_mixing(path, n or MIX_COLUMNS, seed, psi)
        elif special == ["interpolate"]:
            self._save_walks(path, n or WALKS, seed, psi)
        elif path.suffix == ".png":
            count = n or 64
            title = f"{self.name}: {count} samples, truncation {psi:g}"
            self.looks.draw(path, self.sample(count, seed, psi), title)
        else:
            self.write_array(path, self.sample(n or 64, seed, psi))

    def figures(self, folder: Path, data: Dataset, records: Sequence[Mapping[str, Any]]) -> None:
        """As the base, and the pictures of style: mixing, interpolation, truncation."""
        super().figures(folder, data, records)
        self._save_mixing(folder / "mixing.png", MIX_COLUMNS, 0, 1.0)
        self._save_walks(folder / "interpolation.png", WALKS, 0, 1.0)
        values = (0.0, 0.25, 0.5, 0.75, 1.0)
        strips = [self.sample(10, 0, psi) for psi in values]
        title = f"{self.name}, {data.name}: truncation, from above {', '.join(map(str, values))}"
        plots.save_strips(folder / "truncation.png", strips, title=title)

    def _save_mixing(self, path: Path, columns: int, seed: int, psi: float) -> None:
        sides = {name: own for name, (own, _) in levels(self.shape).items()}
        labels = {name: f"{name}, {'–'.join(map(str, own))} pixels" for name, own in sides.items()}
        across, down, grids = self.mixed(columns, seed, psi)
        named = {labels[name]: grid for name, grid in grids.items()}
        title = f"{self.name}: the pictures above with one level of style from the left"
        plots.save_mixing(path, across, down, named, title=title)

    def _save_walks(self, path: Path, count: int, seed: int, psi: float) -> None:
        title = f"{self.name}: from one style to another, in w"
        plots.save_strips(path, list(self.walks(count, seed, psi)), title=title)
