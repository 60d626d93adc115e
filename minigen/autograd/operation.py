"""What every op is, however it is written down: a name, inputs, options, and errors of one line.

An op's inputs may be given in order or by name, its options by name. In a gradient rule the first
input is mostly called ``x``; whoever calls the op may also say ``input``, which is PyTorch's name.

Two namespaces hold all ops by name. ``functions.NAME`` takes tensors and records; a gradient rule
that must stay differentiable computes with it. ``raw_functions(backend).NAME`` is the forward
function on raw arrays; an ordinary backward pass computes with that. So this file knows no tensors,
and the tensor's operators can look their op up here.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minigen.backends import Backend, active
from minigen.errors import UserError
from minigen.thread_state import current

FLOAT64, FLOAT32, FLOAT16 = (np.dtype(f"float{bits}") for bits in (64, 32, 16))
PLAIN = frozenset({int, float, bool, type(None)})  # scalars that never change a dtype
_PLAIN_OPTIONS = PLAIN | {str, tuple, list, type(FLOAT32)}

registry: dict[str, Any] = {}
"""Every op that exists, by name. The tests walk it."""


class _Functions:
    """``f`` for tensors: every op by name, recording."""

    def __getattr__(self, name: str) -> Any:
        try:
            op = registry[name]
        except KeyError:
            raise AttributeError(f"no op is called {name!r}") from None
        setattr(self, name, op)
        return op


class _RawFunctions:
    """``f`` for raw arrays: every primitive's forward function, on one backend."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend  # these two for a rule that writes into an array it was given
        self.xp = backend.xp

    def __getattr__(self, name: str) -> Any:
        forward = functools.partial(registry[name].forward, self.backend)
        setattr(self, name, forward)
        return forward


functions = _Functions()
_raw_functions: dict[Backend, _RawFunctions] = {}


def raw_functions(backend: Backend) -> _RawFunctions:
    """The primitives as functions on raw arrays of ``backend``."""
    if backend is current().recorder:  # one recording's own
        return backend.__dict__.setdefault("raw_functions", _RawFunctions(backend))
    if backend not in _raw_functions:
        _raw_functions[backend] = _RawFunctions(backend)
    return _raw_functions[backend]


