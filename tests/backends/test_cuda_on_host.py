"""The CUDA kernels' arithmetic and the CUDA backend's Python, run on the CPU.

The kernels are compiled by a C++ compiler (see ``cuda_on_host.py``), hence the marker ``cpp``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from cuda_on_host import stand_in

import minigen as mg
from minigen import backends
from minigen.autograd import operation
from minigen.backends import philox
from minigen.backends.cupy_backend import CupyBackend
from minigen.backends.cupy_kernels import KERNELS
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


ADAM = {"lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}
SGD = {"lr": 0.1, "momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}
RMSPROP = {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.0, "momentum": 0.5}
STEPS = {
    "adam": ("adam_step", 4, {**ADAM, "decoupled": False, "step": 3}),
    "adamw": ("adam_step", 4, {**ADAM, "decoupled": True, "step": 1}),
    "amsgrad": ("adam_step", 5, {**ADAM, "decoupled": False, "step": 3}),
    "adam without decay": (
        "adam_step",
        4,
        {**ADAM, "weight_decay": 0.0, "decoupled": False, "step": 2},
    ),
    "sgd without momentum": ("sgd_step", 2, {**SGD, "weight_decay": 0.2, "step": 1}),
    "sgd's first step": ("sgd_step", 3, {**SGD, "dampening": 0.5, "step": 1}),
    "sgd's second step": ("sgd_step", 3, {**SGD, "dampening": 0.5, "step": 2}),
    "nesterov": ("sgd_step", 3, {**SGD, "nesterov": True, "weight_decay": 0.1, "step": 2}),
    "rmsprop plain": ("rmsprop_step", 3, {**RMSPROP, "weight_decay": 0.1}),
    "rmsprop centred": ("rmsprop_step", 4, RMSPROP),
    "rmsprop with momentum": ("rmsprop_step", 5, RMSPROP),
    "moving average": ("average_step", 2, {"decay": 0.9}),
}
ARRAYS = {"adam_step": 5, "sgd_step": 3, "rmsprop_step": 5, "average_step": 2}


@pytest.mark.parametrize("which", STEPS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_optimizers_step_equals_its_plain_version(
    cuda: CupyBackend, which: str, dtype: str
) -> None:
    name, given, options = STEPS[which]
    rng = np.random.default_rng(0)
    buffers = [rng.uniform(-1, 1, 701).astype(dtype) for _ in range(given)]
    if name == "adam_step":
        buffers[3] **= 2
    if name == "rmsprop_step":
        buffers[2] = buffers[2] ** 2 + 2  # so that v - a² stays positive
    absent = [None] * (ARRAYS[name] - given)
    expected = [x.copy() for x in buffers]
    defaults[name](NumpyBackend(), *expected, *absent, **options)
    cuda.kernels[name](cuda, *buffers, *absent, **options)
    tolerance = 1e-6 if dtype == "float32" else 1e-13
    for x, truth in zip(buffers, expected):
        assert x.dtype == dtype
        np.testing.assert_allclose(x, truth, rtol=tolerance, atol=tolerance)


def test_an_optimizers_step_refuses_other_dtypes_and_strided_buffers(cuda: CupyBackend) -> None:
    half, wide = np.ones(4, np.float16), np.ones(8, np.float32)
    with pytest.raises(
        TypeError, match="average_step needs float32 or float64 buffers, got float16"
    ):
        cuda.kernels["average_step"](cuda, half, half, decay=0.5)
    with pytest.raises(TypeError, match="contiguous buffers of one dtype"):
        cuda.kernels["average_step"](cuda, wide[::2], wide[:4], decay=0.5)


def test_every_kernel_of_the_backend_has_a_plain_version_with_the_same_arguments() -> None:
    for name, kernel in KERNELS.items():
        theirs = inspect.signature(defaults[name]).parameters
        assert list(inspect.signature(kernel).parameters) == list(theirs), name


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


@pytest.mark.parametrize("captured", [False, True], ids=["eager", "in a graph"])
@pytest.mark.parametrize("which", INDICES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_scatter_add_equals_numpys(
    cuda: CupyBackend, which: str, dtype: str, captured: bool
) -> None:
    cuda.xp.cuda.get_current_stream = lambda: SimpleNamespace(is_capturing=lambda: captured)
    rng = np.random.default_rng(1)
    index = INDICES[which](rng)
    target = rng.integers(-9, 9, (6, 5, 4)).astype(dtype)
    values = rng.integers(-9, 9, target[index].shape).astype(dtype)
    expected = target.copy()
    np.add.at(expected, index, values)
    cuda.scatter_add(target, index, values)
    np.testing.assert_array_equal(target, expected)


def test_scatter_add_in_a_graph_adds_in_the_same_order_as_an_eager_one(cuda: CupyBackend) -> None:
    rng = np.random.default_rng(2)
    index = rng.integers(0, 7, 300)
    values = rng.normal(size=(300, 5)).astype(np.float32)
    found = []
    for captured in (False, True):
        cuda.xp.cuda.get_current_stream = lambda now=captured: SimpleNamespace(
            is_capturing=lambda: now
        )
        target = np.ones((7, 5), np.float32)
        cuda.scatter_add(target, index, values)
        found.append(target)
    np.testing.assert_array_equal(*found)


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


def test_training_steps_through_the_cuda_backend_give_numpys_numbers(
    cuda: CupyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_instances", {**backends._instances, "cupy": cuda})
    monkeypatch.setattr(operation, "_raw_functions", {})  # they hold on to their backend
    launched: list[str] = []
    launch = cuda.launch
    monkeypatch.setattr(
        cuda, "launch", lambda source, *rest: (launched.append(rest[0]), launch(source, *rest))
    )

    def train() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        images, words = rng.normal(size=(4, 2, 6, 6)), rng.integers(0, 5, (4, 3))
        kernel, table, head = (
            mg.tensor(rng.normal(size=shape) * 0.3, requires_grad=True)
            for shape in [(3, 2, 3, 3), (600, 48), (48, 2)]  # a table too long for a product
        )
        optimizer = mg.optim.Adam([kernel, table, head], lr=0.05)
        for _ in range(3):
            optimizer.zero_grad()
            seen = mg.relu(mg.conv2d(mg.tensor(images), kernel)).reshape(4, -1)  # (4, 48)
            read = mg.embedding(mg.tensor(words), table).sum(1)
            loss = mg.cross_entropy((seen + read) @ head, mg.tensor(words[:, 0] % 2))
            loss.backward()
            optimizer.step()
        return [p.detach().numpy().copy() for p in (kernel, table, head)]

    with mg.use("numpy"):
        expected = train()
    with mg.use("cupy"):
        got = train()
    for a, b in zip(got, expected):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    assert {"gather_windows_8", "segment_add_float64", "adam_step_float64"} <= set(launched)
