"""The strict backend: NumPy with CuPy's restrictions, so that CUDA mistakes show without a GPU.

Everything that works here uses only what CuPy 14 has. The namespace ``xp`` is an explicit
list, :data:`SIGNATURES`, of functions and of the arguments that CuPy gives them; what is not
listed (``errstate``, ``nditer``, ``vecdot``, ``where=`` on a reduction, ``mode=`` of ``take``,
…) is missing. The tests compare the list with CuPy itself. Arrays are
:class:`~minigen.backends.strict_array.StrictArray`; transfers to the host are counted::

    from minigen.backends import strict

    with mg.use("strict"), strict.count_transfers() as count:
        training_step()
    assert count.total == 0, count
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from minigen.backends import strict_products
from minigen.backends.base import Array, Backend, MemoryFigures
from minigen.backends.numpy_backend import NumpyBackend, NumpyStream, scatter_add
from minigen.backends.strict_array import (
    StrictArray,
    Transfers,
    count_transfers,
    note_transfer,
    raw,
    raw_index,
    wrap,
    wrapped_index,
)
from minigen.backends.strict_graph import StrictGraphMaker, compute, refuse, write

__all__ = ["StrictArray", "StrictBackend", "StrictNamespace", "Transfers", "count_transfers"]

UFUNCS = """
abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_or
bitwise_xor cbrt ceil copysign cos cosh deg2rad degrees divide equal exp exp2 expm1 fabs
floor floor_divide fmax fmin fmod greater greater_equal hypot invert isfinite isinf isnan
left_shift less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not
logical_or logical_xor maximum minimum mod multiply negative not_equal positive power rad2deg
radians reciprocal remainder right_shift rint sign signbit sin sinh sqrt square subtract tan
tanh true_divide trunc
"""
"""Elementwise functions. They take ``out``, ``dtype`` and ``casting``, and have no ``where``."""

SIGNATURES = {
    # reductions
    "all": "a axis out keepdims",
    "amax": "a axis out keepdims",
    "amin": "a axis out keepdims",
    "any": "a axis out keepdims",
    "argmax": "a axis dtype out keepdims",
    "argmin": "a axis dtype out keepdims",
    "count_nonzero": "a axis",
    "max": "a axis out keepdims",
    "mean": "a axis dtype out keepdims",
    "median": "a axis out overwrite_input keepdims",
    "min": "a axis out keepdims",
    "prod": "a axis dtype out keepdims",
    "std": "a axis dtype out ddof keepdims",
    "sum": "a axis dtype out keepdims",
    "var": "a axis dtype out ddof keepdims",
    # running along an axis
    "cumprod": "a axis dtype out",
    "cumsum": "a axis dtype out",
    "diff": "a n axis",
    # order and search
    "argsort": "a axis kind",
    "bincount": "x weights minlength",
    "searchsorted": "a v side sorter",
    "sort": "a axis kind",
    # shape
    "broadcast_arrays": "*",
    "broadcast_to": "array shape",
    "expand_dims": "a axis",
    "flip": "a axis",
    "moveaxis": "a source destination",
    "pad": "array pad_width mode constant_values",
    "ravel": "a order",
    "repeat": "a repeats axis",
    "reshape": "a newshape order",
    "roll": "a shift axis",
    "squeeze": "a axis",
    "swapaxes": "a axis1 axis2",
    "tile": "A reps",
    "transpose": "a axes",
    # joining
    "concatenate": "tup axis out",
    "hstack": "tup",
    "split": "ary indices_or_sections axis",
    "stack": "tup axis out",
    "vstack": "tup",
    # products
    "dot": "a b out",
    "einsum": "* out dtype casting optimize",
    "inner": "a b",
    "matmul": "* out dtype casting",
    "outer": "a b out",
    "tensordot": "a b axes",
    "vdot": "a b",
    # matrices
    "diag": "v k",
    "diagonal": "a offset axis1 axis2",
    "trace": "a offset axis1 axis2 dtype out",
    "tril": "m k",
    "triu": "m k",
    # values
    "allclose": "a b rtol atol equal_nan",
    "array_equal": "a1 a2 equal_nan",
    "clip": "a a_min a_max out",
    "copy": "a order",
    "copyto": "dst src casting where",
    "interp": "x xp fp left right period",
    "isclose": "a b rtol atol equal_nan",
    "nan_to_num": "x copy nan posinf neginf",
    "round": "a decimals out",
}
"""Functions on arrays, each with CuPy's parameters in CuPy's order (``*``: any number)."""

CREATION = {
    "arange": "start stop step dtype",
    "array": "obj dtype copy order",
    "asarray": "a dtype order",
    "ascontiguousarray": "a dtype",
    "empty": "shape dtype order",
    "empty_like": "prototype dtype order subok shape",
    "eye": "N M k dtype order",
    "from_dlpack": "array device copy",
    "full": "shape fill_value dtype order",
    "full_like": "a fill_value dtype order subok shape",
    "identity": "n dtype",
    "linspace": "start stop num endpoint retstep dtype axis",
    "meshgrid": "* indexing sparse copy",
    "ones": "shape dtype order",
    "ones_like": "a dtype order subok shape",
    "tri": "N M k dtype",
    "zeros": "shape dtype order",
    "zeros_like": "a dtype order subok shape",
}
"""Functions that make arrays; host data may come in here, and nowhere else."""

LINALG = {
    "cholesky": "a",
    "det": "a",
    "eigh": "a UPLO",
    "inv": "a",
    "norm": "x ord axis keepdims",
    "pinv": "a rcond",
    "qr": "a mode",
    "slogdet": "a",
    "svd": "a full_matrices compute_uv",
}
"""Functions of ``xp.linalg``; ``solve`` is written out below."""

HOST = """
bool_ broadcast_shapes dtype e finfo float16 float32 float64 floating iinfo inf int8
int16 int32 int64 integer issubdtype nan newaxis number pi promote_types uint8 uint16 uint32
uint64
"""
"""Types, constants and questions about types: NumPy's own, in CuPy too."""


