"""The tape: what was computed from what, and the walk back along it.

Each recorded op leaves a :class:`Node`. Nodes point to where their inputs came from, so the
tape is a graph that hangs together by itself and vanishes with the last tensor that needs
it. Differentiating is one walk::

    pending = {root: seed}
    for node in reachable nodes, newest first:
        for input, gradient in zip(node.inputs, op.gradients(node, pending[node])):
            pending[input] += gradient summed to the shape of input

*Newest first* is a valid order because an op can only use tensors that existed before it:
a node's number is larger than the numbers of everything below it. The walk is a loop and
not a recursion, so a graph 100,000 nodes deep is no special case.

*Summed to the shape of input*: where an op broadcast its input, each of its values had a part in
many results, and their gradients add up. The walk does this for every op, so that no rule has to
remember it; a gradient that cannot be summed to its input's shape is a mistake in a rule.

Two ways to run the same walk
    Ordinarily gradients are raw arrays: no tensors are built, nothing is recorded. With
    ``create_graph=True`` they are tensors, every gradient rule records itself, and the
    result can be differentiated again, to any order.

Who owns a gradient
    The first gradient to reach a node is *borrowed*: it may be an array that somebody else
    also holds (``add`` hands the same one to both inputs). A second one makes a fresh sum,
    which is *owned*, and later ones are added into it in place. A parameter's gradient that a rule
    has written into the parameter's own buffer is owned from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from minigen.autograd import writes
from minigen.autograd.anomaly import check_backward
from minigen.autograd.operation import functions, raw_functions
from minigen.backends import active
from minigen.thread_state import current, within


class Operation(Protocol):
    """What the walk needs to know of an op."""

    name: str

    def gradients(
        self,
        node: Node,
        grad: Any,
        needed: set[Any] | None,
        create_graph: bool,
        arrived: Mapping[Any, Any] | None = None,
    ) -> Sequence[Any]:
        """The gradient for each of ``node.inputs`` (None where there is none)."""


class Node:
    """One recorded call of an op.

    Attributes:
        op: the operation, which knows the gradient rule.
        inputs: for each input, the node or leaf tensor it came from; None for a constant.
        saved: the values that the rule asked to keep; None once they are freed.
        options: the keyword arguments of the call.
        plan: which rules apply to this call and what they read (see ``primitive.Plan``).
        shape: the shape of the result, and so of its gradient; None if there are several results.
        time: this node's number; larger than that of every node below it.
        hooks: functions applied to the gradient that arrives here, or None.
        caller: file, line and code that made this node, in anomaly mode only.
    """

    __slots__ = (
        "__weakref__",
        "caller",
        "hooks",
        "inputs",
        "op",
        "options",
        "plan",
        "saved",
        "shape",
        "time",
    )

    def __init__(
        self,
        op: Any,
        inputs: Sequence[Any],
        saved: Any,
        options: dict[str, Any],
        shape: tuple[int, ...] | None,
        plan: Any = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.saved = saved
        self.options = options
        self.plan = plan
        self.shape = shape
        self.time = writes.clock()
        self.hooks: list[Callable[[Any], Any]] | None = None
        self.caller: str | None = None

    def __repr__(self) -> str:
        return f"<{self.op.name} node {self.time}>"


class _Pick:
    """One output of an op that has several; its node has the op's node as its only input."""

    name = "pick"

    def gradients(
        self,
        node: Node,
        grad: Any,
        needed: set[Any] | None,
        create_graph: bool,
        arrived: Mapping[Any, Any] | None = None,
    ) -> Sequence[Any]:
        raise AssertionError("the walk collects the outputs of one op itself")


PICK = _Pick()


def pick(node: Node, index: int, count: int, shape: tuple[int, ...]) -> Node:
    """The node of output ``index`` of an op with ``count`` outputs."""
    return Node(PICK, (node,), None, {"index": index, "count": count}, shape)


