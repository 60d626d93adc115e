"""What a workload is: one thing to do, written once for each framework, with its floor.

A workload is a frozen dataclass, so that its sizes are fields and a specification such as
``vae:batch=256,hidden=1024`` names a variant of it; growth curves are lists of such variants.
Each framework's version is a method that builds a :class:`Step`; a contender says which method it
uses (``side``). A workload without that method is simply not run by that contender.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from benchmarks.gemm import Gemm, gemm_step, total_flops

Setting = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One repeatable piece of work.

    ``run`` is timed. ``prepare``, where given, is called before each run, outside the clock, and
    its value is handed to ``run`` (the tape of a backward pass, for instance).
    """

    run: Callable[..., Any]
    prepare: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Workload(ABC):
    """Base class: name, unit and floor. Subclasses add their sizes as fields, and the sides."""

    name: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str] = "ms"
    floor_name: ClassVar[str] = "GEMM floor"
    # What PyTorch's settings may vary: images can be channels-last, training has an optimizer.
    has_images: ClassVar[bool] = False
    trains: ClassVar[bool] = True
    # Sizes small enough for a test, as in a specification.
    small: ClassVar[str] = ""
    has_floor: ClassVar[bool] = True

    @abstractmethod
    def minigen(self, setting: Setting) -> Step:
        """The step in minigen. The other frameworks' sides are methods beside it."""

    @property
    def most_rounds(self) -> int:
        """Rounds that suffice, where a step takes seconds."""
        return 1_000_000

    @property
    def divisor(self) -> int:
        """Operations in one run of a step, by which its time is divided (one training step: 1)."""
        return 1

    def gemms(self) -> list[Gemm]:
        """The matrix products of one step; an empty list where there is no such floor."""
        return []

    def floor(self, setting: Setting) -> Step:
        """The least that has to be done: by default the matrix products alone."""
        del setting
        return Step(gemm_step(self.gemms()))

    @property
    def floor_gflop(self) -> float:
        """10^9 floating-point operations in the matrix products of one step."""
        return total_flops(self.gemms()) / 1e9

    @classmethod
    def from_sizes(cls, sizes: str) -> Self:
        """The workload with some sizes replaced, from text such as ``batch=256,hidden=1024``."""
        accepted = {field.name for field in dataclasses.fields(cls)}
        values: dict[str, int] = {}
        for part in filter(None, sizes.split(",")):
            key, equals, text = part.partition("=")
            if key not in accepted or not equals:
                raise ValueError(
                    f"size of workload {cls.name} must be one of {sorted(accepted)} with =NUMBER, "
                    f"got {part!r}"
                )
            if not text.isdecimal() or int(text) < 1:
                raise ValueError(
                    f"size {key} of workload {cls.name} must be a whole number >= 1, got {text!r}"
                )
            values[key] = int(text)
        return cls(**values)
