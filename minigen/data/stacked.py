"""Stacked MNIST: three digits as the colours of one image, and so a thousand modes to count.

Each image is made of three digits of MNIST, drawn independently and laid into the red, green and
blue channel (Che et al. 2017, "Mode Regularized Generative Adversarial Networks"; Metz et al.
2017). Its label is the number that the three digits spell, 100·red + 10·green + blue, 0 … 999: a
generator that covers the data makes all thousand of them equally often, and a classifier of single
digits can read off which ones it made (`minigen.metrics.modes`).

A split is drawn from the same split of MNIST and has as many images as that; which digits meet
comes from one fixed seed and the split's name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minigen.data import mnist
from minigen.data.dataset import SPLITS, Dataset

SEED = 20170308
CHANNELS = 3


def load(split: str, data_dir: Path | None) -> Dataset:
    """Three MNIST digits as colours, 3×28×28, 1,000 modes: 50,000 train, 10,000 val and test."""
    digits = mnist.load(split, data_dir)
    key = (SPLITS.index(split),)
    random = np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=key))
    chosen = random.integers(0, len(digits), (len(digits), CHANNELS))  # (N, 3)
    images = digits.data[chosen, 0]  # (M, 1, 28, 28) -> (N, 3, 28, 28)
    assert digits.labels is not None
    labels = digits.labels[chosen] @ np.array([100, 10, 1])  # (N, 3) -> (N,)
    return Dataset("stacked-mnist", split, images, labels, "image", (0, 255))