class _Link:
    """A value that also depends on another one, with slope 0: nothing is handed on to that."""

    name = "link"

    def kept(self, node: Node) -> Sequence[Any]:
        return ()

    def gradients(
        self,
        node: Node,
        grad: Any,
        needed: set[Any] | None,
        create_graph: bool,
        arrived: Mapping[Any, Any] | None = None,
    ) -> Sequence[Any]:
        return grad, None


LINK = _Link()


def link(value: Any, edge: Any) -> Node:
    """A node for the tensor ``value`` that makes it depend on ``edge`` too, with slope 0."""
    return Node(LINK, (value.edge, edge), (), {}, value.shape)


def reachable(roots: Iterable[Any]) -> list[Node]:
    """All nodes below ``roots`` (and themselves), newest first."""
    stack = [root for root in roots if isinstance(root, Node)]
    seen = set(stack)
    while stack:
        for edge in stack.pop().inputs:
            if type(edge) is Node and edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return sorted(seen, key=lambda node: node.time, reverse=True)


def _leading_to(wanted: set[Any], newest_first: list[Node]) -> set[Any]:
    """The edges from which some wanted edge can be reached: only they need a gradient."""
    needed = set(wanted)
    for node in reversed(newest_first):
        if node not in needed and any(edge in needed for edge in node.inputs if edge is not None):
            needed.add(node)
    return needed


