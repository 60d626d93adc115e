"""Toy densities in the plane: small, known exactly, and hard in ways that show in a picture.

Their points are drawn, not stored, always the same ones: the generator is keyed by the data set's
name and the split, so that the three splits are independent draws from one density.  The density
itself, and with it the least number of nats that any model can reach, is in
`minigen.metrics.entropy`.

``moons``
    Two half circles of radius 1 that reach into each other, t ~ U[0, π):

        (cos t, sin t)   or, as likely,   (1 − cos t, ½ − sin t),

    plus N(0, 0.05²) on both axes (scikit-learn's `make_moons` with the angle drawn instead of
    equally spaced), then standardised by the *exact* mean and deviation of that density, below.
``eight-gaussians``
    Eight Gaussians of deviation 0.2 on a circle of radius 2, all equally likely; as they are.
``ring``
    The same eight centres with deviation 0.02 (Metz et al. 2017, "Unrolled Generative Adversarial
    Networks", section 3.1): islands 76 deviations apart, on which models lose whole modes.
``grid``
    Twenty-five Gaussians of deviation 0.05, equally likely, on {−4, −2, 0, 2, 4}² (Lin et al. 2018,
    "PacGAN", section 4.1): 40 deviations apart.

`MIXTURES` holds the centres and deviations of the three mixtures; `minigen.metrics.modes` counts
which of the centres a model's samples reach.

Splits: 50,000 train, 10,000 val, 10,000 test; `labels` say which moon or which Gaussian.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from minigen.data.dataset import SPLITS, Dataset

SIZES = {"train": 50_000, "val": 10_000, "test": 10_000}

MOON_NOISE = 0.05
MOON_MEAN = (0.5, 0.25)
# E(x − ½)² = E cos²t + ¼ on both moons; E(y − ¼)² = E(sin t − ¼)² = ½ − ½·E sin t + 1/16, where
# E sin t = 2/π; and the noise adds its variance.
MOON_DEVIATION = (
    math.sqrt(0.75 + MOON_NOISE**2),
    math.sqrt(0.5625 - 1 / math.pi + MOON_NOISE**2),
)

GAUSSIAN_COUNT, GAUSSIAN_RADIUS, GAUSSIAN_DEVIATION = 8, 2.0, 0.2
RING_DEVIATION = 0.02
GRID_SIDE, GRID_SPACING, GRID_DEVIATION = 5, 2.0, 0.05

Array = npt.NDArray[Any]


class Mixture(NamedTuple):
    """Equally likely Gaussians of one deviation, p(x) = 1/K ∑_k N(x; c_k, σ²I)."""

    centres: Array
    """(K, 2)"""
    deviation: float
    """σ, the same on both axes"""


def load_moons(split: str, data_dir: Path | None) -> Dataset:
    """Two moons, σ = 0.05, standardised: 2-D points, drawn: 50,000 train, 10,000 val, 10,000 test.

    Needs no files; `data_dir` is not looked at.
    """
    count, random = SIZES[split], _generator(1, split)
    labels = random.integers(0, 2, count)
    points = moon_curve(np.pi * random.random(count), labels)  # (N,), (N,) -> (N, 2)
    points += MOON_NOISE * random.standard_normal((count, 2))
    points = (points - MOON_MEAN) / MOON_DEVIATION
    return Dataset("moons", split, points.astype(np.float32), labels, "rows", None)


def load_eight_gaussians(split: str, data_dir: Path | None) -> Dataset:
    """Eight Gaussians on a circle, σ = 0.2: 2-D points, drawn: 50,000 train, 10,000 val and test.

    Needs no files; `data_dir` is not looked at.
    """
    return _draw("eight-gaussians", 2, split)


def load_ring(split: str, data_dir: Path | None) -> Dataset:
    """Eight narrow Gaussians on a circle, σ = 0.02, for mode coverage: 2-D points, 50,000 train.

    Needs no files; `data_dir` is not looked at.
    """
    return _draw("ring", 3, split)


def load_grid(split: str, data_dir: Path | None) -> Dataset:
    """Twenty-five Gaussians on a 5×5 grid, σ = 0.05, for mode coverage: 2-D points, 50,000 train.

    Needs no files; `data_dir` is not looked at.
    """
    return _draw("grid", 4, split)


def moon_curve(angle: Array, moon: Array | int) -> Array:
    """Points (…, 2) of moon 0 or 1 at an angle in [0, π], before noise and standardising."""
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    # The second moon is the first one, turned by half a circle round the common centre.
    lower = 2 * np.array(MOON_MEAN) - upper
    return np.where(np.asarray(moon)[..., np.newaxis] == 0, upper, lower)


def gaussian_centres() -> Array:
    """The centres of the eight Gaussians, (8, 2), anticlockwise from (2, 0)."""
    angle = 2 * np.pi * np.arange(GAUSSIAN_COUNT) / GAUSSIAN_COUNT
    return GAUSSIAN_RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def grid_centres() -> Array:
    """The centres of the twenty-five Gaussians, (25, 2), row by row from (−4, −4)."""
    axis = GRID_SPACING * (np.arange(GRID_SIDE) - (GRID_SIDE - 1) / 2)
    second, first = np.meshgrid(axis, axis, indexing="ij")  # the first coordinate runs fastest
    return np.stack([first.ravel(), second.ravel()], axis=-1)


MIXTURES = {
    "eight-gaussians": Mixture(gaussian_centres(), GAUSSIAN_DEVIATION),
    "ring": Mixture(gaussian_centres(), RING_DEVIATION),
    "grid": Mixture(grid_centres(), GRID_DEVIATION),
}


def _draw(name: str, stream: int, split: str) -> Dataset:
    centres, deviation = MIXTURES[name]
    count, random = SIZES[split], _generator(stream, split)
    labels = random.integers(0, len(centres), count)
    points = centres[labels]  # (K, 2) -> (N, 2)
    points = points + deviation * random.standard_normal((count, 2))
    return Dataset(name, split, points.astype(np.float32), labels, "rows", None)


def _generator(stream: int, split: str) -> np.random.Generator:
    key = (stream, SPLITS.index(split))
    return np.random.default_rng(np.random.SeedSequence(20170227, spawn_key=key))
