"""Ctrl-C as a request, not as an axe.

By default SIGINT raises KeyboardInterrupt wherever Python happens to be, in the middle of an
optimizer's update too, and a state caught there is no state. Inside `StopRequest` the signal only
sets a flag; the loop finishes its step, saves, and leaves. A second Ctrl-C interrupts at once: the
last checkpoint on the disk is whole in any case.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["StopRequest"]


class StopRequest:
    """A context in which SIGINT and SIGTERM set `.signal` to their number instead of raising.

    Outside the main thread Python delivers no signals; there the context does nothing.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
