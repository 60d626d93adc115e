"""Array backends: ``numpy`` (CPU), ``cupy`` (CUDA) and ``strict`` (CUDA's manners, no GPU).

``active.backend`` is the backend in use. It is chosen once for the process::

    mg.use("cupy")              # from here on
    with mg.use("strict"):      # inside the block only
        ...

or by the environment variable ``MINIGEN_BACKEND``, which is read when the first tensor is
made. A backend's module, and the library behind it, is imported when it is first chosen.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np

from minigen.backends.base import Array, Backend, BackendUnavailable, MemoryFigures, RandomStream
from minigen.errors import UserError

__all__ = [
    "Array",
    "Backend",
    "BackendUnavailable",
    "MemoryFigures",
    "RandomStream",
    "active",
    "get_backend",
    "repeat",
    "same_array",
    "to_host",
    "use",
]

_CLASSES = {
    "numpy": ("minigen.backends.numpy_backend", "NumpyBackend"),
    "cupy": ("minigen.backends.cupy_backend", "CupyBackend"),
    "strict": ("minigen.backends.strict", "StrictBackend"),
}
_instances: dict[str, Backend] = {}


def get_backend(name: str) -> Backend:
    """The backend called ``name``, built on first use.

    Raises:
        UserError: ``name`` is none of ``numpy``, ``cupy``, ``strict``.
        BackendUnavailable: its library or its device is missing; says which.
    """
    if name not in _CLASSES:
        raise UserError(f"backend must be one of {', '.join(_CLASSES)}; got {name!r}")
    if name not in _instances:
        module, cls = _CLASSES[name]
        _instances[name] = getattr(importlib.import_module(module), cls)()
    return _instances[name]


class _Active:
    """Holds the backend in use. A plain attribute, because every op reads it."""

    __slots__ = ("backend", "recorder")
    backend: Backend
    recorder: Any  # the backend that records a step (`minigen.capture`), while it does

    def __init__(self) -> None:
        self.recorder = None

    def __getattr__(self, name: str) -> Backend:
        """The first read of ``backend``, before anybody chose one: what the environment says."""
        if name != "backend":
            raise AttributeError(name)
        chosen = os.environ.get("MINIGEN_BACKEND") or "numpy"
        if chosen not in _CLASSES:
            raise UserError(f"MINIGEN_BACKEND must be one of {', '.join(_CLASSES)}; got {chosen!r}")
        self.backend = get_backend(chosen)
        return self.backend


active = _Active()


def to_host(array: Array) -> np.ndarray:
    """``array`` as a NumPy array, whichever backend it belongs to.

    Reading a result must also work after the block that computed it on another backend.
    """
    backend = active.backend
    if not isinstance(array, backend.array_type):
        backend = next(b for b in _instances.values() if isinstance(array, b.array_type))
    return backend.to_host(array)


def repeat(action: Callable[..., Any], *args: Any) -> None:
    """Do what a step does on the host (count, advance a schedule) now and in every replay of it.

    ``action(*args)`` must keep to memory that lives longer than the step.
    """
    if active.recorder is None:
        action(*args)
    else:
        active.recorder.repeat(action, args)


def same_array(one: Array, other: Array) -> bool:
    """Whether both are one array; while a step is recorded, the same elements of memory."""
    return one is other or (active.recorder is not None and active.recorder.same(one, other))


class use:  # noqa: N801 - reads as a verb: mg.use("cupy")
    """Choose the backend that ops run on; as a context manager, until the block ends.

    Tensors stay where they were made: an op on a tensor of another backend raises.
    """

    def __init__(self, name: str) -> None:
        if active.recorder is not None:
            raise UserError(f"a captured step cannot change the backend (to {name})")
        chosen = get_backend(name)
        self._previous = active.backend
        active.backend = chosen

    def __enter__(self) -> Backend:
        return active.backend

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        active.backend = self._previous
