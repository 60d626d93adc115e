"""``mg.capture(step)``: record a training or sampling step and replay it without its tape.

From outside in: ``captured.py`` decides at each call whether to run, record or replay. On the host
``recording.py`` is one recording; ``recorder.py`` and ``traced.py`` see what the step computes;
``program.py`` lays out the memory and ``lowering.py`` writes results into it. On a device that can
write its own work down, ``graph.py`` is one recording; ``watching.py`` is what both have in common.
"""

from minigen.capture.captured import Captured, capture
from minigen.capture.errors import CaptureError

__all__ = ["CaptureError", "Captured", "capture"]
