"""The CPU backend's compiled versions of minigen's named kernels (``pip install ".[fast]"``).

What lies between the matrix products is bound by memory: NumPy takes several passes where one
would do. Each kernel here has the signature of the plain version of the same name (see
``minigen.ops.kernel``), which says what is computed; here stands only when a compiled loop of
``loops`` can take its place. A kernel answers ``NotImplemented``, and the plain version
runs, for arrays that the loop does not handle (another dtype, gaps in memory, operands that lie
in different orders) or that are so small that a pass costs less than a call.

What a kernel computes it computes through ``b.run(loop, *arrays, *numbers)``, into arrays from
``b.xp.empty``: so the same kernel can be executed or recorded (``mg.capture``).

Numba is imported, and a loop compiled, when the first array large enough comes along. The
environment variable ``MINIGEN_NUMBA=0`` turns all of this off.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

from minigen.backends.compiled import (
    activation,
    attention,
    convolution,
    cross_entropy,
    dense,
    flow,
    gelu,
    indexing,
    loss,
    normalization,
    optimizer,
    recurrent,
    summation,
)


def available() -> bool:
    """Whether Numba is installed and not turned off."""
    return os.environ.get("MINIGEN_NUMBA") != "0" and importlib.util.find_spec("numba") is not None


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for module in (
        activation,
        attention,
        convolution,
        cross_entropy,
        dense,
        flow,
        gelu,
        indexing,
        loss,
        normalization,
        optimizer,
        recurrent,
        summation,
    )
    for kernel in module.KERNELS
}
"""Name → kernel, as the backend registers them."""
