"""Mistakes that only PyTorch noticed once, or nobody: each is caught by a check in NumPy alone.

And mistakes in the tests themselves: a description that says nothing of what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_specs import SPECS, checks
from suite import (
    Patch,
    Plant,
    assert_caught,
    changed,
    check_of,
    each_of,
    module_of,
    replace,
    test_of,
)

import minigen as mg
from minigen.data import batches
from minigen.models import raster
from minigen.nn import recurrent
from minigen.ops import interpolation
from minigen.optim import clip, ema

LAYERS = "nn/test_every_layer.py"
EQUAL_BATCHES = "test_equal_pixels_give_equal_batches_whatever_their_order_in_memory"

# ---------------------------------------------------------------- what must notice


def layer_check(name: str) -> Callable[[], None]:
    """The comparison of a layer with its definition in NumPy."""

    def run() -> None:
        tests = module_of(LAYERS)
        (spec,) = [spec for spec in tests.SPECS if spec.name == name]
        mg.manual_seed(0)
        tests.test_outputs_and_state_are_those_of_the_definition_in_numpy(spec, "float64", 1e-9)

    return run


def formula_check(name: str, options: dict[str, Any]) -> Callable[[], None]:
    """Fifty steps of an optimizer against its formula."""
    test = "test_fifty_steps_are_those_of_the_formula"
    return test_of("optim/test_optimizer.py", test, name, lambda: options, "float64", 1e-13)


def colours_last(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) as it comes from a file of (N, H, W, C)."""
    return x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)


# ---------------------------------------------------------------- the mistakes, written out


def drawn_by(flattened: Callable[[np.ndarray], np.ndarray]) -> Callable[[Patch], None]:
    """Pixels stay in the memory's order, and the draws go into what ``flattened`` makes of them."""

    def to_unit_interval(data: np.ndarray, span: tuple[float, float]) -> np.ndarray:
        return (data.astype(np.float32) - span[0]) / np.float32(span[1] - span[0])

    def draw(p: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        flat = flattened(p)
        grey = np.flatnonzero((flat > 0) & (flat < 1))
        flat[grey] = generator.random(grey.size, dtype=np.float32) < flat[grey]
        return p

    def plant(patch: Patch) -> None:
        patch.setattr(batches, "to_unit_interval", to_unit_interval)
        patch.setattr(batches, "draw_bernoulli", draw)

    return plant


def average_of_a_copy(average: Any, value: Any, decay: float) -> None:
    """So does the average."""
    ema.average_step(
        mg.backends.active.backend,
        average.data.reshape(-1),
        value.data.reshape(-1),
        decay=decay,
    )


def every_other_label(original: Any, self: Any, n: int, labels: Any) -> Any:
    """1 for all classes but the image's own."""
    row = original(self, n, labels)
    return None if row is None else 1.0 - row


def gates_exchanged(original: Any, gates: mg.Tensor, h: Any, c: Any, weight: mg.Tensor) -> Any:
    """The forget gate where the input gate should be, and the other way round."""
    exchange = lambda x, dim: mg.cat([x.chunk(4, dim)[k] for k in (1, 0, 2, 3)], dim)
    return original(exchange(gates, -1), h, c, exchange(weight, 0))


def corners_for_middles(original: Any, n: int, m: int, scale: float, *rest: Any) -> Any:
    """The half of a pixel forgotten: as if corners stayed where they are."""
    return original(n, m, scale, True)


def no_truth(table: Callable[[], Any], name: str, field: str) -> Callable[[Patch], None]:
    """A description that does not say what is right."""

    def plant(patch: Patch) -> None:
        for spec in table():
            if spec.name == name:
                patch.setattr(spec, field, None)

    return plant


PLANTS = [
    Plant(
        "class labels encoded inverted",
        changed(raster.RasterModel, "_one_hot", every_other_label),
        test_of(
            "models/test_raster.py",
            "test_a_label_adds_its_own_column_of_the_weights_to_the_biases",
        ),
    ),
    Plant(
        "pixels drawn into a copy of the picture",
        drawn_by(lambda p: p.reshape(-1)),
        test_of("data/test_binarize.py", EQUAL_BATCHES, lambda: colours_last, "dynamic"),
    ),
    Plant(
        "pixels drawn in the order of the memory",
        drawn_by(lambda p: p.ravel("K")),
        test_of("data/test_binarize.py", EQUAL_BATCHES, lambda: colours_last, "dynamic"),
    ),
    Plant(
        "an average that is kept in a copy",
        replace(ema, "_average", average_of_a_copy),
        test_of(
            "optim/test_ema.py",
            "test_the_average_follows_weights_whose_memory_is_in_another_order",
            lambda: np.asfortranarray,
            0.75,
        ),
    ),
    Plant(
        "a norm of bytes, not of the numbers in them",
        replace(clip, "_is_flat", lambda base, dtype: base.ndim == 1),
        test_of(
            "optim/test_clip.py",
            "test_gradients_are_clipped_wherever_they_lie_in_memory",
            lambda: lambda x: module_of("optim/test_clip.py").from_bytes(x).reshape(x.shape),
        ),
    ),
    Plant(
        "input gate and forget gate of the LSTM layer exchanged",
        changed(recurrent, "lstm_sequence", gates_exchanged),
        layer_check("LSTM"),
    ),
    Plant(
        "the second direction reads forwards",
        replace(recurrent, "flip", lambda x, dims: x),
        layer_check("GRU"),
    ),
    Plant(
        "bilinear enlargement by corners where pixels are areas",
        changed(interpolation, "_places", corners_for_middles),
        check_of("interpolate", checks.check_value, count=40),
    ),
    Plant(
        "Nesterov's look ahead left out",
        changed(
            mg.optim.SGD,
            "__init__",
            lambda original, *args, **options: original(*args, **{**options, "nesterov": False}),
        ),
        formula_check("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ),
    Plant(
        "an op described without a truth",
        no_truth(lambda: SPECS, "lstm_sequence", "numpy"),
        check_of("lstm_sequence", checks.check_value),
    ),
    Plant(
        "a layer described without a truth",
        no_truth(lambda: module_of(LAYERS).SPECS, "LSTM", "truth"),
        test_of(LAYERS, "test_every_layer_that_nn_exports_is_described"),
    ),
    Plant(
        "a check whose cases hold nothing",
        lambda patch: patch.setattr(
            checks, "tensors", lambda case, dtype="float64": [mg.zeros(0, 2, dtype=dtype)]
        ),
        check_of("tanh", checks.check_ownership),
    ),
]


@each_of(PLANTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_planted_mistake_is_caught_without_pytorch(plant: Plant) -> None:
    assert_caught(plant)