def _checked(function: Callable[..., Any], name: str, parameters: str, host: bool = False) -> Any:
    """``function`` on strict arrays, with no other arguments than ``parameters``.

    With ``host=True`` NumPy data may be among the arguments.
    """
    names = tuple(parameters.split())
    allowed = frozenset(names)
    limit = None if "*" in allowed else len(names)
    inside = _raw_or_host if host else raw
    execute = write if name == "copyto" else compute

    def call(*args: Any, **options: Any) -> Any:
        if limit is not None and len(args) > limit:
            raise TypeError(f"cupy.{name} takes {', '.join(names)}; got {len(args)} values")
        values = [inside(value) for value in args]
        if not options:
            return wrap(execute(function, *values))
        if not allowed.issuperset(options):
            wrong = ", ".join(sorted(set(options) - allowed))
            raise TypeError(f"cupy.{name} has no argument {wrong}")
        given = {key: inside(value) for key, value in options.items()}
        out = execute(function, *values, **given)
        return options["out"] if options.get("out") is not None else wrap(out)

    call.__name__ = name
    return call


def _raw_or_host(value: Any) -> Any:
    """As ``raw``, but NumPy data is let in."""
    if isinstance(value, (tuple, list)):
        return type(value)([_raw_or_host(part) for part in value])
    return value._array if type(value) is StrictArray else value


def _ufunc(ufunc: np.ufunc, name: str) -> Any:
    """An elementwise function: arrays and Python numbers in, ``out=`` given back."""

    def call(*args: Any, out: Any = None, **options: Any) -> Any:
        values = [x._array if type(x) is StrictArray else raw(x) for x in args]
        if options and not options.keys() <= {"dtype", "casting"}:
            wrong = ", ".join(sorted(options.keys() - {"dtype", "casting"}))
            raise TypeError(f"cupy.{name} has no argument {wrong}")
        if out is not None:
            write(ufunc, *values, out=raw(out), **options)
            return out
        result = compute(ufunc, *values, **options)
        return StrictArray(result if type(result) is np.ndarray else np.asarray(result))

    call.__name__ = name
    return call


def _refuse_odd_types(array: np.ndarray) -> np.ndarray:
    if array.dtype.char not in "?bBhHiIlLqQefdFD":
        raise ValueError(f"Unsupported dtype {array.dtype}")
    return array


def _array(obj: Any, dtype: Any = None, copy: bool = True, order: Any = "K") -> Any:
    """A copy on the device: what comes from the host is always copied."""
    if type(obj) is not StrictArray:
        refuse("host data that comes in by xp.array")
    array = compute(np.array, _raw_or_host(obj), dtype=dtype, order=order)
    return wrap(_refuse_odd_types(array))


def _as_array(a: Any, dtype: Any = None, order: Any = None) -> StrictArray:
    """The array itself if it is one already, else a copy on the device."""
    if type(a) is StrictArray:
        return wrap(compute(np.asarray, a._array, dtype=dtype, order=order))
    refuse("host data that comes in by xp.asarray")
    return wrap(_refuse_odd_types(np.array(_raw_or_host(a), dtype=dtype, order=order or "K")))


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """``x`` where ``condition`` (an array) holds, else ``y``; places, if only it is given."""
    if type(condition) is not StrictArray:
        raise TypeError(f"cupy.where needs an array as condition, got {type(condition).__name__}")
    if x is None and y is None:
        return condition.nonzero()
    return wrap(compute(_chosen, condition._array, raw(x), raw(y)))


def _einsum(*operands: Any, **options: Any) -> Any:
    """Sums of one array are a reduction in CuPy; those of products go to cuBLAS."""
    if len(operands) > 2:
        refuse("einsum of several arrays")
    return _summed(*operands, **options)