class Operation:
    """What primitives and fused ops share: a name, input names, options and error messages."""

    def __init__(
        self,
        forward: Callable[..., Any],
        name: str | None,
        keywords: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name or forward.__name__
        self.forward = forward
        parameters = list(inspect.signature(forward).parameters.values())[1:]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        inputs = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.inputs = [p.name for p in inputs]
        self._input_defaults = [p.default for p in inputs]
        self._needed = len([p for p in inputs if p.default is p.empty])
        public = {"x": "input", **(keywords or {})}
        self._position = {name: index for index, name in enumerate(self.inputs)}
        self._position |= {public[n]: i for i, n in enumerate(self.inputs) if n in public}
        self.option_names = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        self.defaults = {
            p.name: p.default
            for p in parameters
            if p.kind is p.KEYWORD_ONLY and p.default is not p.empty
        }
        self.__doc__ = forward.__doc__
        self.__name__ = self.__qualname__ = self.name
        self.__module__ = forward.__module__ or "__main__"  # code without a module: exec
        self.is_users = not self.__module__.startswith("minigen.")  # somebody's own op
        self.__signature__ = inspect.Signature(
            [p.replace(name=public.get(p.name, p.name)) for p in parameters]
        )
        if self.name in registry and registry[self.name].__module__ != self.__module__:
            raise ValueError(f"an op called {self.name!r} exists already in another module")
        registry[self.name] = self
        for namespace in (functions, *_raw_functions.values()):  # an op written anew
            namespace.__dict__.pop(self.name, None)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """An op in a class is a method, as a function is; so ``help(op)`` takes it for one."""
        function: Any = self
        return function if instance is None else types.MethodType(function, instance)

    def _bind(
        self, inputs: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The inputs in order, those given by name included, and the options alone."""
        missing = inspect.Parameter.empty
        values = [*inputs, *self._input_defaults[len(inputs) :]]
        options: dict[str, Any] = {}
        for name, value in given.items():
            if name in self.option_names:
                options[name] = value
            elif name not in self._position:
                raise TypeError(
                    f"{self.name} has no argument called {name!r}; it takes "
                    f"{', '.join(self.__signature__.parameters)}"
                )
            elif self._position[name] < len(inputs):
                raise TypeError(f"{self.name} was given {name!r} by position and by name")
            else:
                values[self._position[name]] = value
        for name, value in zip(self.inputs, values):
            if value is missing:
                raise TypeError(f"{self.name} needs the argument {name!r}")
        return tuple(values), options

    def _refuse_tensors(self, options: Mapping[str, Any]) -> None:
        """An option is plain data: the gradient of a tensor given as one would be lost."""
        for name, value in options.items():
            if type(value) not in _PLAIN_OPTIONS and hasattr(value, "requires_grad"):
                raise TypeError(
                    f"{self.name}: {name} must be a plain value, not a tensor, whose gradient "
                    f"would be lost; use {name}.item() for its value"
                )

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.inputs)})>"

    def _coerce(self, value: Any) -> Any:
        """An operand that is neither a tensor nor a plain Python scalar, as a raw array."""
        backend = active.backend
        if isinstance(value, backend.array_type):
            state = current()
            if state.grad_enabled and state.recorder is None:
                # The tape may keep it, and its owner fill it anew: no guard sees such a write.
                return backend.xp.array(value, order="K")
            return value
        if isinstance(value, np.generic):  # a NumPy scalar would promote float32 to float64
            return value.item()
        if isinstance(value, np.ndarray):
            raise TypeError(
                f"{self.name}: a NumPy array on backend {backend.name}; "
                f"bring it over with mg.tensor"
            )
        if isinstance(value, (list, tuple)):
            array = np.asarray(value)
            return backend.asarray(array, FLOAT32 if array.dtype == FLOAT64 else None)
        raise TypeError(f"{self.name}: an operand must be a tensor or number, got {_kind(value)}")

    def _run(self, backend: Backend, arrays: list[Any], options: dict[str, Any]) -> Any:
        """The forward function, with what goes wrong inside said in one line."""
        try:
            return self.forward(backend, *arrays, **options)
        except Exception as error:
            raise self._explain(error, backend, arrays) from error

    def _as_array(self, out: Any, backend: Backend, arrays: list[Any]) -> Any:
        """A result that is no array of the backend: NumPy's reductions return scalars."""
        foreign = self._foreign(backend, arrays)
        if foreign is not None:  # everything ran in another backend's memory
            raise foreign
        return backend.asarray(out)

    def _foreign(self, backend: Backend, arrays: list[Any]) -> TypeError | None:
        for position, x in enumerate(arrays):
            if hasattr(x, "dtype") and not isinstance(x, backend.array_type):
                return TypeError(
                    f"{self.name}: argument {self._argument(position)} lies in {_kind(x)}, "
                    f"but the active backend is {backend.name}"
                )
        return None

    def _explain(self, error: Exception, backend: Backend, arrays: list[Any]) -> Exception:
        foreign = self._foreign(backend, arrays)
        if foreign is not None:
            return foreign
        if isinstance(error, UserError):
            return error
        if not self.variadic and not self._needed <= len(arrays) <= len(self.inputs):
            names = ", ".join(list(self.__signature__.parameters)[: len(self.inputs)])
            return TypeError(f"{self.name} takes the inputs {names}; got {len(arrays)} of them")
        if isinstance(error, AttributeError):
            for position, x in enumerate(arrays):
                if not hasattr(x, "dtype") and x is not None:
                    return TypeError(
                        f"{self.name}: {self._argument(position)} must be a tensor, got {_kind(x)}"
                    )
        shapes = ", ".join(
            f"{self._argument(i)} {tuple(x.shape)} {x.dtype}" if hasattr(x, "shape") else repr(x)
            for i, x in enumerate(arrays)
        )
        reason = " ".join(str(error).split()) or type(error).__name__
        known = isinstance(error, (ValueError, TypeError, IndexError, ArithmeticError, MemoryError))
        if reason.startswith(f"{self.name}: "):
            return error
        kind = type(error) if known and type(error).__module__ == "builtins" else ValueError
        return kind(f"{self.name}: {reason} (given {shapes})")

    def _argument(self, position: int) -> str:
        return self.inputs[position] if position < len(self.inputs) else str(position)


def arrays_in(values: Any) -> Iterator[Any]:
    """The raw arrays among ``values``, inside tuples and lists too."""
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from arrays_in(value)
        elif hasattr(value, "strides"):
            yield value


def _kind(value: Any) -> str:
    return f"{type(value).__module__.split('.')[0]}.{type(value).__qualname__}"


def promoted(arrays: list[Any], result: Any) -> list[Any] | None:
    """The inputs in PyTorch's dtypes, where NumPy computed in others; None if it did not.

    Integers take the dtype of the floats beside them, and in functions like exp float32: NumPy
    computes ``int64 * float32`` and ``exp(int64)`` in float64, ``exp(bool)`` in float16. So do
    numbers of Python where there is nothing else. And a 0-d tensor is like a number of Python: it
    does not widen a tensor with dimensions that is of its kind, floating-point or integer. (One
    exception, to spare every op the question: a 0-d float32 does widen a float16 tensor.)
    """
    if result.kind == "b":
        return None
    widened = False
    for x in arrays:
        if getattr(x, "dtype", None) is result:  # (None == float64 is true)
            if x.ndim:
                return None
            widened = True
    if widened:
        return _without_widening(arrays, result)
    if result is not FLOAT64 and result is not FLOAT16:
        return None
    if not any(hasattr(x, "dtype") for x in arrays):
        return [x if x is None else active.backend.asarray(x, FLOAT32) for x in arrays]
    floats = [x.dtype for x in arrays if hasattr(x, "dtype") and x.dtype.kind == "f"]
    dtype = np.result_type(*floats) if floats else FLOAT32
    return [x.astype(dtype) if hasattr(x, "dtype") and x.dtype.kind in "iub" else x for x in arrays]


def _without_widening(arrays: list[Any], result: Any) -> list[Any] | None:
    """0-d arrays in the dtype of those of their kind with dimensions; None if there are none."""
    kinds = "iu" if result.kind in "iu" else "f"
    wide = [x.dtype for x in arrays if hasattr(x, "dtype") and x.ndim and x.dtype.kind in kinds]
    if not wide:
        return None
    dtype = np.result_type(*wide)
    return [x.astype(dtype) if getattr(x, "dtype", None) is result else x for x in arrays]
