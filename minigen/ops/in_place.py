"""Methods that write into a tensor: ``x.add_(y)``, ``x.zero_()`` … Each returns x.

They compute what the function without the underscore does and write the result over x, under the
same guard as ``x[...] = y``: what the tape needs is not overwritten, and no gradient is lost.
"""

from __future__ import annotations

from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.ops.elementwise import add, clamp, divide, lerp, multiply, pow, subtract
from minigen.ops.masking import masked_fill

__all__ = [
    "add_",
    "clamp_",
    "div_",
    "fill_",
    "lerp_",
    "masked_fill_",
    "mul_",
    "pow_",
    "sub_",
    "zero_",
]


def add_(self: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """``self += alpha · other``."""
    return self._update(lambda x, y: add(x, y, alpha=alpha), other)


def sub_(self: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """``self -= alpha · other``."""
    return self._update(lambda x, y: subtract(x, y, alpha=alpha), other)


def mul_(self: Tensor, other: Any) -> Tensor:
    """``self *= other``."""
    return self._update(multiply, other)


def div_(self: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """``self /= other``, rounded as ``mg.div`` does."""
    return self._update(lambda x, y: divide(x, y, rounding_mode=rounding_mode), other)


def pow_(self: Tensor, exponent: Any) -> Tensor:
    """``self **= exponent``."""
    return self._update(pow, exponent)


def clamp_(self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``self`` limited to [min, max]."""
    return self._update(lambda x, bounds: clamp(x, *bounds), (min, max))


def lerp_(self: Tensor, end: Tensor, weight: Any) -> Tensor:
    """``self += weight · (end - self)``."""
    return self._update(lambda x, y: lerp(x, y, weight), end)


def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``value`` where ``mask`` holds."""
    return self._update(lambda x, y: masked_fill(x, mask, y), value)


def fill_(self: Tensor, value: Any) -> Tensor:
    """``value`` (a number or a 0-d tensor) everywhere."""
    if getattr(value, "ndim", 0):
        raise ValueError(f"fill_: value must be a number or 0-d, got shape {tuple(value.shape)}")
    return self.copy_(value)


def zero_(self: Tensor) -> Tensor:
    """0 everywhere."""
    return self.copy_(0)
