"""Recipe: the flow of `minigen/models/realnvp.py`, on densities of the plane and on tables.

    minigen train realnvp                                         two moons
    minigen train realnvp --data eight-gaussians
    minigen train realnvp --data breast-cancer                    30 columns
    minigen train realnvp --set coupling=additive                 NICE
    minigen train realnvp --data mine.npy                         (N, D), D >= 2
    minigen train realnvp --data mnist                            images: recipes/realnvp_image.py

**What to expect.** The headline is `nll_nats`, the mean of −log p(x) over held-out rows, exact, in
nats. For the plane the floor is known, the entropy of the density that the points come from: 1.131
for the moons, 1.698 for the eight Gaussians. With seed 0 the moons end at 1.13 after 4,000 steps,
the eight Gaussians at 1.739 after 8,000 (260 s, one BLAS thread): a bijection must leave a thread
between what is separate, and eight islands need seven. More than 0.03 below the floor is a leak or
a wrong log-determinant, and the run says so. `inverse_error`, in float32, is 4e-5 there, where the
threads are steep; in float64 the inverse is exact to 1e-10 (`tests/models/test_realnvp.py`).

For a table the line to pass is a Gaussian with the full covariance of the training rows. On
`breast-cancer` it is at 18.1 on val and 8.3 on test (a few rows are far out), the flow at 3.0 and
1.1. On `wine`, with 118 training rows, the flow gains 1.5 nats on val (13.35 against 14.89) and 0.8
on test (19.37 against 20.19), no more.
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
from minigen.errors import UserError
from minigen.metrics.baselines import gaussian_nats
from minigen.metrics.entropy import PLANE_DENSITIES, entropy
from minigen.models.realnvp import ACTIVATIONS, COUPLINGS, RealNVP
from minigen.recipes import find
from minigen.recipes.base import Budgets, Oracle, Recipe
from minigen.recipes.config import Config, option

__all__ = ["RealNVPConfig", "RealNVPRecipe"]

EVALUATION_ROWS = 2000  # at a time
LEAK_NATS = 0.03  # under the entropy by more than this is too good to be true
LEAK = "below: a leak"

# Eight islands: more couplings, wider networks, and gradients kept short where densities are steep.
EIGHT_GAUSSIANS = {
    **{"steps": 8000, "batch_size": 512, "couplings": 12, "hidden": (128, 128)},
    "max_grad_norm": 1.0,
}

# Small tables are learned by heart soon: more steps only make held-out rows less likely.
WINE = {
    **{"steps": 800, "batch_size": 128, "evaluate_every": 50, "warmup": 20, "noise": 0.4},
    **{"couplings": 6, "hidden": (64,), "learning_rate": 1e-3, "weight_decay": 0.01},
    "activation": "tanh",
}
BREAST_CANCER = {
    **{"steps": 500, "batch_size": 128, "evaluate_every": 50, "warmup": 20, "noise": 0.05},
    **{"hidden": (64,), "learning_rate": 1e-3, "weight_decay": 0.01, "activation": "tanh"},
}


@dataclass(frozen=True, kw_only=True)
class RealNVPConfig(Config):
    """The hyper-parameters of RealNVP."""

    steps: int = option(4000, "training steps", minimum=1)
    batch_size: int = option(256, "rows per step", minimum=1)
    couplings: int = option(8, "coupling layers, each with the halves exchanged", minimum=2)
    hidden: tuple[int, ...] = option((64, 64), "widths of each coupling's network", minimum=1)
    coupling: str = option("affine", "RealNVP's, or NICE's", choices=COUPLINGS)
    actnorm: bool = option(True, "scale and shift every coordinate before each coupling")
    activation: str = option("relu", "in those networks", choices=tuple(ACTIVATIONS))
    learning_rate: float = option(2e-3, "of AdamW, at its highest", above=0)
    warmup: int = option(100, "steps in which the learning rate rises to that", minimum=0)
    weight_decay: float = option(0.0, "of AdamW", minimum=0)
    max_grad_norm: float = option(5.0, "longer gradients are shortened to this", above=0)
    noise: float = option(0.0, "deviation of Gaussian noise added to training rows", minimum=0)


class RealNVPRecipe(Recipe):
    """AdamW with warm-up and cosine decay on the exact negative log-likelihood.

    Small tables are learned by heart before long; `noise` blurs the training rows anew at every
    step (Rothfuss et al. 2019, "Noise regularization for conditional density estimation"), and
    `weight_decay` and few steps do the rest.
    """

    name = "realnvp"
    headline = "nll_nats"
    Config = RealNVPConfig
    default_data = "moons"
    saved = ("model", "optimizer", "schedule")
    budgets: ClassVar[Budgets] = {"short": {}, "long": {"steps": 40_000, "couplings": 12}}
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {
        "eight-gaussians": {"short": EIGHT_GAUSSIANS, "long": {**EIGHT_GAUSSIANS, "steps": 40_000}},
        "wine": {"short": WINE, "long": WINE},
        "breast-cancer": {"short": BREAST_CANCER, "long": BREAST_CANCER},
    }

    @classmethod
    def for_data(cls, data: str | None, data_dir: str | None) -> type[Recipe]:
        """Images of grey values have a recipe of their own, `recipes/realnvp_image.py`."""
        if data is None:
            return cls
        sample = cls.load_data(data, "val", data_dir)
        return find("realnvp-images") if sample.kind == "image" and sample.levels else cls

    @classmethod
    def describe(cls, config: RealNVPConfig, train: Dataset) -> dict[str, Any]:
        """The number of columns."""
        if train.data.ndim != 2 or train.sample_shape[0] < 2:
            shape = ("N", *train.sample_shape)
            raise UserError(
                f"realnvp needs rows of 2 or more numbers, and {train.name} has shape "
                f"({', '.join(map(str, shape))})"
            )
        if train.levels is not None:
            raise UserError(
                f"realnvp needs continuous numbers, which have a density; {train.name} has only "
                f"{train.levels} values"
            )
        return {"features": train.sample_shape[0]}

    def build(self) -> None:
        """The model and its optimizer."""
        config: RealNVPConfig = self.config
        self.features = int(self.facts["features"])
        self.model = RealNVP(
            self.features,
            config.couplings,
            config.hidden,
            config.coupling,
            config.actnorm,
            config.activation,
        )
        self.optimizer = mg.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = mg.optim.CosineWithWarmup(
            self.optimizer, warmup_steps=config.warmup, total_steps=config.steps
        )

    def batches(self, train: Dataset) -> Batches:
        """Shuffled batches."""
        return Batches(train, self.config.batch_size, seed=self.seed)

    def step(self, batch: Any) -> Mapping[str, Any]:
        """One step of AdamW on one batch."""
        config: RealNVPConfig = self.config
        self.model.train()
        x = mg.tensor(batch.x)
        if config.noise > 0:
            x = x + config.noise * self.random.normal(x.shape, dtype=x.dtype)
        nll, terms = self.model.loss(x)
        self.optimizer.zero_grad()
        nll.backward()
        mg.optim.clip_grad_norm_(self.model.parameters(), config.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        return {f"{name}_nats": value for name, value in terms.items()}

    def evaluate(self, data: Dataset, thorough: bool) -> dict[str, float]:
        """Means over the split, nats per row: `nll_nats` = `prior_nats` − `log_det_nats`.

        When `thorough`, two checks of the mathematics on the trained weights: `inverse_error`, the
        largest |x − f⁻¹(f(x))| over the split, and for two columns `density_integral`, ∫ p(x) dx
        over a grid round the data, which must be 1: a log-determinant with a term missing or a
        sign turned round has another integral, however good its likelihood looks.
        """
        self.model.eval()
        totals: dict[str, float] = {}
        error = 0.0
        with mg.no_grad():
            for batch in eval_batches(data, EVALUATION_ROWS):
                x = mg.tensor(batch.x)
                _, terms = self.model.loss(x)
                for name, value in terms.items():  # batches weigh as much as they hold
                    totals[name] = totals.get(name, 0.0) + value.item() * len(batch.x)
                if thorough:
                    back, _ = self.model.inverse(self.model(x)[0])
                    error = max(error, (back - x).abs().max().item())
        metrics = {f"{name}_nats": total / len(data) for name, total in totals.items()}
        if thorough:
            metrics["inverse_error"] = error
        if thorough and self.features == 2:
            extent = _extent(data.data, margin=0.5)
            cell = (extent[1] - extent[0]) * (extent[3] - extent[2]) / 400**2
            metrics["density_integral"] = float(self._density(extent, 400).sum(dtype=float) * cell)
        return metrics

    def oracles(self, data: Dataset, train: Dataset | None = None) -> list[Oracle]:
        """The full-covariance Gaussian; for the plane the entropy, and the leak's line under it."""
        found = []
        if train is not None and len(train) > self.features:
            value = gaussian_nats(train, data)
            found.append(Oracle("nll_nats", "full-covariance Gaussian", value))
        if data.name in PLANE_DENSITIES:
            floor = entropy(data.name)
            found.append(Oracle("nll_nats", "entropy of the density", floor))
            found.append(Oracle("nll_nats", LEAK, floor - LEAK_NATS, suspicious="below"))
        return found

    def sample(self, n: int, seed: int) -> np.ndarray:
        """`n` new rows in the units of the data set, (n, D)."""
        self.model.eval()
        with mg.no_grad():
            return self.model.sample(n, mg.Generator(seed)).numpy()

    def score(self, data: Dataset) -> np.ndarray:
        """log p(x) of every row, exact: (N,) nats, of a density in the units of the data set."""
        self.model.eval()
        with mg.no_grad():
            parts = [
                self.model.log_prob(mg.tensor(batch.x)).numpy()
                for batch in eval_batches(data, EVALUATION_ROWS)
            ]
        return np.concatenate(parts).astype(np.float64)

    def write_samples(self, path: Path, n: int, seed: int) -> None:
        """`.npy`: the array (n, D). `.png`: the points of the plane, or a histogram per column."""
        if path.suffix != ".png":
            super().write_samples(path, n, seed)
            return
        samples, title = self.sample(n, seed), f"RealNVP: {n} samples"
        if self.features == 2:
            extent = _extent(samples, margin=0.1)
            plots.save_point_clouds(path, {title: samples}, extent)
        else:
            plots.save_marginals(path, samples, title=title)

    def figures(self, folder: Path, data: Dataset, records: Sequence[Mapping[str, Any]]) -> None:
        """The curve; for the plane density, warped grid and samples; for tables histograms."""
        config: RealNVPConfig = self.config
        self.model.eval()
        kind = "RealNVP" if config.coupling == "affine" else "NICE"
        where = f"{kind}, {config.couplings} couplings, {data.name}"
        shown = [r for r in records if r.get("label") != LEAK]  # it would hide the entropy's line
        terms = ("nll_nats", "prior_nats", "log_det_nats")
        plots.save_curves(folder / "loss.png", shown, terms, f"{where}: −log p(x) and its terms")
        if self.features == 2:
            self._draw_plane(folder, data, where)
        else:
            samples = self.sample(max(2000, len(data)), 0)
            plots.save_marginals(
                folder / "samples.png", data.data, samples, f"{where}: {data.split} and samples"
            )

    def _draw_plane(self, folder: Path, data: Dataset, where: str) -> None:
        points = data.data[:2000]
        extent = _extent(data.data, margin=0.1)
        plots.save_density(
            folder / "density.png",
            self._density(extent, 400),
            extent,
            points[:1000],
            f"{where}: p(x) and {data.split} points",
        )
        clouds = {f"data ({data.split})": points, "samples": self.sample(len(points), 0)}
        plots.save_point_clouds(folder / "samples.png", clouds, extent, where)
        noise, stages = self._warped_grid()
        plots.save_warped_grid(folder / "warp.png", noise, stages, f"{where}: from noise to data")

    def _density(self, extent: tuple[float, float, float, float], side: int) -> np.ndarray:
        """p at the middles of side × side cells: (side, side), the first coordinate first."""
        first, second = (
            low + (high - low) * (np.arange(side) + 0.5) / side
            for low, high in (extent[:2], extent[2:])
        )
        grid = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).astype(np.float32)
        parts = []
        with mg.no_grad():
            for rows in np.array_split(grid.reshape(-1, 2), max(1, side * side // EVALUATION_ROWS)):
                parts.append(self.model.log_prob(mg.tensor(rows)).numpy())
        return np.exp(np.concatenate(parts)).reshape(side, side)  # (side²,) -> (side, side)

    def _warped_grid(
        self, lines: int = 25, along: int = 1600, reach: float = 2.5
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Straight lines of the noise, (2, L, P, 2), and where they are after ⅓, ⅔ and all of f⁻¹.

        `reach` deviations hold 95.6 % of the noise.
        """
        across, path = np.linspace(-reach, reach, lines), np.linspace(-reach, reach, along)
        vertical = np.stack(np.meshgrid(across, path, indexing="ij"), axis=-1)  # (L, P, 2)
        noise = np.stack([vertical, vertical[..., ::-1]]).astype(np.float32)  # (2, L, P, 2)
        layers = list(self.model.flow.children())
        x, stages = mg.tensor(noise.reshape(-1, 2)), {}
        with mg.no_grad():
            for done, layer in enumerate(reversed(layers), start=1):
                x, _ = layer.inverse(x)  # type: ignore[attr-defined]
                if done in (len(layers) // 3, 2 * len(layers) // 3, len(layers)):
                    label = "data" if done == len(layers) else f"after {done} layers"
                    stages[label] = x.numpy().reshape(noise.shape)
        return noise, stages


def _extent(points: np.ndarray, margin: float) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) of the points (N, 2), widened by `margin` of its size."""
    low, high = points.min(axis=0).astype(float), points.max(axis=0).astype(float)
    widening = np.maximum(margin * (high - low), 1e-3)
    low, high = low - widening, high + widening
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])
