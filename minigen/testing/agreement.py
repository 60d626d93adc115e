"""``check_create_graph``: one gradient rule, two executions, the same numbers.

In an ordinary backward pass a rule runs on raw arrays (and a fused op runs its own backward
kernel); under ``create_graph=True`` it runs on tensors and records itself (and a fused op
replays its reference). Both must give the same gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigen.autograd.gradients import grad
from minigen.autograd.mode import enable_grad
from minigen.autograd.tensor import Tensor
from minigen.backends import active


def check_create_graph(
    f: Callable[..., Any], inputs: Sequence[Any], *, rtol: float = 1e-10, seed: int = 0
) -> None:
    """Compare the gradients of ``f`` with and without ``create_graph``.

    Args:
        f: takes ``len(inputs)`` tensors and returns a tensor or a tuple of them; must give
            the same result each time.
        inputs: tensors or arrays; floating-point ones are differentiated by, in their dtype.
        rtol: allowed difference, relative to the largest entry of the gradient (or to 1, if
            that is larger).
        seed: of the random weights of the outputs.

    Raises:
        AssertionError: the two differ in value, shape or dtype; says for which input.
    """
    leaves = []
    for x in inputs:
        raw = x.data if isinstance(x, Tensor) else active.backend.asarray(x)
        leaves.append(Tensor(raw).requires_grad_(raw.dtype.kind == "f"))
    by = [x for x in leaves if x.requires_grad]
    if not by:
        raise ValueError("inputs must hold at least one floating-point tensor, got none")

    rng = np.random.default_rng(seed)
    results = []
    weights: list[Any] | None = None
    for create_graph in (False, True):
        with enable_grad():
            out = f(*leaves)
        outs = [y for y in (out if isinstance(out, (list, tuple)) else [out]) if y.requires_grad]
        if weights is None:
            weights = [rng.standard_normal(y.shape) for y in outs]
        seeds = [Tensor(active.backend.asarray(w).astype(y.dtype)) for w, y in zip(weights, outs)]
        results.append(grad(outs, by, seeds, create_graph=create_graph, allow_unused=True))

    for position, (raw, recorded) in enumerate(zip(*results)):
        if raw is None and recorded is None:
            continue
        if raw is None or recorded is None:
            raise AssertionError(
                f"differentiable input {position} has a gradient only "
                f"{'with' if raw is None else 'without'} create_graph"
            )
        if raw.shape != recorded.shape or raw.dtype != recorded.dtype:
            raise AssertionError(
                f"the gradient for differentiable input {position} is {raw.dtype} {raw.shape} "
                f"without create_graph and {recorded.dtype} {recorded.shape} with it"
            )
        one, other = raw.numpy(), recorded.numpy()
        allowed = rtol * max(1.0, float(np.abs(one).max(initial=0)))
        off = np.abs(one - other)
        if off.size and not off.max() <= allowed:
            place = np.unravel_index(int(np.argmax(off)), off.shape)
            raise AssertionError(
                f"with create_graph the gradient for differentiable input {position} differs by "
                f"{off.max():.3g} at {[int(i) for i in place]}: "
                f"{one[place]:.10g} without, {other[place]:.10g} with"
            )
