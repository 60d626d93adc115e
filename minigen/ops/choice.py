"""Leaving out: numbers that count where a mask holds, and 0 where it does not.

``x * mask`` is not that. Of an infinity or a NaN at a place that should not count it makes NaN,
which then spreads over whatever is summed. What is left out must be *chosen* away.
"""

from __future__ import annotations

from typing import Any

from minigen.ops.kernel import kernel

__all__ = ["or_zero"]


@kernel
def or_zero(b: Any, keep: Any, x: Any) -> Any:
    """``x`` where the booleans ``keep`` hold and 0 elsewhere; the two broadcast."""
    return b.xp.where(keep, x, False)  # the 0 of every dtype
