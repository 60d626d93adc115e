"""An array that behaves as CuPy's does, on host memory: no GPU needed to find CUDA mistakes.

:class:`StrictArray` holds a NumPy array and lets only through what a ``cupy.ndarray`` would:

- it never turns into a NumPy array by itself, and refuses NumPy arrays and scalars as operands;
- every result is an array, also that of a reduction or of ``x[0]`` (0-d, not a scalar);
- methods and their keyword arguments are those that CuPy has;
- an index array may point outside: the entry wraps round silently;
- whatever makes the host wait for the device (``get``, ``item``, ``float``, ``bool``, …, a
  selection by mask, whose length must be known) is noted, see :func:`count_transfers`.

Where CuPy is lenient at a price, this class is stricter: NumPy scalars as operands and NumPy
arrays as indices cost CuPy a silent copy to the device, so they raise here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from minigen.backends.strict_graph import compute, write
from minigen.backends.strict_graph import refuse as refuse_in_capture

_SCALARS = frozenset({bool, int, float, complex})


# ---------------------------------------------------------------- transfers


class Transfers:
    """What moved from the device to the host inside ``count_transfers()``.

    Attributes:
        places: one entry for each transfer: ``"item at file.py:12"``.
    """

    def __init__(self) -> None:
        self.places: list[str] = []

    @property
    def total(self) -> int:
        """How many transfers there were."""
        return len(self.places)

    def __repr__(self) -> str:
        return f"<{self.total} transfers to the host: {', '.join(self.places) or 'none'}>"


_counting: list[Transfers] = []


@contextmanager
def count_transfers() -> Iterator[Transfers]:
    """Count the transfers to the host made inside the block::

    with strict.count_transfers() as count:
        step()
    assert count.total == 0, count
    """
    transfers = Transfers()
    _counting.append(transfers)
    try:
        yield transfers
    finally:
        _counting.remove(transfers)


def note_transfer(kind: str) -> None:
    """Write down that the host waits here for a value of the device.

    Raises:
        RuntimeError: a graph is being captured, in which there is no value yet.
    """
    refuse_in_capture(f"a value read on the host ({kind})")
    if not _counting:
        return
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        "minigen.backends"
    ):
        frame = frame.f_back
    for transfers in _counting:
        transfers.places.append(f"{kind} at {frame.f_code.co_filename}:{frame.f_lineno}")


# ---------------------------------------------------------------- in and out of the wrapper


def refuse(value: Any) -> NoReturn:
    """Raise as CuPy does when NumPy data comes where an array of the device belongs."""
    raise TypeError(
        f"Unsupported type numpy.{type(value).__name__}: host data on the strict backend; bring "
        f"it over with backend.asarray (mg.tensor), or use a Python number"
    )


def raw(value: Any) -> Any:
    """The NumPy array inside; Python values as they are; NumPy's own are refused."""
    kind = type(value)
    if kind is StrictArray:
        return value._array
    if kind in _SCALARS:
        return value
    if kind is tuple or kind is list:
        return kind([raw(part) for part in value])
    if isinstance(value, (np.ndarray, np.generic)):
        refuse(value)
    return value


def wrap(value: Any) -> Any:
    """A NumPy result as strict arrays: scalars become 0-d arrays, tuples stay tuples."""
    kind = type(value)
    if kind is np.ndarray:
        return StrictArray(value)
    if isinstance(value, (np.generic, np.ndarray, bool)):
        return StrictArray(np.asarray(value))
    if isinstance(value, (tuple, list)):
        return tuple([wrap(part) for part in value])
    return value


def raw_index(index: Any) -> Any:
    """An index with strict arrays replaced by what is in them."""
    if type(index) is tuple:
        return tuple([raw_index(part) for part in index])
    if type(index) is StrictArray:
        return index._array
    if isinstance(index, np.ndarray):
        refuse(index)
    return index


def _is_mask(index: Any) -> bool:
    parts = index if type(index) is tuple else (index,)
    return any(type(part) is np.ndarray and part.dtype == np.bool_ for part in parts)


def wrapped_index(index: Any, shape: tuple[int, ...]) -> Any:
    """``index`` with the entries of its integer arrays taken modulo the length they index."""
    parts = list(index) if type(index) is tuple else [index]
    masks = [p.ndim for p in parts if type(p) is np.ndarray and p.dtype == np.bool_]
    plain = [p for p in parts if p is not None and p is not Ellipsis]
    taken = len(plain) - len(masks) + sum(masks)  # dimensions that the index speaks of
    dimension = 0
    for place, part in enumerate(parts):
        if part is None:
            continue
        if part is Ellipsis:
            dimension += len(shape) - taken
        elif type(part) is np.ndarray and part.dtype == np.bool_:
            dimension += part.ndim
        else:
            if isinstance(part, (list, np.ndarray)) and dimension < len(shape) and shape[dimension]:
                parts[place] = np.remainder(np.asarray(part), shape[dimension])
            dimension += 1
    return tuple(parts)


