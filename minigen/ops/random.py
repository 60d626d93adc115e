"""Randomness, explicit and resumable.

Every draw comes from a :class:`Generator`: one that is passed, or the default one. Its
state can be saved, so that a resumed run draws the numbers that the uninterrupted run would
have drawn.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigen.autograd.operation import functions
from minigen.autograd.tensor import DEFAULT_DTYPE, Tensor
from minigen.backends import active
from minigen.errors import UserError
from minigen.numeric import integer, is_integer, number
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
        if not is_integer(seed) or int(seed) < 0:
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
        return self._floats("normal", shape, dtype)

    def uniform(self, *shape: Any, dtype: Any = DEFAULT_DTYPE) -> Tensor:
        """Uniform draws from [0, 1) of ``shape``."""
        return self._floats("uniform", shape, dtype)

    def _floats(self, kind: str, shape: Any, dtype: Any) -> Tensor:
        """Draws in ``dtype``; halves are drawn in float32 and rounded."""
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            raise TypeError(f"dtype of {kind} draws must be a floating-point type, got {dtype}")
        if dtype.itemsize >= 4:
            return Tensor(self._drawn(kind, _lengths(shape), dtype))
        drawn = self._drawn(kind, _lengths(shape), DEFAULT_DTYPE)
        if kind == "uniform":  # what rounds to 1 becomes the largest half below it
            drawn = active.backend.xp.minimum(drawn, 1 - 2**-11)
        return Tensor(drawn.astype(dtype))

    def integers(self, low: int, high: int, shape: tuple[int, ...] = ()) -> Tensor:
        """Integers (int64) drawn uniformly from [low, high)."""
        low, high = integer("low", low), integer("high", high)
        if low >= high:
            raise ValueError(f"low must be < high, got {low} and {high}")
        return Tensor(active.backend.asarray(self._drawn("integers", low, high, tuple(shape))))

    def permutation(self, n: int) -> Tensor:
        """The integers 0 … n-1 (int64) in random order."""
        return Tensor(self._drawn("permutation", integer("n", n, 0)))

    def state(self) -> dict[str, Any]:
        """Where the stream stands: JSON-able."""
        streams = {name: stream.state() for name, stream in self._streams.items()}
        return {"seed": self.seed, "streams": streams}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from where ``state()`` was taken.

        Raises:
            UserError: the state is none, in one line. Nothing has been changed then.
        """
        if active.recorder is not None:
            active.recorder.refuse("set a generator's state", "no replay would")
        if not isinstance(state, Mapping) or not {"seed", "streams"} <= set(state):
            raise UserError(f"a generator's state has the keys seed and streams, got {state!r}")
        seed, streams = state["seed"], state["streams"]
        if not is_integer(seed) or int(seed) < 0:
            raise UserError(f"seed must be an integer ≥ 0, got {seed!r}")
        if not isinstance(streams, Mapping):
            raise UserError(f"streams must be a dictionary, got {streams!r}")
        name, fresh = active.backend.name, {}
        if name in streams:
            fresh[name] = active.backend.generator(int(seed))
            try:
                fresh[name].load_state(streams[name])
            except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
                raise UserError(f"the stream of {name} cannot be read: {error!r}") from error
        self.seed, self._streams = int(seed), fresh


def _lengths(shape: tuple[Any, ...]) -> tuple[int, ...]:
    lengths = unpack(shape)
    if any(not is_integer(n) or n < 0 for n in lengths):
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


def _drawn(
    kind: str, lengths: Any, size: Any, dtype: Any, generator: Generator | None, grad: bool
) -> Tensor:
    draw = getattr(generator or default_generator(), kind)
    shape = lengths if size is None else (size,)
    return draw(*shape, dtype=DEFAULT_DTYPE if dtype is None else dtype).requires_grad_(grad)


