"""The error function, which NumPy lacks.

With ``t = 1/(1 + |x|/2)``, a number in (0, 1], the function ``ln(erfc|x| · e^{x²} / t)`` is
so smooth that a short Chebyshev series in t gives it to the last digit (the idea is from
Press et al., Numerical Recipes, section 6.2). The coefficients are not copied from a table
but fitted, when first needed, to Python's own ``math.erfc``. Near 0, where ``1 - erfc``
would cancel, the Taylor series takes over.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from minigen.ops.kernel import kernel

_LARGEST = 9.0  # erfc is below 1e-36 there: erf is ±1 in either precision
_DEGREE = {"float64": 26, "float32": 11}
_TAYLOR = [
    2 / math.sqrt(math.pi) * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(12)
]


@functools.cache
def _coefficients(dtype: str) -> list[float]:
    """Powers of ``u = a·t + b`` for the exponent, fitted at Chebyshev points in t."""
    series = np.polynomial.Chebyshev.interpolate(_exponent, _DEGREE[dtype], domain=_domain())
    return [float(c) for c in np.polynomial.chebyshev.cheb2poly(series.coef)]


def _domain() -> list[float]:
    return [1 / (1 + _LARGEST / 2), 1.0]


def _exponent(t: np.ndarray) -> np.ndarray:
    return np.array([_log_scaled_erfc(2 * (1 / s - 1)) - math.log(s) for s in t])


def _log_scaled_erfc(x: float) -> float:
    return math.log(math.erfc(x)) + x * x


def complement(b: Any, size: Any) -> Any:
    """``erfc = 1 - erf`` of numbers in [0, 9], to the last digits of what is left of it."""
    t = 1 / (1 + 0.5 * size)
    low, high = _domain()
    u = t * (2 / (high - low)) - (high + low) / (high - low)
    powers = _coefficients("float32" if size.dtype == np.float32 else "float64")
    exponent = b.xp.full(size.shape, powers[-1], dtype=size.dtype)
    for coefficient in reversed(powers[:-1]):  # Horner's rule
        exponent *= u
        exponent += coefficient
    return t * b.xp.exp(exponent - size * size)


@kernel
def error_function(b: Any, x: Any) -> Any:
    """``2/√π ∫₀ˣ e^(-t²) dt``, to about 1e-7 in float32 and 1e-15 in float64."""
    xp = b.xp
    size = xp.minimum(xp.absolute(x), _LARGEST)
    tail = 1 - complement(b, size)

    square = xp.minimum(size, 0.5) ** 2
    series = xp.full(x.shape, _TAYLOR[-1], dtype=x.dtype)
    for coefficient in reversed(_TAYLOR[:-1]):
        series *= square
        series += coefficient
    return xp.sign(x) * xp.where(size < 0.5, size * series, tail)
