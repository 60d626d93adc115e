"""Detection: how well a score tells what is unusual from what is not.

A model that knows how likely things are suggests a detector: call unusual what it finds unlikely.
Where the line is drawn is the user's choice between false alarms and misses; the *area under the
ROC curve* judges the score without one. It is a probability, that of the better order in a pair:

    AUROC = P(score of an anomaly > score of a normal sample) + ½ P(the two are equal)

1 is a perfect order, ½ what tossing a coin gives, less than ½ a score that is upside down (Hanley
& McNeil 1982, "The meaning and use of the area under a receiver operating characteristic curve").

**Likelihood is not typicality.** A model may find a sample *more* likely than all it was trained
on, and rightly: in many dimensions the most likely point lies where there is next to no mass. For
D independent normal coordinates that is the origin, while all samples lie near radius √D. Images
without detail are such points (Nalisnick et al. 2019a, "Do deep generative models know what they
don't know?"). A test of typicality asks instead how far a sample's log-likelihood lies from the
training samples' mean, which is minus the model's entropy, on either side (Nalisnick et al. 2019b,
"Detecting out-of-distribution inputs to deep generative models using typicality", for one sample).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError

__all__ = ["auroc", "untypicality"]

Scores = npt.NDArray[Any]


def auroc(anomalies: Scores, normal: Scores) -> float:
    """The area under the ROC curve of a score that is to be higher for anomalies, in [0, 1].

    By ranks (Mann & Whitney 1947), without looking at all pairs: with R the sum of the anomalies'
    ranks among all M + N scores, equal scores sharing their mean rank,

        AUROC = (R − M(M + 1)/2) / (M·N)

    Args:
        anomalies: (M,) scores, M ≥ 1. To judge log-likelihoods, hand over their negatives.
        normal: (N,) scores, N ≥ 1. Infinities are fine: they are equal to each other.

    Raises:
        UserError: for scores of another shape, none at all, or NaN among them.
    """
    positive, negative = _checked("anomalies", anomalies), _checked("normal", normal)
    m, n = len(positive), len(negative)
    _, place, counts = np.unique(
        np.concatenate([positive, negative]), return_inverse=True, return_counts=True
    )
    last = np.cumsum(counts)  # the greatest rank of each different score, from 1
    rank = last - (counts - 1) / 2  # the mean rank of those that share it
    total = rank[place[:m]].sum()
    return float((total - m * (m + 1) / 2) / (m * n))


def untypicality(log_likelihoods: Scores, training: Scores) -> npt.NDArray[np.float64]:
    """|log p(x) − mean of log p over training samples|: (N,), (T,) → (N,), in nats.

    High for what is much less *or much more* likely than the samples that the model was made of.

    Raises:
        UserError: as `auroc`.
    """
    scores = _checked("log_likelihoods", log_likelihoods)
    return np.abs(scores - _checked("training", training).mean())


def _checked(name: str, scores: Scores) -> npt.NDArray[np.float64]:
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0:
        raise UserError(f"{name} must have shape (N,) with N >= 1, got shape {array.shape}")
    if np.isnan(array).any():
        raise UserError(f"{name} must be numbers, got nan at {int(np.isnan(array).argmax())}")
    return array
