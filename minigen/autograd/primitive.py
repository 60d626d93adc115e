"""How an op is written down: once forward, once for its gradient.

A **primitive** is a function on raw arrays plus one gradient rule for each input::

    @primitive
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

Several primitives in one kernel are a *fused* op: ``fused.py``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from minigen.autograd.anomaly import calling_line, check_forward
from minigen.autograd.operation import (
    FLOAT32,
    PLAIN,
    Operation,
    arrays_in,
    functions,
    promoted,
    raw_functions,
)
from minigen.autograd.tape import Node, buffer_of, link
from minigen.autograd.tensor import Tensor
from minigen.backends import Array, active
from minigen.thread_state import current


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


class Primitive(Operation):
    """A differentiable function with one gradient rule for each input; see the module."""

    def __init__(
        self,
        forward: Callable[..., Any],
        name: str | None = None,
        keywords: Mapping[str, str] | None = None,
        piecewise: bool = False,
    ) -> None:
        super().__init__(forward, name, keywords)
        self.piecewise = piecewise
        self.rule_of: dict[str, Callable[..., Any] | None] = {}
        self.joint_rule: Callable[..., Sequence[Any]] | None = None
        self._plans: dict[int, Plan] = {}

    def rules(self, **rules: Callable[..., Any] | None) -> Primitive:
        """Set the gradient rules by input name; None for an input that shall have no gradient.

        A tensor that requires grad is refused as an input about which nothing was said. (Not in
        minigen's own ops: those have no rule where PyTorch has no gradient.)
        """
        unknown = set(rules) - set(self.inputs)
        if unknown:
            raise TypeError(f"{self.name} has no input called {', '.join(sorted(unknown))}")
        self.rule_of.update(rules)
        self._plans.clear()  # made for the rules that there were
        return self

    def joint(self, rule: Callable[..., Sequence[Any]]) -> Primitive:
        """Set one rule ``rule(f, g, shapes, **options)`` for all inputs of a variadic op."""
        self.joint_rule = rule
        return self

    @property
    def differentiable(self) -> bool:
        """Whether any input has a gradient rule."""
        return any(self.rule_of.values()) or self.joint_rule is not None

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """Compute on tensors and, if one of them requires a gradient, record it."""
        if options and not options.keys() <= self.option_names:
            inputs, options = self._bind(inputs, options)
        arrays = []
        edges = []
        mask = 0  # bit i: input i requires a gradient
        bit = 1
        for x in inputs:
            edge = None
            if isinstance(x, Tensor):
                arrays.append(x._data)
                if x._requires_grad:
                    mask |= bit
                    edge = x if x.node is None else x.node
            elif type(x) in PLAIN:
                arrays.append(x)
            else:
                arrays.append(self._coerce(x))
            edges.append(edge)
            bit += bit
        if options:
            self._refuse_tensors(options)
        if self.defaults:
            options = {**self.defaults, **options}

        state = current()
        backend = state.backend
        if state.recorder is not None:
            arrays = state.recorder.shown_inputs(inputs, arrays)
        try:
            out = self.forward(backend, *arrays, **options)
            dtype = out.dtype
        except Exception as error:
            raise self._explain(error, backend, arrays) from error
        if dtype is not FLOAT32 and (changed := promoted(arrays, dtype)) is not None:
            arrays = changed
            out = self.forward(backend, *arrays, **options)
        if not isinstance(out, backend.array_type):
            out = self._as_array(out, backend, arrays)
        if state.anomaly:
            check_forward(self.name, [out], arrays)

        if not mask or not state.grad_enabled:
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
        if len(arrays) < len(self.inputs):  # inputs that were left out
            arrays = [*arrays, *self._input_defaults[len(arrays) :]]
            edges = [*edges, *[None] * (len(arrays) - len(edges))]
        if self.joint_rule is not None:
            node = Node(self, edges, tuple([x.shape for x in arrays]), options, out.shape)
        else:
            plan = self._plans.get(mask)
            if plan is None:
                if self.is_users and out.dtype.kind == "f":
                    self._refuse_without_rule(mask)
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
            node = Node(self, edges, saved, options, out.shape, plan)
        if current().anomaly:
            node.caller = calling_line()
        return node

    def _refuse_without_rule(self, mask: int) -> None:
        for index, name in enumerate(self.inputs):
            if mask >> index & 1 and name not in self.rule_of:
                raise RuntimeError(
                    f"{self.name} has no rule for its input {name!r}, whose gradient would be "
                    f"lost; give it one, or say {self.name}.rules({name}=None)"
                )

    def kept(self, node: Node) -> Iterator[Any]:
        """The arrays that the node's rules will read."""
        return arrays_in([node.saved, *node.options.values()])

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
        if self.is_users and not create_graph:  # others may hold it too, and the rule write into it
            grad = active.backend.xp.array(grad)
        if self.joint_rule is not None:
            return self.joint_rule(f, grad, node.saved, **node.options)
        saved = self._saved_tensors(node) if create_graph else node.saved
        results: list[Any] = [None] * len(node.inputs)
        options = node.options
        for index, rule, where in node.plan.rules:
            if needed is not None and node.inputs[index] not in needed:
                continue
            if Plan.INTO in where:
                into, onto = places(node.inputs[index], arrived)
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
            if g is None:
                raise RuntimeError(f"the rule of {self.name} by {self.inputs[index]} gave None")
            if create_graph and self.piecewise:
                for edge in node.inputs:
                    if edge is not None:
                        g = Tensor(g.data, True, link(g, edge))
            results[index] = g
        return results

    def _saved_tensors(self, node: Node) -> list[Any]:
        """What was saved, put back on the tape: the same values, with their history."""
        values: list[Any] = []
        for (kind, index), value in zip(node.plan.keep, node.saved):
            if kind == Plan.OUT:
                value = Tensor(value, True, node)
            elif kind == Plan.INPUT and isinstance(value, active.backend.array_type):
                value = on_tape(value, node.inputs[index])
            values.append(value)
        return values


def _argument(where: Any, saved: Sequence[Any], options: dict[str, Any]) -> Any:
    return options[where] if type(where) is str else saved[where]


def places(edge: Any, arrived: Mapping[Any, Any] | None) -> tuple[Array | None, Array | None]:
    """Where a leaf's gradient may be written (into), or added (onto); None where it may not.

    The first of a backward pass goes into the leaf's buffer; a later one may be added to it there.
    """
    if arrived is None or type(edge) is Node or edge is None or edge.grad_buffer is None:
        return None, None
    held, buffer = arrived.get(edge), buffer_of(edge)
    if held is not None:
        return None, held if held is buffer else None
    return (buffer, None) if edge.grad is None else (None, None)


def on_tape(array: Array, edge: Any) -> Tensor:
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


def primitive(
    forward: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    keywords: Mapping[str, str] | None = None,
    piecewise: bool = False,
) -> Any:
    """Make a primitive of ``forward(b, *inputs, **options)``, registered under its name.

    Args:
        forward: takes the backend and raw arrays, returns a raw array. Inputs may broadcast
            against one another: the walk sums gradients back, so that rules need not care.
        name: the registered name, if not the function's.
        keywords: what callers may call an input, where that differs from ``forward``'s own name
            for it; ``x`` can always be given as ``input``.
        piecewise: linear piece by piece: the inputs only decide which piece it is (is x > 0?). The
            gradients of the gradients are then zeros, and not missing.
    """
    if forward is None:
        return lambda function: Primitive(function, name, keywords, piecewise)
    return Primitive(forward, name, keywords, piecewise)