def randn(
    *lengths: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal draws of shape ``lengths`` (or ``size``)."""
    return _drawn("normal", lengths, size, dtype, generator, requires_grad)


def rand(
    *lengths: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform draws from [0, 1) of shape ``lengths`` (or ``size``)."""
    return _drawn("uniform", lengths, size, dtype, generator, requires_grad)


def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers (int64) drawn uniformly from [low, high); ``randint(high, size)`` starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint: size must be a tuple of lengths, got {size!r}")
    draws = (generator or default_generator()).integers(low, high, _lengths((size,)))
    return _as_dtype(draws, dtype).requires_grad_(requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The integers 0 … n-1 in random order (int64)."""
    draws = (generator or default_generator()).permutation(n)
    return _as_dtype(draws, dtype).requires_grad_(requires_grad)


def _as_dtype(draws: Tensor, dtype: Any) -> Tensor:
    return draws if dtype is None else Tensor(draws.data.astype(dtype))


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal draws in the shape (and dtype) of ``input``."""
    return _drawn("normal", (), input.shape, dtype or input.dtype, generator, requires_grad)


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform draws from [0, 1) in the shape (and dtype) of ``input``."""
    return _drawn("uniform", (), input.shape, dtype or input.dtype, generator, requires_grad)


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with probability ``input``, else 0, elementwise; without a gradient.

    With ``p`` that is the probability for all, and ``input`` tells shape and dtype only.

    Raises:
        ValueError: a probability is not in [0, 1] (looked at on the CPU).
    """
    probability = input.data if p is None else p
    _refuse("bernoulli", _outside_unit, probability)
    draws = rand(input.shape, dtype=input.dtype, generator=generator)
    return Tensor((draws.data < probability).astype(input.dtype))


def _refuse(name: str, check: Any, values: Any) -> None:
    """Raise what ``check(values)`` finds; on a device looking would cost a transfer."""
    if active.backend.name == "numpy":
        active.backend.run(_raise_found, name, check, values)


def _raise_found(name: str, check: Any, values: Any) -> None:
    found = check(np.asarray(values))
    if found:
        raise ValueError(f"{name}: {found}")


def _outside_unit(p: np.ndarray) -> str:
    wrong = p[~((p >= 0) & (p <= 1))]
    return f"probabilities must lie in [0, 1], got {wrong.flat[0]}" if wrong.size else ""


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Class indices (int64) drawn in proportion to the weights ``input``; without a gradient.

    Args:
        input: (classes,) or (N, classes) weights ≥ 0; they need not add up to 1.
        num_samples: how many for each row.
        replacement: whether a class may come twice. If not, the draws are those of one hand: the
            largest of ``weight / e`` with exponential e come first (Efraimidis and Spirakis 2006).
        generator: where the draws come from.

    Returns:
        (num_samples,) or (N, num_samples).

    Raises:
        ValueError: another shape, too many samples, or (looked at on the CPU) weights that are
            negative, not finite, or 0 in a whole row.
    """
    if input.ndim not in (1, 2) or input.dtype.kind != "f":
        raise ValueError(
            f"multinomial: input must be floats (classes,) or (N, classes), "
            f"got {input.dtype} {input.shape}"
        )
    classes = input.shape[-1]
    if num_samples < 1 or (not replacement and num_samples > classes):
        raise ValueError(
            f"multinomial: num_samples must be ≥ 1 and, without replacement, at most {classes}, "
            f"got {num_samples}"
        )
    _refuse("multinomial", _no_weights, input.data)
    xp, p = active.backend.xp, input.data
    if not replacement and num_samples > 1:
        u = rand(p.shape, dtype=p.dtype, generator=generator).data
        order = xp.argsort(xp.log1p(-u) / xp.where(p > 0, p, 1) - xp.where(p > 0, 0, xp.inf))
        return Tensor(order[..., ::-1][..., :num_samples].astype(np.int64))
    edges = xp.cumsum(p, axis=-1, dtype=np.float64)
    shape = (*p.shape[:-1], num_samples)
    u = rand(shape, dtype=p.dtype, generator=generator).data * edges[..., -1:]
    below = (edges[..., None, :] <= u[..., None]).sum(axis=-1)  # (…, num_samples, classes)
    return Tensor(xp.minimum(below, classes - 1).astype(np.int64))


def _no_weights(p: np.ndarray) -> str:
    if not (np.isfinite(p) & (p >= 0)).all():
        return f"weights must be finite and ≥ 0, got {p[~(np.isfinite(p) & (p >= 0))].flat[0]}"
    return "" if (p.sum(axis=-1) > 0).all() else "a row of weights must not be all 0"


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, *, generator: Generator | None = None
) -> Tensor:
    """Each element set to 0 with probability ``p``, the others times 1/(1 - p).

    The expectation stays; without ``training`` it is the identity. Srivastava et al. 2014.

    Raises:
        ValueError: ``p`` is not in [0, 1].
    """
    p = number("p", p, high=1)
    if not training or p == 0:
        return input
    kept = Tensor(rand(input.shape, dtype=input.dtype, generator=generator).data >= p)
    scaled = input * (1 / (1 - p)) if p < 1 else input
    return functions.where(kept, scaled, 0.0)  # chosen: ∞ · 0 would be NaN
