"""A recorded step as data: instructions on memory, and the plan of where that memory lies.

What the recorder writes down::

    Root          a piece of memory: one that the step made, or one that it found (a parameter)
    Ref           an array as a place in a root: offset, shape, strides, dtype
    Instruction   function, arguments (with Refs for arrays), and the Refs it writes to

What becomes of it: every root that the step made lives from the first instruction that mentions
it to the last one. Two roots whose lives do not meet may lie in the same bytes; so all of them
are packed into one *arena* (largest first, each into the tightest gap that is free for its whole
life). Then every Ref is made an array once, every instruction a call without arguments, and a
replay is ``for call in calls: call()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigen.capture.errors import CaptureError
from minigen.capture.lowering import lower

__all__ = ["MADE", "OUTSIDE", "Instruction", "Program", "Ref", "Root", "pack"]

ALIGNMENT = 64
"""Bytes: a cache line, and the width of AVX-512."""

MADE, OUTSIDE = "made", "outside"


class Root:
    """A piece of memory.

    Attributes:
        kind: ``MADE`` by the step (it gets a place in the arena), or ``OUTSIDE``, used where it is.
        nbytes: how long it is.
        address: where it lay while the step was recorded.
        first, last: the instructions that mention it first and last.
        offset: its place in the arena.
        owner: for an outside root the array that owns the memory.
        pinned: it keeps its bytes between replays, because a tensor outside shows them.
    """

    __slots__ = ("address", "first", "kind", "last", "nbytes", "offset", "owner", "pinned", "ref")

    def __init__(self, kind: str, nbytes: int, address: int) -> None:
        self.kind, self.nbytes, self.address = kind, nbytes, address
        self.first, self.last, self.offset = -1, -1, -1
        self.owner: Any = None
        self.ref: Any = None
        self.pinned = False

    def hold(self, user: str, where: str) -> None:
        """Take hold of memory outside, for good.

        Raises:
            CaptureError: it is gone: nobody but the step itself knew it.
        """
        if self.kind == MADE or self.owner is not None:
            return
        self.owner = self.ref()
        if self.owner is None:
            raise CaptureError(
                f"an array of {self.nbytes} bytes that {user} uses{where} is gone: it was computed "
                f"past the recorder (compute on tensors), or the step puts another tensor in its "
                f"place (write into it with copy_)"
            )


class Ref(NamedTuple):
    """An array: where its first element lies in its root, and how the others follow."""

    root: Root
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype


class Instruction(NamedTuple):
    """One call. Without ``outs`` it works in place on its arguments, or on things of the host."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    outs: tuple[Ref, ...]
    place: tuple[str, int]

    @property
    def name(self) -> str:
        """What the table calls it."""
        owner = getattr(self.function, "__self__", None)
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"{owner.__name__}.{name}" if isinstance(owner, np.ufunc) else name

    def refs(self) -> Iterator[Ref]:
        """Every array that it mentions."""
        yield from _refs(self.args)
        yield from _refs(tuple(self.options.values()))
        yield from self.outs


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif type(value) in (tuple, list):
        for part in value:
            yield from _refs(part)