def backpropagate(
    roots: Sequence[Any],
    seeds: Sequence[Any],
    wanted: set[Any] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> tuple[dict[Any, Any], set[Any]]:
    """Walk back from ``roots`` and return the gradients that arrive.

    Args:
        roots: the edges to start at.
        seeds: the gradient of the final scalar with respect to each root. Raw arrays, or
            tensors when ``create_graph``.
        wanted: the edges whose gradients are asked for; None for all leaf tensors.
        create_graph: run the rules on tensors and record them.
        retain_graph: keep the saved arrays, so that the walk can be repeated.

    Returns:
        ``(gradients, owned)``: edge → gradient for every wanted edge that was reached, and
        the edges whose gradient no one else holds.
    """
    return within(
        {"grad_enabled": create_graph}, _walk, roots, seeds, wanted, create_graph, retain_graph
    )


def _walk(
    roots: Sequence[Any],
    seeds: Sequence[Any],
    wanted: set[Any] | None,
    create_graph: bool,
    retain_graph: bool,
) -> tuple[dict[Any, Any], set[Any]]:
    """What ``backpropagate`` says."""
    order = reachable(roots)
    needed = None if wanted is None else _leading_to(wanted, order)
    pending: dict[Any, Any] = {}
    owned: set[Any] = set()
    f: Any = functions if create_graph else raw_functions(active.backend)
    kind = active.backend.array_type if not create_graph else None

    def deliver(edge: Any, grad: Any) -> None:
        held = pending.get(edge)
        if held is None:
            pending[edge] = grad
        elif held is grad and _in_its_buffer(edge, grad):
            return  # the rule has added it there itself
        elif (edge in owned or _in_its_buffer(edge, held)) and not create_graph:
            held += grad
            pending[edge] = held  # a 0-d value may be a new object
        else:
            pending[edge] = held + grad
            owned.add(edge)

    for root, seed in zip(roots, seeds):
        deliver(root, seed)

    # In `backward()` a rule may write a parameter's first gradient straight into its buffer.
    arrived = pending if wanted is None and not create_graph else None
    anomaly = current().anomaly
    latest_write = writes.latest()
    found: dict[Any, Any] = {}
    links: list[Any] = []  # what a root depends on with slope 0
    for node in order:
        grad = pending.pop(node, None)
        if grad is None or (needed is not None and node not in needed):
            continue
        if node.hooks is not None:
            grad = call_hooks(node.hooks, grad, create_graph)
            latest_write = writes.latest()  # a hook may write
        if wanted is not None and node in wanted:
            found[node] = grad
            if not any(edge in needed for edge in node.inputs):  # type: ignore[operator]
                continue
        if node.op is PICK:
            source, index = node.inputs[0], node.options["index"]
            pieces = pending.setdefault(source, [None] * node.options["count"])
            pieces[index] = grad
            continue
        if node.saved is None:
            raise RuntimeError(
                f"backward through {node.op.name} a second time: its saved arrays are freed; "
                f"pass retain_graph=True to the first backward"
            )
        if node.time < latest_write:
            writes.check(node.op.name, node.time, node.op.kept(node))
        if node.op is LINK:
            links.append(node.inputs[1])
        grads = node.op.gradients(node, grad, needed, create_graph, arrived)
        if anomaly:
            check_backward(node, grads)
        if len(grads) != len(node.inputs):
            raise RuntimeError(
                f"backward of {node.op.name} must return a gradient for each of its "
                f"{len(node.inputs)} inputs, got {len(grads)}"
            )
        if not (retain_graph or create_graph):
            node.saved = None
        for edge, gradient in zip(node.inputs, grads):
            if gradient is None or edge is None:
                continue
            if kind is not None and not isinstance(gradient, kind):
                gradient = active.backend.asarray(gradient)  # a scalar of NumPy's
            shape: Any = edge.shape if type(edge) is Node else edge._data.shape
            if gradient.shape != shape:
                gradient = _summed_to(f, gradient, shape, node)
            if edge in pending:
                deliver(edge, gradient)
            else:
                pending[edge] = gradient
    found.update((edge, grad) for edge, grad in pending.items() if wanted is None or edge in wanted)
    if links:
        _add_zeros(found, links, wanted, seeds[0])
    return found, owned


def _add_zeros(found: dict[Any, Any], links: list[Any], wanted: set[Any] | None, like: Any) -> None:
    """A gradient of zeros for what the roots depend on with slope 0 alone: below ``links``."""
    below = {edge for node in reachable(links) for edge in (node, *node.inputs) if edge is not None}
    for edge in below.union(links):
        asked = type(edge) is not Node if wanted is None else edge in wanted
        if asked and edge not in found and edge.shape is not None:
            zeros = active.backend.xp.zeros(edge.shape, dtype=like.dtype)
            found[edge] = type(like)(zeros) if hasattr(like, "requires_grad") else zeros


def _summed_to(f: Any, grad: Any, shape: tuple[int, ...], node: Node) -> Any:
    """Undo the broadcasting of an input of ``shape`` that the op of ``node`` made."""
    given, missing = tuple(grad.shape), len(grad.shape) - len(shape)
    if missing < 0 or any(n not in (1, m) for n, m in zip(shape, given[missing:])):
        raise RuntimeError(
            f"backward of {node.op.name} gave a gradient of shape {given} for an input of shape "
            f"{shape}"
        )
    return f.sum_to(grad, shape=shape)


def _in_its_buffer(edge: Any, grad: Any) -> bool:
    """Whether the gradient lies in the buffer of its own leaf, which nobody else holds."""
    return type(edge) is not Node and grad is buffer_of(edge)


def buffer_of(leaf: Any) -> Any:
    """The array in which an optimizer wants the leaf's gradient, as this thread sees it, or None.

    While a step is recorded that is one which tells the recorder what is done with it.
    """
    buffer = leaf.grad_buffer
    recorder = current().recorder
    return buffer if recorder is None or buffer is None else recorder.traced(buffer)


def call_hooks(hooks: Sequence[Callable[[Any], Any]], grad: Any, create_graph: bool) -> Any:
    """The gradient after the hooks, which see and return tensors whichever way the walk runs.

    Each is shown a copy, for it may keep the gradient or write into it.
    """
    from minigen.autograd.tensor import Tensor

    for hook in list(hooks):
        shown = grad if create_graph else Tensor(active.backend.xp.array(grad, order="K"))
        changed = hook(shown)
        if changed is None:
            changed = shown
        if not isinstance(changed, Tensor):
            raise TypeError(f"a hook must return a tensor or None, got {type(changed).__name__}")
        if changed.shape != grad.shape:
            raise ValueError(
                f"a hook must return a gradient of shape {tuple(grad.shape)}, got {changed.shape}"
            )
        grad = changed if create_graph else changed.data
    return grad