def _entries(array: np.ndarray, index: Any) -> np.ndarray:
    """``array[index]``; entries outside wrap round, and a single entry is a 0-d view."""
    try:
        out = array[index]
    except IndexError:
        index = wrapped_index(index, array.shape)
        out = array[index]
    if type(out) is not np.ndarray:
        out = array[(*index, ...) if type(index) is tuple else (index, ...)]
    return out


def _set_entries(array: np.ndarray, index: Any, value: Any) -> None:
    """``array[index] = value``; entries outside wrap round."""
    try:
        array[index] = value
    except IndexError:
        array[wrapped_index(index, array.shape)] = value


def _taken(array: np.ndarray, places: Any, axis: int | None, out: Any = None) -> np.ndarray:
    """``array.take``; places outside wrap round."""
    try:
        return array.take(places, axis, out)
    except IndexError:
        return array.take(places, axis, out, mode="wrap")


class _Pointer:
    """Stands for ``cupy.ndarray.data``: the address of the first element."""

    __slots__ = ("ptr",)

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


# ---------------------------------------------------------------- the array


def _binary(ufunc: np.ufunc, swapped: bool = False) -> Callable[..., Any]:
    """An operator between an array and another one or a Python number."""

    def operator(self: StrictArray, other: Any) -> Any:
        kind = type(other)
        if kind is StrictArray:
            value = other._array
        elif kind in _SCALARS:
            value = other
        elif isinstance(other, (np.ndarray, np.generic)):
            refuse(other)
        else:
            return NotImplemented
        out = compute(ufunc, value, self._array) if swapped else compute(ufunc, self._array, value)
        return StrictArray(out if type(out) is np.ndarray else np.asarray(out))

    return operator


def _in_place(ufunc: np.ufunc) -> Callable[..., Any]:
    """``x += other``: writes into the memory of ``x``, also when it is 0-d."""

    def operator(self: StrictArray, other: Any) -> Any:
        write(ufunc, self._array, raw(other), out=self._array)
        return self

    return operator


def _unary(ufunc: np.ufunc) -> Callable[[Any], Any]:
    def operator(self: StrictArray) -> Any:
        return wrap(compute(ufunc, self._array))

    return operator


def _method(name: str, parameters: str) -> Callable[..., Any]:
    """A method that takes ``parameters``, as CuPy's does, and gives an array."""
    names = tuple(parameters.split())
    allowed = frozenset(names)
    limit = None if "*" in allowed else len(names)
    numpy_method = getattr(np.ndarray, name)
    execute = write if name in ("fill", "sort") else compute

    def method(self: StrictArray, *args: Any, **options: Any) -> Any:
        if limit is not None and len(args) > limit:
            raise TypeError(f"cupy.ndarray.{name} takes {', '.join(names)}; got {len(args)} values")
        if not allowed.issuperset(options):
            wrong = ", ".join(sorted(set(options) - allowed))
            raise TypeError(f"cupy.ndarray.{name} has no argument {wrong}")
        given = {key: raw(value) for key, value in options.items()}
        out = execute(numpy_method, self._array, *map(raw, args), **given)
        return options["out"] if options.get("out") is not None else wrap(out)

    method.__name__ = name
    return method


def _to_host(name: str, convert: Callable[[Any], Any]) -> Callable[..., Any]:
    """A method that hands a value to the host, and is counted."""

    def method(self: StrictArray) -> Any:
        note_transfer(name)
        return convert(self._array)

    return method


METHODS = {
    "all": "axis out keepdims",
    "any": "axis out keepdims",
    "argmax": "axis out dtype keepdims",
    "argmin": "axis out dtype keepdims",
    "argsort": "axis kind",
    "astype": "dtype order casting subok copy",
    "clip": "min max out",
    "copy": "order",
    "cumprod": "axis dtype out",
    "cumsum": "axis dtype out",
    "diagonal": "offset axis1 axis2",
    "dot": "b out",
    "fill": "value",
    "flatten": "order",
    "max": "axis out keepdims",
    "mean": "axis dtype out keepdims",
    "min": "axis out keepdims",
    "prod": "axis dtype out keepdims",
    "ravel": "order",
    "repeat": "repeats axis",
    "reshape": "* order",
    "round": "decimals out",
    "sort": "axis kind",
    "squeeze": "axis",
    "std": "axis dtype out ddof keepdims",
    "sum": "axis dtype out keepdims",
    "swapaxes": "axis1 axis2",
    "trace": "offset axis1 axis2 dtype out",
    "transpose": "*",
    "var": "axis dtype out ddof keepdims",
    "view": "dtype",
}
"""The methods of ``cupy.ndarray`` that are offered, with the arguments that CuPy gives them."""


