"""float16 is a way to store numbers, not to compute with them.

It holds 11 binary digits and nothing above 65,504: the squares of a layer norm over numbers near
300 are infinite, and a softmax of 70,000 equal scores has a denominator that does not exist. An op
that works in several steps therefore takes its halves up to float32, computes there and rounds what
comes out, once. Both ways are on the tape, so that its gradient is computed in float32 as well and
rounded where it leaves the op. (What is one sum or one product does the same inside:
``summation.py``, ``product.py``.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigen.autograd.operation import FLOAT16, FLOAT32, functions
from minigen.autograd.tensor import Tensor

__all__ = ["in_float32"]


def in_float32(op: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """``op(*inputs, **options)`` with every half among them as float32, and halves again.

    Where a wider float is among them the result stays as wide.
    """
    given = (*inputs, *options.values())
    floats = [x for x in given if isinstance(x, Tensor) and x.dtype.kind == "f"]
    options = {name: _cast(x, FLOAT16, FLOAT32) for name, x in options.items()}
    out = op(*[_cast(x, FLOAT16, FLOAT32) for x in inputs], **options)
    if any(x.dtype is not FLOAT16 for x in floats):
        return out
    if isinstance(out, tuple):
        return tuple([_cast(y, FLOAT32, FLOAT16) for y in out])
    return _cast(out, FLOAT32, FLOAT16)


def _cast(x: Any, before: Any, after: Any) -> Any:
    if isinstance(x, Tensor) and x.dtype is before:
        return functions.cast(x, dtype=after)
    return x
