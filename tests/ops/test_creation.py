"""Tensors from nothing and from elsewhere: values, dtypes, memory, errors."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")


def equal(x, expected):
    expected = np.asarray(expected)
    assert x.dtype == expected.dtype
    np.testing.assert_array_equal(x.numpy(), expected)


def test_filled_tensors_have_the_shape_and_dtype_asked_for():
    equal(mg.zeros(2, 3), np.zeros((2, 3), np.float32))
    equal(mg.zeros((2, 0)), np.zeros((2, 0), np.float32))
    equal(mg.ones((), dtype=np.int64), np.array(1))
    equal(mg.full((2,), 1.5), np.array([1.5, 1.5], np.float32))
    equal(mg.full((2,), 3), np.array([3, 3]))
    equal(mg.full((2,), True), np.array([True, True]))
    assert mg.empty(2, 3).shape == (2, 3)


def test_the_likes_take_shape_and_dtype_from_a_tensor():
    x = mg.zeros(2, dtype=np.float64)
    equal(mg.ones_like(x), np.ones(2))
    equal(mg.zeros_like(x, dtype=np.int64), np.zeros(2, np.int64))
    equal(mg.full_like(x, 7), np.full(2, 7.0))


def test_ranges_count_as_numpy_does():
    equal(mg.arange(3), np.arange(3))
    equal(mg.arange(1, 8, 3), np.arange(1, 8, 3))
    equal(mg.arange(0, 1, 0.25), np.arange(0, 1, 0.25, dtype=np.float32))
    equal(mg.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype=np.float32))
    equal(mg.eye(2), np.eye(2, dtype=np.float32))
    equal(mg.eye(2, 3), np.eye(2, 3, dtype=np.float32))


def test_to_an_integer_dtype_ranges_round_towards_zero_as_in_pytorch():
    equal(mg.arange(0.5, 5, 1.5, dtype=mg.int64), np.array([0, 1, 2, 3, 4]))
    equal(mg.arange(5, 0, -2), np.array([5, 3, 1]))
    equal(mg.arange(end=2.0), np.array([0, 1], np.float32))
    equal(mg.linspace(0, 10, 5, dtype=mg.int64), np.array([0, 2, 5, 7, 10]))
    equal(mg.linspace(-2.7, 2.7, 5, dtype=mg.int64), np.array([-2, -1, 0, 1, 2]))
    equal(mg.linspace(0.9, 5.5, 4, dtype=mg.int32), np.array([0, 1, 3, 5], np.int32))
    equal(mg.linspace(5, 0, 4, dtype=mg.int64), np.array([5, 3, 1, 0]))
    equal(mg.linspace(3, 7, 1), np.array([3], np.float32))


def test_every_creator_takes_a_dtype_and_requires_grad_by_keyword():
    like, options = mg.zeros(2), {"dtype": mg.float64, "requires_grad": True}
    for x in (
        mg.tensor([1, 2], **options),
        mg.zeros(2, **options),
        mg.ones(size=(2,), **options),
        mg.empty((2,), **options),
        mg.full((2,), 3, **options),
        mg.zeros_like(like, **options),
        mg.ones_like(like, **options),
        mg.full_like(like, 3, **options),
        mg.arange(2, **options),
        mg.linspace(0, 1, 2, **options),
        mg.eye(2, **options)[0].detach().requires_grad_(),
    ):
        assert (x.shape, x.dtype, x.requires_grad) == ((2,), np.float64, True)
    with pytest.raises(TypeError, match="floating-point tensor can require grad, got int64"):
        mg.arange(3, requires_grad=True)


def test_dtypes_have_pytorchs_names():
    floats, integers = ["float16", "float32", "float64"], ["int8", "int16", "int32", "int64"]
    for name in [*floats, *integers, "uint8", "bool"]:
        assert getattr(mg, name) == np.dtype(name)
    assert (mg.half, mg.float, mg.double) == (np.float16, np.float32, np.float64)
    assert (mg.short, mg.int, mg.long) == (np.int16, np.int32, np.int64)
    x = mg.tensor([1.5, 0.0])
    assert x.to(mg.int).tolist() == x.int().tolist() == [1, 0]
    assert x.double().to(x).dtype == np.float32
    assert x.bool().tolist() == [True, False]
    assert x.half().dtype == mg.float16


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32),
        ([1.5, 2.0], np.float32),
        ([[1, 2], [3, 4]], np.int64),
        (True, np.bool_),
        (np.arange(3.0), np.float64),
        (np.arange(3, dtype=np.int32), np.int32),
        (np.float64(2.5), np.float32),
    ],
)
def test_python_floats_become_float32_and_arrays_keep_their_dtype(data, dtype):
    equal(mg.tensor(data), np.asarray(data).astype(dtype))


def test_a_tensor_owns_its_data():
    source = np.ones(3)
    x = mg.tensor(source)
    source[0] = 5
    equal(x, np.ones(3))
    equal(mg.tensor(mg.tensor([1.0, 2.0]), dtype=np.float64), np.array([1.0, 2.0]))
    equal(mg.tensor([mg.tensor(1.0), mg.tensor(2.0)]), np.array([1, 2], np.float32))


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda: mg.zeros(-1), ValueError, "shape must be lengths ≥ 0, got"),
        (lambda: mg.zeros(2.5), ValueError, "shape must be lengths ≥ 0, got"),
        (lambda: mg.linspace(0, 1, -1), ValueError, "steps must be an integer ≥ 0, got -1"),
        (lambda: mg.eye(-2), ValueError, "n and m must be ≥ 0, got -2"),
        (lambda: mg.arange(0, 1, 0), ValueError, "step must not be 0"),
        (lambda: mg.arange(3, 1), ValueError, "step must lead from start 3 to end 1, got 1"),
        (lambda: mg.tensor([[1, 2], [3]]), ValueError, "data must be a rectangular array"),
        (lambda: mg.tensor("abc"), TypeError, "data must hold numbers or booleans, got str"),
        (lambda: mg.tensor(None), TypeError, "data must hold numbers or booleans, got NoneType"),
        (lambda: mg.tensor([1], requires_grad=True), TypeError, "floating-point"),
        (lambda: mg.from_numpy([1.0]), TypeError, "from_numpy needs a NumPy array, got list"),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(wrong, error, words):
    with pytest.raises(error, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(2, np.complex64),
        np.zeros(2, "datetime64[s]"),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2, np.longdouble),
    ],
    ids=lambda array: str(array.dtype),
)
def test_arrays_of_what_a_tensor_does_not_hold_are_refused(array):
    for make in (mg.tensor, mg.from_numpy):
        with pytest.raises(TypeError, match="hold"):
            make(array)
    with pytest.raises(TypeError, match="holds booleans, integers or floats"):
        mg.tensor([1.0], dtype="complex64")


def test_numbers_in_the_other_byte_order_are_brought_into_this_machines():
    swapped = np.arange(3, dtype=np.dtype("f4").newbyteorder())
    equal(mg.tensor(swapped), np.arange(3, dtype=np.float32))
    assert mg.tensor(swapped).dtype.isnative
    with pytest.raises(TypeError, match="byte order"):
        mg.from_numpy(swapped)