class StrictArray:
    """A NumPy array with the manners of ``cupy.ndarray``; see the module."""

    __slots__ = ("__weakref__", "_array")

    __array_ufunc__ = None  # NumPy's operators stand back and ours refuse
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    # ------------------------------------------------------------ what it is

    shape = property(lambda self: self._array.shape, doc="The length of each dimension.")
    dtype = property(lambda self: self._array.dtype, doc="The element type.")
    ndim = property(lambda self: self._array.ndim, doc="The number of dimensions.")
    size = property(lambda self: self._array.size, doc="The number of elements.")
    strides = property(lambda self: self._array.strides, doc="Bytes from one element to the next.")
    itemsize = property(lambda self: self._array.itemsize, doc="Bytes of an element.")
    nbytes = property(lambda self: self._array.nbytes, doc="Bytes of all elements.")
    flags = property(lambda self: self._array.flags, doc="The memory layout.")
    real = property(lambda self: wrap(self._array.real), doc="The real part.")
    T = property(lambda self: StrictArray(self._array.T), doc="Dimensions in reverse order.")
    mT = property(  # noqa: N815 - NumPy's name
        lambda self: StrictArray(self._array.mT), doc="The last two dimensions exchanged."
    )
    base = property(
        lambda self: wrap(self._array.base), doc="The array whose memory this one looks at."
    )

    @property
    def data(self) -> _Pointer:
        """The memory, as an object with the address ``ptr``."""
        return _Pointer(self._array.__array_interface__["data"][0])

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[StrictArray]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        note_transfer("repr")
        return f"strict {self._array!r}"

    # ------------------------------------------------------------ to the host

    def get(self) -> np.ndarray:
        """A copy in host memory."""
        note_transfer("get")
        return self._array.copy(order="K")

    item = _to_host("item", lambda array: array.item())
    tolist = _to_host("tolist", lambda array: array.tolist())
    tobytes = _to_host("tobytes", lambda array: array.tobytes())
    __float__ = _to_host("float", float)
    __int__ = _to_host("int", int)
    __complex__ = _to_host("complex", complex)
    __bool__ = _to_host("bool", bool)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to "
            "construct a NumPy array explicitly."
        )

    def __array_function__(self, function: Any, *_: Any) -> NoReturn:
        raise TypeError(f"numpy.{function.__name__} on a strict array; call it on the backend's xp")

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    # ------------------------------------------------------------ reading and writing

    def __getitem__(self, index: Any) -> StrictArray:
        index = raw_index(index)
        if _is_mask(index):
            note_transfer("selection by mask")
        return StrictArray(compute(_entries, self._array, index))

    def __setitem__(self, index: Any, value: Any) -> None:
        write(_set_entries, self._array, raw_index(index), raw(value))

    def nonzero(self) -> tuple[StrictArray, ...]:
        """The places of the elements that are not 0 (their number is read on the host)."""
        note_transfer("nonzero")
        return wrap(self._array.nonzero())

    def take(self, indices: Any, axis: int | None = None, out: Any = None) -> StrictArray:
        """Entries along ``axis``; those outside wrap round."""
        taken = compute(_taken, self._array, raw(indices), axis, out=raw(out))
        return wrap(taken) if out is None else out

    def __copy__(self) -> StrictArray:
        return StrictArray(compute(np.ndarray.copy, self._array))

    def __deepcopy__(self, memo: dict[int, Any]) -> StrictArray:
        return self.__copy__()

    # ------------------------------------------------------------ operators

    __neg__, __pos__, __abs__ = _unary(np.negative), _unary(np.positive), _unary(np.absolute)
    __invert__ = _unary(np.invert)
    __eq__, __ne__ = _binary(np.equal), _binary(np.not_equal)
    __lt__, __le__ = _binary(np.less), _binary(np.less_equal)
    __gt__, __ge__ = _binary(np.greater), _binary(np.greater_equal)


for _name, _ufunc in {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}.items():
    setattr(StrictArray, f"__{_name}__", _binary(_ufunc))
    setattr(StrictArray, f"__r{_name}__", _binary(_ufunc, swapped=True))
    if _name != "matmul":  # CuPy has no __imatmul__
        setattr(StrictArray, f"__i{_name}__", _in_place(_ufunc))
for _name, _parameters in METHODS.items():
    setattr(StrictArray, _name, _method(_name, _parameters))
