"""``backward`` and ``grad``: the two ways to ask the tape for derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from minigen.autograd.operation import functions
from minigen.autograd.tape import backpropagate, buffer_of, call_hooks
from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import note_write
from minigen.backends import active
from minigen.thread_state import current


def _seed(output: Tensor, gradient: Any, create_graph: bool, argument: str) -> Any:
    """The gradient to start from, as the walk wants it: a tensor or a raw array."""
    if not isinstance(output, Tensor):
        raise TypeError(f"differentiate a Tensor, got {type(output).__name__}")
    if output.edge is None:
        raise RuntimeError(
            "this tensor does not require grad: no input of its computation does, or it was "
            "computed under no_grad"
        )
    if gradient is None:
        if output.numel() != 1:
            raise RuntimeError(
                f"{argument} can be left out only for a one-element output, "
                f"got shape {output.shape}"
            )
        gradient = Tensor(active.backend.xp.ones(output.shape, dtype=output.dtype))
    elif not isinstance(gradient, Tensor):
        gradient = Tensor(active.backend.asarray(gradient, dtype=output.dtype))
    if gradient.shape != output.shape:
        raise ValueError(f"{argument} must have shape {output.shape}, got {gradient.shape}")
    return gradient if create_graph else gradient.data


def backward(
    output: Tensor,
    gradient: Tensor | None = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add the gradient of ``output`` to ``grad`` of every leaf below it (``Tensor.backward``)."""
    seed = _seed(output, gradient, create_graph, "gradient")
    found, owned = backpropagate(
        [output.edge], [seed], create_graph=create_graph, retain_graph=retain_graph
    )
    recorder = current().recorder
    for leaf, grad in found.items():
        if recorder is not None:
            recorder.gradient_arrives(leaf)
        if leaf.hooks is not None:
            changed = call_hooks(leaf.hooks, grad, create_graph)
            if changed is not grad:
                grad, owned = changed, owned - {leaf}
        if create_graph:
            if grad.dtype != leaf.dtype:
                grad = functions.cast(grad, dtype=leaf.dtype)
            leaf.grad = grad if leaf.grad is None else leaf.grad + grad
        else:
            _accumulate(leaf, grad, leaf in owned)


def _accumulate(leaf: Tensor, grad: Any, is_owned: bool) -> None:
    """Add a raw gradient to ``leaf.grad``, which never shares memory with anything else."""
    if grad.dtype != leaf.dtype:  # the leaf met a tensor of another precision
        grad, is_owned = grad.astype(leaf.dtype), True
    if leaf.grad is not None:
        if leaf.grad.node is None:
            note_write(leaf.grad.data)
            leaf.grad.data += grad
        else:  # left by a backward with create_graph: part of another graph
            leaf.grad = Tensor(leaf.grad.data + grad)
    elif leaf.grad_buffer is not None:
        buffer = buffer_of(leaf)
        if grad is not buffer:  # a rule may have written it there itself
            buffer[...] = grad
        if current().recorder is None:
            leaf._grad = Tensor(buffer)  # there was none, and this one fits: nothing to look at
        else:
            leaf.grad = Tensor(buffer)
    elif is_owned and isinstance(grad, active.backend.array_type):
        leaf.grad = Tensor(grad)
    else:
        leaf.grad = Tensor(active.backend.xp.array(grad, dtype=leaf.dtype, order="C"))


def _listed(value: Any) -> list[Any]:
    """One tensor, or several in a list, tuple or iterator (``model.parameters()``), as a list."""
    return list(value) if isinstance(value, (list, tuple, Iterator)) else [value]


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor] | Iterator[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients Σₒ gₒ · ∂outputₒ/∂input, one for each input; ``grad`` fields stay untouched.

    Args:
        outputs: tensors to differentiate.
        inputs: tensors, leaves or not, to differentiate by.
        grad_outputs: gₒ for each output; may be None for one-element outputs (then 1).
        retain_graph: keep what the tape saved; by default just when ``create_graph``.
        create_graph: the result is recorded and can be differentiated again, to any order.
        allow_unused: give None for an input that no output depends on, instead of raising.

    Returns:
        A tuple with a tensor for each input, of the input's shape and dtype.
    """
    outs, ins = _listed(outputs), _listed(inputs)
    seeds = [None] * len(outs) if grad_outputs is None else _listed(grad_outputs)
    if len(seeds) != len(outs):
        raise ValueError(
            f"grad_outputs must have one entry per output ({len(outs)}), got {len(seeds)}"
        )
    for out in outs:
        if not isinstance(out, Tensor):
            raise TypeError(f"differentiate a Tensor, got {type(out).__name__}")
    for position, x in enumerate(ins):
        if not isinstance(x, Tensor) or x.edge is None:
            raise RuntimeError(f"inputs[{position}] is no tensor that requires grad")

    found, _ = backpropagate(
        [out.edge for out in outs],
        [_seed(out, g, create_graph, "grad_outputs") for out, g in zip(outs, seeds)],
        {x.edge for x in ins},
        create_graph=create_graph,
        retain_graph=create_graph if retain_graph is None else retain_graph,
    )
    for leaf, g in found.items():
        if isinstance(leaf, Tensor) and leaf.hooks is not None:
            found[leaf] = call_hooks(leaf.hooks, g, create_graph)
    results: list[Tensor | None] = []
    for position, x in enumerate(ins):
        g = found.get(x.edge)
        if g is None and not allow_unused:
            raise RuntimeError(
                f"inputs[{position}] was not used to compute the outputs; "
                f"pass allow_unused=True to get None for it"
            )
        if g is not None and not create_graph:
            g = Tensor(active.backend.xp.array(g, dtype=x.dtype, order="K"))
        elif g is not None and g.dtype != x.dtype:
            g = functions.cast(g, dtype=x.dtype)
        results.append(g)
    return tuple(results)


def forget_gradients(tensors: Iterable[Tensor], set_to_none: bool = True) -> None:
    """Set ``grad`` of each to None, or fill it with zeros where there is one."""
    for tensor in tensors:
        if set_to_none or tensor.grad is None:
            tensor.grad = None
        elif tensor.grad.node is not None:  # part of another graph: leave that alone
            tensor.grad = Tensor(active.backend.xp.zeros_like(tensor.grad.data))
        else:
            note_write(tensor.grad.data)
            tensor.grad.data[...] = 0


__all__ = ["backward", "forget_gradients", "grad"]
