"""What is asked of cuBLAS, answered on the host by the definition of a column-major product."""

from __future__ import annotations

import ctypes
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen.backends import cublas, get_backend
from minigen.backends.cublas import Cublas, layout
from minigen.ops.kernel import defaults

strict = get_backend("strict")


class Library:
    """``libcublas`` on memory of the host; keeps what it was told."""

    def __init__(self, wrong: bool = False) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.wrong = wrong

    def cublasCreate_v2(self, handle: Any) -> int:  # noqa: N802 - the library's names
        return 0

    def cublasSetStream_v2(self, handle: Any, stream: Any) -> int:  # noqa: N802
        self.calls.append(("stream", stream.value))
        return 0

    def cublasSetWorkspace_v2(self, handle: Any, workspace: Any, size: Any) -> int:  # noqa: N802
        self.calls.append(("workspace", size.value))
        return 0

    def cublasGemmStridedBatchedEx(  # noqa: N802
        self, handle, turn_a, turn_b, m, n, k, alpha, a, type_a, lda, jump_a, b, type_b, ldb,
        jump_b, beta, c, type_c, ldc, jump_c, count, compute, algorithm,
    ) -> int:  # fmt: skip
        kind = {0: np.float32, 1: np.float64, 2: np.float16}[type_c]
        factor = ctypes.c_double if compute == 70 else ctypes.c_float
        one, kept = (ctypes.cast(x, ctypes.POINTER(factor)).contents.value for x in (alpha, beta))
        assert type_a == type_b == type_c
        assert lda >= (k if turn_a else m)
        assert ldb >= (n if turn_b else k)
        assert ldc >= m
        self.calls.append(("gemm", (turn_a, turn_b, m, n, k, count)))

        def columns(start: Any, rows: int, cols: int, ld: int, jump: Any, i: int) -> np.ndarray:
            size = np.dtype(kind).itemsize
            memory = (ctypes.c_char * (size * (ld * (cols - 1) + rows))).from_address(
                start.value + size * jump.value * i
            )
            flat = np.frombuffer(memory, kind)
            return np.lib.stride_tricks.as_strided(flat, (rows, cols), (size, ld * size))

        for i in range(count):
            x = columns(a, *((k, m) if turn_a else (m, k)), lda, jump_a, i)
            y = columns(b, *((n, k) if turn_b else (k, n)), ldb, jump_b, i)
            out = columns(c, m, n, ldc, jump_c, i)
            found = (x.T if turn_a else x) @ (y.T if turn_b else y)
            before = kept * out if kept else 0  # a factor of 0: not read, maybe NaN
            out[...] = one * found + before + (1 if self.wrong else 0)
        return 0


class OnTheHost:
    """A backend whose arrays are strict ones and whose cuBLAS is :class:`Library`."""

    def __init__(self, wrong: bool = False) -> None:
        self.stream = SimpleNamespace(ptr=7)
        self.xp = SimpleNamespace(
            **{n: getattr(strict.xp, n) for n in ("empty", "ones", "asarray", "asnumpy")},
            broadcast_to=strict.xp.broadcast_to,
            ascontiguousarray=strict.xp.ascontiguousarray,
            cuda=SimpleNamespace(get_current_stream=lambda: self.stream),
        )
        self.library = Library(wrong)
        self.handle = Cublas(self.library, self.xp)

    def cublas(self) -> Cublas:
        return self.handle


