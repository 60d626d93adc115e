"""Recipe: the WaveNet of `minigen/models/wavenet.py`, on spoken digits or sounds of one's own.

    minigen train wavenet                                         spoken digits, 8,000 samples/s
    minigen train wavenet --data my-recordings/                   a folder of WAV files
    minigen sample runs/wavenet --n 10 --out digits.wav           speaks "zero" to "nine"

**What is measured.** `nll_nats_per_sample` is −ln p of every sample of every clip of the split,
each clip from its beginning, after silence, given its label, divided by the number of samples. A
sample is one of 256 µ-law levels, so knowing nothing costs ln 256 = 5.55 nats. `bits_per_sample` is
the same in bits.

**What to expect on the spoken digits.** Two tables are fitted on the same clips, computed at the
start and drawn into the curve: one over the previous sample reaches 4.27 nats on val and 4.30 on
test, a smoothed one over the two previous samples 4.11 and 4.16. The short budget (seed 0; 115,000
parameters; 2,600 steps of two windows of 2,048 samples, 3.5 passes over the clips) stands at
3.37 on val and 3.42 on test, 0.73 below the better table. That took ten minutes on a busy machine,
of them four and a half of computing in one thread.

What it then speaks has, by its spectrograms, the loudness, the length and the low formant of a
word, and hiss where the harmonics of a voice should be. With `--steps 7000` val goes on to 3.26,
and some words have more of their formants; harmonics still are missing. Sampling takes 0.16 ms for
a sample of one sound, 0.33 ms for a sample of ten side by side: 6,400 and 30,000 samples a second,
29 and 145 times as fast as from the whole field anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import minigen as mg
from minigen import plots
from minigen.data import Dataset, mulaw
from minigen.data.clips import ClipBatches, precede
from minigen.data.wav import write_wav
from minigen.errors import UserError
from minigen.metrics.markov import markov_nats
from minigen.models.wavenet import WaveNet
from minigen.recipes.base import Budgets, Oracle, Recipe
from minigen.recipes.config import Config, option

__all__ = ["WaveNetConfig", "WaveNetRecipe"]

PAUSE = 0.25  # seconds between two sounds of one file


@dataclass(frozen=True, kw_only=True)
class WaveNetConfig(Config):
    """The hyper-parameters of the WaveNet."""

    steps: int = option(2600, "training steps", minimum=1)
    batch_size: int = option(2, "windows of sound per step", minimum=1)
    evaluate_every: int = option(650, "steps between measurements on the val split", minimum=1)
    window: int = option(2048, "samples to be predicted in each window", minimum=1)
    channels: int = option(32, "width of the residual path and of each gate", minimum=1)
    skip: int = option(64, "width of the skip path", minimum=1)
    doublings: int = option(10, "layers of a stack, dilated by 1, 2, 4, …", minimum=1, maximum=20)
    stacks: int = option(1, "stacks", minimum=1)
    labelled: bool = option(True, "whether the model is told the label, where there is one")
    learning_rate: float = option(5e-3, "of Adam, at its highest", above=0)
    warmup: int = option(50, "steps in which the learning rate rises to that", minimum=0)
    clip: float = option(1.0, "largest norm of the gradient", above=0)
    sample_seconds: float = option(0.6, "length of a sound that 'sample' draws", above=0)
    temperature: float = option(1.0, "of 'sample': < 1 prefers the likely; 0 is argmax", minimum=0)


class WaveNetRecipe(Recipe):
    """Adam with warm-up, cosine decay and clipping, on windows of the sounds."""

    name = "wavenet"
    headline = "nll_nats_per_sample"
    Config = WaveNetConfig
    default_data = "spoken-digits"
    saved = ("model", "optimizer", "schedule")
    samples_file = "samples.wav"
    score_of = "clip"
    budgets: ClassVar[Budgets] = {
        "short": {"steps": 2600},
        "long": {"steps": 12_000, "evaluate_every": 1500},
    }

    @classmethod
    def describe(cls, config: WaveNetConfig, train: Dataset) -> dict[str, Any]:
        """The rate, and how many labels there are."""
        if train.kind != "audio":
            raise UserError(f"wavenet needs sound, and {train.name} has {train.kind}")
        told = train.labels if config.labelled else None
        return {"rate": train.rate, "labels": 0 if told is None else int(told.max()) + 1}

    def build(self) -> None:
        """The model and Adam."""
        config: WaveNetConfig = self.config
        self.rate, self.labels = self.facts["rate"], self.facts["labels"]
        self.model = WaveNet(
            mulaw.LEVELS,
            self.labels,
            config.channels,
            config.skip,
            [2**i for i in range(config.doublings)] * config.stacks,
        )
        self.optimizer = mg.optim.Adam(
            self.model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99)
        )
        self.schedule = mg.optim.CosineWithWarmup(
            self.optimizer,
            warmup_steps=config.warmup,
            total_steps=config.steps,
            final_factor=0.02,
        )

    def check(self, data: Dataset) -> None:
        """Sound of the same rate; labels, where the model is told them, that it knows."""
        if data.kind != "audio":
            raise UserError(f"wavenet needs sound, and {data.name} has {data.kind}")
        if data.rate != self.rate:
            raise UserError(
                f"the model was built for {self.rate} samples a second, "
                f"{data.name} ({data.split}) has {data.rate}"
            )
        if not self.labels:
            return
        if data.labels is None:
            raise UserError(f"{data.name} ({data.split}) has no labels, and the model needs them")
        if not 0 <= data.labels.min() <= data.labels.max() < self.labels:
            wrong = data.labels[(data.labels < 0) | (data.labels >= self.labels)][0]
            raise UserError(
                f"labels must lie in 0 … {self.labels - 1}, which the model knows, "
                f"got {wrong} in {data.name} ({data.split})"
            )

    def batches(self, train: Dataset) -> ClipBatches:
        """Shuffled windows."""
        config: WaveNetConfig = self.config
        return ClipBatches(
            _levels(train),
            train.labels if self.labels else None,
            past=self.model.receptive_field,
            window=config.window,
            batch_size=config.batch_size,
            silence=mulaw.SILENCE,
            seed=self.seed,
        )

    def step(self, batch: Any) -> Mapping[str, Any]:
        """One step of Adam on one batch of windows."""
        levels, targets, labels = batch
        self.model.train()
        loss = self.model.loss(
            mg.tensor(levels), mg.tensor(targets), None if labels is None else mg.tensor(labels)
        )
        self.optimizer.zero_grad()
        loss.backward()
        norm = mg.optim.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        self.schedule.step()
        return {"nll_nats_per_sample": loss, "gradient_norm": norm}

    def evaluate(self, data: Dataset, thorough: bool) -> dict[str, float]:
        """`nll_nats_per_sample` and `bits_per_sample` of the whole split; nothing is random."""
        nats = -self.score(data).sum() / len(data.data)
        return {"nll_nats_per_sample": float(nats), "bits_per_sample": float(nats / math.log(2))}

    def score(self, data: Dataset) -> np.ndarray:
        """log p(clip | its label), exact, of every clip from its beginning: (N,) nats."""
        self.model.eval()
        past, found = self.model.receptive_field, []
        with mg.no_grad():
            for number, clip in enumerate(_levels(data)):
                levels = precede(clip, past, mulaw.SILENCE)[None]  # (T,) -> (1, R + T)
                told = data.labels if self.labels else None
                nats = self.model.loss(
                    mg.tensor(levels[:, :-1]),
                    mg.tensor(levels[:, past:]),
                    None if told is None else mg.tensor(told[number : number + 1].copy()),
                    reduction="none",
                )
                found.append(-nats.numpy().astype(np.float64).sum())
        return np.array(found)

    def oracles(self, data: Dataset, train: Dataset | None = None) -> list[Oracle]:
        """Two tables fitted on `train`; without it, what knowing nothing costs."""
        if train is None:
            return []
        tables = markov_nats(_levels(train), _levels(data), mulaw.LEVELS, mulaw.SILENCE)
        names = {1: "table over 1 sample", 2: "smoothed table over 2"}
        return [Oracle(self.headline, names[order], nats) for order, nats in tables.items()]

    def sample(self, n: int, seed: int) -> np.ndarray:
        """`n` sounds as amplitudes (n, T) int16; sound i has label i modulo their number."""
        config: WaveNetConfig = self.config
        length = max(int(config.sample_seconds * self.rate), 1)
        past = np.full((n, self.model.receptive_field), mulaw.SILENCE)
        labels = mg.tensor(np.arange(n) % self.labels) if self.labels else None
        self.model.eval()
        drawn = self.model.sample(
            mg.tensor(past), length, labels, config.temperature, mg.Generator(seed)
        )
        return mulaw.decode(drawn.numpy())

    def write_samples(self, path: Path, n: int, seed: int) -> None:
        """Draw `n` sounds into a `.wav` file, with a pause between them, or a `.npy` array."""
        if path.suffix == ".npy":
            super().write_samples(path, n, seed)
            return
        if path.suffix != ".wav":
            raise UserError(f"--out must end in .wav or .npy for {self.name}, got {path.name!r}")
        self._write(path, self.sample(n, seed))

    def figures(self, folder: Path, data: Dataset, records: Sequence[Mapping[str, Any]]) -> None:
        """The curve with its tables, sounds real and generated to see, and to hear."""
        where = f"WaveNet, {data.name}"
        plots.save_curves(folder / "loss.png", records, [self.headline], where)
        count = self.labels or 5
        drawn = self.sample(count, 0)
        self._write(folder / "samples.wav", drawn)
        clips = data.clips()
        labels = np.arange(len(data)) if data.labels is None or not self.labels else data.labels
        # one real sound for each label; without labels the first ones
        first = [next((i for i in range(len(data)) if labels[i] == k), None) for k in range(count)]
        pairs = [(clips[i], drawn[k]) for k, i in enumerate(first) if i is not None]
        names = [str(k) for k, i in enumerate(first) if i is not None]
        plots.save_spectrograms(folder / "spectrograms.png", pairs, names, self.rate, where)
        plots.save_waveforms(folder / "waveforms.png", pairs, names, self.rate, where)

    def _write(self, path: Path, sounds: np.ndarray) -> None:
        """Sounds (n, T), one after the other."""
        pause = np.zeros((len(sounds), int(PAUSE * self.rate)), dtype=np.int16)
        write_wav(path, np.concatenate([sounds, pause], axis=1).reshape(-1), self.rate)


def _levels(data: Dataset) -> list[np.ndarray]:
    return [mulaw.encode(clip) for clip in data.clips()]
