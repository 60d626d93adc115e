"""The recorder: a backend that computes as NumPy does and writes down every call.

It is in force while one call of the step runs, for real: parameters are updated and random numbers
drawn as in an eager step. What the step touches reaches the recorder by four doors:

- ``recorder.xp``, the array namespace that ops and kernels compute with;
- :class:`~minigen.capture.traced.Traced` arrays, for operators and methods. ``Tensor.data`` shows
  them to the thread that records, and to no other. No tensor keeps one: what an interrupt leaves
  behind are tensors with ordinary arrays, as after an interrupted eager step;
- ``recorder.run``, compiled loops; they are written down bare, without the Python round them;
- ``recorder.draw`` for random numbers, and ``recorder.repeat`` for what happens on the host at
  every step (an optimizer's update with its step count, a schedule's advance).

Memory is known by the array that owns it. Memory that no recorded call made is *outside* (a
parameter, a running statistic, a buffer of inputs) and is used in place. If it was gone when the
recording ended, then somebody computed past the recorder, and that is an error, not a wrong number.
"""

from __future__ import annotations

import inspect
import operator
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigen.autograd.writes import Place, extent, place_of
from minigen.backends.base import Backend, MemoryFigures, RandomStream
from minigen.backends.numpy_backend import scatter_add
from minigen.capture.errors import calling_place, host_read
from minigen.capture.program import MADE, OUTSIDE, Instruction, Ref, Root
from minigen.capture.traced import Traced, plain
from minigen.capture.watching import Watching

__all__ = ["Recorder"]

_EMPTY = (np.empty, np.empty_like)
_FILLED = (np.zeros, np.zeros_like, np.ones, np.ones_like, np.full, np.full_like)
_FROM_HOST = (
    *(np.array, np.asarray, np.ascontiguousarray, np.arange, np.linspace),
    *(np.eye, np.identity, np.tri),
)
_WRITING = (
    *(operator.setitem, np.copyto, np.put, np.put_along_axis, np.fill_diagonal, np.place),
    *(np.putmask, np.ndarray.fill, np.ndarray.sort, np.ndarray.put, np.ndarray.partition),
    scatter_add,
)
_READING = (np.allclose, np.array_equal, np.array_equiv, np.isscalar)
_BY_VALUE = (np.nonzero, np.argwhere, np.flatnonzero, np.unique, np.extract, np.compress)
_ABOUT = (np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.broadcast_shapes)


