"""Gradient clipping: one bad batch must not throw the model far away (Pascanu et al. 2013).

Call between ``backward()`` and ``step()``. Gradients are changed in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from minigen.autograd.operation import FLOAT16, FLOAT32, FLOAT64
from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import extent, note_write
from minigen.backends import Array, active
from minigen.numeric import number
from minigen.ops.kernel import kernel
from minigen.ops.summation import dots

__all__ = ["clip_grad_norm_", "clip_grad_value_", "grad_norm"]


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for place, parameter in enumerate(tensors):
        if not isinstance(parameter, Tensor):
            raise TypeError(f"parameters[{place}] must be a tensor, got {type(parameter).__name__}")
    return [p.grad for p in tensors if p.grad is not None]


def grad_norm(parameters: Tensor | Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The common norm of all gradients, a 0-d tensor; nothing is changed or brought to the host.

    Args:
        parameters: whose gradients; those without one do not count, and none at all give 0.
        norm_type: p of the p-norm, or ``math.inf`` for the largest magnitude.
    """
    return Tensor(_norm(_stretches(_gradients(parameters)), _checked_type(norm_type)))


def _checked_type(norm_type: Any) -> float:
    return number("norm_type", norm_type, above=True, infinite=True)


def _stretches(gradients: list[Tensor]) -> list[Array]:
    """The gradients' memory, as one 1-D array wherever they lie side by side in one buffer.

    That is where an optimizer puts them (see ``flat.py``). What has gaps stays as it is.
    """
    found: list[Array] = []
    buffer: Any = None
    start = stop = 0  # the last stretch: buffer[start:stop]
    for grad in gradients:
        x = grad.data
        base = _below(x)
        if not x.flags.c_contiguous or base is x or not _is_flat(base, x.dtype):
            found.append(x.reshape(-1) if x.flags.c_contiguous else x)
            buffer = None
            continue
        place = (extent(x)[0] - extent(base)[0]) // x.dtype.itemsize
        if base is buffer and place == stop:
            found.pop()
        else:
            buffer, start = base, place
        stop = place + x.size
        found.append(base[start:stop])
    return found


def _below(x: Array) -> Array:
    """The last array in the chain of views below ``x``."""
    while isinstance(base := getattr(x, "base", None), active.backend.array_type):
        x = base
    return x


def _is_flat(base: Array, dtype: Any) -> bool:
    """Whether the places in ``base`` are elements: not if it is bytes, or has gaps."""
    return base.ndim == 1 and base.dtype == dtype and base.flags.c_contiguous


ROW = 1024


@kernel
def sum_of_squares(b: Any, x: Any) -> Any:
    """``Σ x²`` of a 1-D array in float64: first along rows of 1024 elements.

    (``dot`` would do, but wake the threads of NumPy's library beside those of ``ops/product.py``.)
    """
    if x.dtype is FLOAT16:
        x = x.astype(FLOAT32)
    whole = x.size - x.size % ROW
    rows, rest = x[:whole].reshape(-1, ROW), x[whole:]
    return sum([dots(b, y, y, 1).sum(dtype=FLOAT64) for y in (rows, rest[None])])


def _norm(gradients: list[Array], norm_type: float) -> Array:
    xp = active.backend.xp
    flat = [x.reshape(-1) for x in gradients if x.size]
    if not flat:
        return xp.zeros((), dtype="float32")
    if norm_type == 2:
        norm = xp.sqrt(sum([sum_of_squares(active.backend, g) for g in flat]))
    elif norm_type == math.inf:
        norm = xp.stack([xp.absolute(g).max() for g in flat]).max()
    else:
        norm = sum([(abs(g.astype(FLOAT64)) ** norm_type).sum() for g in flat]) ** (1 / norm_type)
    return active.backend.asarray(norm.astype(xp.result_type(*flat)))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor so that their common norm is at most ``max_norm``.

    The factor is ``min(max_norm / (norm + 1e-6), 1)``, as in PyTorch; nothing is brought to
    the host unless ``error_if_nonfinite``.

    Args:
        parameters: whose gradients; those without one do not count.
        max_norm: the bound; ``math.inf`` only measures.
        norm_type: as in ``grad_norm``.
        error_if_nonfinite: raise if the norm is NaN or infinite, before anything is changed.
        foreach: PyTorch's way to run the same; without effect.

    Returns:
        The norm before clipping, a 0-d tensor.
    """
    max_norm = number("max_norm", max_norm, infinite=True)
    norm_type = _checked_type(norm_type)
    xp = active.backend.xp
    gradients = _stretches(_gradients(parameters))
    norm = _norm(gradients, norm_type)
    if error_if_nonfinite and not math.isfinite(float(active.backend.to_host(norm))):
        raise FloatingPointError(f"the gradients' norm of order {norm_type} is {norm}")
    if max_norm == math.inf:
        return Tensor(norm)
    factor = xp.minimum(max_norm / (norm + 1e-6), 1.0)
    for x in gradients:
        note_write(x)
        xp.multiply(x, factor.astype(x.dtype), out=x)
    return Tensor(norm)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limit every element of every gradient to [-clip_value, clip_value].

    ``foreach`` is PyTorch's way to run the same, and without effect.
    """
    clip_value = number("clip_value", clip_value, infinite=True)
    for grad in _gradients(parameters):
        note_write(grad.data)
        active.backend.xp.clip(grad.data, -clip_value, clip_value, out=grad.data)
