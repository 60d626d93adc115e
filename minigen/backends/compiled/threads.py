"""How many threads minigen's own compiled work may use, and when it must stay in one."""

from __future__ import annotations

import os

LIMITS = ("MINIGEN_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables by which a user limits threads; the smallest of them counts."""


def limit() -> int | None:
    """The smallest number that the environment allows, None where it says nothing."""
    given = [os.environ.get(name, "").split(",")[0] for name in LIMITS]
    return min((int(number) for number in given if number.isdigit() and int(number)), default=None)


class _Process:
    """Whether this process was forked from one that may have used threads already."""

    forked = False


process = _Process()


def _after_fork() -> None:
    process.forked = True


# A pool of OpenMP does not survive a fork: the child would wait for threads that it has not got.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