class Recorder(Watching):
    """See the top of this file.

    Attributes:
        instructions: what was written down so far.
        noted: places outside that were overwritten (see ``minigen.autograd.writes``).
    """

    def __init__(self, base: Backend) -> None:
        super().__init__(base)
        self.xp = _Namespace(self, np)
        self.instructions: list[Instruction] = []
        self.noted: dict[tuple[int, int], Place] = {}
        self._views: dict[int, weakref.ref[Traced]] = {}  # id of an array -> how the step sees it
        self._roots: dict[int, Root] = {}  # id of the owner -> its root, while the owner lives
        self._all: list[Root] = []

    # ------------------------------------------------------------------ what the step sees

    def traced(self, array: Any) -> Any:
        """``array``, traced: the same view each time, for the engine compares by identity."""
        if type(array) is not np.ndarray:
            return array
        reference = self._views.get(id(array))
        view = None if reference is None else reference()
        if view is None or view.original is not array:
            view = array.view(Traced)
            view.original = array
            self._views[id(array)] = weakref.ref(view)
        return view

    def plain(self, array: Any) -> Any:
        """The ordinary array that a traced one shows."""
        if not isinstance(array, np.ndarray) or type(array) is np.ndarray:
            return array
        original = array.original if isinstance(array, Traced) else None
        is_it = original is not None and self.same(original, array)
        return original if is_it else array.view(np.ndarray)

    # ------------------------------------------------------------------ memory

    def root_of(self, owner: np.ndarray, kind: str) -> Root:
        """A new root for the memory that ``owner`` owns."""
        root = Root(kind, owner.nbytes, _address(owner))
        key = id(owner)
        root.ref = weakref.ref(owner, lambda _: self._roots.pop(key, None))
        self._roots[key] = root
        self._all.append(root)
        return root

    def ref(self, array: np.ndarray, keep: bool = False) -> Ref:
        """``array`` as a place in a root; unknown memory is outside.

        ``keep`` holds on to unknown memory: a constant that only this call knows.
        """
        owner = owner_of(array)
        root = self._known(owner)
        if root is None:
            root = self.root_of(owner, OUTSIDE)
            if keep:
                root.owner = owner
        offset = _address(array) - root.address if array.size else 0
        return Ref(root, offset, array.shape, array.strides, array.dtype)

    def knows(self, array: np.ndarray) -> bool:
        """Whether the memory of ``array`` has a root."""
        return self._known(owner_of(array)) is not None

    def _known(self, owner: np.ndarray) -> Root | None:
        """The root of the memory that ``owner`` owns. (Should an interrupt have swallowed the news
        that an earlier owner died, its root is not taken for that of the next at its address.)"""
        root = self._roots.get(id(owner))
        return root if root is not None and root.ref() is owner else None

    def constant(self, value: Any) -> Traced:
        """Values that come from the host: the same in every replay."""
        array = np.asarray(value)
        if array.base is not None or not array.flags.owndata:
            array = array.copy(order="K")
        made = np.empty_like(array)
        made[...] = array
        out = self.ref(array, keep=True)
        self.root_of(made, MADE)
        self._add(operator.setitem, (self.ref(made), Ellipsis, out), {}, ())
        return made.view(Traced)

    def _template(self, value: Any, keep: bool = False) -> Any:
        """Arguments with a Ref for each array."""
        if isinstance(value, np.ndarray):
            return self.ref(value, keep)
        if type(value) in (tuple, list):
            return type(value)([self._template(part, keep) for part in value])
        return value

    def _add(
        self, function: Any, args: tuple[Any, ...], options: dict[str, Any], outs: tuple[Ref, ...]
    ) -> None:
        self.instructions.append(Instruction(function, args, options, outs, calling_place()))

    # ------------------------------------------------------------------ calls

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Execute ``function(*args, **kwargs)`` and write it down; results come traced."""
        if function in _READING:
            raise host_read(function.__name__)
        if function in _BY_VALUE or (function is operator.getitem and _has_mask(args[1])):
            raise host_read(f"the length of {function.__name__} by a mask")
        if function in _ABOUT:
            return function(*plain(tuple(args)), **kwargs)
        options = dict(kwargs)
        out = options.pop("out", None)
        if isinstance(function, np.ufunc) and len(args) > function.nin:
            out, args = tuple(args[function.nin :]), tuple(args[: function.nin])
        args = tuple(args)
        given = () if out is None else out if type(out) is tuple else (out,)

        if function in _EMPTY:
            made = function(*plain(args), **options)
            self.root_of(made, MADE)
            return made.view(Traced)
        if function in _FILLED:
            return self._filled(function, args, options)
        if function in _FROM_HOST and not any(self._is_ours(value) for value in args):
            return self.constant(function(*args, **options))

        refs = self._template(args)
        option_refs = {key: self._template(value) for key, value in options.items()}
        plain_options = {key: plain(value) for key, value in options.items()}
        if given:
            function(*plain(args), **plain_options, out=plain(out))
            self._add(function, refs, option_refs, tuple([self.ref(x) for x in given]))
            return given[0] if len(given) == 1 else given
        if function in _WRITING or getattr(function, "__name__", "") == "at":
            function(*plain(args), **plain_options)
            self._add(function, refs, option_refs, ())
            return None
        result = function(*plain(args), **plain_options)
        return self._made(function, refs, option_refs, result)

    def _is_ours(self, value: Any) -> bool:
        return isinstance(value, np.ndarray) and (isinstance(value, Traced) or self.knows(value))

    def _filled(self, function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Traced:
        """Zeros, ones or a value everywhere: memory and a ``fill``."""
        plain_options = {key: plain(value) for key, value in options.items()}
        made = function(*plain(args), **plain_options)
        self.root_of(made, MADE)
        value: Any = {"z": 0, "o": 1}.get(function.__name__[0])
        if value is None:
            value = args[1] if len(args) > 1 else options["fill_value"]
        if isinstance(value, np.ndarray):
            self._add(operator.setitem, (self.ref(made), Ellipsis, self.ref(value)), {}, ())
        else:
            self._add(np.ndarray.fill, (self.ref(made), value), {}, ())
        return made.view(Traced)

    def _made(self, function: Any, refs: Any, option_refs: Any, result: Any) -> Any:
        """The results of a call, traced; a call whose results are all views is not written down."""
        several = isinstance(result, (tuple, list))
        results = [_as_array(part) for part in result] if several else [_as_array(result)]
        if not all(isinstance(part, np.ndarray) for part in results):
            if any(isinstance(value, Ref) for value in refs):
                raise host_read(getattr(function, "__name__", str(function)))
            return result
        fresh = [part for part in results if not self.knows(part)]
        if fresh:
            for part in fresh:
                if not self.knows(part):
                    self.root_of(owner_of(part), MADE)
            self._add(function, refs, option_refs, tuple([self.ref(part) for part in results]))
        traced = [part.view(Traced) for part in results]
        if not several:
            return traced[0]
        return type(result)(*traced) if hasattr(result, "_fields") else type(result)(traced)

    # ------------------------------------------------------------------ the backend's other doors

    def asarray(self, value: Any, dtype: Any = None) -> Any:
        """The array itself, traced; values of the host become constants of the recording."""
        if not isinstance(value, np.ndarray):
            return self.constant(np.asarray(value, dtype=dtype))
        if not self._is_ours(value):  # somebody's array: kept, and used where it is
            value = np.asarray(value, dtype=dtype)
            self.ref(value, keep=True)
        traced = value.view(Traced)
        return traced if dtype is None or traced.dtype == dtype else traced.astype(dtype)

    def to_host(self, array: Any) -> np.ndarray:
        """Raises: a replay cannot wait for a value."""
        raise host_read("item, numpy, float, bool or print")

    def generator(self, seed: int) -> RandomStream:
        """A stream of the backend underneath."""
        return self.base.generator(seed)

    def scatter_add(self, target: Any, index: Any, values: Any) -> None:
        """As NumPy's backend does it."""
        self.call(scatter_add, (target, index, values), {})

    def run(self, routine: Callable[..., Any], *args: Any) -> None:
        """Execute a compiled routine and write it down as it is."""
        refs = self._template(args, keep=True)
        routine(*plain(args))
        self._add(routine, refs, {}, ())

    def memory(self) -> MemoryFigures:
        """The figures of the backend underneath."""
        return self.base.memory()

    # ------------------------------------------------------------------ what the host does

    def repeat(self, action: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Do ``action(*args)`` now, unrecorded, and again at this place of every replay."""
        self.unrecorded(action, *args)
        self._add(action, args, {}, ())

    def draw(self, generator: Any, kind: str, args: tuple[Any, ...]) -> Traced:
        """Random numbers, into the same buffer at every replay."""
        drawn = np.asarray(self.unrecorded(generator.draw, kind, *args))
        if not drawn.flags.owndata:
            drawn = drawn.copy()
        self.root_of(drawn, MADE)
        rest = args if kind == "integers" else args[:1] if kind == "permutation" else ()
        self._add(generator.fill, (kind, self.ref(drawn), *rest), {}, ())
        return drawn.view(Traced)

    def note(self, array: np.ndarray) -> None:
        """Memory outside was overwritten; replays will say so too."""
        ref = self.ref(array)
        if ref.root.kind == OUTSIDE:
            self.noted[extent(array)] = place_of(array)

    def same(self, one: Any, other: Any) -> bool:
        """Whether two arrays are the same elements of memory (one may be the other, traced)."""
        return (
            one.shape == other.shape
            and one.strides == other.strides
            and one.dtype == other.dtype
            and _address(one) == _address(other)
        )

    def hold_outside(self, others: Sequence[Ref]) -> None:
        """Take hold of the outside memory, once the step's own references are gone."""
        for ref in others:
            ref.root.hold("a result", "")
        for instruction in self.instructions:
            for ref in instruction.refs():
                ref.root.hold(instruction.name, " at {}:{}".format(*instruction.place))

    def still_alive(self) -> list[Root]:
        """Roots made by the step whose memory somebody still holds."""
        roots = list(self._roots.values())
        return [root for root in roots if root.kind == MADE and root.ref() is not None]


class _Namespace:
    """NumPy with every function recorded; types and constants as they are."""

    def __init__(self, recorder: Recorder, module: Any) -> None:
        self._recorder, self._module = recorder, module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if isinstance(found, types.ModuleType):
            found = _Namespace(self._recorder, found)
        elif callable(found) and not inspect.isclass(found):
            found = self._recorded(found)
        setattr(self, name, found)
        return found

    def _recorded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        recorder = self._recorder

        def call(*args: Any, **kwargs: Any) -> Any:
            return recorder.call(function, args, kwargs)

        return call


def owner_of(array: Any) -> np.ndarray:
    """The last array in the chain of views below ``array``: whoever owns the memory."""
    last = array
    while (array := getattr(array, "base", None)) is not None:
        if isinstance(array, np.ndarray):
            last = array
    return last


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _as_array(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, np.generic) else value


def _has_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(getattr(part, "dtype", None) == np.bool_ for part in parts)
