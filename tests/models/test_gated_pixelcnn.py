"""The Gated PixelCNN: two stacks that together see the whole past, and nothing else."""

import numpy as np
import pytest
from raster_models import dependence, some_images, tiny

import minigen as mg
from minigen.models.gated_pixelcnn import gate, gate_mask, shift_down


@pytest.mark.parametrize("colors", [1, 3])
def test_every_output_depends_on_all_earlier_values_of_its_field(colors):
    """No blind spot: on an image as small as the field that is everything before it."""
    seen = dependence(tiny("gated", (colors, 4, 4), depth=3))
    np.testing.assert_array_equal(seen, np.tril(np.ones_like(seen), -1))


def test_the_field_of_a_shallow_stack_is_a_rectangle_above_and_a_run_to_the_left():
    """Two layers of 3×3: three rows up (one by the shift), two columns to either side."""
    side = 6
    seen = dependence(tiny("gated", (1, side, side), depth=1)).reshape((side,) * 4)
    i, j = 4, 3
    expected = np.zeros((side, side), dtype=bool)
    expected[i - 3 : i, j - 2 : j + 3] = True
    expected[i, j - 2 : j] = True
    np.testing.assert_array_equal(seen[i, j], expected)


def test_labels_reach_every_pixel_and_nothing_leaks_through_them():
    model = tiny("gated", (1, 4, 4), classes=3)
    x = mg.tensor(some_images(model, 3))
    one, other = (model(x, mg.tensor(np.full(3, label))).numpy() for label in (0, 2))
    assert (np.abs(one - other) > 1e-6).all()
    assert not np.triu(dependence(model, mg.tensor(np.arange(8) % 3))).any()


def test_a_label_given_once_counts_for_all_and_labels_come_in_turn():
    model = tiny("gated", (1, 3, 3), classes=2)
    draw = lambda labels: model.sample(4, labels=labels, generator=mg.Generator(0)).numpy()
    np.testing.assert_array_equal(draw(None), draw([0, 1, 0, 1]))
    np.testing.assert_array_equal(draw(1), draw([1, 1, 1, 1]))
    assert not np.array_equal(draw(0), draw(1))


def test_the_gate_is_tanh_times_sigmoid_of_the_two_halves():
    x = np.random.default_rng(0).normal(size=(2, 6, 3, 4))
    want = np.tanh(x[:, :3]) / (1 + np.exp(-x[:, 3:]))
    np.testing.assert_allclose(gate(mg.tensor(x)).numpy(), want, rtol=1e-12)


def test_the_shift_moves_down_by_one_row_and_puts_zeros_above():
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    moved = shift_down(mg.tensor(x)).numpy()
    assert (moved[:, :, 0] == 0).all()
    np.testing.assert_array_equal(moved[:, :, 1:], x[:, :, :-1])


def test_the_colours_of_a_gate_are_in_both_halves_of_its_channels():
    mask = gate_mask("A", 3, 3, 3, 3)[:, :, 0, 1].astype(int)  # at the pixel itself
    below = [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert mask.tolist() == below + below
    assert gate_mask("B", 3, 3, 3, 3)[:, :, 0, 1].sum() == 12
    assert gate_mask("A", 5, 1, 4, 1).astype(int).tolist() == [[1, 1, 0, 0, 0]]
    assert gate_mask("B", 5, 1, 4, 1).astype(int).tolist() == [[1, 1, 1, 0, 0]]
