"""A fused op does the work of several in one go, and stands beside what it must equal.

It names a ``reference``, the same function composed of plain ops: what a learner reads, what the
tests compare with, and what is replayed when somebody asks for the gradient of its gradient::

    @fused(reference=_layer_norm)
    def layer_norm(b, x, weight, bias, *, eps):
        ...
        return out, (mean, inverse_deviation)      # the result, and what backward needs

    @layer_norm.backward
    def _(b, g, inputs, saved, needs, *, eps):
        ...
        return g_x, g_weight, g_bias

A backward kernel with a parameter ``out`` is also given the result, which is then kept; one with
``places``, for each input, its pair (into, onto), which ``primitive.py`` explains.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from minigen.autograd.anomaly import calling_line, check_forward
from minigen.autograd.mode import enable_grad
from minigen.autograd.operation import PLAIN, Operation, arrays_in, functions
from minigen.autograd.primitive import on_tape, places
from minigen.autograd.tape import Node, backpropagate, pick
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.thread_state import current


class Fused(Operation):
    """Several ops in one kernel, beside the reference that it must equal; see the module."""

    def __init__(
        self,
        forward: Callable[..., Any],
        reference: Callable[..., Any],
        name: str | None = None,
    ) -> None:
        super().__init__(forward, name)
        self.reference = reference
        self.backward_kernel: Callable[..., Sequence[Any]] | None = None
        self._reads_out = self._wants_places = False

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
        if options and not options.keys() <= self.option_names:
            inputs, options = self._bind(inputs, options)
        arrays = [
            x._data if isinstance(x, Tensor) else x if type(x) in PLAIN else self._coerce(x)
            for x in inputs
        ]
        if options:
            self._refuse_tensors(options)
        if self.defaults:
            options = {**self.defaults, **options}
        state = current()
        backend = state.backend
        if state.recorder is not None:
            arrays = state.recorder.shown_inputs(inputs, arrays)
        out, saved = self._run(backend, arrays, options)
        outs = out if isinstance(out, tuple) else (out,)
        outs = tuple(
            [
                y if isinstance(y, backend.array_type) else self._as_array(y, backend, arrays)
                for y in outs
            ]
        )
        if state.anomaly:
            check_forward(self.name, outs, arrays)
        if not (
            state.grad_enabled and any(isinstance(x, Tensor) and x._requires_grad for x in inputs)
        ):
            tensors = tuple([Tensor(y) for y in outs])
        else:
            edges = tuple([x.edge if isinstance(x, Tensor) else None for x in inputs])
            shape = None if isinstance(out, tuple) else outs[0].shape
            kept = (arrays, outs if self._reads_out else (), saved)
            node = Node(self, edges, kept, options, shape)
            if state.anomaly:
                node.caller = calling_line()
            if not isinstance(out, tuple):
                return Tensor(outs[0], True, node)
            tensors = tuple(
                [Tensor(y, True, pick(node, i, len(outs), y.shape)) for i, y in enumerate(outs)]
            )
        return tensors if isinstance(out, tuple) else tensors[0]

    def kept(self, node: Node) -> Iterator[Any]:
        """The arrays that the backward kernel will read."""
        return arrays_in([node.saved, *node.options.values()])

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
            found = [places(e, arrived) if need else None for e, need in zip(node.inputs, needs)]
            options = {**options, "places": found}
        if self.backward_kernel is None:
            raise RuntimeError(
                f"{self.name} has no backward kernel; write one under @{self.name}.backward"
            )
        if self.is_users:  # others may hold the gradient too, and the kernel write into it
            copy = active.backend.xp.array
            several = isinstance(grad, list)
            grad = [None if g is None else copy(g) for g in grad] if several else copy(grad)
        grads = self.backward_kernel(active.backend, grad, arrays, saved, needs, **options)
        if not isinstance(grads, (tuple, list)):
            raise RuntimeError(
                f"backward of {self.name} must return a tuple with a gradient for each of its "
                f"{len(needs)} inputs, got {type(grads).__name__}"
            )
        for position, (g, need) in enumerate(zip(grads, needs)):
            if need and g is None:
                raise RuntimeError(
                    f"backward of {self.name} gave no gradient for {self._argument(position)}, "
                    f"which needs one"
                )
        return grads

    def _replay(self, node: Node, grad: Any, needed: set[Any] | None) -> Sequence[Any]:
        """Compute the reference again from the same inputs, and differentiate that."""
        arrays, _, _ = node.saved
        with enable_grad():
            # An alias of each input, so that the same tensor passed twice stays two inputs.
            inputs = [
                array if edge is None else functions.alias(on_tape(array, edge))
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


def fused(*, reference: Callable[..., Any], name: str | None = None) -> Callable[..., Fused]:
    """Make a fused op of ``forward(b, *inputs, **options) -> (out, saved)``; see the module."""
    return lambda forward: Fused(forward, reference, name)
