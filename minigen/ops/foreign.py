"""Values from elsewhere (another library, a checkpoint file) as raw arrays of the backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.backends import Array, active
from minigen.errors import UserError

__all__ = ["as_backend_array"]


def as_backend_array(name: str, value: Any) -> Array:
    """``value`` as a raw array of the active backend; its own memory where that is possible.

    Args:
        name: what to call it in an error.
        value: a tensor, an array of the backend, a NumPy array, a PyTorch CPU tensor or any
            other object with ``__array__`` or ``__dlpack__``, or a number.

    Raises:
        UserError: it is no array of real numbers on the host or on this backend.
    """
    backend = active.backend
    if isinstance(value, Tensor):
        value = value.data
    elif hasattr(value, "detach"):  # a PyTorch tensor that requires a gradient exports nothing
        value = value.detach()
    if isinstance(value, backend.array_type):
        if value.dtype.kind not in "biuf":
            raise UserError(f"{name} must hold real numbers, got {value.dtype}")
        return value
    try:
        has_array = hasattr(value, "__array__") or not hasattr(value, "__dlpack__")
        host = np.asarray(value) if has_array else np.from_dlpack(value)
    except (TypeError, ValueError, BufferError, RuntimeError) as error:
        raise UserError(f"{name} cannot be read as an array: {error}") from error
    if host.dtype.kind not in "biuf":
        raise UserError(f"{name} must hold real numbers, got {type(value).__name__} ({host.dtype})")
    return backend.asarray(host)