_summed = _checked(np.einsum, "einsum", SIGNATURES["einsum"])


def _chosen(condition: np.ndarray, x: Any, y: Any) -> np.ndarray:
    return np.where(condition.astype(bool, copy=False), x, y)


def _take(a: StrictArray, indices: Any, axis: int | None = None, out: Any = None) -> Any:
    """Entries along ``axis``; those outside wrap round."""
    return a.take(indices, axis, out)


def _solve(a: StrictArray, b: StrictArray) -> Any:
    """As NumPy's, but CuPy does not broadcast the batch dimensions."""
    if b.ndim > 1 and a.shape[:-1] != b.shape[:-1]:
        raise ValueError(
            "a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b"
        )
    return wrap(compute(np.linalg.solve, raw(a), raw(b)))


def _as_strided(x: StrictArray, shape: Any = None, strides: Any = None) -> Any:
    return wrap(compute(np.lib.stride_tricks.as_strided, raw(x), shape, strides))


def _reading(function: Callable[..., Any], name: str) -> Any:
    """A function whose result's length the host must read."""
    inner = _checked(function, name, "a")

    def call(*args: Any, **options: Any) -> Any:
        note_transfer(name)
        return inner(*args, **options)

    return call


class StrictNamespace:
    """What ``import cupy as xp`` would offer; see the module."""

    ndarray = StrictArray

    def __init__(self) -> None:
        for name in UFUNCS.split():
            setattr(self, name, _ufunc(getattr(np, name), name))
        for name, parameters in SIGNATURES.items():
            setattr(self, name, _checked(getattr(np, name), name, parameters))
        for name, parameters in CREATION.items():
            setattr(self, name, _checked(getattr(np, name), name, parameters, host=True))
        for name in HOST.split():
            setattr(self, name, getattr(np, name))
        for name in ("argwhere", "flatnonzero", "nonzero", "unique"):
            setattr(self, name, _reading(getattr(np, name), name))
        self.array = _array
        self.asarray = _as_array
        self.asnumpy = lambda array: array.get()
        self.result_type = lambda *given: np.result_type(*map(_raw_or_host, given))
        self.where = _where
        self.einsum = _einsum
        self.take = _take
        self.linalg = SimpleNamespace(
            LinAlgError=np.linalg.LinAlgError,
            solve=_solve,
            **{
                name: _checked(getattr(np.linalg, name), f"linalg.{name}", parameters)
                for name, parameters in LINALG.items()
            },
        )
        self.lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the strict namespace has no {name!r}: CuPy lacks it, or minigen has not used it yet "
            f"(then add it to minigen/backends/strict.py)"
        )


class StrictStream:
    """NumPy's random numbers as strict arrays: the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._stream = NumpyStream(seed)

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Standard normal draws."""
        return wrap(np.asarray(self._stream.normal(shape, dtype)))

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Uniform draws from [0, 1)."""
        return wrap(np.asarray(self._stream.uniform(shape, dtype)))

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers (int64) drawn uniformly from [low, high)."""
        return wrap(np.asarray(self._stream.integers(low, high, shape)))

    def permutation(self, n: int) -> Array:
        """The integers 0 … n-1 (int64) in random order."""
        return wrap(self._stream.permutation(n))

    def fill(self, kind: str, out: Array) -> None:
        """The next ``normal`` or ``uniform`` draws, written into ``out``."""
        out[...] = getattr(self, kind)(out.shape, out.dtype)

    def state(self) -> dict[str, Any]:
        """Where the stream stands."""
        return self._stream.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from where ``state()`` was taken."""
        self._stream.load_state(state)


def _add_at(target: np.ndarray, places: Any, added: Any) -> None:
    try:
        scatter_add(target, places, added)
    except IndexError:
        scatter_add(target, wrapped_index(places, target.shape), added)


class StrictBackend(Backend):
    """Host memory behind CuPy's rules."""

    name = "strict"
    array_type = StrictArray

    def __init__(self) -> None:
        super().__init__()
        self.xp = StrictNamespace()
        self.kernels = {kernel.__name__: kernel for kernel in strict_products.KERNELS}
        self._numpy = NumpyBackend()

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        """A strict array; host data is copied, as it would be to a device."""
        return _as_array(value, dtype)

    def to_host(self, array: Array) -> np.ndarray:
        """A copy on the host, counted as a transfer."""
        return array.get()

    def generator(self, seed: int) -> StrictStream:
        """A PCG64 stream."""
        return StrictStream(seed)

    def scatter_add(self, target: Array, index: Any, values: Array) -> None:
        """In the host's memory; indices outside wrap round."""
        write(_add_at, target._array, raw_index(index), raw(values))

    def graph_maker(self) -> StrictGraphMaker:
        """CUDA's stream capture, acted out."""
        return StrictGraphMaker()

    def memory(self) -> MemoryFigures:
        """Resident memory of this process."""
        return self._numpy.memory()
