"""The progress bar: step, loss, speed, remaining time.

On a terminal it is one line that renews itself. In a file or a pipe that would be a megabyte of
carriage returns, so there it is one line for each measurement on the val split.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from minigen.training import Observer

__all__ = ["ProgressBar"]


class ProgressBar(Observer):
    """Shows a run on `stream` (stderr)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self._bar: Any = None
        self._steps = self._first = 0
        self._started = 0.0

    def started(self, step: int, steps: int) -> None:
        """Open the bar where the run stands."""
        self._steps, self._first, self._started = steps, step, time.perf_counter()
        if self.stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=steps, initial=step, unit="step", file=self.stream, dynamic_ncols=True
            )

    def stepped(self, step: int) -> None:
        """Move on by one."""
        if self._bar is not None:
            self._bar.update(1)

    def logged(self, step: int, numbers: Mapping[str, Any]) -> None:
        """Show the newest numbers at the bar's end."""
        if self._bar is not None:
            self._bar.set_postfix_str(_brief(numbers), refresh=False)

    def evaluated(self, step: int, metrics: Mapping[str, Any]) -> None:
        """A line of its own, above the bar, which stays to be read."""
        line = f"step {step}/{self._steps}  val: {_brief(metrics)}"
        if self._bar is not None:
            self._bar.write(line, file=self.stream)
            return
        speed = (step - self._first) / max(time.perf_counter() - self._started, 1e-9)
        left = (self._steps - step) / max(speed, 1e-9)
        print(f"{line}  [{speed:.1f} steps/s, {left:.0f} s left]", file=self.stream, flush=True)

    def judged(self, step: int, sentence: str) -> None:
        """A warning of its own, which stays to be read."""
        if self._bar is not None:
            self._bar.write(f"VERDICT: {sentence}", file=self.stream)
        else:
            print(f"VERDICT: {sentence}", file=self.stream, flush=True)

    def ended(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _brief(numbers: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in list(numbers.items())[:3])
