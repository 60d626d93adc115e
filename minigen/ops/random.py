"""Randomness, explicit and resumable.

Every draw comes from a :class:`Generator`: one that is passed, or the default one. Its
state can be saved, so that a resumed run draws the numbers that the uninterrupted run would
have drawn.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np

from minigen.autograd.operation import functions
from minigen.autograd.tensor import DEFAULT_DTYPE, Tensor
from minigen.backends import active
from minigen.ops._arguments import unpack

__all__ = [
    "Generator",
    "bernoulli",
    "default_generator",
    "dropout",
    "manual_seed",
    "multinomial",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
]


class Generator:
    """A seeded stream of random tensors on the backend that is active at the first draw.

    Args:
        seed: an integer ≥ 0; equal seeds and calls give equal numbers on a backend.
    """

    def __init__(self, seed: int = 0) -> None:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed must be an integer ≥ 0, got {seed!r}")
        if active.recorder is not None:
            active.recorder.refuse("make a generator", "it would start again at every call")
        self.seed = int(seed)
        self._streams: dict[str, Any] = {}

    @property
    def _stream(self) -> Any:
        backend = active.backend
        if backend.name not in self._streams:
            self._streams[backend.name] = backend.generator(self.seed)
        return self._streams[backend.name]

    def _drawn(self, kind: str, *arguments: Any) -> Any:
        if active.recorder is not None:
            return active.recorder.draw(self, kind, arguments)
        return self.draw(kind, *arguments)

    def draw(self, kind: str, *arguments: Any) -> Any:
        """A raw array from the method of the stream that is called ``kind``."""
        return getattr(self._stream, kind)(*arguments)

    def fill(self, kind: str, out: Any, *arguments: Any) -> None:
        """The next ``draw`` written into ``out``, as a replay of a recorded step does."""
        if kind in ("normal", "uniform"):
            self._stream.fill(kind, out)
        else:
            out[...] = self.draw(kind, *arguments)

    def normal(self, *shape: Any, dtype: Any = DEFAULT_DTYPE) -> Tensor:
        """Standard normal draws of ``shape``."""
        return Tensor(self._drawn("normal", _lengths(shape), dtype))

    def uniform(self, *shape: Any, dtype: Any = DEFAULT_DTYPE) -> Tensor:
        """Uniform draws from [0, 1) of ``shape``."""
        return Tensor(self._drawn("uniform", _lengths(shape), dtype))

    def integers(self, low: int, high: int, shape: tuple[int, ...] = ()) -> Tensor:
        """Integers (int64) drawn uniformly from [low, high)."""
        if low >= high:
            raise ValueError(f"low must be < high, got {low} and {high}")
        return Tensor(active.backend.asarray(self._drawn("integers", low, high, tuple(shape))))

    def permutation(self, n: int) -> Tensor:
        """The integers 0 … n-1 (int64) in random order."""
        return Tensor(self._drawn("permutation", n))

    def state(self) -> dict[str, Any]:
        """Where the stream stands: JSON-able."""
        streams = {name: stream.state() for name, stream in self._streams.items()}
        return {"seed": self.seed, "streams": streams}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from where ``state()`` was taken."""
        if active.recorder is not None:
            active.recorder.refuse("set a generator's state", "no replay would")
        self.seed = int(state["seed"])
        self._streams = {}
        for name, saved in state["streams"].items():
            if name == active.backend.name:
                self._stream.load_state(saved)


def _lengths(shape: tuple[Any, ...]) -> tuple[int, ...]:
    lengths = unpack(shape)
    if any(isinstance(n, bool) or not hasattr(n, "__index__") or n < 0 for n in lengths):
        raise ValueError(f"shape must be lengths ≥ 0, got {lengths}")
    return tuple([int(n) for n in lengths])


class _Default(threading.local):
    """Each thread's own default generator: of seed 0 in the main one, 1, 2, … in the others."""

    def __init__(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        seed, recorder = 0 if is_main else next(_seeds), active.recorder
        self.generator = Generator(seed) if not recorder else recorder.unrecorded(Generator, seed)


_seeds = itertools.count(1)
_default = _Default()


def default_generator() -> Generator:
    """The generator that is used in this thread where none is passed.

    Each thread has its own. Those beside the main one are seeded 1, 2, … as they first draw; a
    thread whose numbers shall be the same each time calls ``manual_seed``.
    """
    return _default.generator


def manual_seed(seed: int) -> Generator:
    """Start this thread's default generator anew from ``seed``; returns it."""
    fresh = Generator(seed)  # (refused while a step is recorded)
    generator = default_generator()
    generator.seed, generator._streams = fresh.seed, {}
    return generator


def randn(*shape: Any, dtype: Any = DEFAULT_DTYPE, generator: Generator | None = None) -> Tensor:
    """Standard normal draws."""
    return (generator or default_generator()).normal(*shape, dtype=dtype)


def rand(*shape: Any, dtype: Any = DEFAULT_DTYPE, generator: Generator | None = None) -> Tensor:
    """Uniform draws from [0, 1)."""
    return (generator or default_generator()).uniform(*shape, dtype=dtype)


def randint(low: int, high: int, shape: Any, generator: Generator | None = None) -> Tensor:
    """Integers (int64) drawn uniformly from [low, high)."""
    return (generator or default_generator()).integers(low, high, shape)


def randperm(n: int, generator: Generator | None = None) -> Tensor:
    """The integers 0 … n-1 in random order."""
    return (generator or default_generator()).permutation(n)


def randn_like(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Standard normal draws in the shape and dtype of ``input``."""
    return randn(input.shape, dtype=input.dtype, generator=generator)


def rand_like(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Uniform draws from [0, 1) in the shape and dtype of ``input``."""
    return rand(input.shape, dtype=input.dtype, generator=generator)


def bernoulli(p: Tensor, generator: Generator | None = None) -> Tensor:
    """1 with probability ``p``, else 0, elementwise; without a gradient."""
    draws = rand(p.shape, dtype=p.dtype, generator=generator)
    return Tensor((draws.data < p.data).astype(p.dtype))


def multinomial(probabilities: Tensor, generator: Generator | None = None) -> Tensor:
    """One class index (int64) for each row of ``probabilities``: (…, classes) -> (…)."""
    xp = active.backend.xp
    p = probabilities.data
    edges = xp.cumsum(p, axis=-1)
    u = rand((*p.shape[:-1], 1), dtype=p.dtype, generator=generator).data * edges[..., -1:]
    return Tensor(xp.minimum((edges <= u).sum(axis=-1), p.shape[-1] - 1).astype(np.int64))


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, generator: Generator | None = None
) -> Tensor:
    """Each element set to 0 with probability ``p``, the others times 1/(1 - p).

    The expectation stays; without ``training`` it is the identity. Srivastava et al. 2014.

    Raises:
        ValueError: ``p`` is not in [0, 1].
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p must lie in [0, 1], got {p}")
    if not training or p == 0:
        return input
    kept = Tensor(rand(input.shape, dtype=input.dtype, generator=generator).data >= p)
    scaled = input * (1 / (1 - p)) if p < 1 else input
    return functions.where(kept, scaled, 0.0)  # chosen: ∞ · 0 would be NaN
