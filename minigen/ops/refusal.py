"""What is said when a function is given a list, a number or nothing where it needs a tensor.

The public functions trust their arguments, because a look at each of them would cost every call.
Given ``[1.0, 2.0]`` for a tensor, one fails somewhere inside: a list has no ``shape``. Then, and
only then, somebody looks which argument it was, and says so in one line.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from minigen.autograd.tensor import Tensor

__all__ = ["name_what_is_no_tensor"]

_HOUSE = ("minigen.ops", "minigen.linalg")


def name_what_is_no_tensor(namespace: dict[str, Any]) -> None:
    """Let every function of the house in ``namespace`` name an argument that is no tensor."""
    for name, value in list(namespace.items()):
        if inspect.isfunction(value) and value.__module__.startswith(_HOUSE):
            namespace[name] = _naming(value)


@functools.cache  # one function has one name-giving twin, in whichever namespace
def _naming(function: Callable[..., Any]) -> Callable[..., Any]:
    if hasattr(function, "__wrapped__"):
        return function

    @functools.wraps(function)
    def named(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except AttributeError as error:
            refusal = _refusal(function, args, kwargs)
            if refusal is None:
                raise
            raise refusal from error

    return named


def _refusal(function: Callable[..., Any], args: Any, kwargs: Any) -> TypeError | None:
    """The error that names the first argument that should be a tensor and is none."""
    signature = inspect.signature(function)
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        parameter = signature.parameters[name]
        wanted = str(parameter.annotation)
        several = parameter.kind is parameter.VAR_POSITIONAL or "[Tensor" in wanted
        if "Tensor" not in wanted or (value is None and "None" in wanted):
            continue
        values = value if several and isinstance(value, (list, tuple)) else [value]
        for part in values:
            if not isinstance(part, Tensor):
                return TypeError(
                    f"{function.__name__}: {name} must be a tensor, got {type(part).__name__}; "
                    f"mg.tensor makes one"
                )
    return None
