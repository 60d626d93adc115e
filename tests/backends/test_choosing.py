"""Choosing a backend: function, context manager, environment; tensors of the wrong one."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import minigen as mg
from minigen.backends import active, get_backend


@pytest.fixture(autouse=True)
def on_numpy():
    with mg.use("numpy"):
        yield


def test_use_is_a_function_and_a_context_manager() -> None:
    assert active.backend.name == "numpy"
    try:
        mg.use("strict")
        assert active.backend.name == "strict"
        with mg.use("numpy") as chosen:
            assert active.backend is chosen is get_backend("numpy")
        assert active.backend.name == "strict"
    finally:
        mg.use("numpy")


def test_the_backend_comes_back_when_the_block_ends_in_an_error() -> None:
    with pytest.raises(ZeroDivisionError), mg.use("strict"):
        1 / 0  # noqa: B018
    assert active.backend.name == "numpy"


def test_an_unknown_name_is_refused_and_changes_nothing() -> None:
    with pytest.raises(
        ValueError, match=r"^backend must be one of numpy, cupy, strict; got 'tpu'$"
    ):
        mg.use("tpu")
    assert active.backend.name == "numpy"


def python(code: str, chosen: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MINIGEN_BACKEND": chosen}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_the_environment_variable_chooses_and_a_wrong_one_is_named() -> None:
    code = "import minigen as mg; print(type((mg.ones(2) + 1).data).__name__)"
    assert python(code, "strict").stdout == "StrictArray\n"
    assert python(code, "").stdout == "ndarray\n"
    wrong = python(code, "tpu")
    assert wrong.stderr.splitlines()[-1] == (
        "minigen.errors.UserError: MINIGEN_BACKEND must be one of numpy, cupy, strict; got 'tpu'"
    )


def test_importing_imports_no_array_library_but_numpy() -> None:
    code = (
        "import sys, minigen\n"
        "late = {'cupy', 'cupyx', 'numba', 'matplotlib', 'torch', 'tqdm', 'pooch', 'safetensors'}\n"
        "print(sorted(late & set(sys.modules)))"
    )
    assert python(code, "strict").stdout == "[]\n"


def test_a_tensor_of_another_backend_is_named_in_one_line() -> None:
    here = mg.ones(2, 3)
    with mg.use("strict"):
        with pytest.raises(TypeError) as caught:
            mg.exp(here)
        assert str(caught.value) == (
            "exp: argument x lies in numpy.ndarray, but the active backend is strict"
        )
        for call in (
            lambda: here + mg.ones(2, 3),
            lambda: mg.ones(2, 3) * here,
            lambda: mg.ones(4, 2) @ here,
            lambda: mg.concatenate([mg.ones(2, 3), here]),
            lambda: here.sum(),
            lambda: here[0],
            lambda: here.reshape(-1),
            lambda: here + 1,
            lambda: mg.conv2d(here.reshape(1, 1, 2, 3), mg.ones(1, 1, 1, 1)),
        ):
            with pytest.raises((TypeError, AttributeError)) as caught:
                call()
            assert "\n" not in str(caught.value)
        there = mg.ones(2, 3)
    with pytest.raises(
        TypeError, match=r"other lies in minigen\.StrictArray, but the active backend"
    ):
        here + there


def test_a_result_can_be_read_after_its_backends_block() -> None:
    with mg.use("strict"):
        x = mg.ones(2) * 3
        one = x.sum()
    assert x.tolist() == [3, 3]
    assert one.item() == 6
    np.testing.assert_array_equal(x.numpy(), [3, 3])
    assert repr(x) == "tensor([3., 3.])"


def test_a_numpy_array_as_operand_is_refused_in_one_line_on_a_device() -> None:
    with (
        mg.use("strict"),
        pytest.raises(TypeError, match=r"^add: a NumPy array on backend strict; bring it over"),
    ):
        mg.ones(3) + np.ones(3, np.float32)


def test_a_generator_keeps_one_stream_for_each_backend() -> None:
    g = mg.Generator(1)
    first = g.normal(3).numpy()
    with mg.use("strict"):
        np.testing.assert_array_equal(g.normal(3).numpy(), first)
    assert not np.array_equal(g.normal(3).numpy(), first)
