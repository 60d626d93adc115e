"""What the CUDA graph maker asks of CuPy, in which order, on a CuPy that only writes it down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minigen.backends.cupy_graph import CudaGraphMaker


class Cupy:
    """Streams, a memory pool and its allocator; ``said`` is what happened."""

    def __init__(self, fails: bool = False) -> None:
        self.said: list[str] = []
        self.current = ["default stream"]
        self.allocators = ["ordinary"]
        outer = self
        made = iter(["capturing", "working"])

        class Stream:
            def __init__(self, non_blocking: bool) -> None:
                assert non_blocking
                self.name = next(made)

            def __enter__(self) -> None:
                outer.current.append(self.name)

            def __exit__(self, *_: Any) -> None:
                outer.current.pop()

            def begin_capture(self) -> None:
                outer.said.append(f"begin on {outer.current[-1]} with {outer.allocators[-1]}")

            def end_capture(self) -> str:
                outer.said.append(f"end on {outer.current[-1]}")
                if fails:
                    raise RuntimeError("cudaErrorStreamCaptureInvalidated")
                return "graph"

            def synchronize(self) -> None:
                outer.said.append(f"{self.name} waits")

        @contextmanager
        def using_allocator(allocator: str) -> Iterator[None]:
            outer.allocators.append(allocator)
            try:
                yield
            finally:
                outer.allocators.pop()

        self.cuda = SimpleNamespace(
            Stream=Stream,
            MemoryPool=lambda: SimpleNamespace(malloc="own pool"),
            get_allocator=lambda: outer.allocators[-1],
            using_allocator=using_allocator,
        )


def test_a_capture_is_on_its_own_stream_in_its_own_pool_and_leaves_both() -> None:
    cupy = Cupy()
    maker = CudaGraphMaker(cupy)
    for _ in range(2):
        maker.begin()
        with maker.aside():
            assert (cupy.current[-1], cupy.allocators[-1]) == ("working", "ordinary")
        assert (cupy.current[-1], cupy.allocators[-1]) == ("capturing", "own pool")
        assert maker.end() == "graph"
        assert (cupy.current, cupy.allocators) == (["default stream"], ["ordinary"])
    assert cupy.said == 2 * [
        "begin on capturing with own pool",
        "working waits",
        "end on capturing",
    ]


def test_an_abandoned_capture_is_ended_although_cuda_says_again_that_it_failed() -> None:
    cupy = Cupy(fails=True)
    maker = CudaGraphMaker(cupy)
    maker.abandon()
    assert cupy.said == []
    maker.begin()
    maker.abandon()
    assert cupy.said[-1] == "end on capturing"
    assert (cupy.current, cupy.allocators) == (["default stream"], ["ordinary"])


@pytest.mark.cupy
def test_cupy_has_what_is_asked_of_it() -> None:
    from cupy import cuda

    for thing, names in [
        (cuda, ["Graph", "get_allocator", "get_current_stream", "using_allocator"]),
        (cuda.Graph, ["launch"]),
        (cuda.MemoryPool, ["malloc"]),
        (cuda.Stream, ["begin_capture", "end_capture", "is_capturing", "synchronize"]),
    ]:
        assert [name for name in names if not hasattr(thing, name)] == []
    assert cuda.runtime.runtimeGetVersion() >= 12000  # by which cuBLAS's file is named
    assert issubclass(cuda.runtime.CUDARuntimeError, RuntimeError)  # what a capture refuses with


@pytest.mark.gpu
def test_on_a_gpu_a_graph_computes_when_it_is_launched() -> None:
    from minigen.backends import get_backend

    b = get_backend("cupy")
    maker = b.graph_maker()
    x = b.xp.ones((64, 64), dtype=np.float32)
    b.kernels["product"](b, x, x)
    maker.begin()
    y = b.kernels["product"](b, x + 1, x)
    graph = maker.end()
    for value in (1.0, 3.0):
        x[...] = value
        graph.launch()
        np.testing.assert_array_equal(b.to_host(y), np.full((64, 64), 64 * (value + 1) * value))
