"""Recipe: CycleGAN of `minigen/models/cyclegan.py`, between two data sets or folders of images.

    minigen train cyclegan                                  8×8 digits (A) and MNIST (B)
    minigen train cyclegan --a photographs/ --b paintings/  two folders, at least ten images each
    minigen translate runs/cyclegan --direction ab in.png out.png

Reached by the first line (300 steps, 69 to 76 s of one core) with the seeds 0, 1, 2, 3: MNIST's
classifier reads 74.8, 75.2, 73.6 and 70.8 % of the 8×8 digits of val (250 of them) after
translation and 65.2 % before; the classifier of the 8×8 digits reads 38.8, 39.7, 36.9 and 37.6 % of
MNIST's after and 25.8 % before; with seed 0 the cycle's L1 falls from 0.091 at step 50 to 0.049.
**More steps are not better**: nothing in the losses knows about
classes, and while the strokes go on improving, a 9 may become a 3 on the way there and a 9 again on
the way back; in a run of 1,800 steps 75.6 % at step 300 are 65.6 % at step 750. With `inside_a=20`,
where 82 % are read before translation, 87.6 % was the best seen (`patch_depth=1`, step 900).

**Sizes.** Both domains must have one size: `size`, or the larger of the two. An image that has it
stays as it is; any other is resized to it, bilinearly. With `inside_a` (or `inside_b`) it is
resized to that many pixels, and a border of zeros brings it to `size`: with `inside_a=20` the 8×8
digits, which fill their square, become as large as MNIST's digits are in theirs. Translation
prepares its input in the same way.

**How one can tell that it works.** Labels are not used in training. Where both domains are digits,
a classifier that was trained on the target domain alone (`minigen/recipes/digit_judges.py`) labels
translated images, `accuracy_translated_percent`, and the same images untranslated: the line to
beat. The plain name is for the translation to MNIST; `back_…` is the other direction, with a
classifier of the 8×8 digits that is trained on the spot, at the end only. `cycle_l1` is the mean
distance |F(G(a)) − a| and |G(F(b)) − b| of two pixels, in [0, 1], and is the headline where there
is nothing to read. `spread` is the translations' deviation over that of the target domain, in the
direction where it is smaller: 0 is the same image for every input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import minigen as mg
from minigen import plots
from minigen.data import Dataset, load, to_unit_interval
from minigen.data.pairs import SEPARATOR, Pair, PairBatch, PairBatches, load_pair, pair_name
from minigen.data.resize import pad_to, resize
from minigen.errors import UserError, unknown_name
from minigen.metrics.image_scores import unit_images
from minigen.metrics.verdict import verdict
from minigen.models.adversarial import LOSSES, accuracies, frozen
from minigen.models.cyclegan import (
    SMALLEST,
    ImagePool,
    PatchDiscriminator,
    ResNetGenerator,
    discriminator_loss,
    fooled,
    l1,
)
from minigen.recipes.adversarial import descend
from minigen.recipes.base import Budgets, Oracle, Recipe
from minigen.recipes.config import Config, option
from minigen.recipes.digit_judges import DIGITS, Judge, judge_of

__all__ = ["DIRECTIONS", "CycleGANConfig", "CycleGANRecipe", "LinearToZero"]

DIRECTIONS = ("ab", "ba")
LOOKED_AT, THOROUGH = 500, 2000  # images of each domain in a measurement, and in the last one
SHOWN = 12  # images of each domain in a picture
ADVICE = "a lower learning_rate, more cycle or identity, another patch_depth, or another seed"
CHUNK = 250  # images at a time


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig(Config):
    """The hyper-parameters of CycleGAN."""

    steps: int = option(6000, "training steps", minimum=1)
    batch_size: int = option(8, "images per step, of each domain", minimum=1)
    evaluate_every: int = option(300, "steps between measurements on the val split", minimum=1)
    size: int | None = option(None, "pixels each way; the larger of both if none", minimum=SMALLEST)
    inside_a: int | None = option(None, "pixels of A's images within a border", minimum=1)
    inside_b: int | None = option(None, "pixels of B's images within a border", minimum=1)
    width: int = option(16, "channels of a generator's first hidden picture", minimum=1)
    blocks: int = option(3, "residual blocks of a generator", minimum=0)
    patch_width: int = option(16, "channels of a discriminator's first hidden picture", minimum=1)
    patch_depth: int = option(2, "its strides: 1 sees 16 pixels, 2 34, 3 70", minimum=1, maximum=6)
    cycle: float = option(10.0, "λ, the weight of the cycle term", minimum=0)
    identity: float = option(0.5, "weight of the identity term, in units of λ", minimum=0)
    pool: int = option(50, "fakes that are kept for the discriminators; 0 for none", minimum=0)
    learning_rate: float = option(2e-4, "of both Adams", above=0)
    beta1: float = option(0.5, "of both Adams", minimum=0, maximum=0.999)
    decay: bool = option(True, "in the second half the learning rate falls to 0, straight")


class LinearToZero(mg.optim.Schedule):
    """f(t) = 1 up to T/2, from there in a straight line to 0 at T (the paper's section 4)."""

    def __init__(self, optimizer: mg.optim.Optimizer, total_steps: int) -> None:
        self.total_steps = total_steps
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """f(t)."""
        return min(1.0, max(0.0, 2.0 * (1.0 - t / self.total_steps)))


class CycleGANRecipe(Recipe):
    """Two generators and two discriminators; one Adam for the former, one for the latter."""

    name = "cyclegan"
    headline = "cycle_l1"
    Config = CycleGANConfig
    default_data = f"digits{SEPARATOR}mnist"
    saved = (
        *("a_to_b", "b_to_a", "discriminator_a", "discriminator_b", "generator_optimizer"),
        *("discriminator_optimizer", "generator_schedule", "discriminator_schedule"),
        *("pool_a", "pool_b"),
    )
    shown: tuple[np.ndarray, np.ndarray] | None = None  # of A and of B, in every progress picture
    budgets: ClassVar[Budgets] = {"short": {}, "long": {"steps": 100_000}}
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {
        pair: {"short": {"steps": 300, "evaluate_every": 50}, "long": {"steps": 6000}}
        for pair in (f"digits{SEPARATOR}mnist", f"mnist{SEPARATOR}digits")
    }

    # Data ----------------------------------------------------------------------------------------

    @classmethod
    def two_data(cls, a: str, b: str) -> str:
        """`A::B`, from the names or paths of two data sets."""
        return pair_name(a, b)

    @classmethod
    def load_data(cls, data: str, split: str, data_dir: str | None) -> Pair:
        """One split of both data sets of `A::B`."""
        return load_pair(data, split, data_dir)

    @classmethod
    def describe(cls, config: CycleGANConfig, train: Pair) -> dict[str, Any]:
        """Names, channels and sizes of both, and the one size (H, W) that they are brought to."""
        channels = _channels(train)
        shapes = [list(one.sample_shape) for one in (train.a, train.b)]
        size = [config.size] * 2 if config.size else shapes[0][1:]
        if not config.size and shapes[0][1:] != shapes[1][1:]:
            size = [max(shape[side] for shape in shapes for side in (1, 2))] * 2
        for which, inside in zip("ab", (config.inside_a, config.inside_b), strict=True):
            if inside is not None and inside > min(size):
                raise UserError(
                    f"inside_{which} must be at most {min(size)}, the size of the images, "
                    f"got {inside}"
                )
        names = [train.a.name, train.b.name]
        return {"names": names, "channels": channels, "size": size}

    def check(self, data: Pair) -> None:
        """`UserError` when `data` has other channels: sizes are made equal, names do not matter."""
        found = _channels(data)
        if found != self.facts["channels"]:
            raise UserError(
                f"the model was built for {self.facts['channels'][0]} and "
                f"{self.facts['channels'][1]} channels, got {found[0]} and {found[1]}"
            )

    def fit(self, images: np.ndarray, domain: str) -> np.ndarray:
        """Images (N, C, H, W) in [0, 1] of a domain, "a" or "b", in the networks' size."""
        size = tuple(self.facts["size"])
        if images.shape[2:] == size:
            return images
        inside = self.config.inside_a if domain == "a" else self.config.inside_b
        return pad_to(resize(images, inside or size), size)

    def fitted(self, data: Dataset, domain: str) -> Dataset:
        """A data set with its images in the networks' size."""
        if data.sample_shape[1:] == tuple(self.facts["size"]):
            return data
        assert data.value_range is not None
        images = self.fit(to_unit_interval(data.data, data.value_range), domain)
        return replace(data, data=images, value_range=(0.0, 1.0))

    def batches(self, train: Pair) -> PairBatches:
        """Shuffled batches of both; the first images of either are shown in `progress`."""
        fitted = Pair(self.fitted(train.a, "a"), self.fitted(train.b, "b"))
        self.shown = unit_images(fitted.a, SHOWN), unit_images(fitted.b, SHOWN)
        return PairBatches(fitted, self.config.batch_size, seed=self.seed)

    # Training ------------------------------------------------------------------------------------

    def build(self) -> None:
        """Networks, optimizers, schedules, pools."""
        config: CycleGANConfig = self.config
        height, width = self.facts["size"]
        if min(height, width) < SMALLEST:
            raise ValueError(f"images must be at least {SMALLEST}×{SMALLEST}, got {height}×{width}")
        if min(height, width) // 2**config.patch_depth < 3:
            raise ValueError(
                f"patch_depth {config.patch_depth} is too much for images of {height}×{width}: "
                "no patch would be left"
            )
        a, b = self.facts["channels"]
        self.a_to_b, self.b_to_a = (
            ResNetGenerator((height, width), channels, config.width, config.blocks)
            for channels in ((a, b), (b, a))
        )
        self.discriminator_a, self.discriminator_b = (
            PatchDiscriminator(channels, config.patch_width, config.patch_depth)
            for channels in (a, b)
        )
        self.discriminators_rest = [frozen(self.discriminator_a), frozen(self.discriminator_b)]
        self.generator_optimizer, self.discriminator_optimizer = (
            mg.optim.Adam(
                [*first.parameters(), *second.parameters()],
                lr=config.learning_rate,
                betas=(config.beta1, 0.999),
            )
            for first, second in (
                (self.a_to_b, self.b_to_a),
                (self.discriminator_a, self.discriminator_b),
            )
        )
        self.generator_schedule, self.discriminator_schedule = (
            LinearToZero(optimizer, config.steps)
            if config.decay
            else mg.optim.ConstantLR(optimizer, factor=1.0)
            for optimizer in (self.generator_optimizer, self.discriminator_optimizer)
        )
        self.pool_a, self.pool_b = ImagePool(config.pool), ImagePool(config.pool)
        # An image that is in B already can be shown to A → B only where it fits in.
        self.with_identity = config.identity > 0 and a == b
        self._judges: dict[str, Judge] = {}
        if self._main(self.facts["names"]) is not None:
            self.headline = "accuracy_translated_percent"

    def step(self, batch: PairBatch) -> Mapping[str, Any]:
        """The generators' step on two batches, then the discriminators' on the fakes of it."""
        a, b = (2.0 * mg.tensor(half.x) - 1.0 for half in batch)  # [0, 1] -> [−1, 1]
        numbers, fake_a, fake_b = self.generator_step(a, b)
        numbers |= self.discriminator_step(a, b, fake_a, fake_b)
        self.generator_schedule.step()
        self.discriminator_schedule.step()
        return numbers

    def generator_step(
        self, a: mg.Tensor, b: mg.Tensor
    ) -> tuple[dict[str, Any], mg.Tensor, mg.Tensor]:
        """One update of both generators; returns the fakes of A and of B, off the tape."""
        config: CycleGANConfig = self.config
        rest_a, rest_b = self.discriminators_rest
        with rest_a, rest_b:
            fake_b, same_b = self._translated(self.a_to_b, a, b)
            fake_a, same_a = self._translated(self.b_to_a, b, a)
            deceit = fooled(self.discriminator_b(fake_b)) + fooled(self.discriminator_a(fake_a))
            cycle = l1(self.b_to_a(fake_b), a) + l1(self.a_to_b(fake_a), b)
            loss = deceit + config.cycle * cycle
            numbers: dict[str, Any] = {"generator_loss": deceit, "cycle_loss": cycle}
            if same_a is not None and same_b is not None:
                identity = l1(same_a, a) + l1(same_b, b)
                loss = loss + config.cycle * config.identity * identity
                numbers["identity_loss"] = identity
            numbers["generator_grad_norm"] = descend(self.generator_optimizer, loss)
        return numbers, fake_a.detach(), fake_b.detach()

    def _translated(
        self, network: ResNetGenerator, x: mg.Tensor, there: mg.Tensor
    ) -> tuple[mg.Tensor, mg.Tensor | None]:
        """Images translated, and images that are there already: in one batch, as they do not mix.

        (N, C, H, W), (M, C, H, W) -> (N, C, H, W), (M, C, H, W)
        """
        if not self.with_identity:
            return network(x), None
        both = network(mg.cat([x, there]))
        return both[: len(x)], both[len(x) :]

    def discriminator_step(
        self, a: mg.Tensor, b: mg.Tensor, fake_a: mg.Tensor, fake_b: mg.Tensor
    ) -> dict[str, Any]:
        """One update of both discriminators, on fakes out of the pools."""
        total: Any = 0.0
        right: list[tuple[mg.Tensor, mg.Tensor]] = []
        for network, pool, real, fake in (
            (self.discriminator_a, self.pool_a, a, fake_a),
            (self.discriminator_b, self.pool_b, b, fake_b),
        ):
            judged = network(mg.cat([real, pool.query(fake, self.random)]))
            on_real, on_fake = judged[: len(real)], judged[len(real) :]
            total = total + discriminator_loss(on_real, on_fake)
            right.append(accuracies(LOSSES["lsgan"], on_real, on_fake))
        norm = descend(self.discriminator_optimizer, total)
        (real_a, made_a), (real_b, made_b) = right
        return {
            "discriminator_loss": total,
            "real_accuracy": 0.5 * (real_a + real_b),
            "fake_accuracy": 0.5 * (made_a + made_b),
            "discriminator_grad_norm": norm,
        }

    # Looking -------------------------------------------------------------------------------------

    def translate(self, images: np.ndarray, direction: str) -> np.ndarray:
        """Images (N, C, H, W) in [0, 1], "ab" from A to B or "ba" → as many in the size of `fit`.

        Raises UserError for another direction, or images with other channels.
        """
        network = self._network(direction)
        if images.ndim != 4 or len(images) == 0 or images.shape[1] != network.channels[0]:
            raise UserError(
                f"images must have shape (N, {network.channels[0]}, H, W), N >= 1, to be "
                f"translated {direction[0]} → {direction[1]}, got {images.shape}"
            )
        images = self.fit(np.asarray(images, np.float32), direction[0])
        parts = []
        with mg.no_grad():
            for start in range(0, len(images), CHUNK):
                x = mg.tensor(np.ascontiguousarray(images[start : start + CHUNK]))
                parts.append((0.5 + 0.5 * network(2.0 * x - 1.0)).numpy())
        return np.concatenate(parts)

    def source_channels(self, direction: str) -> int:
        """Of the images that `translate` takes."""
        return int(self._network(direction).channels[0])

    def _network(self, direction: str) -> ResNetGenerator:
        if direction not in DIRECTIONS:
            raise unknown_name("direction", direction, DIRECTIONS)
        return self.a_to_b if direction == "ab" else self.b_to_a

    def evaluate(self, data: Pair, thorough: bool) -> dict[str, float]:
        """Accuracies where there is somebody to read, `cycle_l1`, `spread`; see the top."""
        count = THOROUGH if thorough else LOOKED_AT
        metrics: dict[str, float] = {}
        distances, spreads = [], []
        main = self._main([data.a.name, data.b.name])
        for direction in DIRECTIONS:
            source, target = self._ends(data, direction, count)
            there = self.translate(source, direction)
            back = self.translate(there, direction[::-1])
            distances.append(float(np.abs(back - source).mean(dtype=np.float64)))
            spreads.append(_deviation(there) / max(_deviation(target), 1e-12))
            if main is None or (direction != main and not thorough):
                continue
            prefix = "" if direction == main else "back_"
            for name, images in (("translated", there), ("untranslated", source)):
                accuracy = self._accuracy(data, direction, images)
                if accuracy is not None:
                    metrics[f"{prefix}accuracy_{name}_percent"] = accuracy
        metrics["cycle_l1"] = sum(distances) / 2
        metrics["spread"] = min(spreads)
        return metrics

    def oracles(self, data: Pair, train: Pair | None = None) -> list[Oracle]:
        """How well the untranslated images are read, and real ones of the target domain."""
        main = self._main([data.a.name, data.b.name])
        if main is None:
            return []
        source, target = self._ends(data, main, THOROUGH)
        metric, found = "accuracy_translated_percent", []
        before = self._accuracy(data, main, source)
        real = self._accuracy(data, main[1] * 2, target)
        if before is not None:
            found.append(Oracle(metric, "untranslated", before))
        if real is not None:
            found.append(Oracle(metric, "real images of the target", real))
        return found

    @staticmethod
    def _main(names: Sequence[str]) -> str | None:
        """The direction whose translations can be read, to MNIST if there is a choice."""
        if not set(names) <= set(DIGITS):
            return None
        return "ba" if names[1] != "mnist" and names[0] == "mnist" else "ab"

    def _ends(self, data: Pair, direction: str, count: int) -> list[np.ndarray]:
        """The first images of the domain to start from and of the one to arrive at, fitted."""
        return [self.fit(unit_images(getattr(data, d), count), d) for d in direction]

    def _accuracy(self, data: Pair, direction: str, images: np.ndarray) -> float | None:
        """How many percent of images that came from one domain are read rightly in the other."""
        labels = getattr(data, direction[0]).labels
        target = getattr(data, direction[1]).name
        if labels is None or images.shape[1] != 1:
            return None
        domain, key = direction[1], f"{target} {direction[1]}"
        if key not in self._judges:
            inside = self.config.inside_a if domain == "a" else self.config.inside_b
            self._judges[key] = judge_of(
                target, inside, lambda: self.fitted(load(target, "train"), domain)
            )
        read = self._judges[key](images)
        return 100 * float((read == labels[: len(images)]).mean())

    def verdict(self, records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Signs of collapse and divergence, with what there is to try here."""
        return {
            sign: f"{sentence.partition('; try ')[0]}; try {ADVICE}"
            for sign, sentence in verdict(records, self.config.steps).items()
        }

    def progress(self, folder: Path, step: int) -> None:
        """Both ways from the same images of the training data, every time."""
        if self.shown is not None:
            path = folder / "progress" / f"step_{step:06d}.png"
            path.parent.mkdir(exist_ok=True)
            self._draw(path, *self.shown, f"step {step}")

    def figures(self, folder: Path, data: Pair, records: Sequence[Mapping[str, Any]]) -> None:
        """The game with the verdict above, the terms, both ways of held-out images, animation."""
        where = f"CycleGAN, {data.name}"
        found = self.verdict(records)
        title = f"{where}: {', '.join(found) or 'no sign of collapse or divergence'}"
        plots.save_game(folder / "loss.png", records, self.headline, title, list(found.values()))
        terms = ("cycle_l1", "cycle_loss", "identity_loss", "spread")
        plots.save_curves(folder / "terms.png", records, terms, f"{where}: what ties both ways")
        a, b = (self._ends(data, d, SHOWN)[0] for d in DIRECTIONS)
        self._draw(folder / "translations.png", a, b, f"{where}: held-out images")
        frames = sorted((folder / "progress").glob("step_*.png"))
        plots.save_animation(folder / "progress.gif", frames)

    def _draw(self, path: Path, a: np.ndarray, b: np.ndarray, title: str) -> None:
        """Six rows: a, G(a), F(G(a)); b, F(b), G(F(b))."""
        rows = []
        columns = min(len(a), len(b))
        for images, direction in ((a, "ab"), (b, "ba")):
            images = images[:columns]
            there = self.translate(images, direction)
            rows += [images, there, self.translate(there, direction[::-1])]
        rows = [np.broadcast_to(row, (len(row), 3, *row.shape[2:])) for row in rows]
        plots.save_strips(path, rows, f"{title}; a, a→b, a→b→a; b, b→a, b→a→b")


def _channels(pair: Pair) -> list[int]:
    """Of the images of A and of B; `UserError` where they are neither grey nor RGB."""
    for one in (pair.a, pair.b):
        if one.kind != "image" or one.value_range is None or one.sample_shape[0] not in (1, 3):
            what = one.kind if one.kind != "image" else f"{one.sample_shape[0]} channels"
            raise UserError(f"cyclegan needs grey or RGB images, and {one.name} has {what}")
    return [one.sample_shape[0] for one in (pair.a, pair.b)]


def _deviation(images: np.ndarray) -> float:
    """How far images (N, …) lie from their mean: the root of the mean variance of a pixel."""
    return float(np.sqrt(images.var(axis=0, dtype=np.float64).mean()))
