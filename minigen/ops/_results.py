"""Results with named parts: ``x.max(dim=1).values``. Each is a tuple too, as in PyTorch."""

from __future__ import annotations

from typing import NamedTuple

from minigen.autograd.tensor import Tensor


class ValuesAndIndices(NamedTuple):
    """What ``max``, ``min``, ``sort`` and ``topk`` return: numbers, and where they stood."""

    values: Tensor
    indices: Tensor


class SignAndLogarithm(NamedTuple):
    """What ``slogdet`` returns: the sign of a determinant, and ln of its size."""

    sign: Tensor
    logabsdet: Tensor
