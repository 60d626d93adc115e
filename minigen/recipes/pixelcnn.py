"""Recipes: PixelCNN and Gated PixelCNN, `minigen/models/pixelcnn.py` and `gated_pixelcnn.py`.

    minigen train pixelcnn                                        8×8 digits, in black and white
    minigen train gated-pixelcnn --data mnist                     28×28
    minigen train gated-pixelcnn --set conditional=true           one model, told which digit
    minigen train pixelcnn --set head=logistic-mixture            grey
    minigen sample runs/pixelcnn --n 100

**What is measured.** `nll_nats`, the exact −log p(x) of a held-out image, mean over the split; for
grey pixels `bits_per_dim` too. Steps, oracles and pictures: `recipes/raster.py`.

**What to expect on MNIST**, binarized anew each time (`binarization=dynamic`), on all of the last
10,000 training images, short budget, seed 0, one core. Independent pixels reach 204.8 nats.

    PixelCNN          5,000 steps    88.59 nats    69,121 parameters    1,030 s, machine half taken
    Gated PixelCNN    4,000 steps    88.35 nats    76,921 parameters    1,460 s, machine half taken

How far the plain one sees decides what it draws. With kernels of 3 and a first one of 7 (`--steps
5500 --set hidden=24 blocks=6 kernel=3 first_kernel=7`, 880 s) it sees nine rows up, where a digit
is twenty high: it ends at 91.95, and its samples have the width and the bends of strokes but are
seldom a whole digit. The gated one has no blind spot; on the first 1,000 images it is at 89.9 after
2,000 steps already.
Converged models of the papers' size reach 81.3 to 81.7; under 78 something has leaked, and the run
says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from minigen.models.gated_pixelcnn import GatedPixelCNN
from minigen.models.pixelcnn import PixelCNN
from minigen.recipes.base import Budgets
from minigen.recipes.config import option
from minigen.recipes.raster import RasterConfig, RasterRecipe

__all__ = ["GatedPixelCNNConfig", "GatedPixelCNNRecipe", "PixelCNNConfig", "PixelCNNRecipe"]


@dataclass(frozen=True, kw_only=True)
class PixelCNNConfig(RasterConfig):
    """The hyper-parameters of the PixelCNN."""

    steps: int = option(5000, "training steps", minimum=1)
    evaluate_every: int = option(1000, "steps between measurements on the val split", minimum=1)
    hidden: int = option(20, "channels h; the residual stream has 2h", minimum=1)
    blocks: int = option(5, "residual blocks", minimum=1)
    kernel: int = option(5, "side of the masked kernels, odd", minimum=1)
    first_kernel: int = option(15, "side of the first kernel, odd", minimum=3)


@dataclass(frozen=True, kw_only=True)
class GatedPixelCNNConfig(PixelCNNConfig):
    """The hyper-parameters of the Gated PixelCNN."""

    steps: int = option(4000, "training steps", minimum=1)
    evaluate_every: int = option(1000, "steps between measurements on the val split", minimum=1)
    hidden: int = option(20, "channels h of both stacks", minimum=1)
    blocks: int = option(5, "layers after the first", minimum=1)
    kernel: int = option(3, "side of their kernels, odd", minimum=1)
    first_kernel: int = option(19, "side of the first kernel, odd", minimum=3)
    conditional: bool = option(False, "tell the model each image's label")


DIGITS: Budgets = {
    # 8×8 pixels drawn at random from grey are hardly digits to the eye; cut at ½ they are
    "short": {
        "steps": 1500,
        "batch_size": 64,
        "evaluate_every": 250,
        "binarization": "threshold",
        "hidden": 24,
        "blocks": 3,
        "kernel": 3,
        "first_kernel": 7,
    },
    "long": {
        "steps": 5000,
        "batch_size": 64,
        "evaluate_every": 500,
        "binarization": "threshold",
        "hidden": 32,
        "blocks": 4,
        "kernel": 3,
        "first_kernel": 7,
    },
}


class PixelCNNRecipe(RasterRecipe):
    """The plain one."""

    name = "pixelcnn"
    title = "PixelCNN"
    Config = PixelCNNConfig
    budgets: ClassVar[Budgets] = {"short": {}, "long": {"steps": 60_000, "blocks": 10}}
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {"digits": DIGITS}

    def network(self, **common: Any) -> PixelCNN:
        """`blocks` residual blocks."""
        return PixelCNN(blocks=self.config.blocks, **common)


class GatedPixelCNNRecipe(RasterRecipe):
    """Two stacks, and classes if asked for."""

    name = "gated-pixelcnn"
    title = "Gated PixelCNN"
    Config = GatedPixelCNNConfig
    budgets: ClassVar[Budgets] = {"short": {}, "long": {"steps": 60_000, "blocks": 10}}
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {"digits": DIGITS}

    def network(self, **common: Any) -> GatedPixelCNN:
        """`blocks` layers after the first."""
        classes = self.facts.get("classes", 0)
        return GatedPixelCNN(layers=self.config.blocks, classes=classes, **common)
