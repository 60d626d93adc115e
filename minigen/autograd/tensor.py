"""The tensor: an array that remembers where it came from.

A :class:`Tensor` holds a raw array of the backend in ``data`` and, when it was computed from
something that requires a gradient, the tape's node in ``node``. Those two are the whole
engine seen from outside; the rest of this file is convenience.

A *leaf* is a tensor that no recorded op made: a parameter, an input. ``backward()`` puts
the gradients of leaves into their ``grad``.

Operators look their op up by name in :data:`~minigen.autograd.operation.functions`, because
the ops stand one floor above; ``minigen.ops.methods`` adds the named methods (``x.sum()``).
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigen.autograd import writes
from minigen.autograd.mode import mode
from minigen.autograd.operation import functions
from minigen.autograd.tape import Node
from minigen.backends import Array, active, to_host
from minigen.thread_state import at_work, current

DEFAULT_DTYPE = np.dtype("float32")
_ndarray = np.ndarray
_OWN_REFERENCES = 2  # to a gradient that nobody has kept: its leaf's, and that of the question


class Tensor:
    """An n-dimensional array with a place on the tape.

    Attributes:
        data: the raw array (``numpy.ndarray`` or the backend's own). Writing into it goes
            unnoticed by the engine; ``x[...] = value`` and ``x.copy_(value)`` are safe.
        node: the tape's node that computed it, or None for a leaf.
        grad: for a leaf after ``backward()``, the gradient as a tensor; otherwise None.
        requires_grad: whether gradients flow to or through this tensor.
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_requires_grad", "grad_buffer", "hooks", "node")

    def __init__(self, data: Any, requires_grad: bool = False, node: Node | None = None) -> None:
        if type(data) is not _ndarray:
            data = self._stored(data)
        if at_work:
            self._made_beside()
        self._data: Array = data
        self._requires_grad = requires_grad
        self.node = node
        self._grad: Tensor | None = None
        self.grad_buffer: Array | None = None  # where an optimizer wants the gradient to lie
        self.hooks: list[Callable[[Any], Any]] | None = None

    # ------------------------------------------------------------------ what it is

    def _stored(self, data: Any) -> Array:
        """What a new tensor keeps of anything that is no plain NumPy array."""
        if isinstance(data, Tensor) or not hasattr(data, "dtype"):
            raise TypeError(
                f"mg.Tensor wraps an array of the backend, got {type(data).__name__}; use mg.tensor"
            )
        recorder = current().recorder
        return _plain(data) if recorder is None else recorder.stored(self, data)

    def _made_beside(self) -> None:
        """Tell the recorders of other threads that this tensor is made while they record."""
        own = current().recorder
        for recorder in list(at_work.values()):
            if recorder is not own:
                recorder.made_beside(self)

    @property
    def data(self) -> Any:
        """The raw array; in a recorded step, one that tells the recorder what is done with it.

        (Every op comes by here, so the engine reads ``_data`` and asks for the recorder once.)
        """
        recorder = current().recorder
        return self._data if recorder is None else recorder.shown(self)

    @data.setter
    def data(self, data: Any) -> None:
        if isinstance(data, Tensor):  # `p.data -= rate * p.grad` arrives here as a tensor
            data = data._data
        elif not hasattr(data, "dtype"):
            raise TypeError(f"data must be an array or a tensor, got {type(data).__name__}")
        if self._requires_grad and data.dtype.kind != "f":
            raise TypeError(f"data of a tensor that requires grad must be floats, got {data.dtype}")
        buffer = self.grad_buffer
        if buffer is not None and (buffer.dtype != data.dtype or buffer.shape != data.shape):
            self.grad_buffer = None  # a gradient of the new kind does not fit in there
        recorder = current().recorder
        self._data = _plain(data) if recorder is None else recorder.rebound(self, data)

    def _set_requires_grad(self, requires_grad: bool) -> None:
        if type(requires_grad) is not bool:
            raise TypeError(f"requires_grad must be True or False, got {requires_grad!r}")
        if requires_grad != self._requires_grad:
            self.requires_grad_(requires_grad)

    # Ops read ``_requires_grad``, everybody else this.
    requires_grad: Any = property(operator.attrgetter("_requires_grad"), _set_requires_grad)

    def _set_grad(self, grad: Tensor | None) -> None:
        if grad is not None:
            if not isinstance(grad, Tensor):
                raise TypeError(f"grad must be a tensor or None, got {type(grad).__name__}")
            if grad._data.shape != self._data.shape or grad._data.dtype != self._data.dtype:
                raise ValueError(
                    f"grad must have the shape {self.shape} and dtype {self.dtype} of its tensor, "
                    f"got {grad.shape} and {grad.dtype}"
                )
        recorder = current().recorder
        if recorder is not None:
            recorder.notice(self)
        if self.grad_buffer is not None and self._grad is not grad:
            if recorder is None:
                self.leave_gradient(self.grad_buffer)
            else:
                recorder.leave_gradient(self)
        self._grad = grad

    def leave_gradient(self, place: Array) -> None:
        """Before ``place``, where ``grad`` may lie, is written anew: who has kept ``grad`` (in a
        list of gradients, say) keeps its values, in memory of their own.
        """
        if self._grad is not None and sys.getrefcount(self._grad) > _OWN_REFERENCES:
            kept = self._grad
            if kept._data is place:
                kept._data = place.copy()

    # The getter is C code, because optimizers ask every parameter several times a step.
    grad: Any = property(operator.attrgetter("_grad"), _set_grad)

    # Getters in C, because layers and ops ask all the time.
    shape: Any = property(operator.attrgetter("_data.shape"), doc="The length of each dimension.")
    dtype: Any = property(
        operator.attrgetter("_data.dtype"), doc="The element type: a ``numpy.dtype`` everywhere."
    )
    ndim: Any = property(operator.attrgetter("_data.ndim"), doc="The number of dimensions.")

    def dim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    def size(self, dim: int | None = None) -> Any:
        """The shape; with ``dim``, the length of that dimension. (``numel`` counts elements.)"""
        if dim is None:
            return self._data.shape
        if not -self._data.ndim <= dim < self._data.ndim:
            raise IndexError(f"dim must lie within shape {self._data.shape}, got {dim}")
        return self._data.shape[dim]

    def numel(self) -> int:
        """The number of elements."""
        return self._data.size

    @property
    def is_leaf(self) -> bool:
        """True if no recorded op made this tensor."""
        return self.node is None

    def __len__(self) -> int:
        if not self.data.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.data.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        body = np.array2string(self.numpy(), separator=", ", prefix="tensor(", threshold=200)
        tail = ""
        if self.dtype not in (DEFAULT_DTYPE, np.int64, np.bool_):
            tail += f", dtype={self.dtype}"
        if self.node is not None:
            tail += f", op={self.node.op.name}"
        elif self.requires_grad:
            tail += ", requires_grad=True"
        return f"tensor({body}{tail})"

    # ------------------------------------------------------------------ to the host

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array: the same memory on a CPU, a copy from a GPU.

        The memory of a tensor that takes part in differentiation comes read-only: a write
        through NumPy would go unnoticed. Use ``x.detach().numpy()`` to write nevertheless.
        """
        host = to_host(self.data)
        if self.requires_grad and host is self.data:
            host = host.view()
            host.flags.writeable = False
        return host

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """What NumPy's own functions ask for; refused where the gradient would be lost unsaid."""
        if self.requires_grad and mode.grad_enabled:
            raise RuntimeError(
                "a tensor that requires grad does not become a NumPy array by itself, since its "
                "gradient would be lost; use x.detach(), or minigen's function of the same name"
            )
        if active.backend.name != "numpy":
            raise TypeError(
                f"a tensor of backend {active.backend.name} does not convert to NumPy by itself; "
                f"call x.numpy()"
            )
        host = self.numpy()
        if copy or (dtype is not None and host.dtype != dtype):
            return np.array(host, dtype=dtype, copy=True)
        return host

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """``array * tensor``, ``np.exp(tensor)``: minigen's op of that name, which records.

        With ``out``, as in ``p.data -= rate * p.grad``, values are written into an array; they
        must not require grad. Whatever has no op here is refused.
        """
        out = options.pop("out", None)
        if method == "__call__" and not options:
            if ufunc is np.matmul and out is None:
                return functions.alias(inputs[0]).matmul(inputs[1])
            if out is not None:
                return ufunc(*[np.asarray(x) for x in inputs], out=out)
            try:
                op = getattr(functions, ufunc.__name__)
            except AttributeError:
                pass
            else:
                return op(*inputs)
        raise TypeError(f"NumPy's {ufunc.__name__} does not take tensors; use x.detach().numpy()")

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        """``np.mean(x)``, ``np.stack([x, y])``: computed by NumPy, off the tape; see __array__."""
        convert = _shape_only if function in (np.shape, np.ndim, np.size) else np.asarray
        values = {name: _without_tensors(value, convert) for name, value in kwargs.items()}
        return function(*_without_tensors(args, convert), **values)

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item() needs exactly one element, got shape {self.shape}")
        return to_host(self.data).item()

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return to_host(self.data).tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"only an integer tensor can be an index, got {self.dtype}")
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        """``f"{loss:.2f}"``: a 0-d tensor is written as its number, any other as itself."""
        if not self.data.shape:
            return format(self.item(), spec)
        if spec:
            raise TypeError(f"a format is for a 0-d tensor, got {spec!r} for shape {self.shape}")
        return repr(self)

    def __round__(self, digits: int | None = None) -> Any:
        """``round(loss, 2)``: the value of a one-element tensor, rounded as Python does."""
        return round(self.item(), digits)

    def __dlpack__(self, **kwargs: Any) -> Any:
        """The memory itself, for another library (zero-copy); see ``mg.from_dlpack``."""
        if self.requires_grad:
            raise BufferError("a tensor that requires grad cannot be exported; use x.detach()")
        return self.data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    # ------------------------------------------------------------------ differentiation

    @property
    def edge(self) -> Any:
        """Where gradients for this tensor go: its node, itself if a leaf, None if nowhere."""
        return self.node if self.node is not None else self if self._requires_grad else None

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:
        """Add d(self)/d(leaf), times ``gradient``, to ``grad`` of every leaf below.

        Args:
            gradient: same shape as self; may be left out if self has one element.
            retain_graph: keep what the tape saved, so that backward can run again.
            create_graph: make the gradients differentiable themselves.
        """
        from minigen.autograd.gradients import backward

        backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def detach(self) -> Tensor:
        """The same memory, off the tape."""
        return Tensor(self.data)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether this leaf requires a gradient; returns self."""
        if self.node is not None:
            raise RuntimeError("requires_grad can only be changed on a leaf; use x.detach() first")
        if requires_grad and self.dtype.kind != "f":
            raise TypeError(f"only a floating-point tensor can require grad, got {self.dtype}")
        self._requires_grad = requires_grad
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call ``hook(gradient)`` when this tensor's gradient is known; it may return another.

        Returns a function that removes the hook.
        """
        if not self.requires_grad:
            raise RuntimeError("a hook needs a tensor that requires grad")
        holder: Any = self if self.node is None else self.node
        if holder.hooks is None:
            holder.hooks = []
        holder.hooks.append(hook)
        return lambda: holder.hooks.remove(hook)

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf in ``grad`` as well."""
        if self.node is None:
            return
        import weakref

        me = weakref.ref(self)

        def keep(gradient: Tensor) -> None:
            tensor = me()
            if tensor is not None:
                if gradient.node is None:  # borrowed from the walk, see tape.py
                    gradient = Tensor(gradient.data.copy())
                tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient

        self.register_hook(keep)

    # ------------------------------------------------------------------ writing

    def _check_writable(self) -> None:
        if self.node is not None or (self._requires_grad and mode.grad_enabled):
            what = (
                f"the result of {self.node.op.name}" if self.node else "a leaf that requires grad"
            )
            raise RuntimeError(
                f"cannot write into {what} in place: the tape needs its value; make a new tensor "
                f"(x = x + y, mg.where, mg.scatter, mg.concatenate), or write to a leaf under "
                f"mg.no_grad()"
            )

    def _write(self, index: Any, value: Any) -> None:
        """``self[index] = value``, where it is allowed: every write of a tensor comes by here."""
        self._check_writable()
        if isinstance(value, Tensor):
            if value.requires_grad and mode.grad_enabled:
                raise RuntimeError(
                    "cannot write a tensor that requires grad into memory off the tape, since its "
                    "gradient would be lost; use mg.where, mg.scatter, mg.stack or "
                    "mg.concatenate, or write value.detach()"
                )
            value = value.data
        elif type(value) not in (bool, int, float):  # np.float64 is a float
            value = active.backend.asarray(value)
            if value.dtype.kind not in "fiub":
                raise TypeError(f"a tensor holds real numbers and booleans, got {value.dtype}")
        data = self.data
        place = writes.note_write(data)
        data[_raw_index(index)] = value
        writes.note_places([place])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._write(index, value)

    def copy_(self, value: Any) -> Tensor:
        """Overwrite with ``value`` (broadcast, cast); returns self. For leaves only."""
        self._write(..., value)
        return self

    def _update(self, function: Callable[[Any, Any], Tensor], other: Any) -> Tensor:
        """``self = function(self, other)`` in the memory of self: ``+=`` and its like.

        Raises:
            RuntimeError: self may not be written, or ``other`` would leave the tape.
            ValueError, TypeError: the result has another shape, or is a float and self is not.
        """
        self._check_writable()
        result = function(self, other)
        if result.shape != self.shape:
            raise ValueError(
                f"an in-place operation cannot change the shape {self.shape} into {result.shape}"
            )
        if not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise TypeError(
                f"an in-place operation cannot keep {result.dtype} values in a tensor of "
                f"{self.dtype}"
            )
        self._write(..., result)
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.node is not None:
            raise RuntimeError("only a leaf can be deep-copied; use x.detach().clone()")
        twin = type(self).__new__(type(self))
        Tensor.__init__(twin, self.data.copy(), self.requires_grad)
        memo[id(self)] = twin
        if self.grad is not None:
            twin.grad = Tensor(self.grad.data.copy())
        return twin

    def __copy__(self) -> Tensor:
        """Another tensor over the same memory (``copy.copy``)."""
        if self.node is not None:
            raise RuntimeError("only a leaf can be copied; use x.detach() or x.clone()")
        twin = type(self).__new__(type(self))
        Tensor.__init__(twin, self.data, self.requires_grad)
        return twin

    def __reduce__(self) -> Any:
        raise TypeError("minigen never pickles; save with minigen.nn's state_dict and safetensors")

    # ------------------------------------------------------------------ operators

    def __getitem__(self, index: Any) -> Tensor:
        return functions.getitem(self, index=_raw_index(index))

    def __add__(self, other: Any) -> Tensor:
        return functions.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return functions.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return functions.subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return functions.subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return functions.multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return functions.multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return functions.divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return functions.divide(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return functions.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return functions.floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return functions.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return functions.remainder(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return functions.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return functions.power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return self.matmul(other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return functions.alias(other).matmul(self)

    def __neg__(self) -> Tensor:
        return functions.negative(self)

    def __abs__(self) -> Tensor:
        return functions.absolute(self)

    def __invert__(self) -> Tensor:
        return functions.bitwise_not(self)

    def __and__(self, other: Any) -> Tensor:
        return functions.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return functions.bitwise_and(other, self)

    def __or__(self, other: Any) -> Tensor:
        return functions.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Tensor:
        return functions.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Tensor:
        return functions.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return functions.bitwise_xor(other, self)

    def __iadd__(self, other: Any) -> Tensor:
        return self._update(operator.add, other)

    def __isub__(self, other: Any) -> Tensor:
        return self._update(operator.sub, other)

    def __imul__(self, other: Any) -> Tensor:
        return self._update(operator.mul, other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self._update(operator.truediv, other)

    def __ifloordiv__(self, other: Any) -> Tensor:
        return self._update(operator.floordiv, other)

    def __imod__(self, other: Any) -> Tensor:
        return self._update(operator.mod, other)

    def __ipow__(self, other: Any) -> Tensor:
        return self._update(operator.pow, other)

    def __imatmul__(self, other: Any) -> Tensor:
        return self._update(operator.matmul, other)

    def __iand__(self, other: Any) -> Tensor:
        return self._update(operator.and_, other)

    def __ior__(self, other: Any) -> Tensor:
        return self._update(operator.or_, other)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return functions.eq(self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return functions.not_equal(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return functions.less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return functions.less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return functions.greater(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return functions.greater_equal(self, other)

    __hash__ = object.__hash__  # tensors are dictionary keys by identity; == is elementwise

    def __getattr__(self, name: str) -> Any:
        """A name that is not here. (The named methods are attached by ``minigen.ops.methods``.)"""
        from minigen.nearest import missing, public

        raise missing("a tensor", name, {"x.": public(dir(type(self)))})


def _plain(data: Any) -> Array:
    """The array that a tensor keeps: no scalar of NumPy's, and no subclass of its arrays."""
    if type(data) is _ndarray:
        return data
    if isinstance(data, np.generic):  # NumPy's reductions and indexing give scalars
        return np.asarray(data)
    return data.view(_ndarray) if isinstance(data, _ndarray) else data


def _without_tensors(value: Any, convert: Callable[[Any], Any]) -> Any:
    """The arguments of a NumPy function with its tensors, in lists and tuples too, as arrays."""
    if type(value) in (tuple, list):
        return type(value)([_without_tensors(part, convert) for part in value])
    return convert(value) if isinstance(value, Tensor) else value


def _shape_only(x: Tensor) -> np.ndarray:
    """An array with the shape of a tensor, whose values nobody will read."""
    return np.broadcast_to(np.zeros((), dtype=x.dtype), x.shape)


def _raw_index(index: Any) -> Any:
    """The index with tensors and NumPy arrays as raw arrays of the backend."""
    if isinstance(index, tuple):
        return tuple(_raw_index(part) for part in index)
    if isinstance(index, np.ndarray):
        return active.backend.asarray(index)
    return index.data if isinstance(index, Tensor) else index
