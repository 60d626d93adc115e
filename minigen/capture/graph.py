"""A recording on a device that writes its own work down: CUDA graphs, and their double on strict.

Where the host records call by call (``recording.py``), a CUDA stream in capture mode notes kernels
and addresses by itself, and one launch does them all again. What remains for us is what no kernel
can do. A replay is therefore a list of *parts*:

    draws into fixed buffers · graph · an optimizer's update · draws · graph · …

- **The host's part of a step** (a step count, a learning rate that a schedule has moved, the
  optimizer's kernel that takes both as numbers) is not captured: a graph ends before it and
  another one begins behind it. This keeps learning rates live, and costs one launch more.
- **Random numbers** are drawn before the graph that uses them, from the step's own streams, into
  buffers that the graph reads. Their order is that of the step, so the numbers are the eager ones.
- **Values from the host** (a mask made with NumPy) are brought over once and copied in the graph.

While a graph is captured *nothing is computed*. The call that records ends with a first replay.

The graph knows addresses and not tensors. So every array that a tensor showed when the step was
recorded is kept alive with the recording, and if a leaf tensor has been given another array since,
the step is recorded again.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from minigen.autograd import writes
from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import Place, extent, place_of
from minigen.backends import active
from minigen.backends.base import Array, Backend, GraphMaker, MemoryFigures, RandomStream
from minigen.capture.errors import CaptureError, host_read, line_of, one_line
from minigen.capture.structure import flatten, raw, rebuild
from minigen.capture.watching import Guard, Watching, hold, leave, show
from minigen.errors import UserError

__all__ = ["GraphRecorder", "GraphRecording"]


class GraphRecorder(Watching):
    """The backend that a step sees while the device writes down what it asks for.

    Attributes:
        parts: what a replay does, in order.
        kept: arrays that graphs read and that nobody else may keep.
        noted: places that were overwritten (see ``minigen.autograd.writes``).
    """

    def __init__(self, base: Backend, maker: GraphMaker) -> None:
        super().__init__(base)
        self.maker = maker
        self.xp = _Namespace(self, base.xp)
        self.parts: list[Callable[[], Any]] = []
        self.kept: list[Array] = []
        self.noted: dict[tuple[int, int], Place] = {}

    def __getattr__(self, name: str) -> Any:
        """What kernels ask of their own backend: ``launch``, tables, libraries."""
        return getattr(self.base, name)

    def finish(self) -> None:
        """End the graph in the making; it is the next part."""
        self.parts.append(self.maker.end().launch)

    # ------------------------------------------------------------------ the backend's doors

    def constant(self, value: Any, dtype: Any = None) -> Array:
        """Values that come from the host: the same at every replay, in memory of the graph."""
        with self.maker.aside():
            brought = self.base.asarray(value, dtype)
        self.kept.append(brought)
        made = self.base.xp.empty_like(brought)
        made[...] = brought  # the step may write into its own
        return made

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        """The array itself; values of the host become constants of the recording."""
        if isinstance(value, self.array_type):
            return self.base.asarray(value, dtype)
        return self.constant(value, dtype)

    def to_host(self, array: Array) -> np.ndarray:
        """Raises: there is no value yet."""
        raise host_read("item, numpy, float, bool or print")

    def generator(self, seed: int) -> RandomStream:
        """A stream of the backend underneath."""
        return self.base.generator(seed)

    def scatter_add(self, target: Array, index: Any, values: Array) -> None:
        """As the backend underneath."""
        self.base.scatter_add(target, index, values)

    def memory(self) -> MemoryFigures:
        """The figures of the backend underneath."""
        return self.base.memory()

    # ------------------------------------------------------------------ what the host does

    def repeat(self, action: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """``action(*args)`` is a part of its own, between two graphs."""
        self.finish()
        self.parts.append(functools.partial(action, *args))
        self.maker.begin()

    def draw(self, generator: Any, kind: str, args: tuple[Any, ...]) -> Array:
        """A buffer that is filled before the graph in the making is launched."""
        shape, dtype, rest = _drawn(kind, args)
        with self.maker.aside():
            out = self.base.xp.empty(shape, dtype=dtype)
        self.kept.append(out)
        self.parts.append(functools.partial(generator.fill, kind, out, *rest))
        return out

    def note(self, array: Array) -> None:
        """Memory was overwritten; replays will say so too."""
        self.noted[extent(array)] = place_of(array)

    def leave_gradient(self, tensor: Tensor) -> None:
        """Nothing yet, for a graph in the making writes nothing; see ``GraphRecording._record``."""

    def same(self, one: Array, other: Array) -> bool:
        """Whether two arrays are the same elements of memory."""
        return (
            one.shape == other.shape
            and one.strides == other.strides
            and one.dtype == other.dtype
            and one.data.ptr == other.data.ptr
        )


def _drawn(kind: str, args: tuple[Any, ...]) -> tuple[tuple[int, ...], Any, tuple[Any, ...]]:
    """Shape and dtype of a draw, and what ``Generator.fill`` wants to know besides."""
    if kind == "integers":
        return args[2], np.int64, args
    if kind == "permutation":
        return (args[0],), np.int64, args
    return args[0], args[1], ()


class _Namespace:
    """The device's array functions; what host data they need comes over outside the graph."""

    def __init__(self, recorder: GraphRecorder, module: Any) -> None:
        self._recorder, self._module = recorder, module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        setattr(self, name, found)
        return found

    def array(self, obj: Any, dtype: Any = None, copy: bool = True, order: Any = "K") -> Array:
        """``xp.array``."""
        if isinstance(obj, self._recorder.array_type):
            return self._module.array(obj, dtype=dtype, order=order)
        return self._recorder.constant(obj, dtype)

    def asarray(self, a: Any, dtype: Any = None) -> Array:
        """``xp.asarray``."""
        return self._recorder.asarray(a, dtype)

    def concatenate(self, tup: Sequence[Array], axis: int = 0, out: Any = None) -> Array:
        """``xp.concatenate``, piece by piece: CuPy's own brings a table of addresses over."""
        xp, arrays = self._module, list(tup)
        axis %= arrays[0].ndim
        ends = [0, *itertools.accumulate(array.shape[axis] for array in arrays)]
        shape = (*arrays[0].shape[:axis], ends[-1], *arrays[0].shape[axis + 1 :])
        if out is None:
            out = xp.empty(shape, dtype=xp.result_type(*arrays))
        for array, begin, end in zip(arrays, ends, ends[1:]):
            out[(slice(None),) * axis + (slice(begin, end),)] = array
        return out

    def stack(self, tup: Sequence[Array], axis: int = 0, out: Any = None) -> Array:
        """``xp.stack``, for the same reason."""
        return self.concatenate([self._module.expand_dims(x, axis) for x in tup], axis, out)


