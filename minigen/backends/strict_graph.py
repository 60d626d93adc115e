"""CUDA's stream capture acted out on the host, so that recording a step can be tested with no GPU.

Between ``begin`` and ``end`` a CUDA stream *does nothing*: it writes down which kernel was asked
for, with which addresses. ``launch`` then does it all, with whatever lies at these addresses by
then. What trips a program up there is acted out as well:

- no value that a captured step computes exists yet: new arrays are filled with NaN (integers
  with 0), and a write in place is only written down;
- host data that comes in, and whatever CuPy refuses in a capture, raises: the host waiting for a
  value, cuBLAS, cuSOLVER, sorting, joining (``REFUSED``);
- a launch sees the same memory again, not the same Python objects.

All work on strict arrays passes through :func:`compute` or :func:`write`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["StrictGraph", "StrictGraphMaker", "capturing", "compute", "refuse", "write"]

REFUSED = """
matmul dot inner outer tensordot vdot cholesky det eigh inv pinv qr slogdet svd solve argsort
sort searchsorted bincount median unique nonzero argwhere flatnonzero concatenate
stack hstack vstack
"""
"""Functions that CuPy cannot run in a capture, or that end in a transfer to the host."""

_REFUSED = frozenset(REFUSED.split())


class StrictGraph:
    """A list of calls without arguments, each bound to the arrays that it reads and writes."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], Any]] = []

    def launch(self) -> None:
        """Make all calls."""
        for call in self.calls:
            call()


class _Stream(threading.local):
    """What this thread's calls go to; CuPy's current stream is each thread's own as well."""

    graph: StrictGraph | None = None  # the one in the making, if there is one


_stream = _Stream()


class StrictGraphMaker:
    """See :class:`minigen.backends.base.GraphMaker`."""

    def begin(self) -> None:
        """Start a graph."""
        if _stream.graph is not None:
            raise RuntimeError("another graph is being captured")
        _stream.graph = StrictGraph()

    def end(self) -> StrictGraph:
        """The graph since ``begin``."""
        graph, _stream.graph = _stream.graph, None
        assert graph is not None
        return graph

    def abandon(self) -> None:
        """Forget the graph in the making."""
        _stream.graph = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Compute in earnest inside the block."""
        graph, _stream.graph = _stream.graph, None
        try:
            yield
        finally:
            _stream.graph = graph


def capturing() -> bool:
    """Whether calls of this thread are written down and not made."""
    return _stream.graph is not None


def refuse(what: str) -> None:
    """Raise if a graph is being captured: ``what`` cannot be part of it."""
    if _stream.graph is not None:
        raise RuntimeError(f"{what} cannot be captured in a graph")


def compute(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """``function(*args, **options)`` on NumPy arrays, for a function that makes its result.

    In a capture: a view is given back as it is; new arrays hold nothing yet.
    """
    graph = _stream.graph
    if graph is None:
        return function(*args, **options)
    _refuse_by_name(function)
    if options.get("out") is not None:
        return write(function, *args, **options)
    with np.errstate(all="ignore"):
        result = function(*args, **options)
    several = isinstance(result, (tuple, list))
    results = [np.asarray(part) for part in (result if several else [result])]
    sources = list(_arrays((*args, *options.values())))
    views = any(np.may_share_memory(part, source) for part in results for source in sources)
    if not views and any(part.size for part in results):
        for part in results:
            part[...] = np.nan if part.dtype.kind in "fc" else 0
        again = functools.partial(_compute_into, results, function, args, options)
        graph.calls.append(again)
    return tuple(results) if several else results[0]


def write(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """``function(*args, **options)`` for a function that writes into one of its arguments."""
    graph = _stream.graph
    if graph is None:
        return function(*args, **options)
    _refuse_by_name(function)
    graph.calls.append(functools.partial(function, *args, **options))
    return options.get("out")


def _refuse_by_name(function: Callable[..., Any]) -> None:
    name = getattr(function, "__name__", "")
    if name in _REFUSED:
        refuse(name)


def _compute_into(results: list[np.ndarray], function: Any, args: Any, options: Any) -> None:
    found = function(*args, **options)
    for out, part in zip(results, found if isinstance(found, (tuple, list)) else [found]):
        out[...] = part


def _arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _arrays(part)
