"""Each subject as a probe of the benchmark's command line, measured in a fresh process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.process import fresh

NAMES = ("gpt", "wavenet", "pixelcnn", "gated-pixelcnn", "pixelrnn")
CODE = "from benchmarks.sampling.measure import main; main({name!r}, {quick!r})"

Probe = Callable[[bool, Callable[[str], None]], dict[str, Any]]


def probe_of(name: str) -> Probe:
    """The probe for one of `NAMES`."""

    def probe(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
        say(f"sampling-{name}: cached and naive in turn")
        return fresh(CODE.format(name=name, quick=quick))

    return probe


PROBES: dict[str, Probe] = {f"sampling-{name}": probe_of(name) for name in NAMES}