def pack(sizes: Sequence[int], lives: Sequence[tuple[int, int]]) -> tuple[list[int], int]:
    """Offsets at which no two pieces overlap that are alive together, and the bytes needed.

    Greedy: the largest piece first; each goes into the tightest gap between those already placed
    that share a moment of its life, or behind them.

    Args:
        sizes: bytes of each piece.
        lives: first and last moment of each, both included.
    """
    offsets = [0] * len(sizes)
    end = 0
    placed = np.zeros((4, len(sizes)), dtype=np.int64)  # begin, stop, first, last
    largest_first = sorted(range(len(sizes)), key=lambda i: (-sizes[i], lives[i]))
    for count, piece in enumerate(largest_first):
        need = -(-sizes[piece] // ALIGNMENT) * ALIGNMENT
        first, last = lives[piece]
        here = placed[:, :count]
        rivals = here[:2, (here[2] <= last) & (here[3] >= first)]
        rivals = rivals[:, np.argsort(rivals[0], kind="stable")]
        best, tightest, free = -1, -1, 0
        for begin, stop in rivals.T.tolist():
            gap = begin - free
            if gap >= need and (best < 0 or gap < tightest):
                best, tightest = free, gap
            free = max(free, stop)
        offsets[piece] = best if best >= 0 else free
        placed[:, count] = offsets[piece], offsets[piece] + need, first, last
        end = max(end, offsets[piece] + need)
    return offsets, end


class Program:
    """A list of instructions, planned and bound; see the top of this file.

    Attributes:
        instructions: in order.
        calls: the same as functions without arguments.
        arena: the memory of everything that the step makes.
        made_bytes: what these pieces would take side by side, as they do in an eager step.
    """

    def __init__(self, instructions: Sequence[Instruction], kept: Iterable[Root]) -> None:
        self.instructions = list(instructions)
        self.roots = roots = self._live(kept)
        made = [root for root in roots if root.kind == MADE]
        always = (0, len(self.instructions))
        offsets, size = pack(
            [root.nbytes for root in made],
            [always if root.pinned else (root.first, root.last) for root in made],
        )
        for root, offset in zip(made, offsets):
            root.offset = offset
        self.made_bytes = sum(root.nbytes for root in made)
        memory = np.zeros(size + ALIGNMENT, dtype=np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        self.arena = memory[start : start + size]
        self._arrays: dict[Any, np.ndarray] = {}
        self.calls: list[Callable[[], Any]] = []
        for one in self.instructions:
            args = self._bound(one.args)
            options = {key: self._bound(value) for key, value in one.options.items()}
            self.calls += lower(one.function, args, options, [self.array(o) for o in one.outs])

    def _live(self, kept: Iterable[Root]) -> list[Root]:
        """All roots, each with the first and last instruction that mentions it."""
        roots = dict.fromkeys(kept)
        for root in roots:
            root.first, root.last = 0, 0
        for number, instruction in enumerate(self.instructions):
            for ref in instruction.refs():
                root = ref.root
                if root not in roots:
                    roots[root] = None
                    root.first = number
                root.last = number
        return list(roots)

    def array(self, ref: Ref) -> np.ndarray:
        """The array that ``ref`` stands for, in the arena or in memory outside."""
        root = ref.root
        key = (id(root), *ref[1:])
        if key not in self._arrays:
            if root.kind == MADE:
                buffer, start = self.arena, root.offset
            else:
                buffer, start = root.owner, 0
            self._arrays[key] = _array(buffer, start + ref.offset, ref)
        return self._arrays[key]

    def _bound(self, value: Any) -> Any:
        if isinstance(value, Ref):
            return self.array(value)
        if type(value) in (tuple, list) and any(True for _ in _refs(value)):
            return type(value)([self._bound(part) for part in value])
        return value

    def run(self) -> None:
        """Do it all again."""
        for call in self.calls:
            call()

    def table(self) -> str:
        """The instructions to read: number, function, arguments and result, line of the step."""
        rows = []
        for number, one in enumerate(self.instructions):
            given = ", ".join(_shown(value) for value in (*one.args, *one.options.values()))
            outs = ", ".join(_shown(ref) for ref in one.outs) or "in place"
            size = sum(_bytes(ref) for ref in one.outs)
            file = one.place[0].replace("\\", "/").rpartition("/")[2]
            rows.append(
                f"{number:5}  {one.name:<20.20} {given[:58]:<58} -> {outs:<24} "
                f"{size:>9,} B  {file}:{one.place[1]}"
            )
        return "\n".join(rows)


def _array(buffer: np.ndarray, start: int, ref: Ref) -> np.ndarray:
    """An array over the memory of ``buffer``, ``start`` bytes from its first element."""
    if 0 in ref.shape:
        return np.empty(ref.shape, ref.dtype)
    if buffer.dtype == np.uint8 and buffer.flags.c_contiguous:
        return np.ndarray(ref.shape, ref.dtype, buffer, start, ref.strides)
    place = _Place(buffer, start, ref)
    return np.asarray(place)


class _Place:
    """What NumPy asks for to make an array over memory that somebody else owns."""

    def __init__(self, owner: np.ndarray, start: int, ref: Ref) -> None:
        self.base = owner
        self.__array_interface__ = {
            "data": (owner.ctypes.data + start, not owner.flags.writeable),
            "shape": ref.shape,
            "strides": ref.strides,
            "typestr": ref.dtype.str,
            "version": 3,
        }


def _bytes(ref: Ref) -> int:
    size = ref.dtype.itemsize
    for length in ref.shape:
        size *= length
    return size


def _shown(value: Any) -> str:
    if isinstance(value, Ref):
        return f"{'×'.join(map(str, value.shape)) or '1'} {value.dtype.name}"
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype}"
    if type(value) in (tuple, list):
        return "(" + ", ".join(_shown(part) for part in value) + ")"
    if callable(value):
        return getattr(value, "__qualname__", "")
    return str(value)[:24]
