"""Finite differences that know how far they can be trusted.

The derivative of ``φ(t)`` at 0 is estimated from four points (error O(h⁴))::

    φ'(0) ≈ (8·(φ(h) - φ(-h)) - (φ(2h) - φ(-2h))) / 12h

once with step h and once with step 2h, which shares two of the points. For a smooth function
the two agree. Where they do not, something bends within reach (the kink of a ReLU, a change
of the largest value) and the step is made smaller, until the bend lies outside.

A function that bends *at* 0 has different slopes to the left and to the right. For a smooth
one the difference ``D(h)`` of the one-sided slopes is proportional to h, so that
``2·D(h) - D(2h)`` vanishes; for a kink it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

FIRST_STEP, LAST_STEP, SHRINK = 1e-3, 1e-6, 0.1
_ROUNDING = 50 * float(np.finfo(np.float64).eps)


class Sum(NamedTuple):
    """A value ``Σ aᵢ`` and ``Σ |aᵢ|``, to which its rounding error is proportional."""

    value: float
    magnitude: float


class Slope(NamedTuple):
    """An estimated derivative.

    Attributes:
        value: the estimate.
        error: a bound for the rounding error in it.
        kink: whether two step sizes disagree to the end, or the one-sided slopes differ.
        left: the one-sided slope towards negative t, at the last step.
        right: the one-sided slope towards positive t.
    """

    value: float
    error: float
    kink: bool
    left: float
    right: float


def slope(
    phi: Callable[[float], Sum], rtol: float, atol: float, first: float = FIRST_STEP
) -> Slope:
    """The derivative of ``phi`` at 0, with the largest step at which two estimates agree.

    Args:
        phi: a function of one real number.
        rtol: how far the two estimates may differ, relative to the larger one …
        atol: … and absolutely.
        first: the step to begin with. Many bends, each too slight to part the two estimates, can
            shift both; a smaller step leaves most of them outside.
    """
    h = first
    while True:
        points = {k: phi(k * h) for k in (-4, -2, -1, 1, 2, 4)}
        fine, coarse = _four_points(points, 1, h), _four_points(points, 2, 2 * h)
        error = _ROUNDING * max(p.magnitude for p in points.values()) / h
        tolerance = atol + rtol * max(abs(fine), abs(coarse)) + error
        agree = abs(fine - coarse) <= tolerance
        if agree or h * SHRINK < 0.5 * LAST_STEP:
            break
        h *= SHRINK

    here = phi(0.0).value
    left, right = _sides(points, here, 1, h)
    far_left, far_right = _sides(points, here, 2, 2 * h)
    bend = abs(2 * (right - left) - (far_right - far_left))
    allowed = 10 * error + 100 * rtol * max(abs(left), abs(right))
    return Slope(fine, error, not agree or bend > allowed, left, right)


def _four_points(points: dict[int, Sum], k: int, h: float) -> float:
    near = points[k].value - points[-k].value
    far = points[2 * k].value - points[-2 * k].value
    return (8 * near - far) / (12 * h)


def _sides(points: dict[int, Sum], here: float, k: int, h: float) -> tuple[float, float]:
    """The slopes from the left and from the right."""
    return (here - points[-k].value) / h, (points[k].value - here) / h
