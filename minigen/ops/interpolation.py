"""Interpolation: the same signal or picture with more samples, or with fewer.

A new sample has a place among the old ones, and is a weighted mean of those beside it: of the one
before it (``nearest``), of two (``linear``, and ``bilinear`` for pictures), or of four along each
axis (``bicubic``: Keys 1981, "Cubic convolution interpolation", a = -3/4). The axes are separate,
so all weights are one small matrix for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.autograd.operation import FLOAT16, functions
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.numeric import number
from minigen.ops._arguments import check_float, spread
from minigen.ops.halves import in_float32

__all__ = ["interpolate"]

MODES = {1: ("nearest", "linear"), 2: ("nearest", "bilinear", "bicubic")}


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Resample signals (N, C, L) -> (N, C, L'), or pictures (N, C, H, W) -> (N, C, H', W').

    Args:
        input: (N, C, L) or (N, C, H, W).
        size: the new L' or (H', W'); or
        scale_factor: by how much to grow, ``H' = ⌊H · factor⌋``.
        mode: ``nearest``; ``linear`` for signals; ``bilinear`` or ``bicubic`` for pictures.
        align_corners: not for ``nearest``: the corner samples keep their place. By default samples
            are areas, and their edges keep theirs.

    Raises:
        ValueError: another shape, not exactly one of size and scale_factor, an unknown mode.
    """
    dims = input.ndim - 2
    if dims not in MODES:
        raise ValueError(
            f"interpolate: input must have shape (N, C, L) or (N, C, H, W), got {input.shape}"
        )
    if input.dtype is FLOAT16:
        return in_float32(interpolate, input, size, scale_factor, mode, align_corners)
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate needs exactly one of size and scale_factor")
    if mode not in MODES[dims]:
        raise ValueError(
            f"interpolate: mode must be one of {', '.join(MODES[dims])} for input {input.shape}, "
            f"got {mode!r}"
        )
    if mode == "nearest" and align_corners is not None:
        raise ValueError("interpolate: align_corners must be None for mode 'nearest'")
    lengths, scales = _sizes(input.shape[2:], size, scale_factor)
    if mode == "nearest":
        return _nearest(input, lengths, scales)
    check_float("interpolate", input)
    weights = _four if mode == "bicubic" else _two
    matrices = [
        Tensor(active.backend.asarray(weights(n, m, s, bool(align_corners)).astype(input.dtype)))
        for n, m, s in zip(input.shape[2:], lengths, scales)
    ]
    out = input @ matrices[-1].mT  # (…, L) (L, L')
    return matrices[0] @ out if dims == 2 else out  # (H', H) (N, C, H, W')


def _sizes(
    old: Sequence[int], size: Any, scale_factor: Any
) -> tuple[tuple[int, ...], Sequence[float]]:
    """The new lengths, and by how much each axis grows."""
    if size is not None:
        lengths = spread(size, len(old), "size", 1)
        return lengths, [m / n for n, m in zip(old, lengths)]
    given = scale_factor if isinstance(scale_factor, (tuple, list)) else [scale_factor] * len(old)
    scales = [number("scale_factor", factor, above=True) for factor in given]
    if len(scales) != len(old):
        raise ValueError(f"scale_factor must be one or {len(old)} numbers > 0, got {scale_factor}")
    lengths = tuple([math.floor(n * f) for n, f in zip(old, scales)])
    if min(lengths) < 1:
        raise ValueError(f"scale_factor {scale_factor} leaves nothing of {tuple(old)}")
    return lengths, scales


def _nearest(x: Tensor, lengths: Sequence[int], scales: Sequence[float]) -> Tensor:
    """Each new sample takes the old one that its beginning lies in."""
    old = x.shape[2:]
    if all(m % n == 0 for n, m in zip(old, lengths)):
        return _enlarge(x, [m // n for n, m in zip(old, lengths)])
    for dim, (n, m, s) in enumerate(zip(old, lengths, scales), start=2):
        places = tuple([min(int(i / s), n - 1) for i in range(m)])
        x = functions.take(x, index=places, dim=dim)
    return x


def _enlarge(x: Tensor, times: Sequence[int]) -> Tensor:
    """Each sample as a block: a broadcast, whose gradient is a plain sum."""
    lead, old = x.shape[:2], x.shape[2:]
    apart = [k for n in old for k in (n, 1)]  # (N, C, H, 1, W, 1)
    wide = [k for n, t in zip(old, times) for k in (n, t)]
    blocks = functions.broadcast_to(x.reshape(*lead, *apart), shape=(*lead, *wide))
    return blocks.reshape(*lead, *[n * t for n, t in zip(old, times)])


def _places(length: int, count: int, scale: float, align_corners: bool) -> np.ndarray:
    """Where each of the new samples lies among the old ones: (count,)."""
    i = np.arange(count)
    if align_corners:
        return i * ((length - 1) / (count - 1)) if count > 1 else np.zeros(1)
    return (i + 0.5) / scale - 0.5


def _two(length: int, count: int, scale: float, align_corners: bool) -> np.ndarray:
    """(count, length): the weights of the two neighbours, by nearness."""
    place = np.maximum(_places(length, count, scale, align_corners), 0)
    below = np.minimum(place.astype(np.int64), length - 1)
    share = place - below
    return _matrix(length, [(below, 1 - share), (below + 1, share)])


def _four(length: int, count: int, scale: float, align_corners: bool) -> np.ndarray:
    """(count, length): the weights of the four neighbours, by a cubic in the distance d."""
    a = -0.75
    place = _places(length, count, scale, align_corners)
    below = np.floor(place).astype(np.int64)
    t = place - below
    near = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1  # d ≤ 1
    far = lambda d: a * (((d - 5) * d + 8) * d - 4)  # 1 ≤ d ≤ 2
    return _matrix(
        length,
        [
            (below - 1, far(1 + t)),
            (below, near(t)),
            (below + 1, near(1 - t)),
            (below + 2, far(2 - t)),
        ],
    )


def _matrix(length: int, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Weights on old places as a matrix; a place beyond an edge is the edge."""
    count = len(parts[0][0])
    matrix = np.zeros((count, length))
    for place, weight in parts:
        np.add.at(matrix, (np.arange(count), np.clip(place, 0, length - 1)), weight)
    return matrix
