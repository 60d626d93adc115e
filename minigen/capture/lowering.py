"""How each NumPy function is told to write its result into a buffer that exists already.

Three ways, from the best to the last resort:

1. The function takes ``out``: elementwise functions, reductions, products, joining. Nothing is
   allocated (NumPy itself may still buffer when it must cast).
2. The function is a copy in disguise (``copy``, ``astype``, a ``reshape`` that moves elements,
   ``where``): one or two assignments do the same.
3. It is called as it is and the result copied over. That allocates: selections by an index array,
   sorting, ``tril``, linear algebra, random integers and permutations; and ``einsum``, which adds
   in another order when it is given ``out``.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["lower"]

Call = Callable[[], Any]

TAKE_OUT = """
sum prod mean std var max min amax amin all any argmax argmin cumsum cumprod dot clip
concatenate stack take trace round reduce accumulate outer
"""
"""Functions and methods that take ``out``."""

COPIES = "array asarray ascontiguousarray copy astype reshape ravel flatten"
"""Functions that give their first argument in another memory or dtype, in the order they got."""

METHODS = "sum prod mean std var max min all any argmax argmin cumsum cumprod"
"""Functions that only look for the method of the same name: the method is called directly."""

_TAKE_OUT, _COPIES = frozenset(TAKE_OUT.split()), frozenset(COPIES.split())
_METHODS = {getattr(np, name): getattr(np.ndarray, name) for name in METHODS.split()}
_HALF = np.dtype(np.float16)


def lower(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    options: dict[str, Any],
    outs: Sequence[np.ndarray],
) -> list[Call]:
    """``function(*args, **options)`` into ``outs`` as calls without arguments.

    Without ``outs`` the function works in place.
    """
    if not outs:
        return [functools.partial(function, *args, **options)]
    out = outs[0]
    if isinstance(function, np.ufunc):
        if options or function in (np.maximum, np.minimum):  # they warn of a third position
            return [functools.partial(function, *args, **options, out=tuple(outs))]
        return [functools.partial(function, *args, *outs)]
    name = function.__name__
    if name in _TAKE_OUT and out.dtype != _HALF and len(outs) == 1 and _is_numpy(function):
        own = _METHODS.get(function, function)
        if own is not function and not (args and isinstance(args[0], np.ndarray)):
            own = function
        return [functools.partial(own, *args, **options, out=out)]
    if name in _COPIES and isinstance(args[0], np.ndarray):
        return _copied(name, args[0], args[1:], options, out)
    if function is np.where and len(args) == 3 and _is_mask(args[0]):
        condition, x, y = args
        return [
            functools.partial(operator.setitem, out, ..., y),
            functools.partial(np.copyto, out, x, casting="unsafe", where=condition),
        ]
    return [functools.partial(_copy_over, function, args, options, tuple(outs))]


def _is_numpy(function: Any) -> bool:
    module = getattr(function, "__module__", None)  # a method of an array or ufunc has none
    return module is None or module.startswith("numpy")


def _is_mask(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.bool_


def _copied(
    name: str, source: np.ndarray, rest: Sequence[Any], options: dict[str, Any], out: np.ndarray
) -> list[Call]:
    """An assignment; the elements of a reshape are first put in the order in which they go."""
    if name in ("reshape", "ravel", "flatten") and source.shape != out.shape:
        order = options.get("order") or (rest[0] if name != "reshape" and rest else "C")
        shape = None
        if order == "C" and out.flags.c_contiguous:
            shape = source.shape  # `out` looks like the source when it is cut like it
        if shape is None:
            function = getattr(np.ndarray, name)
            return [functools.partial(_copy_over, function, (source, *rest), options, (out,))]
        out = out.reshape(shape)
    return [functools.partial(operator.setitem, out, ..., source)]


def _copy_over(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    options: dict[str, Any],
    outs: tuple[np.ndarray, ...],
) -> None:
    """Call, then copy the results where they belong."""
    results = function(*args, **options)
    if len(outs) == 1 and not isinstance(results, tuple):
        outs[0][...] = results
        return
    for out, result in zip(outs, results):
        out[...] = result
