"""Descriptions of all ops, and the checks that follow from a description.

``SPECS`` is the table that ``tests/ops/test_every_op.py`` walks; the tests of planted bugs
run the same checks on broken ops.
"""

from . import (
    comparison,
    convolution,
    coupling,
    diagonal,
    distance,
    elementwise,
    images,
    indexing,
    linalg,
    loss,
    norm,
    normalization,
    prod,
    recurrent,
    reduction,
    shape,
    special,
    time_first,
)
from .core import Case, Spec

SPECS: list[Spec] = [
    *elementwise.SPECS,
    *comparison.SPECS,
    *reduction.SPECS,
    *norm.SPECS,
    *prod.SPECS,
    *diagonal.SPECS,
    *shape.SPECS,
    *special.SPECS,
    *distance.SPECS,
    *indexing.SPECS,
    *linalg.SPECS,
    *recurrent.SPECS,
    *loss.SPECS,
    *convolution.SPECS,
    *coupling.SPECS,
    *images.SPECS,
    *normalization.SPECS,
    *time_first.SPECS,
]

__all__ = ["SPECS", "Case", "Spec"]
