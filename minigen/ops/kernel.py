"""Kernels: the inner loops of ops, which a backend may replace by name.

A kernel is a function ``kernel(b, *arrays, **options)`` on raw arrays. The version written
beside the op uses plain ``b.xp`` calls and runs everywhere. A backend that knows a faster
way registers it under the same name in ``backend.kernels``; the op does not notice. A
backend's version may handle only some arrays: as with Python's operators, it then returns
``NotImplemented``, and the plain version runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

defaults: dict[str, Callable[..., Any]] = {}
"""Every kernel's plain version, by name."""


def kernel(function: F) -> F:
    """Make ``function(b, …)`` a kernel: calls go to the backend's own version if it has one.

    A kernel of this package is known by its function's name, any other by its module's too, so
    that one's own ``logistic`` is not taken for minigen's.
    """
    name = function.__name__
    if not (function.__module__ or "").startswith("minigen."):
        name = f"{function.__module__}.{function.__qualname__}"
    defaults[name] = function

    @functools.wraps(function)
    def dispatch(b: Any, *args: Any, **options: Any) -> Any:
        own = b.kernels.get(name)
        result = NotImplemented if own is None else own(b, *args, **options)
        return function(b, *args, **options) if result is NotImplemented else result

    return dispatch  # type: ignore[return-value]
