"""Grey pixels to binary ones: four ways, and why their numbers must not be mixed.

A Bernoulli decoder models x ∈ {0, 1}^D, but scanned digits are grey, x ∈ [0, 1]^D.  The literature
closes the gap in four ways that share the name "binarized MNIST" and are four different data sets:

``none``
    The grey value itself is put into the Bernoulli formula x·log p + (1 − x)·log(1 − p).  That is
    a cross-entropy but no likelihood: no model, not even p = x, comes under the pixels' entropy
    Σ_d H(x_d), which is 46 nats for a mean MNIST image.
``static``
    Each pixel is drawn once, x_b ~ Bernoulli(x), with a seed that never changes: every epoch and
    every evaluation see the same binary images (Salakhutdinov and Murray 2008, as Larochelle and
    Murray 2011 fixed it, though their file holds another draw).  Few bits to memorise: models
    overfit.
``dynamic``
    x_b ~ Bernoulli(x) is drawn anew each time a sample is taken (Burda et al. 2016).  The draws
    act as data augmentation, and held-out bounds come out a few nats better than with ``static``.
``threshold``
    x_b = 1 where x > 0.5.  The coin flips on the strokes' edges, those same 46 nats, are gone:
    there is less to predict, so a number is lower without the model being better.

Compare a number only with numbers of the same option; every log states which one it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.dataset import SPLITS, WHOLE, Dataset
from minigen.errors import UserError, unknown_name

BINARIZATIONS = ("none", "static", "dynamic", "threshold")

STATIC_SEED = 20160615
"""Seed of the one draw that is *the* static data set.  Changing it changes the data."""


def to_unit_interval(
    data: npt.NDArray[Any], value_range: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """Return a float32 copy, mapped linearly so that low ↦ 0 and high ↦ 1; its memory in order."""
    low, high = value_range
    unit = data.astype(np.float32, order="C")
    if low != 0:
        unit -= np.float32(low)
    if high - low != 1:
        unit /= np.float32(high - low)
    return unit


def draw_bernoulli(
    probability: npt.NDArray[np.float32], generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Overwrite each p of a float32 array with a draw from Bernoulli(p); return the array.

    Four of five MNIST pixels are exactly 0 or 1 and need no random number: drawing only for the
    rest takes half of the time.  Draws follow the order of the indices, whatever that of the
    memory: equal arrays get equal draws, and so do one whole array and its consecutive parts.
    """
    flat = probability.reshape(-1)  # a copy, unless the memory is in the order of the indices
    grey = np.flatnonzero((flat > 0) & (flat < 1))
    flat[grey] = generator.random(grey.size, dtype=np.float32) < flat[grey]
    if not probability.flags.c_contiguous:
        probability[...] = flat.reshape(probability.shape)
    return probability


def check_binarization(dataset: Dataset, binarization: str) -> None:
    """Raise unless the option exists and makes sense for the data set."""
    if binarization not in BINARIZATIONS:
        raise unknown_name("binarization", binarization, BINARIZATIONS)
    if binarization != "none" and dataset.value_range is None:
        raise UserError(
            f"binarization must be none for {dataset.name}, whose values have no fixed range, "
            f"got {binarization!r}"
        )


def binarize(dataset: Dataset, binarization: str) -> Dataset:
    """Apply what can be applied once and for all; ``none`` and ``dynamic`` change nothing here.

    ``static`` and ``threshold`` return a data set of uint8 zeros and ones, value range (0, 1).
    The static draw runs through the samples in order, from a seed that depends on the split only:
    the first rows of a split get the same draw whether or not more rows follow.
    """
    check_binarization(dataset, binarization)
    if binarization in ("none", "dynamic"):
        return dataset
    assert dataset.value_range is not None
    seed = np.random.SeedSequence(STATIC_SEED, spawn_key=((*SPLITS, WHOLE).index(dataset.split),))
    generator = np.random.default_rng(seed)
    binary = np.empty(dataset.data.shape, np.uint8)
    block = 1000  # rows at a time, so that no float copy of the whole data set exists
    for start in range(0, len(dataset), block):
        unit = to_unit_interval(dataset.data[start : start + block], dataset.value_range)
        if binarization == "static":
            binary[start : start + block] = draw_bernoulli(unit, generator)
        else:
            binary[start : start + block] = unit > 0.5
    return replace(dataset, data=binary, value_range=(0, 1))