class GraphRecording:
    """A step, recorded once; see the top of this file.

    Args:
        step: the function.
        arguments, keywords: the structure of its arguments (see ``structure.py``).
        given: the tensors and arrays in them.

    Attributes:
        result: what the recorded call itself gave; in the same memory as later results.

    Raises:
        CaptureError: the device cannot write the step down; nothing has been computed then.
    """

    def __init__(
        self, step: Callable[..., Any], arguments: Any, keywords: Any, given: list[Any]
    ) -> None:
        base = active.backend
        self._maker = base.graph_maker()
        assert self._maker is not None
        self._inputs = [_buffer(x, base) for x in given]
        self._recorder = recorder = GraphRecorder(base, self._maker)
        try:
            self._record(step, arguments, keywords, given)
            self.result = self._play()
        except BaseException as error:
            self._maker.abandon()
            for entry in recorder.touched.values():
                entry.restore()
            if _is_the_devices(error):
                raise CaptureError(
                    f"a captured step cannot do this on {base.name}: {one_line(error)}, at "
                    f"{line_of(error)}"
                ) from error
            raise
        recorder.touched.clear()

    def _record(
        self, step: Callable[..., Any], arguments: Any, keywords: Any, given: list[Any]
    ) -> None:
        """Run the step for its parts, and note what they rely on."""
        recorder = self._recorder
        result = self._run(step, arguments, keywords, given)
        found: list[Any] = []
        self._structure = flatten(result, found)
        self._outputs = [raw(x) for x in found]
        self._is_tensor = [isinstance(x, Tensor) for x in found]
        _write_back(recorder)
        recorder.finish()
        touched = recorder.touched.values()
        for entry in touched:  # whoever has kept a gradient keeps its values, before a replay
            before = entry.grad
            if before is not None and before is not entry.tensor.grad:
                before._data = before._data.copy()
        self._gradients = [
            (e.tensor, None if e.tensor.grad is None else e.tensor.grad._data)
            for e in touched
            if e.tensor.grad is not e.grad
        ]
        self._noted = list(recorder.noted.values())
        self._guards = [*recorder.guards, *_guards(recorder)]
        self._alive = [entry.data for entry in touched]
        recorder.arrived.clear()

    def _run(
        self, step: Callable[..., Any], arguments: Any, keywords: Any, given: list[Any]
    ) -> Any:
        """The step's result, while the device writes down what it asks for."""
        recorder = self._recorder
        inputs = [
            Tensor(buffer, x.requires_grad) if isinstance(x, Tensor) else buffer
            for buffer, x in zip(self._inputs, given)
        ]
        for x in inputs:
            if isinstance(x, Tensor):
                recorder.makes(x)
        recorder.maker.begin()
        return recorder.record(step, *rebuild(arguments, inputs), **rebuild(keywords, inputs))

    def holds(self) -> bool:
        """Whether everything that the recording relies on is as it was."""
        return hold(self._guards)

    def replay(self, given: list[Any]) -> Any:
        """Do it again with other inputs."""
        for buffer, x in zip(self._inputs, given):
            buffer[...] = raw(x)
        return self._play()

    def _play(self) -> Any:
        leave(self._gradients)
        for part in self._recorder.parts:
            part()
        show(self._gradients)
        if self._noted:
            writes.note_places(self._noted)
        arrays = [
            Tensor(array) if is_tensor else array
            for array, is_tensor in zip(self._outputs, self._is_tensor)
        ]
        return rebuild(self._structure, arrays)

    # ------------------------------------------------------------------ to look at

    @property
    def program(self) -> NoReturn:
        """Raises: there is no list of instructions."""
        raise UserError(
            f"a step on {self._recorder.name} is recorded as device graphs, which list no "
            f"instructions; print it for its parts"
        )

    def summary(self) -> str:
        """How many parts a replay has."""
        return f"{len(self._recorder.parts)} parts"

    def table(self) -> str:
        """The parts of a replay, a line each."""
        return "\n".join(
            f"{number:5}  {_shown(part)}" for number, part in enumerate(self._recorder.parts)
        )


