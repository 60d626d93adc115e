"""Choosing CUDA where there is none says in one line what is missing and what to install."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigen as mg
from minigen import backends
from minigen.backends import BackendUnavailable
from minigen.backends.cupy_backend import CupyBackend


@pytest.fixture(autouse=True)
def not_chosen_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a fresh process: no backend called cupy was built before."""
    kept = {name: b for name, b in backends._instances.items() if name != "cupy"}
    monkeypatch.setattr(backends, "_instances", kept)


def cupy_with(count: Any) -> SimpleNamespace:
    """A CuPy whose runtime counts devices by ``count``."""
    return SimpleNamespace(cuda=SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=count)))


def message() -> str:
    before = backends.active.backend
    with pytest.raises(BackendUnavailable) as caught:
        mg.use("cupy")
    assert backends.active.backend is before
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_without_cupy_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert message() == ('backend cupy needs CuPy, which is not installed: pip install ".[cuda]"')


def test_a_cupy_that_does_not_load_is_told_from_a_missing_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(name: str) -> Any:
        raise ImportError("libcublas.so.13: cannot open\nand twenty lines of advice")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(BackendUnavailable, match=r"does not load \(libcublas.so.13: cannot open\)"):
        CupyBackend()


def test_without_a_driver_the_line_names_driver_and_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    monkeypatch.setitem(sys.modules, "cupy", cupy_with(fail))
    assert message() == (
        "backend cupy needs an NVIDIA GPU with its CUDA driver (cudaErrorInsufficientDriver: "
        "CUDA driver version is insufficient); install the driver, or choose backend numpy"
    )


def test_a_driver_that_finds_no_gpu_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy_with(lambda: 0))
    assert "the CUDA driver finds none" in message()


# ---------------------------------------------------------------- on a GPU


@pytest.mark.gpu
def test_on_a_gpu_the_kernels_equal_their_references() -> None:
    from minigen.backends import get_backend, philox
    from minigen.ops.kernel import defaults

    b, on_host = get_backend("cupy"), get_backend("numpy")
    for kind in philox.PER_BLOCK:
        bounds = {"low": -3, "high": 10**15} if kind == "integers" else {}
        got = b.to_host(b._draw(kind, 4001, 7, (1, 2), **bounds))
        expected = philox.draw(kind, 4001, 7, (1, 2), **bounds)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        source = rng.normal(size=(2, 9, 10, 6)).astype(dtype)
        arguments = [(0, 0), (1, 4)], (2, 3), (3, 2)
        got = b.kernels["gather_windows"](b, b.asarray(source), *arguments)
        expected = defaults["gather_windows"](on_host, source, *arguments)
        np.testing.assert_array_equal(b.to_host(got), expected)
        got = b.to_host(b.kernels["error_function"](b, b.asarray(source)))
        expected = defaults["error_function"](on_host, source)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.gpu
def test_on_a_gpu_scatter_add_is_right_and_equal_to_the_last_bit_every_time() -> None:
    from minigen.backends import get_backend

    b, rng = get_backend("cupy"), np.random.default_rng(0)
    index, values = rng.integers(0, 50, 20_000), rng.normal(size=(20_000, 16)).astype(np.float32)
    expected = np.zeros((50, 16))
    np.add.at(expected, index, values)
    runs = []
    for _ in range(3):
        target = b.xp.zeros((50, 16), dtype=np.float32)
        b.scatter_add(target, b.asarray(index), b.asarray(values))
        runs.append(b.to_host(target))
    np.testing.assert_allclose(runs[0], expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])
