"""How samples are measured and drawn when the model has no likelihood: `Looks`.

What can be said depends on the data. On a mixture in the plane one knows the modes and counts them;
on digits a classifier's features give a Fréchet distance and the share of each digit; on everything
else there is the *spread*, the samples' deviation over that of the data: 1 is right, 0 is one
single sample for ever. `facts` says which, so that a run can be drawn without its data.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from minigen import plots
from minigen.data import Dataset
from minigen.data.plane import MIXTURES
from minigen.metrics.features import EXTRACTOR
from minigen.metrics.image_scores import ImageScores, unit_images
from minigen.metrics.modes import REACH, coverage_metrics, mode_coverage
from minigen.recipes.base import Oracle

__all__ = ["SAMPLES", "THOROUGH_SAMPLES", "Looks"]

SAMPLES, THOROUGH_SAMPLES = 2000, 10_000  # for a measurement during training and at its end
DIGITS = ("mnist", "digits")  # data sets on which the features of a classifier of digits mean much
FID = f"fid_{EXTRACTOR}"


class Looks:
    """Scores and pictures of samples, images (n, C, H, W) in [0, 1] or rows (n, D).

    Args:
        facts: what `Looks.describe` returned.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self.is_image = facts["kind"] == "image"
        self.shape = tuple(facts["shape"])
        self.headline: str = facts["headline"]
        self.mixture: str | None = facts["mixture"]
        self.centre, self.scale = facts["centre"], facts["scale"]
        self._judges: dict[str, ImageScores] = {}

    @staticmethod
    def describe(train: Dataset) -> dict[str, Any]:
        """Facts about a data set, as JSON: kind, shape, headline, mixture; centre and scale."""
        facts: dict[str, Any] = {"kind": train.kind, "shape": list(train.sample_shape)}
        facts["mixture"] = train.name if train.name in MIXTURES else None
        facts["headline"] = "modes" if facts["mixture"] else "spread"
        if train.name in DIGITS:
            facts["headline"] = FID
        facts["centre"], facts["scale"] = [0.5], 0.5  # of an image's pixels, [0, 1]
        if train.kind == "rows":
            facts["centre"] = [float(mean) for mean in train.data.mean(axis=0, dtype=np.float64)]
            facts["scale"] = _deviation(train.data) or 1.0
        return facts

    def metrics(self, samples: np.ndarray, data: Dataset, thorough: bool) -> dict[str, float]:
        """Scores against a split, the headline first.

        The Fréchet distance of 2,000 samples is some tenths above that of 10,000; when `thorough`,
        the other scores of images come with it.
        """
        metrics: dict[str, float] = {}
        if data.name in MIXTURES:
            metrics |= coverage_metrics(data.name, samples)
            metrics["modes_total"] = float(len(MIXTURES[data.name].centres))
        if data.name in DIGITS:
            judge = self._judge(data)
            metrics |= judge(samples) if thorough else {FID: judge.fid(samples)}
        real = unit_images(data) if self.is_image else data.data
        metrics["spread"] = _deviation(samples) / max(_deviation(real), 1e-12)
        return metrics

    def oracles(self, data: Dataset, train: Dataset | None) -> list[Oracle]:
        """What the data themselves would get."""
        found = []
        if data.name in MIXTURES:
            centres = MIXTURES[data.name].centres
            share = 100 * (1 - math.exp(-(REACH**2) / 2))
            found.append(Oracle("modes", "all", float(len(centres))))
            found.append(Oracle("within_3_sigma_percent", "the data", share))
        if data.name in DIGITS and train is not None:
            floor = self._judge(data).fid(unit_images(train, THOROUGH_SAMPLES))
            found.append(Oracle(FID, "training images", floor))
        return found

    def draw(self, path: Path, samples: np.ndarray, title: str) -> None:
        """A grid of images; points of the plane, on a mixture with its modes; histograms."""
        if self.is_image:
            plots.save_grid(path, samples, title=title)
        elif self.mixture is not None:
            mixture = MIXTURES[self.mixture]
            coverage = mode_coverage(samples, *mixture)
            plots.save_modes(path, samples, *mixture, coverage.found, title)
        elif self.shape == (2,):
            reach = 2.2 * self.scale  # a uniform density ends at √3 deviations
            (x, y) = self.centre
            extent = (x - reach, x + reach, y - reach, y + reach)
            plots.save_point_clouds(path, {title: samples}, extent)
        else:
            plots.save_marginals(path, samples, title=title)

    def draw_labels(self, path: Path, samples: np.ndarray, data: Dataset, title: str) -> None:
        """On digits: how many there are of each, in the data and in the samples."""
        if data.name in DIGITS:
            judge = self._judge(data)
            shares = {"data": judge.shares(unit_images(data)), "samples": judge.shares(samples)}
            plots.save_label_bars(path, shares, title=title)

    def _judge(self, data: Dataset) -> ImageScores:
        """Kept, since the features of the real images stay the same."""
        key = f"{data.name} {data.split}"
        if key not in self._judges:
            self._judges[key] = ImageScores(data)
        return self._judges[key]


def _deviation(samples: np.ndarray) -> float:
    """How far samples (N, …) lie from their mean: the root of the mean variance of an entry."""
    return float(np.sqrt(samples.var(axis=0, dtype=np.float64).mean()))
