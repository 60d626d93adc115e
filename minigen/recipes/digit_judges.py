"""Who reads a translated digit? A classifier of the target domain, trained on nothing else.

A translation from A to B is worth something when someone who knows B alone can read it. For MNIST
that is the LeNet inside the package (`minigen/metrics/features.py`), which never saw another data
set; for the 8×8 digits it is a LeNet too, trained here in seconds on their training split, in the
size and with the border that the translator's images have.

The mark to pass is how well the same classifier reads the *untranslated* images: a translator that
does nothing gets that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import minigen as mg
from minigen.data import Batches, Dataset
from minigen.data.resize import centre_crop, resize
from minigen.metrics.features import feature_extractor
from minigen.metrics.lenet import LeNet

__all__ = ["DIGITS", "Judge", "judge_of"]

DIGITS = ("mnist", "digits")  # data sets with the same ten classes
MNIST_SIDE = 28  # pixels
STEPS, BATCH, SEED = 400, 128, 19980701  # of the training of the judge of 8×8 digits

Array = npt.NDArray[Any]
Judge = Callable[[Array], Array]
"""Images (N, 1, H, W) in [0, 1] → labels (N,)."""


def judge_of(target: str, inside: int | None, train: Callable[[], Dataset]) -> Judge:
    """The reader of a target domain.

    Args:
        target: one of `DIGITS`.
        inside: pixels each way of the target's images within their border, None for no border.
        train: the target's training split as the translator sees it, called only for `digits`.
    """
    return _MnistJudge(inside) if target == "mnist" else _trained(train())


class _MnistJudge:
    """LeNet of the package, on images brought back to the size of MNIST."""

    def __init__(self, inside: int | None) -> None:
        self.inside = inside

    def __call__(self, images: Array) -> Array:
        if images.shape[2:] != (MNIST_SIDE, MNIST_SIDE):
            images = images if self.inside is None else centre_crop(images, self.inside)
            images = resize(images, MNIST_SIDE)
        return feature_extractor().labels(np.clip(images, 0, 1))


def _trained(train: Dataset) -> Judge:
    """A LeNet, trained on these images; draws nothing that anything else would have drawn."""
    generator = mg.default_generator()
    before = generator.state()
    mg.manual_seed(SEED)
    channels, height, width = train.sample_shape
    network = LeNet((channels, height, width))
    generator.load_state(before)
    optimizer = mg.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = mg.optim.CosineWithWarmup(optimizer, warmup_steps=50, total_steps=STEPS)
    batches = Batches(train, BATCH, seed=SEED)
    for _ in range(STEPS):
        x, labels = next(batches)
        loss = mg.cross_entropy(network(mg.tensor(x)), mg.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()

    def labels_of(images: Array) -> Array:
        parts = []
        with mg.no_grad():
            for start in range(0, len(images), 500):
                x = mg.tensor(np.ascontiguousarray(images[start : start + 500], np.float32))
                parts.append(network(x).numpy().argmax(axis=1))
        return np.concatenate(parts)

    return labels_of
