"""Array backends: ``numpy`` (CPU), ``cupy`` (CUDA) and ``strict`` (CUDA's manners, no GPU).

``active.backend`` is the backend in use, in this thread::

    mg.use("cupy")              # from here on
    with mg.use("strict"):      # inside the block only
        ...

Each thread has a choice of its own. One that has made none takes, with the first tensor that it
makes, the process's: what the main thread has chosen by a statement (as in the first line), or
else the environment variable ``MINIGEN_BACKEND``, or else ``numpy``; and it stays with that. A
backend's module, and the library behind it, is imported when it is first chosen.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np

from minigen.backends.base import Array, Backend, BackendUnavailable, MemoryFigures, RandomStream
from minigen.errors import UserError
from minigen.thread_state import change, current

__all__ = [
    "Array",
    "Backend",
    "BackendUnavailable",
    "MemoryFigures",
    "RandomStream",
    "active",
    "default_backend",
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
        built = getattr(importlib.import_module(module), cls)()
        return _instances.setdefault(name, built)  # another thread may have been quicker
    return _instances[name]


class _Default:
    """The choice of threads that have made none; None: what the environment says."""

    backend: Backend | None = None


def default_backend() -> Backend:
    """The process's choice; see the top of this file."""
    if _Default.backend is not None:
        return _Default.backend
    chosen = os.environ.get("MINIGEN_BACKEND") or "numpy"
    if chosen not in _CLASSES:
        raise UserError(f"MINIGEN_BACKEND must be one of {', '.join(_CLASSES)}; got {chosen!r}")
    return get_backend(chosen)


class _Active:
    """What this thread computes with. (Where every nanosecond counts: ``current().backend``.)"""

    __slots__ = ()

    @property
    def backend(self) -> Backend:
        """The backend that ops run on."""
        return current().backend

    @property
    def recorder(self) -> Any:
        """The backend that records a step of this thread (``minigen.capture``), or None."""
        return current().recorder


active = _Active()


def to_host(array: Array) -> np.ndarray:
    """``array`` as a NumPy array, whichever backend it belongs to.

    Reading a result must also work after the block that computed it on another backend.
    """
    backend = active.backend
    if not isinstance(array, backend.array_type):
        known = list(_instances.values())
        backend = next(b for b in known if isinstance(array, b.array_type))
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
    """Choose the backend that ops of this thread run on; as a context manager, until it ends.

    Said as a statement by the main thread, it is also the choice of every other thread that has
    not computed anything yet. Tensors stay where they were made: an op on a tensor of another
    backend raises.
    """

    def __init__(self, name: str) -> None:
        if active.recorder is not None:
            raise UserError(f"a captured step cannot change the backend (to {name})")
        chosen = get_backend(name)
        self._previous, self._default = active.backend, _Default.backend
        self._is_main = threading.current_thread() is threading.main_thread()
        change(backend=chosen)
        if self._is_main:
            _Default.backend = chosen

    def __enter__(self) -> Backend:
        if self._is_main:
            _Default.backend = self._default  # so it was not said as a statement
        return active.backend

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        change(backend=self._previous)
