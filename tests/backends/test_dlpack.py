"""Memory goes out to other libraries and comes in from them without a copy, by DLPack."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg

try:
    import torch
except ImportError:  # an oracle that CI has; Foreign below stands for any library
    torch = None


@pytest.fixture(autouse=True)
def on_numpy():
    with mg.use("numpy"):
        yield


class Foreign:
    """An array of some other library: nothing is known of it but DLPack."""

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory

    def __dlpack__(self, **options: object) -> object:
        return self._memory.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._memory.__dlpack_device__()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.bool_])
def test_a_foreign_array_comes_in_as_the_same_memory(dtype: type) -> None:
    memory = np.ones((2, 3), dtype)
    x = mg.from_dlpack(Foreign(memory))
    memory[0, 1] = 0
    assert x.dtype == dtype
    np.testing.assert_array_equal(x.numpy(), memory)


def test_a_strided_foreign_array_keeps_its_strides() -> None:
    memory = np.arange(24, dtype=np.float32).reshape(4, 6)
    x = mg.from_dlpack(Foreign(memory.T[::2]))
    assert x.shape == (3, 4)
    np.testing.assert_array_equal(x.numpy(), memory.T[::2])
    assert np.shares_memory(x.data, memory)


def test_a_tensor_goes_out_as_the_same_memory() -> None:
    x = mg.zeros(2, 3)
    out = np.from_dlpack(x)
    x[1, 2] = 5.0
    assert out[1, 2] == 5
    assert out.ctypes.data == x.data.ctypes.data


def test_a_tensor_that_requires_grad_does_not_go_out() -> None:
    x = mg.zeros(2, requires_grad=True)
    with pytest.raises(BufferError, match=r"requires grad cannot be exported; use x.detach\(\)"):
        np.from_dlpack(x)
    assert np.from_dlpack(x.detach()).shape == (2,)


def test_the_strict_backend_exchanges_memory_too() -> None:
    with mg.use("strict"):
        memory = np.ones(3, np.float32)
        x = mg.from_dlpack(Foreign(memory))
        memory[0] = 7
        assert x.tolist() == [7, 1, 1]
        assert np.from_dlpack(x).ctypes.data == memory.ctypes.data


def test_from_numpy_shares_memory_on_the_cpu() -> None:
    memory = np.ones(3, np.float32)
    x = mg.from_numpy(memory)
    memory[0] = 7
    assert x.tolist() == [7, 1, 1]


@pytest.mark.torch
def test_pytorch_and_minigen_look_at_the_same_memory_both_ways() -> None:
    theirs = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    ours = mg.from_dlpack(theirs)
    theirs[0, 0] = 9
    assert ours[0, 0].item() == 9
    back = torch.from_dlpack(ours)
    ours[1, 2] = -1.0
    assert back[1, 2].item() == -1
    assert back.data_ptr() == theirs.data_ptr()
