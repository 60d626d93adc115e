"""The CUDA kernels' arithmetic and the CUDA backend's Python, run on the CPU.

The kernels are compiled by a C++ compiler (see ``cuda_on_host.py``), hence the marker ``cpp``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from cuda_on_host import stand_in

from minigen.backends import philox
from minigen.backends.cupy_backend import CupyBackend
from minigen.backends.numpy_backend import NumpyBackend
from minigen.ops.kernel import defaults

pytestmark = pytest.mark.cpp


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[CupyBackend]:
    """The CUDA backend on a stand-in for CuPy whose kernels run on the CPU."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in())
    return CupyBackend()


@pytest.mark.parametrize("kind", philox.PER_BLOCK)
@pytest.mark.parametrize("count", [1, 2, 5, 1023])
def test_the_philox_kernels_equal_the_reference(cuda: CupyBackend, kind: str, count: int) -> None:
    bounds = {"low": -3, "high": 2**62 + 5} if kind == "integers" else {}
    first, key = 2**32 - 3, (0xDEADBEEF, 0x12345678)
    got = cuda._draw(kind, count, first, key, **bounds)
    expected = philox.draw(kind, count, first, key, **bounds)
    assert got.dtype == expected.dtype
    if kind.startswith("normal"):  # log, sin and cos may differ in the last place
        tolerance = {"rtol": 1e-5, "atol": 1e-6} if got.dtype == np.float32 else {"rtol": 1e-12}
        np.testing.assert_allclose(got, expected, **tolerance)
    else:
        np.testing.assert_array_equal(got, expected)


def test_the_stream_of_the_backend_draws_what_the_reference_stream_draws(cuda: CupyBackend) -> None:
    ours, reference = cuda.generator(17), philox.PhiloxStream(17)
    np.testing.assert_array_equal(ours.permutation(300), reference.permutation(300))
    np.testing.assert_array_equal(
        ours.uniform((3, 5), "float32"), reference.uniform((3, 5), "float32")
    )
    np.testing.assert_array_equal(ours.integers(0, 7, (9,)), reference.integers(0, 7, (9,)))
    assert ours.state() == reference.state()


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
@pytest.mark.parametrize("strided", [False, True])
def test_gather_windows_equals_its_plain_version(
    cuda: CupyBackend, dtype: str, strided: bool
) -> None:
    source = np.random.default_rng(0).integers(0, 200, (2, 9, 10, 6)).astype(dtype)
    if strided:
        source = source[:, :, :, 1:5]  # the channels of one group
    taps, step, size = [(0, 0), (1, 4), (4, 2)], (2, 3), (3, 2)
    got = cuda.kernels["gather_windows"](cuda, source, taps, step, size)
    expected = defaults["gather_windows"](NumpyBackend(), source, taps, step, size)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


INDICES = {
    "rows": lambda rng: rng.integers(-6, 6, (50,)),
    "rows in a tuple": lambda rng: (rng.integers(0, 6, (4, 5)),),
    "one row": lambda rng: np.array(2),
    "last dimension": lambda rng: (slice(None), slice(None), rng.integers(0, 4, (30,))),
    "places": lambda rng: tuple(rng.integers(0, n, (40,)) for n in (6, 5, 4)),
    "pairs of arrays apart": lambda rng: (
        rng.integers(0, 6, 9),
        slice(1, 4),
        rng.integers(0, 4, 9),
    ),
    "mask": lambda rng: rng.random((6, 5)) < 0.4,
    "nothing": lambda rng: np.zeros(0, np.int64),
}


@pytest.mark.parametrize("which", INDICES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_scatter_add_equals_numpys(cuda: CupyBackend, which: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    index = INDICES[which](rng)
    target = rng.integers(-9, 9, (6, 5, 4)).astype(dtype)
    values = rng.integers(-9, 9, target[index].shape).astype(dtype)
    expected = target.copy()
    np.add.at(expected, index, values)
    cuda.scatter_add(target, index, values)
    np.testing.assert_array_equal(target, expected)


def test_scatter_add_broadcasts_values_and_writes_into_a_strided_target(cuda: CupyBackend) -> None:
    index = np.array([3, 1, 3, 0])
    memory = np.zeros((4, 6), np.float32)
    target = memory.T[:4, :3]
    cuda.scatter_add(target, index, np.array([1.0, 2.0, 3.0], np.float32))
    np.testing.assert_array_equal(target, [[1, 2, 3], [1, 2, 3], [0, 0, 0], [2, 4, 6]])
    assert memory.sum() == 24


def test_scatter_add_wraps_indices_that_lie_outside(cuda: CupyBackend) -> None:
    target = np.zeros(5, np.float64)
    cuda.scatter_add(target, np.array([7, -1, 2]), np.ones(3))
    np.testing.assert_array_equal(target, [0, 0, 2, 0, 1])


def test_more_threads_than_a_launch_has_are_looped_over(
    cuda: CupyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minigen.backends.cupy_backend._GRID", 2)  # 512 threads
    np.testing.assert_array_equal(
        cuda._draw("uniform_float32", 9001, 0, (1, 2)),
        philox.draw("uniform_float32", 9001, 0, (1, 2)),
    )
    source = np.arange(2 * 40 * 40 * 3, dtype=np.float32).reshape(2, 40, 40, 3)
    arguments = source, [(0, 0), (1, 1)], (1, 1), (39, 39)
    np.testing.assert_array_equal(
        cuda.kernels["gather_windows"](cuda, *arguments),
        defaults["gather_windows"](NumpyBackend(), *arguments),
    )
