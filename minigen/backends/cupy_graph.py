"""CUDA graphs by stream capture, as :class:`minigen.backends.base.GraphMaker` describes it.

While a stream captures, CUDA runs none of the kernels that it is given; it notes them with their
arguments, addresses included. So the memory of everything that the captured work makes must stay
where it is for as long as the graph is used: it comes from a pool that belongs to this graph maker
alone. Inside the graph the pool's blocks are used again and again, as in an eager step.

CuPy's current stream and allocator are each thread's own, and a capture in the mode "relaxed" binds
no other thread: what another one computes meanwhile, on its stream, is computed at once and is no
part of the graph; two threads may capture side by side.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from minigen.backends.base import Graph


class CudaGraphMaker:
    """Captures on a stream and in a memory pool of its own.

    Args:
        cupy: the module.
    """

    def __init__(self, cupy: Any) -> None:
        cuda = cupy.cuda
        self._cuda = cuda
        self._capturing = cuda.Stream(non_blocking=True)  # the default stream may not wait for it
        self._working = cuda.Stream(non_blocking=True)
        self._pool = cuda.MemoryPool()
        self._ordinary = cuda.get_allocator()
        self._inside: contextlib.ExitStack | None = None

    def begin(self) -> None:
        """Start to capture; the pool and the stream are CuPy's current ones until the end."""
        # New memory may be asked for: the mode "relaxed", CuPy's default, allows it.
        with contextlib.ExitStack() as entered:
            entered.enter_context(self._capturing)
            entered.enter_context(self._cuda.using_allocator(self._pool.malloc))
            self._capturing.begin_capture()
            self._inside = entered.pop_all()

    def end(self) -> Graph:
        """The graph; it is launched on whatever stream is current then."""
        assert self._inside is not None
        with self._inside:
            self._inside = None
            graph: Graph = self._capturing.end_capture()
        return graph

    def abandon(self) -> None:
        """End a capture that failed: CUDA reports the failure again, which is known by now."""
        if self._inside is not None:
            with contextlib.suppress(RuntimeError):
                self.end()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Work on another stream in ordinary memory, and wait until it is done."""
        with self._working, self._cuda.using_allocator(self._ordinary):
            yield
            self._working.synchronize()
