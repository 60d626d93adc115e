"""What a framework adds to one small operation: `a * b` on 8×8 float32 arrays.

The arithmetic is nothing here (64 products), so the time is the framework's own: finding the op,
checking its operands, making the result and recording the node; and in the backward pass, walking
to the node, running its rule and handing the gradient on. The floor is the same products on raw
NumPy arrays, which also carries the cost of the Python loop; "above floor" is the overhead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.workload import Setting, Step, Workload


def operands() -> tuple[np.ndarray, np.ndarray]:
    """Two 8×8 float32 arrays; the second is ones, so that long chains stay finite."""
    generator = np.random.default_rng(0)
    return generator.standard_normal((8, 8)).astype(np.float32), np.ones((8, 8), np.float32)


@dataclass(frozen=True)
class Operation(Workload):
    """Forward, with recording: both operands require a gradient."""

    name: ClassVar[str] = "operation"
    title: ClassVar[str] = "a*b on 8×8 with recording, for each operation"
    unit: ClassVar[str] = "µs"
    floor_name: ClassVar[str] = "raw NumPy"
    trains: ClassVar[bool] = False
    small: ClassVar[str] = "repeats=10"

    repeats: int = 1000

    @property
    def divisor(self) -> int:
        """Operations in one step."""
        return self.repeats

    def floor(self, setting: Setting) -> Step:
        """Raw NumPy products."""
        a, b = operands()
        return Step(self.multiply(a, b))

    def minigen(self, setting: Setting) -> Step:
        """The loop in minigen."""
        import minigen as mg

        a, b = operands()
        return Step(
            self.multiply(mg.tensor(a, requires_grad=True), mg.tensor(b, requires_grad=True))
        )

    def torch(self, setting: Setting) -> Step:
        """The loop in PyTorch."""
        import torch

        from benchmarks.sides.torch_side import set_threads

        set_threads(setting)
        a, b = operands()
        return Step(
            self.multiply(torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True))
        )

    def multiply(self, a: Any, b: Any) -> Any:
        """A function that multiplies a and b so many times, and keeps no product."""

        def run() -> None:
            for _ in range(self.repeats):
                a * b

        return run


@dataclass(frozen=True)
class Backward(Workload):
    """Backward through a chain of products; building the chain is not timed."""

    name: ClassVar[str] = "backward"
    title: ClassVar[str] = "backward through a chain of a*b on 8×8, for each node"
    unit: ClassVar[str] = "µs"
    floor_name: ClassVar[str] = "raw NumPy"
    trains: ClassVar[bool] = False
    small: ClassVar[str] = "length=10"

    length: int = 1000

    @property
    def divisor(self) -> int:
        """Nodes on the tape."""
        return self.length

    @property
    def most_rounds(self) -> int:
        """Building a very long chain takes longer than going back through it."""
        return 3 if self.length > 10_000 else super().most_rounds

    def floor(self, setting: Setting) -> Step:
        """The products of the backward pass: the gradient times b, once for each node."""
        _, b = operands()

        def run() -> None:
            gradient = np.ones_like(b)
            for _ in range(self.length):
                gradient = gradient * b

        return Step(run)

    def minigen(self, setting: Setting) -> Step:
        """The chain in minigen."""
        import minigen as mg

        a, b = (mg.tensor(array) for array in operands())
        a.requires_grad = True
        ones = mg.ones((8, 8))
        return Step(run=lambda end: end.backward(ones), prepare=lambda: self.chain(a, b))

    def torch(self, setting: Setting) -> Step:
        """The chain in PyTorch."""
        import torch

        from benchmarks.sides.torch_side import set_threads

        set_threads(setting)
        a, b = (torch.tensor(array) for array in operands())
        a.requires_grad = True
        ones = torch.ones(8, 8)
        return Step(run=lambda end: end.backward(ones), prepare=lambda: self.chain(a, b))

    def chain(self, a: Any, b: Any) -> Any:
        """a·b·b·…·b, whose gradient by a is asked for anew."""
        a.grad = None
        for _ in range(self.length):
            a = a * b
        return a
