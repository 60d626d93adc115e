"""How an op is written down: once forward, once for its gradient.

A **primitive** is a function on raw arrays plus one gradient rule for each input::

    @primitive(broadcasts=True)
    def multiply(b, x, other):
        "x · other"
        return b.xp.multiply(x, other)

    multiply.rules(
        x=lambda f, g, other: g * other,
        other=lambda f, g, x: g * x,
    )

A rule is the vector-Jacobian product: it is given ``g``, the gradient that arrived at the
output, and returns the gradient of that input. The *names* of its other parameters say what
it needs, and only that is kept in memory until the backward pass:

==============  ==========================================================================
``x``           the value of the input called ``x``
``out``         the op's own result
``x_shape``     only the shape of ``x`` (so that ``x`` itself can be freed)
``dim`` …       any option, that is any keyword argument of the op
``into``        the array in which the gradient would best be written, or None. It is given
                in an ordinary backward pass for a parameter of an optimizer, whose gradients
                lie side by side in one buffer; a rule may ignore it
``onto``        the same array where it holds an earlier gradient of this backward pass, to
                which the rule may add its own; it then returns it. Otherwise None
==============  ==========================================================================

``f`` is the trick by which a rule is written once and executed in two ways. It holds all
primitives by name. In an ordinary backward pass they are the bare forward functions and
the rule runs on raw arrays; under ``create_graph=True`` they are the recording ops, the
same rule runs on tensors, and its result can be differentiated again.

A **fused** op does the work of several in one go. It names a ``reference``, the same
function composed of plain ops: what a learner reads, what the tests compare with, and what
is replayed when somebody asks for the gradient of its gradient::

    @fused(reference=_layer_norm)
    def layer_norm(b, x, weight, bias, *, eps):
        ...
        return out, (mean, inverse_deviation)      # the result, and what backward needs

    @layer_norm.backward
    def _(b, g, inputs, saved, needs, *, eps):
        ...
        return g_x, g_weight, g_bias

A backward kernel with a parameter ``out`` is also given the result, which is then kept; one with
``places``, for each input, its pair (into, onto).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minigen.autograd.anomaly import calling_line, check_forward
from minigen.autograd.mode import enable_grad, mode
from minigen.autograd.tape import Node, backpropagate, pick
from minigen.backends import Array, Backend, active
from minigen.errors import UserError

_FLOAT64 = np.dtype("float64")
_FLOAT16 = np.dtype("float16")
_FLOAT32 = np.dtype("float32")
_PLAIN = frozenset({int, float, bool, type(None)})  # scalars that never change a dtype

registry: dict[str, Primitive | Fused] = {}
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
    if backend is active.recorder:  # one recording's own
        return backend.__dict__.setdefault("raw_functions", _RawFunctions(backend))
    if backend not in _raw_functions:
        _raw_functions[backend] = _RawFunctions(backend)
    return _raw_functions[backend]


class _Operation:
    """What primitives and fused ops share: a name, input names, options and error messages."""

    broadcasts = False

    def __init__(self, forward: Callable[..., Any], name: str | None) -> None:
        self.name = name or forward.__name__
        self.forward = forward
        parameters = list(inspect.signature(forward).parameters.values())[1:]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.inputs = [
            p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        self.option_names = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        self.defaults = {
            p.name: p.default
            for p in parameters
            if p.kind is p.KEYWORD_ONLY and p.default is not p.empty
        }
        self.__doc__ = forward.__doc__
        self.__name__ = self.__qualname__ = self.name
        self.__module__ = forward.__module__
        if self.name in registry and registry[self.name].__module__ != self.__module__:
            raise ValueError(f"an op called {self.name!r} exists already in another module")
        registry[self.name] = self  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.inputs)})>"

    def _coerce(self, value: Any) -> Any:
        """An operand that is neither a tensor nor a plain Python scalar, as a raw array."""
        backend = active.backend
        if isinstance(value, backend.array_type):
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
            return backend.asarray(array, _FLOAT32 if array.dtype == _FLOAT64 else None)
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


def _kind(value: Any) -> str:
    return f"{type(value).__module__.split('.')[0]}.{type(value).__qualname__}"


def _promoted(arrays: list[Any], result: Any) -> list[Any] | None:
    """Integers as float32, where NumPy made another float of them; None if nothing is to do.

    NumPy computes ``int64 * float32`` and ``exp(int64)`` in float64, ``exp(bool)`` in float16.
    Here, as in PyTorch, they come out only where they went in.
    """
    if result is not _FLOAT64 and result is not _FLOAT16:
        return None
    if any(getattr(x, "dtype", None) is result for x in arrays):  # (None == float64 is true)
        return None
    return [
        x.astype(_FLOAT32) if hasattr(x, "dtype") and x.dtype.kind in "iub" else x for x in arrays
    ]


class Plan:
    """For one set of inputs that require a gradient: what to keep, and which rules to run.

    Attributes:
        keep: what to save, as pairs ``(kind, which)``.
        rules: triples ``(input index, rule, where each of its arguments is found)``; an
            argument is an index into what was saved, or the name of an option.
    """

    __slots__ = ("keep", "rules")

    INPUT, OUT, SHAPE, DTYPE = range(4)
    INTO, ONTO = -1, -2  # not saved: found when the rule runs

    def __init__(self, op: Primitive, mask: int) -> None:
        keep: list[tuple[int, int]] = []
        self.rules: list[tuple[int, Callable[..., Any], tuple[Any, ...]]] = []
        for index, name in enumerate(op.inputs):
            rule = op.rule_of.get(name)
            if not mask >> index & 1 or rule is None:
                continue
            where: list[Any] = []
            for wanted in list(inspect.signature(rule).parameters)[2:]:
                if wanted in ("into", "onto"):
                    where.append(Plan.INTO if wanted == "into" else Plan.ONTO)
                    continue
                source = self._source(op, wanted)
                if source is None:
                    where.append(wanted)
                    continue
                if source not in keep:
                    keep.append(source)
                where.append(keep.index(source))
            self.rules.append((index, rule, tuple(where)))
        self.keep = tuple(keep)

    @staticmethod
    def _source(op: Primitive, wanted: str) -> tuple[int, int] | None:
        if wanted == "out":
            return Plan.OUT, 0
        if wanted in op.inputs:
            return Plan.INPUT, op.inputs.index(wanted)
        for suffix, kind in (("_shape", Plan.SHAPE), ("_dtype", Plan.DTYPE)):
            if wanted.endswith(suffix) and wanted.removesuffix(suffix) in op.inputs:
                return kind, op.inputs.index(wanted.removesuffix(suffix))
        if wanted in op.option_names:
            return None
        raise TypeError(f"{op.name}: a rule asks for {wanted!r}, which is no input and no option")


class Primitive(_Operation):
    """A differentiable function with one gradient rule for each input; see the module."""

    def __init__(
        self, forward: Callable[..., Any], name: str | None = None, broadcasts: bool = False
    ) -> None:
        super().__init__(forward, name)
        self.broadcasts = broadcasts
        self.rule_of: dict[str, Callable[..., Any]] = {}
        self.joint_rule: Callable[..., Sequence[Any]] | None = None
        self._plans: dict[int, Plan] = {}

    def rules(self, **rules: Callable[..., Any]) -> Primitive:
        """Set the gradient rules by input name; an input without one gets no gradient."""
        unknown = set(rules) - set(self.inputs)
        if unknown:
            raise TypeError(f"{self.name} has no input called {', '.join(sorted(unknown))}")
        self.rule_of.update(rules)
        return self

    def joint(self, rule: Callable[..., Sequence[Any]]) -> Primitive:
        """Set one rule ``rule(f, g, shapes, **options)`` for all inputs of a variadic op."""
        self.joint_rule = rule
        return self

    @property
    def differentiable(self) -> bool:
        """Whether any input has a gradient rule."""
        return bool(self.rule_of) or self.joint_rule is not None

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """Compute on tensors and, if one of them requires a gradient, record it."""
        arrays = []
        edges = []
        mask = 0  # bit i: input i requires a gradient
        bit = 1
        for x in inputs:
            edge = None
            if isinstance(x, Tensor):
                arrays.append(x.data)
                if x.requires_grad:
                    mask |= bit
                    edge = x if x.node is None else x.node
            elif type(x) in _PLAIN:
                arrays.append(x)
            else:
                arrays.append(self._coerce(x))
            edges.append(edge)
            bit += bit
        if self.defaults:
            options = {**self.defaults, **options}

        backend = active.backend
        try:
            out = self.forward(backend, *arrays, **options)
        except Exception as error:
            raise self._explain(error, backend, arrays) from error
        if out.dtype is not _FLOAT32 and (promoted := _promoted(arrays, out.dtype)) is not None:
            out = self.forward(backend, *promoted, **options)
        if not isinstance(out, backend.array_type):
            out = self._as_array(out, backend, arrays)
        if mode.anomaly:
            check_forward(self.name, [out], arrays)

        if not mask or not mode.grad_enabled:
            return Tensor(out)
        node = self._record(edges, arrays, out, options, mask)
        return Tensor(out) if node is None else Tensor(out, True, node)

    def _record(
        self,
        edges: list[Any],
        arrays: list[Any],
        out: Array,
        options: dict[str, Any],
        mask: int,
    ) -> Node | None:
        """A node that keeps what the rules for the inputs in ``mask`` will read."""
        if self.joint_rule is not None:
            node = Node(self, edges, (), options, shapes=tuple([x.shape for x in arrays]))
        else:
            plan = self._plans.get(mask)
            if plan is None:
                plan = self._plans[mask] = Plan(self, mask)
            if not plan.rules:
                return None
            saved = []
            for kind, index in plan.keep:
                if kind == 0:
                    saved.append(arrays[index])
                elif kind == 1:
                    saved.append(out)
                elif kind == 2:
                    saved.append(arrays[index].shape)
                else:
                    saved.append(arrays[index].dtype)
            shapes = None
            if self.broadcasts:
                shape = out.shape
                for index, edge in enumerate(edges):
                    if edge is not None and arrays[index].shape != shape:
                        shapes = tuple([getattr(x, "shape", None) for x in arrays])
                        break
            node = Node(self, edges, saved, options, plan, shapes)
        if mode.anomaly:
            node.caller = calling_line()
        return node

    def kept(self, node: Node) -> Iterator[Any]:
        """The arrays that the node's rules will read."""
        return iter(node.saved)

    def gradients(
        self,
        node: Node,
        grad: Any,
        needed: set[Any] | None,
        create_graph: bool,
        arrived: Mapping[Any, Any] | None = None,
    ) -> Sequence[Any]:
        """Run the rules: on raw arrays, or on tensors when ``create_graph``."""
        f: Any = functions if create_graph else raw_functions(active.backend)
        if self.joint_rule is not None:
            return self.joint_rule(f, grad, node.shapes, **node.options)
        saved = self._saved_tensors(node) if create_graph else node.saved
        results: list[Any] = [None] * len(node.inputs)
        options = node.options
        for index, rule, where in node.plan.rules:
            if needed is not None and node.inputs[index] not in needed:
                continue
            if Plan.INTO in where:
                into, onto = _places(node.inputs[index], arrived)
                arguments = [
                    into
                    if w == Plan.INTO
                    else onto
                    if w == Plan.ONTO
                    else _argument(w, saved, options)
                    for w in where
                ]
            else:
                arguments = [options[w] if type(w) is str else saved[w] for w in where]
            g = rule(f, grad, *arguments)
            if node.shapes is not None and g.shape != node.shapes[index]:
                g = f.sum_to(g, shape=node.shapes[index])
            results[index] = g
        return results

    def _saved_tensors(self, node: Node) -> list[Any]:
        """What was saved, put back on the tape: the same values, with their history."""
        values: list[Any] = []
        for (kind, index), value in zip(node.plan.keep, node.saved):
            if kind == Plan.OUT:
                value = Tensor(value, True, node)
            elif kind == Plan.INPUT and isinstance(value, active.backend.array_type):
                value = _on_tape(value, node.inputs[index])
            values.append(value)
        return values


