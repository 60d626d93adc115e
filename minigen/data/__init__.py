"""Data sets and batches, as host NumPy arrays; the training loop moves a batch to its backend.

    digits = load("digits", "train")                    # a Dataset
    for x, labels in Batches(digits, 128, seed=0, binarization="dynamic"): ...

`dataset` says what a data set is, `registry` which there are (`digits`, `mnist`,
`shakespeare`, your own arrays and texts), `text` and `tokenizer` how a text becomes numbers,
`binarize` how grey pixels become binary ones, `batches` how training and evaluation walk through
them.  Nothing here uses the engine, and no random number comes from a hidden global state.
"""

from minigen.data.batches import Batch, Batches, BatchGroups, eval_batches
from minigen.data.binarize import BINARIZATIONS, binarize, to_unit_interval
from minigen.data.dataset import SPLITS, Dataset
from minigen.data.registry import REGISTRY, available, load

__all__ = [
    "BINARIZATIONS",
    "REGISTRY",
    "SPLITS",
    "Batch",
    "BatchGroups",
    "Batches",
    "Dataset",
    "available",
    "binarize",
    "eval_batches",
    "load",
    "to_unit_interval",
]
