"""Which classes the samples belong to, by a classifier: the plainest sign of collapse.

A generator of digits that makes no sevens has a share of 0 % there. The data give the measure: each
digit of MNIST is 9 % to 11 % of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError

__all__ = ["label_metrics", "label_shares"]


def label_shares(labels: npt.NDArray[Any], classes: int = 10) -> npt.NDArray[np.float64]:
    """The share of each class among labels (N,), integers 0 … classes − 1: (classes,), sums to 1.

    Raises UserError for no labels and for labels out of range.
    """
    labels = np.asarray(labels)
    whole = np.issubdtype(labels.dtype, np.integer)
    if labels.ndim != 1 or len(labels) == 0 or not whole:
        raise UserError(f"labels must be N >= 1 integers, got {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise UserError(
            f"labels must lie in 0 … {classes - 1}, got {labels.min()} … {labels.max()}"
        )
    return np.bincount(labels, minlength=classes) / len(labels)


def label_metrics(labels: npt.NDArray[Any], classes: int = 10) -> dict[str, float]:
    """What a collapse shows in.

    `rarest_class_percent`, `commonest_class_percent`  shares of the classes at both ends
    `label_kl_nats`   KL(shares ‖ even) = ln classes − H(shares); 0 is even, ln classes one class

    Raises UserError as `label_shares`.
    """
    shares = label_shares(labels, classes)
    there = shares[shares > 0]
    return {
        "rarest_class_percent": 100 * float(shares.min()),
        "commonest_class_percent": 100 * float(shares.max()),
        "label_kl_nats": float(np.log(classes) + (there * np.log(there)).sum()),
    }
