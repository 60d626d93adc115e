"""All scores of generated images against real ones, under names that say what measured them.

    scores = ImageScores(real)                # real images, (N, C, H, W) in [0, 1]: once
    scores(fake)                              # {"fid_lenet_…": 3.1, "kid_lenet_…": 0.02, …}

==============================  ====================================================================
`fid_<extractor>`               Fréchet distance of the features, `frechet`; less is better
`kid_<extractor>`               kernel distance, unbiased, `kid`; less is better
`precision_<extractor>`         share of fakes among the real ones, `precision_recall`
`recall_<extractor>`            share of real ones among the fakes
`rarest_class_percent_<…>`      share of the class that is made least, `labels`
`commonest_class_percent_<…>`   share of the class that is made most
==============================  ====================================================================

The Fréchet distance and precision and recall depend on the number of images: `SAMPLES` real and as
many fake ones in every number that is to be compared. `scores(other_real)` is what a perfect
generator would get at that number, the floor that belongs beside the curve.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.batches import eval_batches
from minigen.data.dataset import Dataset
from minigen.errors import UserError
from minigen.metrics.features import FeatureExtractor, feature_extractor
from minigen.metrics.frechet import frechet_distance
from minigen.metrics.kid import kernel_distance
from minigen.metrics.labels import label_metrics, label_shares
from minigen.metrics.precision_recall import precision_recall

__all__ = ["SAMPLES", "ImageScores", "unit_images"]

SAMPLES = 10_000

Array = npt.NDArray[Any]


class ImageScores:
    """Scores of generated images against one set of real ones, whose features are kept.

    Args:
        real: a Dataset of images, or an array (N, C, H, W) in [0, 1].
        extractor: whose features; those of the package when None.
        count: so many of the real images, from the first on.
    """

    def __init__(
        self,
        real: Dataset | Array,
        extractor: FeatureExtractor | None = None,
        count: int = SAMPLES,
    ) -> None:
        self.extractor = extractor or feature_extractor()
        images = unit_images(real, count) if isinstance(real, Dataset) else real[:count]
        self.features = self.extractor.features(images)  # (N, 84)

    def __call__(self, fake: Array) -> dict[str, float]:
        """The scores of images (M, C, H, W) in [0, 1]; see above.

        Raises UserError for images that are none, and for less than four of either kind.
        """
        images = np.asarray(fake)
        features = self.extractor.features(images)  # (M, 84)
        precision, recall = precision_recall(self.features, features)
        labels = label_metrics(self.extractor.labels(images), self.extractor.network.classes)
        values = {
            "fid": frechet_distance(self.features, features),
            "kid": kernel_distance(self.features, features),
            "precision": precision,
            "recall": recall,
            "rarest_class_percent": labels["rarest_class_percent"],
            "commonest_class_percent": labels["commonest_class_percent"],
        }
        return {f"{name}_{self.extractor.name}": value for name, value in values.items()}

    def fid(self, fake: Array) -> float:
        """The Fréchet distance alone, for a look during training."""
        return frechet_distance(self.features, self.extractor.features(fake))

    def shares(self, fake: Array) -> npt.NDArray[np.float64]:
        """The share of each class among the images, for the bars of a picture: (classes,)."""
        return label_shares(self.extractor.labels(fake), self.extractor.network.classes)


def unit_images(data: Dataset, count: int = SAMPLES) -> npt.NDArray[np.float32]:
    """The first `count` images of a data set, mapped to [0, 1]: (≤ count, C, H, W).

    Raises UserError for a data set without images.
    """
    if data.kind != "image" or data.value_range is None:
        raise UserError(f"scores of images need images, and {data.name} has {data.kind}")
    (batch,) = eval_batches(data.select(slice(0, count)), count)
    return batch.x
