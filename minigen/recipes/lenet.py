"""Recipe: the classifier LeNet of `minigen/metrics/lenet.py`, whose features judge samples.

    minigen train lenet --data mnist                              MNIST, 28×28
    minigen train lenet                                           8×8 digits, enlarged to 28×28

The network inside the package, `metrics/lenet-mnist.safetensors`, came from the first line and
`export`; `metrics/lenet-mnist.md` has the commands and the numbers. Scores can be compared only
where they were measured by the same network: train another one for data of another kind, and the
score's name shows that it is another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import minigen as mg
from minigen import plots
from minigen.data import Batches, Dataset, eval_batches
from minigen.data.resize import resized
from minigen.errors import UserError
from minigen.metrics.lenet import LeNet
from minigen.recipes.base import Budgets, Oracle, Recipe
from minigen.recipes.config import Config, option

__all__ = ["LeNetConfig", "LeNetRecipe", "export"]

MNIST_FLOOR = 0.2  # percent; the best ensembles of far larger networks
NOT_LEARNED = "most frequent class"


@dataclass(frozen=True, kw_only=True)
class LeNetConfig(Config):
    """The hyper-parameters of LeNet."""

    steps: int = option(3000, "training steps", minimum=1)
    evaluate_every: int = option(500, "steps between measurements on the val split", minimum=1)
    size: int | None = option(None, "pixels each way to which images are resized", minimum=1)
    learning_rate: float = option(2e-3, "of AdamW, at its highest", above=0)
    warmup: int = option(100, "steps in which the learning rate rises to that", minimum=0)
    weight_decay: float = option(0.05, "of AdamW", minimum=0)


class LeNetRecipe(Recipe):
    """AdamW with warm-up and cosine decay on the cross-entropy."""

    name = "lenet"
    headline = "error_percent"
    Config = LeNetConfig
    saved = ("model", "optimizer", "schedule")
    budgets: ClassVar[Budgets] = {"short": {"steps": 3000}, "long": {"steps": 20_000}}
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {
        "digits": {
            "short": {"steps": 600, "evaluate_every": 100, "size": 28},
            "long": {"steps": 3000, "size": 28},
        }
    }

    @classmethod
    def describe(cls, config: LeNetConfig, train: Dataset) -> dict[str, Any]:
        """The shape of an image, [C, H, W], as the network sees it, and the number of classes."""
        if train.kind != "image" or train.value_range is None or train.labels is None:
            what = train.kind if train.kind != "image" else "images without labels"
            raise UserError(f"lenet needs images with labels, and {train.name} has {what}")
        channels, height, width = train.sample_shape
        if config.size is not None:
            height = width = config.size
        return {"shape": [channels, height, width], "classes": int(train.labels.max()) + 1}

    def check(self, data: Dataset) -> None:
        """As `Recipe.check`, but a split may lack the last classes."""
        found = self.describe(self.config, data)
        if found["shape"] != self.facts["shape"] or found["classes"] > self.facts["classes"]:
            raise UserError(
                f"the model was built for images {self.facts['shape']} of {self.facts['classes']} "
                f"classes, got {found['shape']} of {found['classes']}"
            )

    def build(self) -> None:
        """The model and its optimizer."""
        config: LeNetConfig = self.config
        channels, height, width = self.facts["shape"]
        self.model = LeNet((channels, height, width), self.facts["classes"])
        self.optimizer = mg.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = mg.optim.CosineWithWarmup(
            self.optimizer, warmup_steps=config.warmup, total_steps=config.steps
        )

    def batches(self, train: Dataset) -> Batches:
        """Shuffled batches of grey values."""
        return Batches(self._sized(train), self.config.batch_size, seed=self.seed)

    def step(self, batch: Any) -> Mapping[str, Any]:
        """One step of AdamW on one batch."""
        self.model.train()
        loss = mg.cross_entropy(self.model(mg.tensor(batch.x)), mg.tensor(batch.labels))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"cross_entropy_nats": loss}

    def evaluate(self, data: Dataset, thorough: bool) -> dict[str, float]:
        """`error_percent`, the share of wrong labels, and the mean `cross_entropy_nats`."""
        logits, labels = self._logits(data)
        wrong = float((logits.argmax(axis=1) != labels).mean())
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_likelihood = shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(1))
        return {
            "error_percent": 100 * wrong,
            "cross_entropy_nats": float(-log_likelihood.mean()),
        }

    def oracles(self, data: Dataset, train: Dataset | None = None) -> list[Oracle]:
        """Always naming the most frequent class; for MNIST an error too small to be true."""
        assert data.labels is not None
        found = []
        if train is not None:
            assert train.labels is not None
            guess = np.bincount(train.labels).argmax()
            value = 100 * float((data.labels != guess).mean())
            found.append(Oracle("error_percent", NOT_LEARNED, value))
        if data.name == "mnist" and data.split != "train":
            found.append(Oracle("error_percent", "below: a leak", MNIST_FLOOR, suspicious="below"))
        return found

    def figures(self, folder: Path, data: Dataset, records: Sequence[Mapping[str, Any]]) -> None:
        """Learning curves, and the images that the network gets most wrong."""
        where = f"LeNet, {data.name}"
        shown = [record for record in records if record.get("label") != NOT_LEARNED]
        metrics = ("error_percent", "cross_entropy_nats")
        plots.save_curves(folder / "loss.png", shown, metrics, f"{where}: error and loss")
        logits, labels = self._logits(data)
        # by how much a wrong class beats the right one; negative where the right one wins
        regret = logits.max(axis=1) - logits[np.arange(len(labels)), labels]
        worst = np.argsort(-regret, kind="stable")[: min(100, int((regret > 0).sum()) or 1)]
        (batch,) = eval_batches(data.select(worst), len(worst))
        title = f"{where}: the {len(worst)} worst of {len(data):,} {data.split} images"
        plots.save_grid(folder / "mistakes.png", batch.x, title=title)

    def _logits(self, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Of a whole split, on the host: (N, classes), and the labels (N,)."""
        self.model.eval()
        parts = []
        with mg.no_grad():
            for batch in eval_batches(self._sized(data), 500):
                parts.append(self.model(mg.tensor(batch.x)).numpy())
        assert data.labels is not None
        return np.concatenate(parts).astype(np.float64), data.labels

    def _sized(self, data: Dataset) -> Dataset:
        size: int | None = self.config.size
        return data if size is None else resized(data, size)


def export(folder: str | Path, path: str | Path) -> str:
    """Make a feature extractor of a run's network; return its name.

    folder: the run of `minigen train lenet`.
    path:   the file to write, for `minigen.metrics.features.feature_extractor`.

    Raises UserError for a folder that is no run of lenet.
    """
    from minigen.metrics.features import save_extractor
    from minigen.recipes.run import Run

    run = Run.open(folder)
    if not isinstance(run.recipe, LeNetRecipe):
        raise UserError(f"{folder} must be a run of lenet, got one of {run.recipe.name}")
    told = {key: run.settings[key] for key in ("data", "seed", "options")}
    return save_extractor(path, run.recipe.model, f"minigen {mg.__version__}, lenet: {told}")
