"""Anomaly mode: the first NaN or Inf names the op and the line that called it.

Inside ``mg.detect_anomaly()`` every result and every gradient is looked at. The line is the
innermost frame outside this package, that is the user's own.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Sequence
from typing import Any

from minigen.backends import active

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_ENGINE = tuple(
    os.path.join(_PACKAGE, floor) for floor in ("autograd", "ops", "nn", "testing", "thread_state")
)


def calling_line() -> str:
    """``file:line: code`` of the innermost frame outside the engine and the layers."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_ENGINE):
        frame = frame.f_back
    file, line = frame.f_code.co_filename, frame.f_lineno
    return f"{file}:{line}: {linecache.getline(file, line).strip()}"


def is_finite(value: Any) -> bool:
    """True if a raw array or tensor holds no NaN and no Inf (integers never do)."""
    array = value if not hasattr(value, "requires_grad") else value.data
    if array.dtype.kind != "f":
        return True
    return bool(active.backend.xp.isfinite(array).all())


def check_forward(op: str, outputs: Sequence[Any], inputs: Sequence[Any]) -> None:
    """Raise if an output holds NaN or Inf; say whether an input already did."""
    if all(is_finite(out) for out in outputs):
        return
    came_in = [i for i, x in enumerate(inputs) if hasattr(x, "dtype") and not is_finite(x)]
    origin = f"input {came_in[0]} already held one" if came_in else "all its inputs were finite"
    raise FloatingPointError(f"{op} gave NaN or Inf ({origin}), called at {calling_line()}")


def check_backward(node: Any, grads: Sequence[Any]) -> None:
    """Raise if the gradient rule of ``node`` produced NaN or Inf."""
    for index, grad in enumerate(grads):
        if grad is not None and not is_finite(grad):
            raise FloatingPointError(
                f"backward of {node.op.name} gave NaN or Inf for input {index}; "
                f"the op was called at {node.caller or 'a place outside detect_anomaly()'}"
            )
