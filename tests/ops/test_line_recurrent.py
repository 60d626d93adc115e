"""Diagonals to columns and back; lines of an image, walked by the kernel and by its reference."""

import numpy as np
import pytest

import minigen as mg
from minigen.ops.line_recurrent import line_lstm, skew, unskew
from minigen.testing import check_grads

SHAPES = [(2, 3, 5, 2), (1, 4, 2, 3), (2, 1, 3, 1), (1, 3, 1, 1), (3, 1, 1, 2)]


def some(*shape: int, seed: int = 0) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("shape", SHAPES)
def test_skewing_moves_row_r_by_r_places_and_unskewing_moves_it_back(shape):
    x = some(*shape)
    skewed = skew(x).numpy()
    n, height, width, channels = shape
    expected = np.zeros((n, height, width + height - 1, channels))
    for r in range(height):
        expected[:, r, r : r + width] = x.numpy()[:, r]
    np.testing.assert_array_equal(skewed, expected)
    np.testing.assert_array_equal(unskew(mg.tensor(skewed)).numpy(), x.numpy())


def test_a_column_of_the_skewed_map_is_a_diagonal():
    x = mg.tensor(np.arange(12.0).reshape(1, 3, 4, 1))
    assert skew(x).numpy()[0, :, 2, 0].tolist() == [2.0, 5.0, 8.0]  # (0, 2), (1, 1), (2, 0)


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_gradients_of_skewing_and_unskewing(shape):
    check_grads(lambda x: skew(x * x), [some(*shape)], order=2)
    n, height, width, channels = shape
    longer = some(n, height, width + height - 1, channels)
    check_grads(lambda x: unskew(x * x), [longer], order=2)


@pytest.mark.parametrize(
    ("lines", "taps"), [("rows", 3), ("rows", 1), ("diagonals", 2), ("antidiagonals", 2)]
)
def test_gradients_of_first_and_second_order_against_differences(lines, taps):
    gates, weight = some(2, 3, 4, 8), some(8, 2, taps, seed=1)
    check_grads(lambda g, w: line_lstm(g, w, lines=lines), [gates, weight], order=2)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("lines", ["diagonals", "antidiagonals"])
def test_a_map_of_one_column_has_as_many_diagonals_as_rows(lines):
    gates, weight = some(2, 4, 1, 8), some(8, 2, 2, seed=1)
    out = line_lstm(gates, weight, lines=lines).numpy()
    below = line_lstm(gates, weight[:, :, :1], lines="rows").numpy()
    # in one column the memory has no predecessor beside it, but the state has one above
    assert out.shape == below.shape
    np.testing.assert_allclose(out[:, 0], below[:, 0], rtol=1e-12)
    expected = line_lstm.reference(gates, weight, lines=lines).numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_other_lines_than_these_are_refused_in_one_line():
    with pytest.raises(ValueError, match="lines must be one of rows, diagonals, antidiagonals"):
        line_lstm(some(1, 2, 2, 4), some(4, 1, 2), lines="columns")
