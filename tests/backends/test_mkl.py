"""Products by MKL against NumPy's, and when they step aside."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigen as mg
from minigen.backends import get_backend
from minigen.backends.compiled import mkl, products, threads
from minigen.errors import UserError
from minigen.ops.kernel import defaults

few = settings(deadline=None, max_examples=100, derandomize=True, database=None)
PRECISION = {"float32": 1e-5, "float64": 1e-13}


@pytest.fixture(autouse=True)
def every_size(monkeypatch):
    """No product is too small for MKL."""
    monkeypatch.setattr(products, "SMALL", 0)


LAYOUTS = {
    "rows": lambda x: x,
    "columns": lambda x: np.ascontiguousarray(np.swapaxes(x, -1, -2)).swapaxes(-1, -2),
    "part of wider rows": lambda x: np.concatenate([x, x], -1)[..., x.shape[-1] :],
    "heads inside": lambda x: (
        np.ascontiguousarray(np.moveaxis(x, 0, -2)).swapaxes(0, -2) if x.ndim == 3 else x
    ),
}


def test_arrays_that_may_not_be_written_and_such_at_odd_addresses_are_taken_or_left():
    b = get_backend("numpy")
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    fixed = x.copy()
    fixed.flags.writeable = False
    np.testing.assert_array_equal(products.product(b, fixed, fixed.T), x @ x.T)
    odd = np.zeros(4 * 12 + 1, np.uint8)[1:].view(np.float32).reshape(3, 4)
    assert products.product(b, odd, x.T) is NotImplemented
    assert products.product(b, x, odd.T) is NotImplemented
    assert products.product(
        b, x, x.T, np.zeros(37, np.uint8)[1:].view(np.float32).reshape(3, 3)
    ) is (NotImplemented)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_dimension_of_length_one_may_have_any_stride(size):
    b, strange = get_backend("numpy"), np.lib.stride_tricks.as_strided
    row = strange(np.arange(size, dtype=np.float32), (1, size), (12345 * 4, 4))
    column = strange(np.arange(size, dtype=np.float32), (size, 1), (4, 0))
    assert products.product(b, row, column).tolist() == [[sum(i * i for i in range(size))]]
    np.testing.assert_array_equal(
        products.product(b, column, row), np.outer(*[np.arange(size)] * 2)
    )


@few
@given(
    sizes=st.tuples(*[st.integers(1, 5)] * 3),
    batch=st.sampled_from([(), (3,), (2, 3)]),
    layouts=st.tuples(*[st.sampled_from(sorted(LAYOUTS))] * 2),
    dtype=st.sampled_from(sorted(PRECISION)),
    mode=st.sampled_from(["new", "out", "add"]),
)
def test_a_product_equals_numpys(sizes, batch, layouts, dtype, mode):
    n, k, m = sizes
    rng = np.random.default_rng(n + 10 * k + 100 * m)
    b = get_backend("numpy")
    x = LAYOUTS[layouts[0]](rng.normal(size=(*batch, n, k)).astype(dtype))
    other = LAYOUTS[layouts[1]](rng.normal(size=(*batch, k, m)).astype(dtype))
    held = rng.normal(size=(*batch, n, m)).astype(dtype)
    out = None if mode == "new" else held.copy()
    got = products.product(b, x, other, out, add=mode == "add")
    assert got is not NotImplemented
    assert out is None or got is out
    assert got.dtype == dtype
    expected = np.matmul(x, other) + (held if mode == "add" else 0)
    np.testing.assert_allclose(got, expected, atol=PRECISION[dtype])
    plain = None if out is None else held.copy()
    np.testing.assert_array_equal(
        defaults["product"](b, x, other, plain, add=mode == "add"), expected
    )


def test_what_mkl_cannot_take_is_left_to_numpy():
    b, x = get_backend("numpy"), np.ones((6, 6), np.float32)
    wide = np.ones((12, 12), np.float32)
    for left, right, out in [
        (x, x.astype(np.float64), None),
        (x.astype(np.int64), x.astype(np.int64), None),
        (x.astype(">f4"), x.astype(">f4"), None),
        (wide[::2, ::2], x, None),
        (x[::-1], x, None),
        (x[0], x, None),
        (x, np.ones((2, 6, 6), np.float32), None),
        (x, x[:5], None),
        (x, x, np.empty((6, 5), np.float32)),
        (x, x, np.empty((6, 6), np.float64)),
        (x, x, wide[:6, ::2]),
        (x, x, np.empty((6, 6), np.float32).T),
        (np.broadcast_to(x[0], (6, 6)), x, None),
    ]:
        assert products.product(b, left, right, out) is NotImplemented


def test_small_products_are_left_to_numpy(monkeypatch):
    monkeypatch.setattr(products, "SMALL", 1 << 18)
    b, x = get_backend("numpy"), np.ones((64, 64), np.float32)
    assert products.product(b, x, x) is NotImplemented
    assert products.product(b, x, np.ones((64, 65), np.float32)) is not NotImplemented


def test_a_result_depends_neither_on_memory_nor_on_the_number_of_threads():
    b, rng = get_backend("numpy"), np.random.default_rng(0)
    room = rng.normal(size=128 * 300 + 64).astype(np.float32)
    weight = rng.normal(size=(300, 200)).astype(np.float32)
    x = room[: 128 * 300].reshape(128, 300)
    first = products.product(b, x, weight)
    for shift in (1, 4, 7, 16):
        moved = room[shift : shift + 128 * 300].reshape(128, 300)
        moved[...] = x.copy()
        x = moved
        np.testing.assert_array_equal(products.product(b, x, weight), first)


def test_layers_and_gradients_go_through_the_kernel(monkeypatch):
    calls = []

    def counting(*args, **options):
        calls.append(args)
        return products.product(*args, **options)

    monkeypatch.setitem(get_backend("numpy").kernels, "product", counting)
    layer = mg.nn.Linear(4, 3)
    x = mg.ones(2, 4, requires_grad=True)
    layer(x).sum().backward()
    assert len(calls) == 3  # forward, by x, by the weight
    np.testing.assert_allclose(x.grad.numpy(), np.ones((2, 3)) @ layer.weight.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("wanted", "found", "intel", "expected"),
    [
        ("auto", True, True, True),
        ("auto", True, False, False),
        ("auto", False, True, False),
        ("mkl", True, False, True),
        ("numpy", True, True, False),
    ],
)
def test_mkl_is_used_where_it_is_installed_and_the_processor_is_intels(
    monkeypatch, wanted, found, intel, expected
):
    monkeypatch.setenv("MINIGEN_BLAS", wanted)
    monkeypatch.setattr(mkl, "library_path", lambda: "libmkl_rt.so" if found else None)
    monkeypatch.setattr(mkl, "is_intel", lambda: intel)
    assert mkl.available() is expected


def test_a_wrong_choice_is_one_line(monkeypatch):
    monkeypatch.setenv("MINIGEN_BLAS", "openblas")
    with pytest.raises(UserError, match="MINIGEN_BLAS must be auto, mkl or numpy, got 'openblas'"):
        mkl.available()
    monkeypatch.setenv("MINIGEN_BLAS", "mkl")
    monkeypatch.setattr(mkl, "library_path", lambda: None)
    with pytest.raises(UserError, match=r"needs libmkl_rt and Numba: pip install \"\.\[mkl\]\""):
        mkl.available()


def test_the_smallest_limit_on_threads_counts(monkeypatch):
    for name in threads.LIMITS:
        monkeypatch.delenv(name, raising=False)
    assert threads.limit() is None
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "0")
    assert threads.limit() == 4
    monkeypatch.setenv("MINIGEN_THREADS", "3")
    assert threads.limit() == 3


FORKED = """
import os, numpy as np
from minigen.backends import get_backend
from minigen.backends.compiled import products, mkl
b, x = get_backend("numpy"), np.ones((256, 256), np.float32)
assert products.product(b, x, x)[0, 0] == 256
child = os.fork()
if not child:
    left = products.product(b, x, x) is NotImplemented
    os._exit(0 if left and (x @ x)[0, 0] == 256 else 1)
assert os.waitpid(child, 0)[1] == 0
print(mkl.mkl().threads)
"""


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_forked_process_leaves_mkl_alone(number):
    limits = dict.fromkeys(threads.LIMITS, number)
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **limits},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= int(number)
