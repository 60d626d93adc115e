"""Comparison and logic: functions whose results are truth values, so without gradients.

``==`` on tensors compares element by element, as ``eq`` does; ``equal`` says in one word whether
two tensors are the same. Names and semantics are PyTorch's.
"""

from __future__ import annotations

from typing import Any

from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.backends import active

__all__ = [
    "allclose",
    "eq",
    "equal",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "lt",
    "ne",
    "not_equal",
]


@primitive
def eq(b, x, other):
    """``x == other``, elementwise."""
    return b.xp.equal(x, other)


@primitive
def not_equal(b, x, other):
    """``x != other``, elementwise."""
    return b.xp.not_equal(x, other)


@primitive
def less(b, x, other):
    """``x < other``, elementwise."""
    return b.xp.less(x, other)


@primitive
def less_equal(b, x, other):
    """``x <= other``, elementwise."""
    return b.xp.less_equal(x, other)


@primitive
def greater(b, x, other):
    """``x > other``, elementwise."""
    return b.xp.greater(x, other)


@primitive
def greater_equal(b, x, other):
    """``x >= other``, elementwise."""
    return b.xp.greater_equal(x, other)


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and the same elements (one answer; ``eq`` gives many)."""
    if input.shape != other.shape:
        return False
    return bool(active.backend.xp.equal(input.data, other.data).all())


# ---------------------------------------------------------------- logic


@primitive
def logical_and(b, x, other):
    """``x and other``, elementwise."""
    return b.xp.logical_and(x, other)


@primitive
def logical_or(b, x, other):
    """``x or other``, elementwise."""
    return b.xp.logical_or(x, other)


@primitive
def logical_not(b, x):
    """``not x``, elementwise."""
    return b.xp.logical_not(x)


# The operators ``&``, ``|``, ``^`` and ``~``: logic on booleans, bit by bit on integers.


@primitive
def bitwise_and(b, x, other):
    """``x & other``, bit by bit."""
    return b.xp.bitwise_and(*_whole("&", x, other))


@primitive
def bitwise_or(b, x, other):
    """``x | other``, bit by bit."""
    return b.xp.bitwise_or(*_whole("|", x, other))


@primitive
def bitwise_xor(b, x, other):
    """``x ^ other``, bit by bit."""
    return b.xp.bitwise_xor(*_whole("^", x, other))


@primitive
def bitwise_not(b, x):
    """``~x``, bit by bit; for booleans ``not``."""
    return b.xp.invert(*_whole("~", x))


def _whole(sign: str, *operands: Any) -> tuple[Any, ...]:
    for x in operands:
        kind = x.dtype if hasattr(x, "dtype") else type(x).__name__
        if str(kind)[0] not in "biu":  # bool, int…, uint…
            raise TypeError(f"{sign} needs booleans or integers, got {kind}")
    return operands


# ---------------------------------------------------------------- finite?


@primitive
def isnan(b, x):
    """Where ``x`` is not a number."""
    return b.xp.isnan(x)


@primitive
def isinf(b, x):
    """Where ``x`` is infinite."""
    return b.xp.isinf(x)


@primitive
def isfinite(b, x):
    """Where ``x`` is neither infinite nor NaN."""
    return b.xp.isfinite(x)


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether ``|x - other| ≤ atol + rtol·|other|`` everywhere."""
    close = active.backend.xp.isclose(
        input.data, other.data, rtol=rtol, atol=atol, equal_nan=equal_nan
    )
    return bool(close.all())


# PyTorch's short names.
ne, lt, le, gt, ge = not_equal, less, less_equal, greater, greater_equal
