"""One recording: the step run once under the recorder, and everything needed to run it again.

Of the tensors that were there before, the recorder notes those that the step touches. The tensors
that the step makes and that outlive it (its results, gradients of parameters without an optimizer)
move into the planned memory when it has ended.

A recording holds only while the world is as it was: parameters lie in the same arrays, modules are
in the same mode, gradients that the step added to are there. These *guards* are compared at every
call; the caller records again when one fails.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from minigen.autograd import writes
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.capture.errors import CaptureError
from minigen.capture.program import MADE, Program, Ref
from minigen.capture.recorder import Recorder, owner_of
from minigen.capture.structure import flatten, raw, rebuild
from minigen.capture.traced import Traced, plain
from minigen.capture.watching import hold, leave, show

__all__ = ["Recording"]


class Recording:
    """A step, recorded once.

    Args:
        step: the function.
        arguments, keywords: the structure of its arguments (see ``structure.py``).
        given: the arrays and tensors in them.

    Attributes:
        program: the instructions and their memory.
        result: what the recorded call itself gave; in the same memory as later results.
    """

    def __init__(
        self, step: Callable[..., Any], arguments: Any, keywords: Any, given: list[Any]
    ) -> None:
        self._inputs = [_buffer_like(raw(x)) for x in given]
        recorder = Recorder(active.backend)
        result = self._run(recorder, step, arguments, keywords, given)
        found: list[Any] = []
        self._structure = flatten(result, found)
        self._is_tensor = [isinstance(x, Tensor) for x in found]
        places = [recorder.ref(raw(x)) for x in found]
        values = [np.array(plain(raw(x))) for x in found]
        del result
        found.clear()
        self._write_back(recorder)
        self._finish(recorder, places)
        for place, array, value in zip(places, self._outputs, values):
            if place.root.kind == MADE:
                array[...] = value
        self.result = self._results()

    def _run(
        self,
        recorder: Recorder,
        step: Callable[..., Any],
        arguments: Any,
        keywords: Any,
        given: Any,
    ) -> Any:
        inputs = [
            Tensor(buffer, x.requires_grad) if isinstance(x, Tensor) else buffer.view(Traced)
            for buffer, x in zip(self._inputs, given)
        ]
        for x in inputs:
            if isinstance(x, Tensor):
                recorder.makes(x)
        return recorder.record(step, *rebuild(arguments, inputs), **rebuild(keywords, inputs))

    def _write_back(self, recorder: Recorder) -> None:
        """A tensor that was given another array: the value goes into the one that it had."""
        for entry in recorder.touched.values():
            new = entry.tensor.data
            if new is entry.data:
                continue
            if recorder.ref(new).root.kind != MADE:  # moved, as by an optimizer; guards will see
                continue
            if new.shape != entry.data.shape or new.dtype != entry.data.dtype:
                raise CaptureError(
                    f"a captured step cannot change a tensor of shape {entry.data.shape} into "
                    f"{new.shape}"
                )
            recorder.call(np.copyto, (entry.data, new), {})
            entry.tensor.data = entry.data

    def _finish(self, recorder: Recorder, places: list[Ref]) -> None:
        """Let go of the step's memory, plan, and hand what outlives it its place in the plan."""
        touched = list(recorder.touched.values())
        gradients = [(e.tensor, e.tensor.grad) for e in touched if e.tensor.grad is not e.grad]
        arrived = [
            (e.tensor, e.grad)
            for e in touched
            if e.tensor in recorder.arrived and recorder.arrived[e.tensor] is e.grad
        ]
        before = [weakref.ref(e.tensor) for e in touched]
        outlived = recorder.made_and_alive()
        touched.clear()
        recorder.touched.clear()
        recorder.arrived.clear()
        self._plan(recorder, places, outlived)
        self._gradients = [(x, None if grad is None else grad._data) for x, grad in gradients]
        used = {id(r.owner) for r in self.program.roots if r.kind != MADE}
        self._guards = list(recorder.guards)
        self._guards += [(tensor, "_grad", grad) for tensor, grad in arrived]
        for reference in before:
            tensor = reference()
            if tensor is not None and id(owner_of(tensor.data)) in used:
                self._guards.append((tensor, "_data", tensor.data))
                self._guards.append((tensor, "requires_grad", tensor.requires_grad))
        self._noted = list(recorder.noted.values())

    def _plan(self, recorder: Recorder, places: list[Ref], outlived: list[Tensor]) -> None:
        """The program; tensors that outlive the step are given their arrays in it.

        Each holds its values at every moment, should an interrupt come.
        """
        moving = []
        for tensor in outlived:
            if tensor.node is not None:  # a graph does not outlive the step
                tensor.node, tensor.requires_grad = None, False
            if recorder.knows(tensor.data) and (ref := recorder.ref(tensor.data)).root.kind == MADE:
                moving.append((tensor, ref))
                tensor.data = np.array(tensor.data)
        kept = [*places, *[ref for _, ref in moving]]
        for ref in kept:
            ref.root.pinned = True
        if recorder.still_alive():
            gc.collect()
        recorder.hold_outside(kept)
        for root in recorder.still_alive():
            raise CaptureError(
                f"the step keeps a raw array ({root.nbytes} bytes) that replays could not renew; "
                f"keep the tensor and not its .data"
            )
        active.backend.give_back_memory()  # the arena takes the place of what eager steps used
        self.program = Program(recorder.instructions, [ref.root for ref in kept])
        self._outputs = [self.program.array(ref) for ref in places]
        for tensor, ref in moving:
            place = self.program.array(ref)
            place[...] = tensor.data
            tensor.data = place

    # ------------------------------------------------------------------ running it again

    def holds(self) -> bool:
        """Whether everything that the recording relies on is as it was."""
        return hold(self._guards)

    def summary(self) -> str:
        """Instructions and memory, in numbers."""
        program = self.program
        return (
            f"{len(program.instructions)} instructions, {program.arena.nbytes:,} bytes planned "
            f"for {program.made_bytes:,}"
        )

    def table(self) -> str:
        """The instructions, a line each."""
        return self.program.table()

    def replay(self, given: list[Any]) -> Any:
        """Run the instructions with other inputs."""
        for buffer, x in zip(self._inputs, given):
            buffer[...] = x._data if isinstance(x, Tensor) else x
        leave(self._gradients)
        self.program.run()
        show(self._gradients)
        if self._noted:
            writes.note_places(self._noted)
        return self._results()

    def _results(self) -> Any:
        arrays = [
            Tensor(array) if is_tensor else array
            for array, is_tensor in zip(self._outputs, self._is_tensor)
        ]
        return rebuild(self._structure, arrays)


def _buffer_like(array: np.ndarray) -> np.ndarray:
    """A copy that lies in memory as ``array`` does, so that products take the same way."""
    if array.flags.c_contiguous or not array.size:
        return np.array(array)
    low = sum((n - 1) * s for n, s in zip(array.shape, array.strides) if s < 0)
    high = sum((n - 1) * s for n, s in zip(array.shape, array.strides) if s > 0)
    memory = np.zeros(high - low + array.itemsize, dtype=np.uint8)
    buffer: np.ndarray = np.ndarray(array.shape, array.dtype, memory, -low, array.strides)
    buffer[...] = array
    return buffer