@st.composite
def matrices(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two operands that can be multiplied, as views of all kinds."""
    n, k, m = (draw(st.integers(1, 4)) for _ in range(3))
    batch = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    dtype = draw(st.sampled_from(["float32", "float64", "float16"]))
    operands = []
    for rows, columns in ((n, k), (k, m)):
        own = batch[draw(st.integers(0, len(batch))) :]
        own = tuple(1 if draw(st.booleans()) else length for length in own)
        how = draw(st.sampled_from(["plain", "transposed", "gaps", "steps", "batch last"]))
        count = int(np.prod((*own, rows, columns)))
        values = (np.arange(count) % 7 - 3).astype(dtype).reshape((*own, rows, columns))
        if how == "transposed":
            values = np.ascontiguousarray(values.swapaxes(-1, -2)).swapaxes(-1, -2)
        elif how in ("gaps", "steps"):
            step = 2 if how == "steps" else 1
            wide = np.full((*own, rows, step * columns + 2), 99, dtype)
            wide[..., : step * columns : step] = values
            values = wide[..., : step * columns : step]
        elif how == "batch last":
            order = (-2, -1, *range(len(own)))
            moved = np.ascontiguousarray(np.moveaxis(values, (-2, -1), (0, 1)))
            values = np.moveaxis(moved, (0, 1), (-2, -1))
            assert len(order) == values.ndim
        operands.append(values)
    return operands[0], operands[1]


def as_it_lies(x: np.ndarray) -> Any:
    """A strict array over the same memory."""
    return type(strict.asarray(0.0))(x)


@given(matrices(), st.booleans(), st.sampled_from(["none", "plain", "strided"]))
def test_the_product_is_numpys_however_the_operands_lie(pair, add, out) -> None:
    b, (x, y) = OnTheHost(), pair
    expected = x @ y
    given_out = None
    if out != "none" or add:
        memory = np.ones((*expected.shape[:-1], 2 * expected.shape[-1]), expected.dtype)
        view = memory[..., ::2] if out == "strided" else memory[..., : expected.shape[-1]].copy()
        given_out = as_it_lies(view)
    found = cublas.product(b, as_it_lies(x), as_it_lies(y), given_out, add=add)
    assert given_out is None or found is given_out
    np.testing.assert_array_equal(found._array, expected + (1 if add else 0))
    assert b.library.calls[-1][0] == "gemm"


def test_transposed_operands_are_not_copied() -> None:
    for x, y in [((2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4))]:
        for turned in range(4):
            one = np.ones(x, np.float32).swapaxes(-1, -2).copy().swapaxes(-1, -2)
            other = np.ones(y, np.float32).swapaxes(-1, -2).copy().swapaxes(-1, -2)
            one = one if turned & 1 else np.ones(x, np.float32)
            other = other if turned & 2 else np.ones(y, np.float32)
            b = OnTheHost()
            b.xp.ascontiguousarray = None
            assert cublas.product(b, as_it_lies(one), as_it_lies(other)).shape == (*x[:-1], 4)
            assert b.library.calls[-1][1][:2] == (turned >> 1, turned & 1)


def test_a_batch_of_heads_inside_a_projection_is_read_where_it_lies() -> None:
    heads = np.zeros((2, 5, 3, 4), np.float32).transpose(0, 2, 1, 3)  # (N, h, T, D)
    assert layout(heads.shape, heads.strides, 4) is None  # two jumps: N's and the heads'
    assert layout(heads[0].shape, heads[0].strides, 4) == (True, 12, 4)


def test_the_stream_and_the_workspace_are_set_when_the_stream_changes() -> None:
    b = OnTheHost()
    x = strict.asarray(np.ones((2, 2), np.float32))
    for stream in (7, 7, 8):
        b.stream.ptr = stream
        cublas.product(b, x, x)
    told = [call for call in b.library.calls if call[0] != "gemm"]
    assert told == [
        *(("stream", 7), ("workspace", cublas.WORKSPACE)),
        *(("stream", 8), ("workspace", cublas.WORKSPACE)),
    ]


def test_what_cublas_does_not_take_is_left_to_cupy() -> None:
    b = OnTheHost()
    floats, ints = np.ones((2, 2), np.float32), np.ones((2, 2), np.int64)
    for x, y in [
        (ints, ints),
        (floats, floats.astype(float)),
        (floats[:0], floats),
        (floats[0],) * 2,
    ]:
        assert cublas.product(b, as_it_lies(x), as_it_lies(y)) is NotImplemented
    assert cublas.product(b, as_it_lies(floats), as_it_lies(np.ones((3, 2), np.float32))) is (
        NotImplemented
    )


@pytest.mark.parametrize("add", [False, True])
def test_sums_and_dots_equal_their_plain_versions(add) -> None:
    b, x = OnTheHost(), np.arange(12.0).reshape(3, 4)
    out, wanted = strict.asarray(np.ones(4)), np.ones(4)
    cublas.sum_rows(b, strict.asarray(x), out, add=add)
    defaults["sum_rows"](SimpleNamespace(xp=np), x, wanted, add=add)
    np.testing.assert_array_equal(out._array, wanted)
    for axis in (0, 1):
        found = cublas.dots(b, strict.asarray(x), strict.asarray(x + 1), axis)
        np.testing.assert_array_equal(
            found._array, defaults["dots"](SimpleNamespace(xp=np), x, x + 1, axis)
        )


def test_a_library_that_multiplies_wrongly_is_not_used(monkeypatch) -> None:
    for wrong in (False, True):
        xp = OnTheHost().xp
        xp.cuda.runtime = SimpleNamespace(runtimeGetVersion=lambda: 13000)
        monkeypatch.setattr(cublas.importlib, "import_module", lambda name: None)
        monkeypatch.setattr(cublas.ctypes, "CDLL", lambda name, wrong=wrong: Library(wrong))
        assert (cublas.load(xp) is None) == wrong


def test_a_missing_library_is_no_error(monkeypatch) -> None:
    xp = OnTheHost().xp
    xp.cuda.runtime = SimpleNamespace(runtimeGetVersion=lambda: 99000)
    monkeypatch.setattr(cublas.importlib, "import_module", lambda name: None)
    assert cublas.load(xp) is None


def test_an_error_of_the_library_is_said_with_its_number() -> None:
    b = OnTheHost()
    b.library.cublasGemmStridedBatchedEx = lambda *arguments: 13
    x = strict.asarray(np.ones((2, 2), np.float32))
    with pytest.raises(RuntimeError, match="cublasGemmStridedBatchedEx failed with status 13"):
        cublas.product(b, x, x)


def test_each_thread_has_a_handle_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cublas, "load", lambda cupy: object())
    of_thread, found = cublas.OfThread(None), []
    assert of_thread.handle is of_thread.handle
    other = threading.Thread(target=lambda: found.append(of_thread.handle))
    other.start()
    other.join()
    assert found
    assert found[0] is not of_thread.handle
