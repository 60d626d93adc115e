"""What a backend is: the one object through which minigen touches an array library.

Everything above this floor speaks to arrays through seven things only:

===================  =======================================================================
``xp``               the array namespace (``numpy``, ``cupy``, or the strict wrapper)
``asarray/to_host``  the two doors between host memory and the backend's memory
``generator``        a seeded stream of random numbers, whose state can be saved
``scatter_add``      ``target[index] += values`` with repeated indices added up
``kernels``          faster versions of named kernels (see ``minigen.ops.kernel``)
``graph_maker``      what writes a step down and repeats it, on a device that can
``synchronize`` and  wait until the device has finished; how much memory is in use
``memory``
===================  =======================================================================

An op never asks *which* backend it is on. It asks for a kernel by name, and a backend may
answer with its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import numpy as np

from minigen.errors import UserError

Array = Any
"""An array of the active backend: ``numpy.ndarray``, ``cupy.ndarray`` or a strict array."""


class BackendUnavailable(UserError):  # noqa: N818 - a state of the machine
    """The backend asked for needs a library or a device that is not here."""


class MemoryFigures(NamedTuple):
    """Bytes in use now and at most so far (as far as the array library can tell)."""

    used: int
    peak: int


class RandomStream(Protocol):
    """A seeded stream of random arrays. Equal seeds and calls give equal numbers."""

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Standard normal draws."""

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Uniform draws from [0, 1)."""

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers (int64) drawn uniformly from [low, high)."""

    def permutation(self, n: int) -> Array:
        """The integers 0 … n-1 (int64) in random order."""

    def fill(self, kind: str, out: Array) -> None:
        """The next ``normal`` or ``uniform`` draws, written into ``out``."""

    def state(self) -> dict[str, Any]:
        """Where the stream stands, as JSON-able values."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from where ``state()`` was taken."""


class Graph(Protocol):
    """Work that a device has written down."""

    def launch(self) -> None:
        """Do it once more, after what the device was asked before."""


class GraphMaker(Protocol):
    """Lets a device write work down instead of doing it: CUDA's stream capture.

    It owns the memory of what is made between ``begin`` and ``end``, over all its graphs, and must
    live as long as they do.
    """

    def begin(self) -> None:
        """From here on what is asked of the device is written down, and nothing of it done.

        What cannot be written down raises a ``RuntimeError``: above all a value for the host.
        """

    def end(self) -> Graph:
        """What was written down since ``begin``; the device works again as before."""

    def abandon(self) -> None:
        """The same, but forget it; nothing happens if no ``begin`` is open."""

    def aside(self) -> AbstractContextManager[None]:
        """Inside the block, between ``begin`` and ``end``, the device works and is not recorded;
        what is made there has its memory for itself."""


class Backend(ABC):
    """An array library as minigen sees it. One instance for each backend name.

    Attributes:
        name: ``"numpy"``, ``"cupy"`` or ``"strict"``.
        xp: the array namespace.
        array_type: the type of this backend's arrays.
        kernels: name → this backend's own version of a kernel. Ops look a kernel up here
            and otherwise run the version written beside the op, in plain ``xp`` calls.
        workspace: bytes of scratch memory that an op may take at a time; an op that could
            use more works through its batch in pieces.
        block: elements that a chain of elementwise passes works on at a time, so that they
            stay in a core's cache from one pass to the next.
    """

    name: str
    xp: Any
    array_type: type[Any]
    workspace: int = 1 << 22
    block: int = 1 << 15

    def __init__(self) -> None:
        self.kernels: dict[str, Callable[..., Any]] = {}

    @abstractmethod
    def asarray(self, value: Any, dtype: Any = None) -> Array:
        """Bring ``value`` (host array, number, nested list, own array) into this backend."""

    @abstractmethod
    def to_host(self, array: Array) -> np.ndarray:
        """The same numbers as a NumPy array; no copy where the memory is already host memory."""

    @abstractmethod
    def generator(self, seed: int) -> RandomStream:
        """A new random stream started from ``seed``."""

    @abstractmethod
    def scatter_add(self, target: Array, index: Any, values: Array) -> None:
        """``target[index] += values`` in place, where repeated indices add up."""

    def run(self, routine: Callable[..., Any], *args: Any) -> None:
        """Call a compiled ``routine`` that works in place on arrays of this backend.

        Compiled kernels go through this door, so that a recording backend sees them.
        """
        routine(*args)

    def graph_maker(self) -> GraphMaker | None:
        """What records a step on this device (see ``minigen.capture``); None on the host."""
        return None

    def give_back_memory(self) -> None:  # noqa: B027 - most need not be asked
        """Return to the system what was freed and is only kept for later arrays."""

    def synchronize(self) -> None:  # noqa: B027 - a CPU has nothing to wait for
        """Return when all work queued on the device is done (at once on a CPU)."""

    @abstractmethod
    def memory(self) -> MemoryFigures:
        """Bytes used now and at the peak."""

    def __repr__(self) -> str:
        return f"<backend {self.name}>"
