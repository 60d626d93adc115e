"""Classic mistakes in a PixelRNN, planted one at a time: for each, a named check catches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from op_specs import checks
from suite import Plant, assert_caught, changed, check_of, each_of, test_of

from minigen.models import pixelrnn, pixelrnn_state
from minigen.nn import masked
from minigen.ops import line_recurrent

MODEL = "models/test_pixelrnn.py"
_LEAK = "test_no_output_depends_on_its_own_or_a_later_pixel"
_WHOLE = "test_an_output_of_the_diagonal_bilstm_depends_on_every_pixel_before"
_CARRIED = "test_at_every_pixel_carried_state_gives_the_logits_of_a_whole_pass"


def carried(kind: str) -> Callable[[], None]:
    return test_of(MODEL, _CARRIED, kind, 4, 5, 2, dict)


def _gates_swapped(original: Any, b: Any, z: Any, c: Any, tanh_c: Any, h: Any) -> None:
    """The forget gate where the input gate should be, and the other way round."""
    size = c.shape[1]
    i, f = z[:, :size].copy(), z[:, size : 2 * size].copy()
    z[:, :size], z[:, size : 2 * size] = f, i
    original(b, z, c, tanh_c, h)


def _without_memory(original: Any, b: Any, *arrays: Any) -> None:
    """No gradient goes on to the memory before."""
    original(b, *arrays)
    arrays[4][...] = 0


def _memory_kept(original: Any, state: Any, pixels: Any) -> None:
    """A row goes on with the memory that the end of the row above left."""
    kept = state.c.copy()
    original(state, pixels)
    state.c[...] = kept


def _late(original: Any, state: Any, pixels: Any) -> None:
    """The second LSTM's map is read two rows late: it crosses a row after it was needed."""
    before = state.right.copy()
    original(state, pixels)
    state.right[...] = before


PLANTS = [
    Plant(
        "the right-to-left map not shifted down by a row",
        changed(pixelrnn, "shift_down", lambda original, x: x),
        test_of(MODEL, _LEAK, "diagonal", 1),
    ),
    Plant(
        "the first convolution with mask B",
        changed(masked, "autoregressive_mask", lambda original, kind, *args: original("B", *args)),
        test_of(MODEL, _LEAK, "row", 1),
    ),
    Plant(
        "input-to-state without a mask",
        changed(
            masked,
            "autoregressive_mask",
            lambda original, kind, kernel, *args: (
                original(kind, kernel, *args) | (kernel == (1, 3))
            ),
        ),
        test_of(MODEL, _LEAK, "row", 1),
    ),
    Plant(
        "the last pixel of the row above forgotten",
        changed(
            pixelrnn.DiagonalBiLSTM,
            "__init__",
            lambda original, self, hidden, first: original(self, hidden, False),
        ),
        test_of(MODEL, _WHOLE, 3, 12, 1),
    ),
    Plant(
        "both directions from the left",
        changed(
            pixelrnn,
            "line_lstm",
            lambda original, gates, state, lines: original(
                gates, state, lines=lines.replace("antidiagonals", "diagonals")
            ),
        ),
        test_of(MODEL, _WHOLE, 3, 12, 1),
    ),
    Plant(
        "rows skewed to the wrong side",
        changed(line_recurrent, "skew", lambda original, x: original(x.flip(1)).flip(1)),
        check_of("line_lstm", checks.check_fused),
    ),
    Plant(
        "the neighbours of the Row LSTM's cell mirrored",
        changed(
            line_recurrent.line_lstm,
            "forward",
            lambda original, b, gates, weight, lines: original(
                b, gates, weight[:, :, ::-1], lines=lines
            ),
        ),
        check_of("line_lstm", checks.check_value),
    ),
    Plant(
        "input gate and forget gate in the wrong order",
        changed(line_recurrent, "lstm_cell", _gates_swapped),
        check_of("line_lstm", checks.check_value),
    ),
    Plant(
        "no gradient through the memory",
        changed(line_recurrent, "lstm_cell_backward", _without_memory),
        check_of("line_lstm", checks.check_differences),
    ),
    Plant(
        "sampling: the state of the row above left out",
        changed(
            pixelrnn_state.RowState,
            "begin_row",
            lambda original, state, pixels: original(state, None),
        ),
        carried("row"),
    ),
    Plant(
        "sampling: memory that runs on from the end of a row",
        changed(pixelrnn_state.DiagonalState, "begin_row", _memory_kept),
        carried("diagonal"),
    ),
    Plant(
        "sampling: the right-to-left state of a row earlier",
        changed(pixelrnn_state.DiagonalState, "begin_row", _late),
        carried("diagonal"),
    ),
    Plant(
        "sampling: a pixel put one place off",
        changed(
            pixelrnn.Carried,
            "put",
            lambda original, state, j, c, values: original(state, max(j - 1, 0), c, values),
        ),
        carried("row"),
    ),
]


@each_of(PLANTS)
def test_a_planted_mistake_in_a_pixelrnn_is_caught_by_a_named_check(plant: Plant) -> None:
    assert_caught(plant)
