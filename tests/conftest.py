"""Fixtures for all tests: the backend that a test runs on.

A test (or a whole module, by ``pytestmark = pytest.mark.usefixtures("backend")``) that takes
the fixture ``backend`` runs once on each of ``numpy`` and ``strict``, and with ``-m gpu`` on
``cupy``. Inside, the backend is active; afterwards the one from before is active again.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import pytest

# Tests run side by side: one thread each, or they wait for one another. Read when NumPy loads.
for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import minigen as mg  # noqa: E402
from minigen.autograd.operation import registry  # noqa: E402
from minigen.backends import Backend  # noqa: E402


@pytest.fixture(params=["numpy", "strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each backend in turn, active while the test runs."""
    with mg.use(request.param) as chosen:
        yield chosen


@pytest.fixture(autouse=True)
def _own_ops_do_not_stay() -> Iterator[None]:
    """An op that a test defines is gone after it: others look at every op that there is."""
    before = set(registry)
    yield
    for name in set(registry) - before:
        del registry[name]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs a library that is not installed fails and says so: none is skipped."""
    for library in ("torch", "jax", "tokenizers", "cupy", "numba"):
        if item.get_closest_marker(library) and importlib.util.find_spec(library) is None:
            pytest.fail(f"this test needs {library}, which is not installed", pytrace=False)
