"""The models that draw element by element, each with its cached way and the naive definition.

A subject holds one model of one size. Both ways draw with the same weights, from the same
distribution, and pay for the draw itself. The naive way computes everything anew for each element;
what it costs depends on how many elements there are already, not on which ones, so one step of it
can be taken on random elements, and a part of the steps stands for all.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

import minigen as mg
from minigen.models.gated_pixelcnn import GatedPixelCNN
from minigen.models.generation import choose, distribution
from minigen.models.gpt import GPT
from minigen.models.pixelcnn import PixelCNN
from minigen.models.pixelrnn import PixelRNN
from minigen.models.raster import Naive, RasterModel
from minigen.models.wavenet import WaveNet

__all__ = ["SUBJECTS", "Gpt", "Raster", "Subject", "Wavenet"]


class Subject(ABC):
    """One model, from which `batch` things of `length` elements are drawn.

    Args:
        length: elements of each.
    """

    title: ClassVar[str]
    element: ClassVar[str]
    batch: ClassVar[int] = 1
    length: ClassVar[int]  # of the headline
    lengths: ClassVar[tuple[int, ...]]  # of the growth
    small: ClassVar[tuple[int, ...]]  # lengths for a test

    @abstractmethod
    def __init__(self, length: int) -> None: ...

    @abstractmethod
    def cached(self) -> None:
        """Draw the whole, with the cache."""

    @abstractmethod
    def naive(self, step: int) -> None:
        """Draw element number `step` (from 0) from a pass over everything before it."""


class Gpt(Subject):
    """Tokens after one token, in a window that holds them all; four layers, 128 wide."""

    title = "GPT, 4 layers, 4 heads, 128 wide, context = length, batch 1"
    element = "token"
    length = 256
    lengths = (32, 64, 128, 256, 512)
    small = (8, 16)

    def __init__(self, length: int) -> None:
        mg.manual_seed(0)
        self.count = length
        self.model = GPT(vocabulary=65, context=length, layers=4, heads=4, width=128).eval()
        self.random = np.random.default_rng(0)
        self.text = self.random.integers(0, 65, (1, length))

    def cached(self) -> None:
        """As `generate` does: a step of the cache, a draw."""
        cache = self.model.new_cache(1)
        new = self.text[:, :1]
        for _ in range(self.count):
            logits = self.model.cached_logits(mg.tensor(new), cache).numpy()
            new = choose(distribution(logits), self.random)[:, None]  # (1, V) -> (1,) -> (1, 1)

    def naive(self, step: int) -> None:
        """The logits of the whole text so far, a draw from the last."""
        logits = self.model.next_logits(mg.tensor(self.text[:, : step + 1])).numpy()
        choose(distribution(logits), self.random)


class Wavenet(Subject):
    """Sound at 8,000 samples a second, ten layers of 32 channels, a field of 1,025 samples."""

    title = "WaveNet, 10 layers, 32 channels, 8 kHz, batch 1"
    element = "sample"
    length = 8000
    lengths = (250, 500, 1000, 2000, 4000, 8000)
    small = (8, 16)

    def __init__(self, length: int) -> None:
        mg.manual_seed(0)
        self.count = length
        self.model = WaveNet().eval()
        self.random = mg.Generator(0)
        self.past = self.random.integers(0, 256, (1, self.model.receptive_field))

    def cached(self) -> None:
        """The model's own `sample`."""
        self.model.sample(self.past, self.count, generator=self.random)

    def naive(self, step: int) -> None:
        """A pass over the receptive field, however long the sound is already, and a draw."""
        del step
        logits = self.model.next_logits(self.past).numpy()
        choose(distribution(logits), np.random.default_rng(0))


class Raster(Subject):
    """Images in black and white, pixel by pixel; the length is their number of pixels."""

    element = "pixel"
    batch = 16
    length = 784
    lengths = (64, 144, 256, 400, 784)
    small = (16, 25)
    kind: ClassVar[type[RasterModel]]

    def __init__(self, length: int) -> None:
        mg.manual_seed(0)
        self.side = math.isqrt(length)
        if self.side**2 != length:
            raise ValueError(f"length must be a square, got {length}")
        self.model = self.kind((1, self.side, self.side)).eval()
        self.random = mg.Generator(0)
        self.painter = Naive(self.model, self.batch, None)
        self.uniforms = self.random.uniform((1, self.batch), dtype=self.model.dtype).data

    def cached(self) -> None:
        """The model's own `sample`."""
        self.model.sample(self.batch, generator=self.random)

    def naive(self, step: int) -> None:
        """What `sample(cached=False)` does for one pixel: a pass over the image, a draw."""
        self.painter.row = step // self.side
        column = step % self.side
        values = self.model.head.draw(self.painter.parameters(column, 0), self.uniforms)
        self.painter.put(column, 0, values)


class Pixelcnn(Raster):
    """Seven by seven, five residual blocks."""

    title = "PixelCNN, 64 channels, 5 blocks, batch 16"
    kind = PixelCNN


class GatedPixelcnn(Raster):
    """Two stacks, six storeys."""

    title = "Gated PixelCNN, 2 × 32 channels, 1 + 5 layers, batch 16"
    kind = GatedPixelCNN


class DiagonalBilstm(Raster):
    """State that is carried instead of a cache."""

    title = "Diagonal BiLSTM, 32 cells, batch 16"
    kind = PixelRNN


SUBJECTS: dict[str, type[Subject]] = {
    "gpt": Gpt,
    "wavenet": Wavenet,
    "pixelcnn": Pixelcnn,
    "gated-pixelcnn": GatedPixelcnn,
    "pixelrnn": DiagonalBilstm,
}