def _argument(where: Any, saved: Sequence[Any], options: dict[str, Any]) -> Any:
    return options[where] if type(where) is str else saved[where]


def _places(edge: Any, arrived: Mapping[Any, Any] | None) -> tuple[Array | None, Array | None]:
    """Where a leaf's gradient may be written (into), or added (onto); None where it may not.

    The first of a backward pass goes into the leaf's buffer; a later one may be added to it there.
    """
    if arrived is None or type(edge) is Node or edge is None or edge.grad_buffer is None:
        return None, None
    held = arrived.get(edge)
    if held is not None:
        return None, held if held is edge.grad_buffer else None
    return (edge.grad_buffer, None) if edge.grad is None else (None, None)


def _on_tape(array: Array, edge: Any) -> Tensor:
    """The tensor with this value and this place on the tape."""
    if edge is None:
        return Tensor(array)
    if type(edge) is Node:
        return Tensor(array, True, edge)
    if edge.data is array:
        return edge
    value = functions.alias(edge)  # the leaf was given another array since: use the one it had
    value.data = array
    return value


class Fused(_Operation):
    """Several ops in one kernel, beside the reference that it must equal; see the module."""

    def __init__(
        self,
        forward: Callable[..., Any],
        reference: Callable[..., Any],
        name: str | None = None,
    ) -> None:
        super().__init__(forward, name)
        self.reference = reference
        self.backward_kernel: Callable[..., Sequence[Any]]

    differentiable = True

    def backward(self, kernel: Callable[..., Sequence[Any]]) -> Callable[..., Sequence[Any]]:
        """Set ``kernel(b, g, inputs, saved, needs, **options) -> gradients`` (decorator).

        ``needs[i]`` says whether input i wants a gradient; the others may be None. A keyword
        parameter ``out`` or ``places`` is given what the module says. For an op with several
        outputs ``g`` and ``out`` are tuples, and an entry of ``g`` is None where no gradient
        arrived.
        """
        self.backward_kernel = kernel
        parameters = inspect.signature(kernel).parameters
        self._reads_out, self._wants_places = "out" in parameters, "places" in parameters
        return kernel

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Compute with the kernel and, if an input requires a gradient, record it."""
        arrays = [
            x.data if isinstance(x, Tensor) else x if type(x) in _PLAIN else self._coerce(x)
            for x in inputs
        ]
        if self.defaults:
            options = {**self.defaults, **options}
        backend = active.backend
        out, saved = self._run(backend, arrays, options)
        outs = out if isinstance(out, tuple) else (out,)
        outs = tuple(
            [
                y if isinstance(y, backend.array_type) else self._as_array(y, backend, arrays)
                for y in outs
            ]
        )
        if mode.anomaly:
            check_forward(self.name, outs, arrays)
        if not (
            mode.grad_enabled and any(isinstance(x, Tensor) and x.requires_grad for x in inputs)
        ):
            tensors = tuple([Tensor(y) for y in outs])
        else:
            edges = tuple([x.edge if isinstance(x, Tensor) else None for x in inputs])
            node = Node(self, edges, (arrays, outs if self._reads_out else (), saved), options)
            if mode.anomaly:
                node.caller = calling_line()
            if not isinstance(out, tuple):
                return Tensor(outs[0], True, node)
            tensors = tuple([Tensor(y, True, pick(node, i, len(outs))) for i, y in enumerate(outs)])
        return tensors if isinstance(out, tuple) else tensors[0]

    def kept(self, node: Node) -> Iterator[Any]:
        """The arrays that the backward kernel will read."""
        arrays, outs, saved = node.saved
        return iter([*arrays, *outs, *(saved if isinstance(saved, tuple) else ())])

    def gradients(
        self,
        node: Node,
        grad: Any,
        needed: set[Any] | None,
        create_graph: bool,
        arrived: Mapping[Any, Any] | None = None,
    ) -> Sequence[Any]:
        """The backward kernel; under ``create_graph``, the gradient of the replayed reference."""
        if create_graph:
            return self._replay(node, grad, needed)
        arrays, outs, saved = node.saved
        needs = [e is not None and (needed is None or e in needed) for e in node.inputs]
        options = node.options
        if self._reads_out:
            options = {**options, "out": outs if isinstance(grad, list) else outs[0]}
        if self._wants_places:
            places = [_places(e, arrived) if need else None for e, need in zip(node.inputs, needs)]
            options = {**options, "places": places}
        return self.backward_kernel(active.backend, grad, arrays, saved, needs, **options)

    def _replay(self, node: Node, grad: Any, needed: set[Any] | None) -> Sequence[Any]:
        """Compute the reference again from the same inputs, and differentiate that."""
        arrays, _, _ = node.saved
        with enable_grad():
            # An alias of each input, so that the same tensor passed twice stays two inputs.
            inputs = [
                array if edge is None else functions.alias(_on_tape(array, edge))
                for array, edge in zip(arrays, node.inputs)
            ]
            constants = [
                Tensor(x) if isinstance(x, active.backend.array_type) else x for x in inputs
            ]
            outs = self.reference(*constants, **node.options)
        outs = outs if isinstance(outs, tuple) else (outs,)
        grads = grad if isinstance(grad, list) else [grad]
        roots = [(y.node, g) for y, g in zip(outs, grads) if g is not None and y.node is not None]
        wanted = {
            x.node
            for x, edge in zip(inputs, node.inputs)
            if edge is not None and (needed is None or edge in needed)
        }
        found, _ = backpropagate(
            [root for root, _ in roots], [g for _, g in roots], wanted, create_graph=True
        )
        return [found.get(x.node) if isinstance(x, Tensor) else None for x in inputs]


def primitive(
    forward: Callable[..., Any] | None = None, *, broadcasts: bool = False, name: str | None = None
) -> Any:
    """Make a primitive of ``forward(b, *inputs, **options)``, registered under its name.

    Args:
        forward: takes the backend and raw arrays, returns a raw array.
        broadcasts: inputs broadcast against one another; gradients are summed back by the
            engine, so that the rules need not care.
        name: the registered name, if not the function's.
    """
    if forward is None:
        return lambda function: Primitive(function, name, broadcasts)
    return Primitive(forward, name, broadcasts)


def fused(*, reference: Callable[..., Any], name: str | None = None) -> Callable[..., Fused]:
    """Make a fused op of ``forward(b, *inputs, **options) -> (out, saved)``; see the module."""
    return lambda forward: Fused(forward, reference, name)


from minigen.autograd.tensor import Tensor  # noqa: E402 - tensors look their operators up here
