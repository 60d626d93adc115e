"""Baselines that need no training: the lines that a model's curve has to cross.

A number in nats says little by itself.  The simplest density model there is marks where learning
begins.  For binary images that is each pixel on its own: a model that stays above this line has
learned nothing about how pixels hang together.  For rows of numbers it is one Gaussian with a full
covariance: what is gained below that line is shape, which means and correlations cannot tell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.binarize import binarize
from minigen.data.dataset import Dataset
from minigen.errors import UserError

PixelData = Dataset | npt.NDArray[Any]
Rows = Dataset | npt.NDArray[Any]


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


def pixel_histograms(
    values: npt.NDArray[Any], levels: int, smoothing: float = 1.0
) -> npt.NDArray[np.float64]:
    """Return the smoothed share of every value in every pixel, (D, L), rows adding up to 1.

        share_dk = (n_dk + a) / (N + L·a),        a = `smoothing` > 0

    values: (N, …) whole numbers in [0, L), D = the product of the other dimensions.
    """
    if not smoothing > 0:
        raise UserError(f"smoothing must be a number > 0, got {smoothing!r}")
    if not np.issubdtype(values.dtype, np.integer) or values.min() < 0 or values.max() >= levels:
        raise UserError(f"values must be whole numbers from 0 to {levels - 1}")
    flat = values.reshape(len(values), -1)
    counts = np.stack([np.bincount(column, minlength=levels) for column in flat.T])
    return np.asarray((counts + smoothing) / (len(flat) + levels * smoothing), dtype=np.float64)


def histogram_bits(train: Dataset, held_out: Dataset, smoothing: float = 1.0) -> float:
    """Return −log₂ of independent pixels, each with its own histogram, in bits per dimension.

    Every pixel is drawn on its own from the smoothed shares of its L values in `train`
    (`pixel_histograms`); the mean over `held_out`, divided by the number of pixels.  An exact
    likelihood of discrete values, beside which bounds from dequantized densities may be read.  On
    MNIST, fitted on train, it is 1.70 bits on val.

    train, held_out: data sets whose values are whole numbers in a fixed range.
    """
    for data in (train, held_out):
        if data.levels is None:
            raise UserError(f"data must have a fixed number of values, {data.name} has none")
    if train.levels != held_out.levels or train.sample_shape != held_out.sample_shape:
        raise UserError(
            f"held_out must have samples of train's shape {train.sample_shape} and {train.levels} "
            f"values, got {held_out.sample_shape} and {held_out.levels}"
        )
    levels = train.levels
    assert levels is not None
    log_shares = np.log2(pixel_histograms(_whole(train), levels, smoothing))  # (D, L)
    values = _whole(held_out).reshape(len(held_out), -1)
    places = np.arange(values.shape[1])
    total = sum(float(log_shares[places, row].sum()) for row in values)
    return -total / values.size


def _whole(data: Dataset) -> npt.NDArray[Any]:
    """The values counted from the lowest one, 0 … L − 1."""
    assert data.value_range is not None
    low = int(data.value_range[0])
    return data.data if low == 0 else data.data.astype(np.int64) - low


def gaussian_nats(train: Rows, held_out: Rows) -> float:
    """Return the mean negative log-likelihood of a full-covariance Gaussian, in nats per row.

    Mean μ and covariance Σ are those of `train` (maximum likelihood, divided by N).  With
    `held_out`'s second moment about μ, S = mean of (x − μ)(x − μ)ᵀ,

        NLL = ½ [ D log 2π + log det Σ + tr(Σ⁻¹ S) ]

    which on `train` itself is ½ [D log 2πe + log det Σ].

    train, held_out: data sets of rows, or arrays (N, D).

    Raises UserError where Σ is singular: a column that is constant or a combination of others has
    no density, and D + 1 rows are the least that can tell.
    """
    rows = _rows(train)
    others = _rows(held_out)
    if rows.shape[1] != others.shape[1]:
        raise UserError(f"held_out must have {rows.shape[1]} columns, as train, got {others.shape}")
    count, columns = rows.shape
    mean = rows.mean(axis=0)
    centred = rows - mean
    scale = centred.std(axis=0)
    if (scale == 0).any():
        raise UserError(
            f"train must have no constant column, which has no density: column "
            f"{int(np.argmin(scale))} is {mean[np.argmin(scale)]:g} in all {count} rows"
        )
    # By singular values of the scaled rows, (N, D) = U·diag(s)·Vᵀ: Σ's own condition number would
    # be the square.  Along the columns of V the Gaussian falls apart into D independent ones.
    _, singular, directions = np.linalg.svd(centred / scale, full_matrices=False)
    if count <= columns or singular[-1] < 1e-6 * singular[0]:
        raise UserError(
            f"train must have a covariance of full rank to fit a Gaussian: {count} rows of "
            f"{columns} columns, some a combination of the others"
        )
    variance = singular**2 / count  # (D,)
    z = ((others - mean) / scale) @ directions.T  # (M, D)
    log_det = np.log(variance).sum() + 2 * np.log(scale).sum()
    quadratic = (z**2).mean(axis=0) @ (1 / variance)
    return float(0.5 * (columns * np.log(2 * np.pi) + log_det + quadratic))


def _rows(data: Rows) -> npt.NDArray[np.float64]:
    array = np.asarray(data.data if isinstance(data, Dataset) else data, dtype=np.float64)
    if array.ndim != 2 or len(array) == 0:
        raise UserError(f"data must be rows of numbers, shape (N, D), got {array.shape}")
    return array


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
