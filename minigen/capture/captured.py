"""``mg.capture(step)``: run a step with its tape once, and then again and again without it.

    model = Vae()
    optimizer = mg.optim.Adam(model.parameters())

    @mg.capture
    def step(x):
        optimizer.zero_grad()
        loss = model.loss(x)
        loss.backward()
        optimizer.step()
        return loss

    for x in batches:
        print(step(x).item())

Eager code spends its time on three things beside the arithmetic: it builds the tape, it decides in
Python what to call, and it asks for memory. A training step does all three in the same way every
time. So the first call is run as it is, the second is written down call by call, and from the third
on only this list is gone through, in memory that was laid out once. The numbers are the same, bit
for bit.

``print(step)`` shows the list.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.capture.program import Program
from minigen.capture.recording import Recording
from minigen.capture.structure import flatten
from minigen.errors import UserError
from minigen.numeric import integer
from minigen.thread_state import current

if TYPE_CHECKING:
    from minigen.capture.graph import GraphRecording

__all__ = ["Captured", "capture"]

VARIANTS = 4
"""Recordings kept for one signature: in training mode and in evaluation, say."""


class _Signature:
    """The recordings for arguments of one kind; ``is_warm``: the next call may be recorded."""

    def __init__(self) -> None:
        self.recordings: list[Recording | GraphRecording] = []
        self.is_warm = False


class _OfThread(threading.local):
    """A thread's recordings are its own: a replay works in memory that belongs to the recording,
    and its results lie there."""

    def __init__(self) -> None:
        self.signatures: dict[Any, _Signature] = {}


class Captured:
    """A step that is recorded once and replayed; made by :func:`capture`.

    Attributes:
        step: the function itself.
        replays: how many calls were replays.
    """

    def __init__(self, step: Callable[..., Any], limit: int) -> None:
        self.step, self.limit = step, limit
        self.replays = 0
        self._of_thread = _OfThread()
        self._latest: Recording | GraphRecording | None = None
        self.__doc__ = step.__doc__
        self.__name__ = getattr(step, "__name__", type(step).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The step's result: of a plain run, of the recorded run, or of a replay."""
        state = current()
        if state.recorder is not None or state.anomaly:  # inside another one; hunting for NaN
            return self.step(*args, **kwargs)
        given: list[Any] = []
        arguments, keywords = flatten(args, given), flatten(kwargs, given)
        signature = self._signature(
            (
                *(state.backend.name, state.grad_enabled, arguments, keywords),
                tuple([_kind_of(x) for x in given]),
            )
        )
        for recording in signature.recordings:
            if recording.holds():
                self.replays += 1
                self._latest = recording
                return recording.replay(given)
        if not signature.is_warm:
            signature.is_warm = True
            return self.step(*args, **kwargs)
        signature.is_warm = False
        self._latest = _kind_of_recording()(self.step, arguments, keywords, given)
        signature.recordings = [self._latest, *signature.recordings[: VARIANTS - 1]]
        return self._latest.result

    def _signature(self, key: Any) -> _Signature:
        """What is known of calls like this one; the longest unused is forgotten."""
        try:
            hash(key)
        except TypeError as error:
            raise UserError(
                f"a captured step takes tensors, arrays and hashable values, in tuples, lists and "
                f"dictionaries: {error}"
            ) from None
        signatures = self._of_thread.signatures
        found = signatures.pop(key, None) or _Signature()
        signatures[key] = found
        if len(signatures) > self.limit:
            del signatures[next(iter(signatures))]
        return found

    # ------------------------------------------------------------------ to look at

    @property
    def program(self) -> Program:
        """The instructions and the memory of the recording that was used last."""
        if self._latest is None:
            raise UserError(f"{self.__name__} was not recorded yet: the second call is")
        return self._latest.program

    @property
    def instructions(self) -> list[Any]:
        """The recorded calls, in order."""
        return self.program.instructions

    def __repr__(self) -> str:
        if self._latest is None:
            return f"<captured step {self.__name__}, not recorded yet>"
        return f"<captured step {self.__name__}: {self._latest.summary()}>"

    def __str__(self) -> str:
        return repr(self) if self._latest is None else f"{self!r}\n{self._latest.table()}"


def _kind_of_recording() -> Any:
    """The class for the active backend; that of device graphs is loaded where there is a device."""
    if active.backend.name == "numpy":
        return Recording
    from minigen.capture.graph import GraphRecording

    return GraphRecording


def _kind_of(x: Any) -> tuple[Any, ...]:
    """What must be equal for two arguments to share a recording."""
    array = x._data if isinstance(x, Tensor) else x
    layout = None if array.flags.c_contiguous else array.strides
    return isinstance(x, Tensor) and x.requires_grad, array.shape, array.dtype, layout, type(x)


def capture(step: Callable[..., Any], limit: int = 64) -> Captured:
    """Record ``step`` and replay it: the same numbers with no tape and (nearly) no allocation.

    A call with arguments of a new kind (shapes, dtypes, other values that are no arrays) runs as it
    is, which also makes what is made only once. The second is recorded while it runs, later ones
    are replays. Random draws are fresh and come from the same streams; step counts, learning rates
    and schedules go on; what the optimizer reads from ``param_groups`` may be changed between
    calls. If a parameter was given another array, a module another mode, or gradients
    that the step adds to are gone, the step is recorded again.

    What the step must keep to:

    - values stay off the host: ``item()``, ``float``, ``if`` on a tensor raise, with the line;
    - what Python does beside tensors (a counter, a number computed from it) happens only when the
      step is run, not when it is replayed; pass what changes as an argument;
    - state lives in tensors that are written into, not replaced by others;
    - it computes in the thread that calls it, not in threads of its own;
    - its results lie in memory that the next call overwrites: read or clone them before.

    Threads do not disturb one another: each records the step for itself when it calls it, and what
    another one computes meanwhile is computed as ever. (That two threads train one model at once is
    as well defined, or not, as without ``capture``.) An interrupt, while a step is recorded or
    replayed, leaves what an interrupted plain step leaves; the next call starts again.

    On CuPy the recording is made of CUDA graphs (see ``capture/graph.py``), one up to each update
    of an optimizer. A step with linear algebra (``slogdet``, ``solve``) or sorting cannot be
    captured there, since CuPy refuses it. The strict backend acts all of this out on the host.

    Args:
        step: takes and returns tensors, arrays and plain values, also in tuples, lists and
            dictionaries.
        limit: kinds of arguments that are remembered.

    Raises:
        CaptureError: the step does what cannot be repeated; in one line, when it is recorded.
    """
    if not callable(step):
        raise TypeError(f"step must be callable, got {type(step).__name__}")
    return Captured(step, integer("limit", limit, 1))
