"""Small raster models for the tests, and the question who depends on whom."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigen as mg
from minigen.models.gated_pixelcnn import GatedPixelCNN
from minigen.models.pixelcnn import PixelCNN
from minigen.models.raster import RasterModel

KINDS = {"plain": PixelCNN, "gated": GatedPixelCNN}


def tiny(kind: str, shape: tuple[int, int, int], dtype: str = "float64", **options: Any) -> Any:
    """A small model whose weights are all large, the masked ones too: what leaks, shows."""
    depth = {"plain": "blocks", "gated": "layers"}[kind]
    sizes = {"hidden": 4 * shape[0], "first_kernel": 3, depth: options.pop("depth", 2)}
    mg.manual_seed(5)
    model = KINDS[kind](shape, **{**sizes, **options}).to_dtype(dtype)
    draws = mg.Generator(1)
    for parameter in model.parameters():
        with mg.no_grad():
            noise = 0.4 * draws.normal(parameter.shape, dtype=dtype)
            parameter.copy_(parameter.detach() + noise)
    return model


def some_images(model: RasterModel, n: int, seed: int = 0) -> np.ndarray:
    """Random images of the model's size and values, float64."""
    top = model.head.values - 1
    return np.random.default_rng(seed).integers(0, top + 1, (n, *model.shape)) / top


def dependence(model: RasterModel, labels: mg.Tensor | None = None) -> np.ndarray:
    """(D, D) boolean, D = H·W·C places in raster order, colour by colour at each pixel:
    whether what the model says of a place (row) depends on the image at a place (column).
    """
    colors, size = model.shape[0], model.head.parameters
    # several images at once: at a single one a ReLU may happen to be shut
    x = mg.tensor(some_images(model, 8), requires_grad=True)
    out = model(x, labels)  # (8, C·P, H, W)
    weights = mg.tensor(np.random.default_rng(3).normal(size=(1, 1, size, 1, 1)))
    said = (out.reshape(8, colors, size, *model.shape[1:]) * weights).sum(dim=(0, 2))
    said = said.permute(1, 2, 0).reshape(-1)  # (C, H, W) -> (H·W·C,)
    rows = []
    for place in range(said.numel()):
        (g,) = mg.grad(said[place], x, retain_graph=True)
        by_place = g.permute(2, 3, 1, 0).numpy()  # (8, C, H, W) -> (H, W, C, 8)
        rows.append((by_place != 0).any(axis=-1).reshape(-1))
    return np.array(rows)
