"""What is left out is chosen away: what it held, an infinity or a NaN, is nothing."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen.autograd.operation import registry
from minigen.backends import active
from minigen.ops.choice import or_zero

pytestmark = pytest.mark.usefixtures("backend")

SIZES = pytest.mark.parametrize("times", [1, 3000], ids=["few", "many"])
"""Few numbers go through the plain kernels, many through the compiled ones."""
DTYPES = pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
WILD = [np.inf, -np.inf, np.nan, -2.0, 3.0, 0.0]


def leaf(values, dtype="float32"):
    return mg.tensor(np.asarray(values, dtype=dtype)).requires_grad_()


@DTYPES
@SIZES
def test_what_is_not_kept_is_0_and_what_is_kept_is_the_number_itself(dtype, times):
    x = np.array(WILD * 2 * times, dtype)
    keep = np.array([False] * 6 + [True] * 6 * (2 * times - 1))
    b = active.backend
    found = b.to_host(or_zero(b, b.asarray(keep), b.asarray(x)))
    np.testing.assert_array_equal(found, np.where(keep, x, dtype_zero(dtype)))
    assert found.dtype == dtype


def dtype_zero(dtype):
    return np.zeros((), dtype)


def test_mask_and_numbers_broadcast_and_may_lie_in_any_order():
    b = active.backend
    x = b.asarray(np.arange(12, dtype="float32").reshape(3, 4).T)  # (4, 3), strides turned
    keep = b.asarray(np.array([[True], [False], [True], [False]]))
    found = b.to_host(or_zero(b, keep, x))
    np.testing.assert_array_equal(found, [[0, 4, 8], [0, 0, 0], [2, 6, 10], [0, 0, 0]])
    row = b.to_host(
        or_zero(b, b.asarray(np.array([[True, False]])), b.asarray(np.full((3, 1), 7.0)))
    )
    np.testing.assert_array_equal(row, [[7, 0]] * 3)


def test_whole_numbers_and_booleans_are_chosen_too():
    b = active.backend
    keep = b.asarray(np.array([True, False]))
    for x in (np.array([3, 4]), np.array([True, True]), np.array([3, 4], np.uint8)):
        found = b.to_host(or_zero(b, keep, b.asarray(x)))
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found, [x[0], 0])


@SIZES
def test_where_keeps_an_infinite_gradient_out_of_the_branch_that_was_not_taken(times):
    x, y = leaf([1.0, 2.0] * times), leaf([3.0, 4.0] * times)
    mask = mg.tensor(np.array([True, False] * times))
    g = mg.tensor(np.array([np.inf, np.nan] * times, "float32"))
    by_x, by_y = mg.grad(mg.where(mask, x, y), [x, y], g)
    np.testing.assert_array_equal(by_x.numpy(), [np.inf, 0.0] * times)
    np.testing.assert_array_equal(by_y.numpy(), [0.0, np.nan] * times)


@SIZES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_relu_that_is_off_passes_no_infinity(times, dtype):
    x = leaf([-1.0, 2.0, 0.0, -3.0] * times, dtype)
    g = mg.tensor(np.array([np.inf, np.inf, np.nan, -np.inf] * times, dtype))
    for create_graph in (False, True):
        (found,) = mg.grad(mg.relu(x), [x], g, create_graph=create_graph)
        np.testing.assert_array_equal(found.numpy(), [0.0, np.inf, 0.0, 0.0] * times)


@SIZES
def test_a_relu_of_nan_is_nan_and_its_gradient_is_not_hidden(times):
    x = leaf([np.nan, 1.0] * times)
    y = mg.relu(x)
    np.testing.assert_array_equal(y.numpy(), [np.nan, 1.0] * times)
    (found,) = mg.grad(y.sum(), [x])
    np.testing.assert_array_equal(found.numpy(), [1.0, 1.0] * times)


@SIZES
def test_a_leaky_relu_has_exactly_the_slope_1_where_it_is_on(times):
    x = leaf([2.0, -2.0] * times)
    (found,) = mg.grad(mg.leaky_relu(x, 0.3).sum(), [x])
    np.testing.assert_array_equal(found.numpy(), np.float32([1.0, 0.3] * times))


@pytest.mark.parametrize("rows", [2, 600])
def test_the_relu_inside_a_dense_layer_passes_no_infinity_where_it_is_off(rows):
    x = leaf(np.tile([[1.0, 0.0], [0.0, 1.0]], (rows // 2, 1)))
    weight, bias = leaf(np.eye(2).repeat(4, 0)), leaf(np.repeat([1.0, -5.0], 4))
    y = mg.dense(x, weight, bias, "relu")
    off = y.numpy() == 0
    g = np.where(off, np.inf, 1.0).astype("float32")
    by_x, by_weight, by_bias = mg.grad(y, [x, weight, bias], mg.tensor(g))
    for found in (by_x, by_weight, by_bias):
        assert np.isfinite(found.numpy()).all()
    np.testing.assert_allclose(by_bias.numpy(), (~off).sum(0))


@pytest.mark.parametrize("side", [3, 20])
def test_a_convolution_that_rectifies_passes_no_infinity_where_the_picture_is_off(side):
    x = leaf(np.where(np.arange(2 * 16 * side * side) % 2, 1.0, -1.0).reshape(2, 16, side, side))
    y = mg.conv2d(x, mg.ones(16, 16, 1, 1), rectify=0.0)
    (found,) = mg.grad(y, [x], mg.full(y.shape, np.inf))
    on = x.numpy() > 0
    np.testing.assert_array_equal(found.numpy(), np.where(on, np.inf, 0.0))


def test_dropout_leaves_infinities_out():
    x = leaf([np.inf] * 1000)
    y = mg.dropout(x, 0.5, generator=mg.Generator(3))
    kept = y.numpy() == np.inf
    assert 400 < kept.sum() < 600
    np.testing.assert_array_equal(y.numpy(), np.where(kept, np.inf, 0.0))
    (found,) = mg.grad(y, [x], mg.tensor(np.where(kept, 1.0, np.inf).astype("float32")))
    np.testing.assert_array_equal(found.numpy(), np.where(kept, np.float32(2.0), 0.0))


def test_triangles_leave_infinities_out():
    x = mg.tensor(np.full((3, 3), np.inf, "float32"))
    np.testing.assert_array_equal(mg.tril(x).numpy(), np.where(np.tri(3, dtype=bool), np.inf, 0))
    np.testing.assert_array_equal(mg.triu(x, 1).numpy(), np.where(np.tri(3, dtype=bool), 0, np.inf))
    half = registry["halved_tril"](x).numpy()
    np.testing.assert_array_equal(half, np.where(np.tri(3, dtype=bool), np.inf, 0))


def test_a_masked_weight_that_is_infinite_is_not_there():
    mask = np.ones((2, 1, 3, 3), bool)
    mask[0, 0, 0, 0] = mask[1, 0, 2, 2] = False
    weight = np.ones((2, 1, 3, 3), "float32")
    weight[~mask] = np.inf
    y = mg.masked_conv2d(mg.ones(1, 1, 3, 3), mg.tensor(weight), mask=mask)
    np.testing.assert_array_equal(y.numpy().reshape(-1), [8.0, 8.0])


@pytest.mark.parametrize("count", [8, 4000])
def test_an_infinite_gradient_of_one_row_of_a_table_stays_in_that_row(count):
    weight = leaf(np.zeros((4, 5)))
    index = mg.tensor(np.arange(count) % 4)
    g = np.ones((count, 5), "float32")
    g[2] = np.inf
    (found,) = mg.grad(mg.embedding(index, weight), [weight], mg.tensor(g))
    expected = np.full((4, 5), count / 4)
    expected[2] = np.inf
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("size", [2, 3])
def test_an_infinite_pixel_spoils_its_own_cell_of_an_adaptive_pool(size):
    x = np.ones((1, 1, 4, 4), "float32")
    x[0, 0, 0, 0] = np.inf
    expected = np.ones((size, size))
    expected[0, 0] = np.inf
    found = mg.adaptive_avg_pool2d(mg.tensor(x), size).numpy()
    np.testing.assert_array_equal(found[0, 0], expected)
