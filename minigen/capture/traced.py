"""The array of a recorded step: a NumPy array that tells the recorder what is done with it.

While a step is recorded, every array that it sees is a :class:`Traced`. NumPy itself offers the
doors: ``__array_ufunc__`` (operators and elementwise functions), ``__array_function__``
(``np.concatenate`` and all others). What remains are the methods, which are wrapped below in
one loop, indexing, and the ways to the host, which raise: a replay could not take another turn
because of a value that it sees.

A view (a slice, a transposition) is again a ``Traced`` and needs no instruction: whose memory it
shows is found from its ``base``. Outside of a recording a ``Traced`` is an ordinary array.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minigen.backends import active

__all__ = ["Traced", "plain"]


def plain(value: Any) -> Any:
    """``value`` with the ordinary array in place of each traced one, also inside containers."""
    kind = type(value)
    if kind is Traced:
        return value.view(np.ndarray)
    if kind is tuple or kind is list:
        return kind([plain(part) for part in value])
    return value


class Traced(np.ndarray):
    """See the top of this file.

    Attributes:
        original: the array of a tensor that this one shows to the step, or None.
    """

    original: np.ndarray | None = None

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return _record(function, inputs, options)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        return _record(function, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        if _is_basic(index):  # a view, also where NumPy would hand out a scalar
            found = np.ndarray.__getitem__(self, index)
            if isinstance(found, np.ndarray):
                return found
            parts = index if isinstance(index, tuple) else (index,)
            return np.ndarray.__getitem__(self, (*parts, Ellipsis))
        return _record(operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Traced) and _is_basic(index) and _same(self[index], value):
            return  # the end of `x[index] += y`: the sum lies there already
        _record(operator.setitem, (self, index, value), {})

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array

    def __format__(self, spec: str) -> str:
        _to_host("format()")

    def __repr__(self) -> str:
        if active.recorder is None:
            return repr(plain(self))
        return f"<recorded array {self.shape} {self.dtype}>"

    __str__ = __repr__


def _record(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    recorder = active.recorder
    if recorder is None:
        options = {key: plain(value) for key, value in kwargs.items()}
        return function(*[plain(value) for value in args], **options)
    return recorder.call(function, args, kwargs)


def _is_basic(index: Any) -> bool:
    """Whether indexing by it gives a view."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice))
        for part in parts
        if not isinstance(part, (bool, np.bool_))
    ) and not any(isinstance(part, (bool, np.bool_)) for part in parts)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays show the same elements of memory in the same way."""
    return (
        one.shape == other.shape
        and one.strides == other.strides
        and one.dtype == other.dtype
        and one.ctypes.data == other.ctypes.data
    )


def _to_host(what: str) -> NoReturn:
    from minigen.capture.errors import host_read

    raise host_read(what)


# ---------------------------------------------------------------- methods

COMPUTING = """
all any argmax argmin argpartition argsort astype choose clip conj copy cumprod cumsum dot max
mean min partition prod put repeat reshape ravel flatten round searchsorted sort std sum take
trace var fill
"""
"""Methods that compute, copy or write; those that only look in another way are inherited."""

READING = "item tolist tobytes dump dumps tofile __float__ __int__ __bool__ __index__ __complex__"
"""Methods whose result is a value on the host."""

BY_VALUE = "nonzero compress"
"""Methods whose result's shape depends on the values."""


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np.ndarray, name)

    def method(self: Traced, *args: Any, **kwargs: Any) -> Any:
        return _record(function, (self, *args), kwargs)

    method.__name__ = name
    return method


def _reading(name: str) -> Callable[..., Any]:
    function = getattr(np.ndarray, name)

    def method(self: Traced, *args: Any) -> Any:
        if active.recorder is None:
            return function(plain(self), *args)
        _to_host(f"{name.strip('_')}()")

    method.__name__ = name
    return method


for _name in COMPUTING.split():
    setattr(Traced, _name, _method(_name))
for _name in (READING + " " + BY_VALUE).split():
    setattr(Traced, _name, _reading(_name))