def _buffer(x: Any, base: Backend) -> Array:
    """Memory for an argument, holding its values now."""
    array = raw(x)
    if not isinstance(array, base.array_type):
        raise CaptureError(
            f"a step captured on {base.name} takes tensors of that backend, got a "
            f"{type(array).__name__} of shape {tuple(array.shape)}; make it a tensor first"
        )
    return array.copy(order="K")


def _write_back(recorder: GraphRecorder) -> None:
    """A tensor that was given another array: the graph copies it into the one that it had."""
    touched = list(recorder.touched.values())
    known = [extent(_owner(entry.data, recorder.base)) for entry in touched]
    for entry in touched:
        new = entry.tensor.data
        if new is entry.data:
            continue
        low, high = extent(new)
        if any(start <= low and high <= end for start, end in known):
            continue  # moved into memory that was there before, as by an optimizer
        if new.shape != entry.data.shape or new.dtype != entry.data.dtype:
            raise CaptureError(
                f"a captured step cannot change a tensor of shape {entry.data.shape} into "
                f"{new.shape}"
            )
        recorder.base.xp.copyto(entry.data, new)
        entry.tensor.data = entry.data


def _owner(array: Array, base: Backend) -> Array:
    """The last array in the chain of views below ``array``."""
    while isinstance(below := array.base, base.array_type):
        array = below
    return array


def _guards(recorder: GraphRecorder) -> list[Guard]:
    """Leaves lie where they lay; gradients that the step added to are still there."""
    guards: list[Guard] = []
    for entry in recorder.touched.values():
        tensor = entry.tensor
        if tensor.node is None:
            guards.append((tensor, "_data", tensor.data))
            guards.append((tensor, "requires_grad", tensor.requires_grad))
        if tensor in recorder.arrived and recorder.arrived[tensor] is entry.grad:
            guards.append((tensor, "_grad", entry.grad))
    return guards


def _is_the_devices(error: BaseException | None) -> bool:
    """Whether the device refused something; an op may have put its own error round that."""
    while error is not None and not isinstance(error, RuntimeError):
        error = error.__cause__
    return error is not None


def _shown(part: Any) -> str:
    """A part's name: ``graph``, or the function with the shapes that it works on."""
    if not isinstance(part, functools.partial):
        return "graph"
    name = getattr(part.func, "__qualname__", type(part.func).__name__)
    given = [
        str(getattr(x, "shape", x)) for x in part.args if isinstance(x, str) or hasattr(x, "shape")
    ]
    return f"{name} {' '.join(given)}".rstrip()
