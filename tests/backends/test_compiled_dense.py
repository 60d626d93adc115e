"""The compiled dense kernels, in one thread and in several, against their plain versions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

import minigen as mg
from minigen.backends import get_backend
from minigen.backends.compiled import KERNELS, loops, support
from minigen.backends.compiled.loops import together
from minigen.ops.kernel import defaults

ACTIVATIONS = [("relu", 1.0), ("leaky_relu", 0.2), ("tanh", 1.0), ("sigmoid", 1.0)]
PRECISION = {"float32": 2e-6, "float64": 1e-14}
SHAPES = [(1, 1), (3, 50), (64, 33), (7, 16)]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> Iterator[None]:
    """The numpy backend with compiled kernels for arrays of any size."""
    with pytest.MonkeyPatch.context() as patch, mg.use("numpy") as backend:
        patch.setattr(support, "SMALL", 0)
        patch.setattr(backend, "kernels", dict(KERNELS))
        yield


@pytest.fixture(params=["alone", "together"])
def threads(request, monkeypatch):
    """Loops in one thread, or those in several whatever the size."""
    module = loops if request.param == "alone" else together
    for name in ("dense", "loss", "support", "optimizer"):
        monkeypatch.setattr(f"minigen.backends.compiled.{name}.loops_for", lambda x: module)


def drawn(shape: tuple[int, ...], dtype: str, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(0, 3, shape).astype(dtype) for _ in range(count)]


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("activation", "slope"), ACTIVATIONS)
@pytest.mark.parametrize("dtype", sorted(PRECISION))
@pytest.mark.parametrize("shape", SHAPES)
def test_bias_and_activation_and_the_way_back_equal_the_plain_versions(
    activation, slope, dtype, shape
):
    b, (z, g) = get_backend("numpy"), drawn(shape, dtype, 2)
    bias = z[0] * 0.5
    options = {"activation": activation, "slope": slope}
    got, expected = z.copy(), z.copy()
    taken = KERNELS["activate"](b, got, bias, **options) is not NotImplemented
    assert taken == (dtype == "float32" or "relu" in activation)
    defaults["activate"](b, expected, bias, **options)
    if taken:
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=PRECISION[dtype])
    for add in (False, True):
        sums = np.ones(shape[1], dtype), np.ones(shape[1], dtype)
        back, plain = (
            kernels["activate_backward"](b, g, expected, total, add=add, **options)
            for kernels, total in zip((KERNELS, defaults), sums)
        )
        np.testing.assert_allclose(back, plain, rtol=1e-5, atol=PRECISION[dtype])
        np.testing.assert_allclose(*sums, rtol=1e-4, atol=20 * PRECISION[dtype])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_over_rows_equal_numpys(shape):
    b, (x,) = get_backend("numpy"), drawn(shape, "float64", 1)
    np.testing.assert_allclose(KERNELS["sum_rows"](b, x), x.sum(0), atol=1e-12)
    held = np.ones(shape[1])
    assert KERNELS["sum_rows"](b, x, held, add=True) is held
    np.testing.assert_allclose(held, 1 + x.sum(0), atol=1e-12)
    assert KERNELS["sum_rows"](b, x[:, ::2]) is NotImplemented or shape[1] == 1
    np.testing.assert_allclose(defaults["sum_rows"](b, x, np.ones(shape[1]), add=True), held)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("shape", [*SHAPES, (20, 784)])
def test_cross_entropy_of_rows_and_its_slope_equal_the_plain_version(shape):
    b, (x,) = get_backend("numpy"), drawn(shape, "float32", 1)
    x *= 10
    target = np.random.default_rng(1).random(shape).astype(np.float32)
    total, slope = KERNELS["cross_entropy_rows"](b, x, target)
    wide = defaults["cross_entropy_rows"](b, x.astype(np.float64), target.astype(np.float64))
    np.testing.assert_allclose(total, wide[0], rtol=2e-6)
    np.testing.assert_allclose(slope, wide[1], atol=2e-7)
    assert KERNELS["cross_entropy_rows"](b, x.astype("f8"), target.astype("f8")) is NotImplemented


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("size", [1, 15, 16, 17, 1000])
def test_several_threads_change_no_bit(size):
    b, numbers = get_backend("numpy"), np.random.default_rng(0)
    options = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.01, "step": 3}
    start = [numbers.random(size).astype(np.float32) for _ in range(4)]
    got, expected = ([x.copy() for x in start] for _ in range(2))
    KERNELS["adam_step"](b, *got, **options, decoupled=False)
    loops.adam_step(
        *expected,
        *map(np.float32, (0.9, 0.99, *_scale_and_small(options), 0.01, 1.0)),
    )
    np.testing.assert_array_equal(got, expected)
    x, g = start[0] - 0.5, start[1] - 0.5
    np.testing.assert_array_equal(KERNELS["gate"](b, g, x, low=0.0), np.where(x > 0, g, 0 * g))
    np.testing.assert_array_equal(KERNELS["rectify"](b, x, low=0.0), np.maximum(x, 0))
    np.testing.assert_allclose(KERNELS["rectify"](b, x, low=0.5), np.maximum(x, x / 2))
    average = start[2].copy()
    KERNELS["average_step"](b, average, x, decay=0.75)
    np.testing.assert_allclose(average, 0.75 * start[2] + 0.25 * x, atol=1e-7)


def _scale_and_small(options):
    from minigen.optim.adam import step_numbers

    return step_numbers(options["lr"], options["betas"], options["eps"], options["step"])


FORKED = """
import os, sys, numpy as np
import minigen as mg
def train():
    mg.manual_seed(0)
    layer = mg.nn.Sequential(mg.nn.Linear(300, 300), mg.nn.ReLU(), mg.nn.Linear(300, 300))
    optimizer = mg.optim.Adam(layer.parameters())
    x = mg.tensor(np.ones((200, 300), np.float32))
    for _ in range(3):
        optimizer.zero_grad()
        loss = (layer(x) * layer(x)).mean()
        loss.backward()
        optimizer.step()
    return loss.item()
first = train()
child = os.fork()
if not child:
    os._exit(0 if abs(train() - first) < 1e-4 * abs(first) else 1)
assert os.waitpid(child, 0)[1] == 0
assert train() == first
"""


def test_a_forked_process_goes_on_in_one_thread():
    limits = {"MINIGEN_THREADS": "2", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **limits},
    )
    assert done.returncode == 0, done.stderr
