"""What the recipes of all pixel-by-pixel models share: PixelCNN, Gated PixelCNN, the two PixelRNNs.

They differ in the network alone: a model of `minigen/models/raster.py` gives the exact likelihood
of an image and draws one pixel after another, whatever its layers are. So they are trained,
measured, sampled and drawn alike, here; `recipes/pixelcnn.py` and `recipes/pixelrnn.py` name the
networks and their hyper-parameters, and say which numbers were reached.

**What is measured.** `nll_nats`, the exact −log p(x) of a held-out image, mean over the split.
For black and white pixels (`head=bernoulli`) it is comparable with any model's number on the same
`binarization`, and only on that. Grey pixels (`head=categorical` or `logistic-mixture`) also give
`bits_per_dim`, the same divided by log 2 and by the number of pixels.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import minigen as mg
from minigen import plots
from minigen.data import Batches, Dataset, eval_batches
from minigen.errors import UserError
from minigen.metrics.baselines import independent_pixel_nats
from minigen.models.pixel_heads import HEADS
from minigen.models.raster import RasterModel
from minigen.recipes.base import Oracle, Recipe
from minigen.recipes.config import Config, option

__all__ = ["RasterConfig", "RasterRecipe"]

EVALUATION_SEED = 20160601  # one fixed set of Bernoulli draws: two evaluations agree exactly
MNIST_DYNAMIC_FLOOR = 78.0  # nats; no model of this kind gets there
BINARIZATIONS = ("dynamic", "static", "threshold")


@dataclass(frozen=True, kw_only=True)
class RasterConfig(Config):
    """The hyper-parameters that all have. A model adds its own, and other defaults."""

    batch_size: int = option(16, "images per step", minimum=1)
    head: str = option("bernoulli", "what a pixel may be", choices=HEADS)
    components: int = option(5, "bumps of the logistic-mixture", minimum=1)
    binarization: str = option(
        "dynamic", "how grey pixels become 0 or 1 (head bernoulli)", choices=BINARIZATIONS
    )
    hidden: int = option(24, "channels h; the residual stream has 2h", minimum=1)
    first_kernel: int = option(7, "side of the first kernel, odd", minimum=3)
    learning_rate: float = option(2e-3, "of Adam, at its highest", above=0)
    warmup: int = option(100, "steps in which the learning rate rises to that", minimum=0)
    clip: float = option(100.0, "largest norm of the gradient, nats per image", above=0)
    quick_images: int = option(
        1000, "images measured during training; the end measures all", minimum=1
    )


class RasterRecipe(Recipe):
    """Adam with warm-up and cosine decay on the exact likelihood; `network` is the model's own."""

    headline = "nll_nats"
    saved = ("model", "optimizer", "schedule")
    title: ClassVar[str]
    model: RasterModel

    @classmethod
    def describe(cls, config: Any, train: Dataset) -> dict[str, Any]:
        """The shape of an image, [C, H, W]; values of a grey pixel; classes that it is told."""
        if train.kind != "image" or train.value_range is None:
            raise UserError(f"{cls.name} needs images, and {train.name} has {train.kind}")
        facts: dict[str, Any] = {"shape": list(train.sample_shape)}
        if config.head != "bernoulli":
            if train.levels is None:
                raise UserError(
                    f"head must be bernoulli for {train.name}, whose pixels have no fixed values, "
                    f"got {config.head!r}"
                )
            facts["values"] = train.levels
        if getattr(config, "conditional", False):
            if train.labels is None:
                raise UserError(f"conditional needs labels, and {train.name} has none")
            facts["classes"] = int(train.labels.max()) + 1
        return facts

    @abstractmethod
    def network(self, **common: Any) -> RasterModel:
        """The model, with the options that all have."""

    def build(self) -> None:
        """The model and its optimizer."""
        config = self.config
        self.model = self.network(
            shape=tuple(self.facts["shape"]),
            hidden=config.hidden,
            kernel=config.kernel,
            first_kernel=config.first_kernel,
            head=config.head,
            values=self.facts.get("values", 2),
            components=config.components,
        )
        self.optimizer = mg.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.schedule = mg.optim.CosineWithWarmup(
            self.optimizer,
            warmup_steps=config.warmup,
            total_steps=config.steps,
            final_factor=0.01,
        )

    @property
    def binarization(self) -> str:
        """How images become what the head expects."""
        return self.config.binarization if self.config.head == "bernoulli" else "none"

    def check(self, data: Dataset) -> None:
        """Images of the same size and values; labels that the model knows, if it is told any."""
        known = self.facts.get("classes")
        if known and data.labels is not None and data.labels.max() >= known:
            raise UserError(f"labels must be from 0 to {known - 1}, got {data.labels.max()}")
        for name, value in self.describe(self.config, data).items():
            if name != "classes" and self.facts[name] != value:
                raise UserError(
                    f"the model was built for data with {name} {self.facts[name]}, got {value}"
                )

    def batches(self, train: Dataset) -> Batches:
        """Shuffled batches; under dynamic binarization each one is drawn anew."""
        return Batches(
            train, self.config.batch_size, seed=self.seed, binarization=self.binarization
        )

    def step(self, batch: Any) -> Mapping[str, Any]:
        """One step of Adam on one batch."""
        self.model.train()
        loss = self.model.loss(mg.tensor(batch.x), self._labels(batch))
        self.optimizer.zero_grad()
        loss.backward()
        norm = mg.optim.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        self.schedule.step()
        return {"nll_nats": loss, "gradient_norm": norm}

    def evaluate(self, data: Dataset, thorough: bool) -> dict[str, float]:
        """`nll_nats`, exact, the mean over the split; for grey pixels `bits_per_dim` too.

        Unless `thorough`, over the first `quick_images` of the split: ten thousand images cost as
        much as hundreds of training steps.
        """
        if not thorough:
            data = data.select(slice(0, min(self.config.quick_images, len(data))))
        nats = -float(self.score(data).mean())
        if self.config.head == "bernoulli":
            return {"nll_nats": nats}
        return {"nll_nats": nats, "bits_per_dim": nats / math.log(2) / math.prod(self.model.shape)}

    def score(self, data: Dataset) -> np.ndarray:
        """log p(x), or log p(x | label), of every image, exact: (N,) nats."""
        self.model.eval()
        batches = eval_batches(data, 50, binarization=self.binarization, seed=EVALUATION_SEED)
        with mg.no_grad():
            parts = [
                self.model.log_prob(mg.tensor(batch.x), self._labels(batch)).numpy()
                for batch in batches
            ]
        return np.concatenate(parts).astype(np.float64)

    def oracles(self, data: Dataset, train: Dataset | None = None) -> list[Oracle]:
        """Independent pixels, above which nothing was learned; for MNIST the leak's floor."""
        found = []
        if train is not None and self.config.head == "bernoulli":
            value = independent_pixel_nats(train, data, self.binarization)
            found.append(Oracle("nll_nats", "independent pixels", value))
        if data.name == "mnist" and self.binarization == "dynamic":
            floor = Oracle("nll_nats", "below: a leak", MNIST_DYNAMIC_FLOOR, suspicious="below")
            found.append(floor)
        return found

    def sample(self, n: int, seed: int, **options: Any) -> np.ndarray:
        """`n` new images, (n, C, H, W); `given`, `known`, `labels` as in `RasterModel.sample`.

        A conditional model draws the classes in turn unless told.
        """
        self.model.eval()
        return self.model.sample(n, generator=mg.Generator(seed), **options).numpy()

    def figures(self, folder: Path, data: Dataset, records: Sequence[Mapping[str, Any]]) -> None:
        """The curve, samples, and completions of half-covered images."""
        where = f"{self.title}, {data.name}"
        plots.save_curves(folder / "loss.png", records, [self.headline], where)
        plots.save_grid(folder / "samples.png", self.sample(100, 0), title=f"{where}: samples")
        self._draw_completions(folder / "completions.png", data, where)

    def _draw_completions(
        self, path: Path, data: Dataset, where: str, images: int = 8, times: int = 8
    ) -> None:
        """Each row: an image, its upper half, and what the model makes of that, several times."""
        rows = data.select(slice(0, min(images, len(data))))
        (batch,) = eval_batches(rows, images, binarization=self.binarization, seed=EVALUATION_SEED)
        top = batch.x.shape[2] // 2
        covered = batch.x.copy()
        covered[:, :, top:] = np.nan
        labels = None
        if self.model.classes and batch.labels is not None:
            labels = np.repeat(batch.labels, times)
        drawn = self.sample(
            len(batch.x) * times, 0, given=np.repeat(covered, times, axis=0), labels=labels
        )
        drawn = drawn.reshape(len(batch.x), times, *batch.x.shape[1:])
        shown = np.nan_to_num(covered, nan=0.5)  # what is covered is grey
        strips = [
            np.concatenate([batch.x[i : i + 1], shown[i : i + 1], drawn[i]])
            for i in range(len(batch.x))
        ]
        title = f"{where}: {data.split} image, what is given, {times} completions"
        plots.save_strips(path, strips, title)

    def _labels(self, batch: Any) -> mg.Tensor | None:
        if not self.model.classes:
            return None
        if batch.labels is None:
            raise UserError("a conditional model needs labels, and the data has none")
        return mg.tensor(batch.labels)
