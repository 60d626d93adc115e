"""Layers that change the resolution: what they refuse, and bilinear enlargement."""

from __future__ import annotations

import numpy as np
import pytest
from op_specs.images import np_interpolate

import minigen as mg
from minigen import nn

try:
    import torch
except ImportError:  # PyTorch is an optional oracle
    torch = None

CORNERS = pytest.mark.parametrize("align_corners", [True, False])
SIZES = pytest.mark.parametrize("size", [{"scale_factor": 2}, {"size": (5, 9)}])


@CORNERS
@SIZES
def test_bilinear_enlargement_is_its_definition(align_corners, size):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    options = {**size, "mode": "bilinear", "align_corners": align_corners}
    mine = nn.Upsample(**options)(mg.tensor(x)).numpy()
    np.testing.assert_allclose(mine, np_interpolate(x, **options), atol=1e-12)


@pytest.mark.torch
@CORNERS
@SIZES
def test_bilinear_enlargement_is_pytorchs(align_corners, size):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    options = {**size, "mode": "bilinear", "align_corners": align_corners}
    mine = nn.Upsample(**options)(mg.tensor(x)).numpy()
    theirs = torch.nn.Upsample(**options)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_pixel_shuffle_and_unshuffle_undo_each_other():
    x = mg.randn(2, 8, 3, 4, generator=mg.Generator(0))
    back = nn.PixelUnshuffle(2)(nn.PixelShuffle(2)(x))
    np.testing.assert_array_equal(back.numpy(), x.numpy())


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="Upsample: exactly one of size and scale_factor"):
        nn.Upsample()
    with pytest.raises(ValueError, match="Upsample: mode must be one of nearest, linear, bilinear"):
        nn.Upsample(scale_factor=2, mode="cubic")
    with pytest.raises(ValueError, match="MaxPool2d: kernel_size must be an integer ≥ 1"):
        nn.MaxPool2d(0)
    with pytest.raises(TypeError, match="PixelShuffle: upscale_factor must be an integer ≥ 1"):
        nn.PixelShuffle(1.5)
    with pytest.raises(ValueError, match="pixel_shuffle: 3 channels are not divisible"):
        nn.PixelShuffle(2)(mg.ones(1, 3, 2, 2))
