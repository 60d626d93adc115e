"""Baselines that need no training: the lines that a model's curve has to cross.

A number in nats says little by itself.  The simplest density model there is, each pixel on its
own, marks where learning begins: a model that stays above this line has learned nothing about how
pixels hang together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.binarize import binarize
from minigen.data.dataset import Dataset
from minigen.errors import UserError

PixelData = Dataset | npt.NDArray[Any]


def independent_pixel_nats(
    train: PixelData,
    held_out: PixelData,
    binarization: str = "dynamic",
    smoothing: float = 1.0,
) -> float:
    """Return the mean negative log-likelihood of independent Bernoulli pixels, in nats per sample.

    The model is p(x) = Π_d μ_d^{x_d} (1 − μ_d)^{1 − x_d}, with the smoothed training means

        μ_d = (Σ_n x_nd + a) / (N + 2a),        a = `smoothing` > 0

    (a = 1 is Laplace's rule; without it a pixel that is never dark in `train` and dark once in
    `held_out` would cost infinity).  As log p(x) is linear in x, the mean over `held_out` needs its
    mean x̄ only:

        NLL = − Σ_d [ x̄_d log μ_d + (1 − x̄_d) log(1 − μ_d) ]

    and for the same reason the grey values give the exact *expectation* over dynamic binarization,
    with no draw.  For MNIST, fitted on train, it is 204.8 nats on val.

    train, held_out: data sets, or arrays (N, …) of values in [0, 1].
    binarization:    what is done to data sets first, see `minigen.data.binarize`; ``none`` and
                     ``dynamic`` give the same number.  Arrays are taken as they are.
    """
    if not smoothing > 0:
        raise UserError(f"smoothing must be a number > 0, got {smoothing!r}")
    count, mean = len(train), _pixel_means(train, binarization)
    held_out_mean = _pixel_means(held_out, binarization)
    if mean.shape != held_out_mean.shape:
        raise UserError(
            f"held_out must have samples of train's shape {mean.shape}, got {held_out_mean.shape}"
        )
    mu = (count * mean + smoothing) / (count + 2 * smoothing)
    return float(-np.sum(held_out_mean * np.log(mu) + (1 - held_out_mean) * np.log1p(-mu)))


def _pixel_means(pixels: PixelData, binarization: str) -> npt.NDArray[np.float64]:
    low, high = 0.0, 1.0
    if isinstance(pixels, Dataset):
        if pixels.value_range is None:
            raise UserError(
                f"data must have a fixed range of values to be pixels, {pixels.name} has none"
            )
        pixels = binarize(pixels, binarization)
        assert pixels.value_range is not None
        low, high = pixels.value_range
        pixels = pixels.data
    if len(pixels) == 0:
        raise UserError(f"data must have at least one sample, got shape {pixels.shape}")
    # Summed in float64 in the reduction itself: no float copy of the data is made.
    return (pixels.mean(axis=0, dtype=np.float64) - low) / (high - low)
