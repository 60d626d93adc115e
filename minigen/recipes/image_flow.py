"""What the recipes of image flows share: bits per dimension, oracles, samples and pictures.

RealNVP (`recipes/realnvp_image.py`) and Glow (`recipes/glow.py`) differ in `build` alone.

**Units.** The headline `nll_bits` is in bits per dimension of the grey values: −log₂ p of an image,
divided by its pixels, as a bound from uniform dequantization with one draw for each pixel. Each run
evaluates the whole split with one fixed seed of those draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minigen as mg
from minigen import plots
from minigen.data import Batches, Dataset, eval_batches
from minigen.errors import UserError
from minigen.metrics.baselines import histogram_bits
from minigen.models.image_flow import PIXEL_MAPS, ImageFlow
from minigen.models.pixel_maps import HistogramMap
from minigen.recipes.base import Oracle, Recipe
from minigen.recipes.config import Config, option

__all__ = ["ImageFlowConfig", "ImageFlowRecipe"]

EVALUATION_SEED = 20170227  # one fixed set of draws: two evaluations of one model agree exactly
EVALUATION_IMAGES = 500  # at a time
QUICK_IMAGES = 2000  # of the held-out ones, between steps; all of them at the end
MNIST_FLOOR = 0.95  # bits/dim; published flows end at 1.05, and less is a leak or a wrong unit
LEAK = "below: a leak"
COLD = 0.7  # the temperature of Glow's pictures


@dataclass(frozen=True, kw_only=True)
class ImageFlowConfig(Config):
    """The hyper-parameters that image flows share."""

    steps: int = option(3000, "training steps", minimum=1)
    batch_size: int = option(64, "images per step", minimum=1)
    evaluate_every: int = option(500, "steps between measurements on the val split", minimum=1)
    pixels: str = option("histogram", "how [0, 1) becomes the whole line", choices=PIXEL_MAPS)
    alpha: float = option(0.05, "of pixels=logit, keeps the ends finite", above=0, maximum=0.49)
    limit: float = option(2.0, "no coupling stretches by more than exp of this", above=0)
    learning_rate: float = option(2e-3, "of Adam, at its highest", above=0)
    warmup: int = option(100, "steps in which the learning rate rises to that", minimum=0)
    max_grad_norm: float = option(1.0, "longer gradients are shortened to this", above=0)
    temperature: float = option(1.0, "of the noise in samples; 1 draws from the model", minimum=0)


class ImageFlowRecipe(Recipe):
    """Adam with warm-up and cosine decay on exact bits per dimension of dequantized pixels."""

    headline = "nll_bits"
    score_name = "dequantization_bound_nats"
    Config = ImageFlowConfig
    saved = ("model", "optimizer", "schedule")
    title = "flow"

    @classmethod
    def describe(cls, config: Any, train: Dataset) -> dict[str, Any]:
        """The shape of an image, [C, H, W], and the number of its values."""
        if train.kind != "image" or train.levels is None:
            shape = ", ".join(map(str, ("N", *train.sample_shape)))
            raise UserError(
                f"{cls.name} needs images of whole grey values, and {train.name} has {train.kind} "
                f"of shape ({shape})"
            )
        return {"shape": list(train.sample_shape), "levels": train.levels}

    def make_model(self, shape: tuple[int, int, int], levels: int) -> ImageFlow:
        """The network that this recipe trains."""
        raise TypeError(f"{type(self).__name__} has no make_model method")

    def build(self) -> None:
        """The model and its optimizer."""
        config: ImageFlowConfig = self.config
        channels, height, width = self.facts["shape"]
        self.shape, self.levels = (channels, height, width), int(self.facts["levels"])
        self.model = self.make_model(self.shape, self.levels)
        self.optimizer = mg.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.schedule = mg.optim.CosineWithWarmup(
            self.optimizer, warmup_steps=config.warmup, total_steps=config.steps
        )

    def batches(self, train: Dataset) -> Batches:
        """Shuffled batches. The histograms of pixels are counted here, once, from `train`."""
        if isinstance(self.model.pixels, HistogramMap):
            assert train.value_range is not None
            self.model.pixels.fit(train.data.astype(np.int64) - int(train.value_range[0]))
        return Batches(train, self.config.batch_size, seed=self.seed)

    def step(self, batch: Any) -> Mapping[str, Any]:
        """One step of Adam on one batch."""
        self.model.train()
        nll, terms = self.model.loss(mg.tensor(batch.x), self.random)
        self.optimizer.zero_grad()
        nll.backward()
        mg.optim.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        return {f"{name}_bits": value for name, value in terms.items()}

    def evaluate(self, data: Dataset, thorough: bool) -> dict[str, float]:
        """Means over the split, bits per dimension: `nll_bits` = `prior_bits` − `log_det_bits`
        + log₂ levels.

        Between steps over its first 2000 images; when `thorough`, over all, with
        `inverse_error`, the largest |y − f⁻¹(f(y))| of 500 of them, y in [0, 1).
        """
        self.model.eval()
        if not thorough:
            data = data.select(slice(0, QUICK_IMAGES))
        draws = mg.Generator(EVALUATION_SEED)
        totals: dict[str, float] = {}
        error = None
        with mg.no_grad():
            for batch in eval_batches(data, EVALUATION_IMAGES):
                x = mg.tensor(batch.x)
                _, terms = self.model.loss(x, draws)
                for name, value in terms.items():  # batches weigh as much as they hold
                    totals[name] = totals.get(name, 0.0) + value.item() * len(batch.x)
                if thorough and error is None:
                    y = self.model.dequantize(x, mg.Generator(EVALUATION_SEED + 1))
                    error = (self.model.inverse(self.model(y)[0])[0] - y).abs().max().item()
        metrics = {f"{name}_bits": total / len(data) for name, total in totals.items()}
        return metrics if error is None else {**metrics, "inverse_error": error}

    def oracles(self, data: Dataset, train: Dataset | None = None) -> list[Oracle]:
        """Independent pixels, the line to cross; for MNIST the floor under which is a leak."""
        found = []
        if train is not None:
            value = histogram_bits(train, data)
            found.append(Oracle("nll_bits", "independent pixels", value))
        if data.name == "mnist":
            found.append(Oracle("nll_bits", LEAK, MNIST_FLOOR, suspicious="below"))
        return found

    def score(self, data: Dataset) -> np.ndarray:
        """A lower bound on log P(x) of every image's grey values: (N,) nats.

        log p(y) − D·log L, the exact density of the image with one draw of uniform noise: by
        Jensen's inequality its mean over draws is at most log P(x) (Theis et al. 2016, sec. 3.1).
        """
        self.model.eval()
        draws, rest = mg.Generator(EVALUATION_SEED), np.prod(self.shape) * np.log(self.levels)
        with mg.no_grad():
            parts = [
                self.model.log_prob(self.model.dequantize(mg.tensor(batch.x), draws)).numpy()
                for batch in eval_batches(data, EVALUATION_IMAGES)
            ]
        return np.concatenate(parts).astype(np.float64) - rest

    def sample(self, n: int, seed: int) -> np.ndarray:
        """`n` new images at the configured temperature, (n, C, H, W) in [0, 1]."""
        return self._samples(n, seed, self.config.temperature)

    def _samples(self, n: int, seed: int, temperature: float) -> np.ndarray:
        self.model.eval()
        with mg.no_grad():
            return self.model.sample(n, mg.Generator(seed), temperature).numpy()

    def figures(self, folder: Path, data: Dataset, records: Sequence[Mapping[str, Any]]) -> None:
        """The curve with its oracles, samples at two temperatures, and walks through the noise."""
        where = f"{self.title}, {data.name}"
        plots.save_curves(
            folder / "loss.png", records, ["nll_bits"], f"{where}: −log₂ p(x), bits per dimension"
        )
        for name, temperature in (("samples", 1.0), ("samples-cold", COLD)):
            plots.save_grid(
                folder / f"{name}.png",
                self._samples(100, 0, temperature),
                title=f"{where}: samples at temperature {temperature:g}",
            )
        self._draw_walks(folder / "interpolation.png", data, where)

    def _draw_walks(self, path: Path, data: Dataset, where: str, length: int = 11) -> None:
        """Straight lines in the noise from held-out image 2i to 2i + 1; both ends are data."""
        rows = data.select(slice(0, min(len(data), 16)))
        (batch,) = eval_batches(rows, len(rows))
        self.model.eval()
        with mg.no_grad():
            y = self.model.dequantize(mg.tensor(batch.x), mg.Generator(EVALUATION_SEED))
            ends = self.model(y)[0].numpy()  # (≤ 16, D)
            ends = np.concatenate([ends, ends[-1:]]) if len(ends) % 2 else ends
            along = np.linspace(0.0, 1.0, length, dtype=ends.dtype)[:, None]  # (length, 1)
            strips = [
                self.model.decode(mg.tensor(start + along * (end - start))).numpy()
                for start, end in zip(ends[0::2], ends[1::2], strict=True)
            ]
        plots.save_strips(path, strips, f"{where}: walks between the noises of two images")
