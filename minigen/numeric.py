"""Is it a number? What people pass as a learning rate or a size, as a Python number.

A number may come from anywhere: ``0.1``, ``np.float32(0.1)``, ``np.int64(3)`` from a shape, a 0-d
array, a tensor that holds one value, a ``Fraction``. All of these are numbers. ``True`` is none
(it mostly stands in the wrong place), nor is text, nor an array of several values. Wherever minigen
asks for a number it asks here::

    lr = number("lr", lr)                            a float ≥ 0
    kernel_size = integer("kernel_size", kernel_size, 1)
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

__all__ = ["integer", "is_integer", "is_number", "number", "plain_number", "shown"]


def plain_number(value: Any) -> int | float | None:
    """``value`` as a Python number; None if it is no real number at all."""
    kind = type(value)
    if kind is float or kind is int:
        return value
    if kind is bool:
        return None
    if isinstance(value, Integral):  # NumPy's integers are registered as such
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if not hasattr(value, "item") or math.prod(getattr(value, "shape", (0,))) != 1:
        return None
    if getattr(value, "requires_grad", False):
        return None  # its gradient would be lost without a word
    inside = value.item()
    return plain_number(inside) if type(inside) in (int, float) else None


def is_number(value: Any) -> bool:
    """Whether ``value`` is a real number of any library."""
    return plain_number(value) is not None


def is_integer(value: Any) -> bool:
    """Whether ``value`` is an integer of any library: 3, ``np.int64(3)``, not 3.0 and not True."""
    return type(plain_number(value)) is int


def number(
    name: str,
    value: Any,
    low: float = 0.0,
    below: float = math.inf,
    above: bool = False,
    *,
    high: float | None = None,
    infinite: bool = False,
) -> float:
    """``value`` as a float in [low, below), or (low, below) if ``above``, or [low, high].

    Args:
        name: the argument, for the message.
        value: a number of any library; ``-math.inf`` as ``low`` asks only that it be finite.
        infinite: +∞ is accepted too.

    Raises:
        TypeError: it is no number.
        ValueError: it is NaN or out of range.
    """
    plain = plain_number(value)
    if plain is not None and plain != -math.inf and (low < plain if above else low <= plain):
        is_within = plain < below if high is None else plain <= high
        if is_within or (infinite and plain == math.inf):
            return float(plain)
    error = TypeError if plain is None else ValueError
    accepted = _range(low, below, above, high)
    raise error(f"{name} must be a number{accepted}, got {shown(value)}")


def integer(name: str, value: Any, low: int | None = None) -> int:
    """``value`` as an int ≥ ``low``.

    Raises:
        TypeError: it is no integer.
        ValueError: it is too small.
    """
    plain = plain_number(value)
    if type(plain) is int and (low is None or plain >= low):
        return plain
    error = ValueError if type(plain) is int else TypeError
    accepted = "" if low is None else f" ≥ {low}"
    raise error(f"{name} must be an integer{accepted}, got {shown(value)}")


def _range(low: float, below: float, above: bool, high: float | None) -> str:
    if high is not None:
        return f" in {'(' if above else '['}{low:g}, {high:g}]"
    bounds = []
    if low != -math.inf:
        bounds.append(f"{'>' if above else '≥'} {low:g}")
    if below != math.inf:
        bounds.append(f"< {below:g}")
    return " " + " and ".join(bounds) if bounds else " that is finite"


def shown(value: Any) -> str:
    """What came, in one line."""
    if getattr(value, "requires_grad", False):
        return "a tensor that requires grad; pass x.item() if its gradient may be lost"
    text = repr(plain if (plain := plain_number(value)) is not None else value)
    return text if len(text) <= 60 and "\n" not in text else type(value).__name__
