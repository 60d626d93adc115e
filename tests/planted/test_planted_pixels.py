"""Classic mistakes of models that draw pixel by pixel, planted one at a time.

As in `test_planted_bugs.py`: a check counts only if it passes on minigen as it is and fails with
the mistake.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from suite import Patch, Plant, assert_caught, changed, each_of, replace, test_of

import minigen as mg
from minigen import nn
from minigen.models import gated_pixelcnn, pixel_cache, pixel_heads, pixelcnn, raster

# ---------------------------------------------------------------- the mistakes, written out


def type_b_first(patch: Patch) -> None:
    """Every mask of the plain model is of type B."""
    original = nn.MaskedConv2d
    patch.setattr(
        pixelcnn.nn,
        "MaskedConv2d",
        lambda *args, **options: original(
            *args, **{**options, **({"mask_type": "B"} if "mask_type" in options else {})}
        ),
    )


def masked_at_the_start_only(self: nn.MaskedConv2d, x: mg.Tensor) -> mg.Tensor:
    """The mask was put on the initial weights; the forward pass trusts that it stays."""
    return mg.conv2d(x, self.weight, self.bias, self.stride, self.padding)


def halves_in_one_run(mask_type: str, kernel: int, channels: int, hidden: int, colors: int) -> Any:
    """The colours of 2h channels in equal runs, as if there were no two halves to the gate."""
    if colors == 1:
        return np.arange(kernel)[None, :] < kernel // 2 + (mask_type == "B")
    layer = nn.MaskedConv2d(channels, 2 * hidden, (1, kernel), mask_type=mask_type, colors=colors)
    return layer.mask


def without_edge_bins(self: Any, parameters: mg.Tensor, x: mg.Tensor) -> mg.Tensor:
    """The tails of a logistic belong to no value."""
    k, half = self.components, 1.0 / (self.values - 1)
    rows = self.rows(parameters)
    inverse = (-rows[..., 2 * k :]).exp()
    distance = (2.0 * x - 1.0).unsqueeze(-1) - rows[..., k : 2 * k]
    a, b = (distance + half) * inverse, (distance - half) * inverse
    log_bin = (mg.sigmoid(a) - mg.sigmoid(b)).log()
    nats = mg.logsumexp(mg.log_softmax(rows[..., :k], dim=-1) + log_bin, dim=-1)
    return nats.sum(dim=(1, 2, 3))


def one_row_late(self: Any, finished: bool) -> None:
    """The cache multiplies the rows above before the newest one has come in."""
    if self.rows is None:
        return
    product = self.rows.product()
    if finished:
        self.rows.push(self.current.finished())
    if self.bias is not None:
        product += self.bias
    for above, part in zip(self.current.above, self.outputs):
        above[...] = product[:, part]


def one_column_late(original: Any, self: Any, j: int, c: int) -> Any:
    return original(self, max(j - 1, 0), c)


def given_after_the_fact(original: Any, self: Any, n: int, **options: Any) -> mg.Tensor:
    """Draw a whole image first, then paint what is given over it."""
    given = options.pop("given", None)
    drawn = original(self, n, **options)
    if given is None:
        return drawn
    kept = np.broadcast_to(given, drawn.shape)
    return mg.tensor(np.where(np.isnan(kept), drawn.numpy(), kept))


def first_not_exceeded(self: Any, parameters: Any, uniforms: Any) -> Any:
    """A value too low: the last one that u has passed, not the first that it has not."""
    weight = np.exp(parameters - parameters.max(axis=1, keepdims=True))
    cumulated = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    passed = (cumulated <= uniforms[0][:, None]).sum(axis=1)
    return np.maximum(passed - 1, 0) / (self.values - 1)


LEAK = "test_no_output_depends_on_its_own_or_a_later_value"
CACHE = "test_cached_parameters_equal_the_naive_ones_at_every_pixel"

PLANTS = [
    Plant(
        "a mask of type B in the first layer",
        type_b_first,
        test_of("models/test_raster.py", LEAK, "plain", 1),
    ),
    Plant(
        "a mask put on the initial weights only",
        replace(nn.MaskedConv2d, "forward", masked_at_the_start_only),
        test_of("models/test_raster.py", LEAK, "plain", 1),
    ),
    Plant(
        "a vertical stack linked to its own row",
        replace(gated_pixelcnn, "shift_down", lambda x: x),
        test_of("models/test_raster.py", LEAK, "gated", 1),
    ),
    Plant(
        "a vertical stack shifted by two rows",
        changed(gated_pixelcnn, "shift_down", lambda original, x: original(original(x))),
        test_of(
            "models/test_gated_pixelcnn.py",
            "test_every_output_depends_on_all_earlier_values_of_its_field",
            1,
        ),
    ),
    Plant(
        "a vertical kernel with the corner cut off: the blind spot is back",
        replace(
            gated_pixelcnn,
            "rows_mask",
            lambda kernel: np.arange(kernel**2).reshape(kernel, kernel) <= kernel**2 // 2,
        ),
        test_of(
            "models/test_gated_pixelcnn.py",
            "test_every_output_depends_on_all_earlier_values_of_its_field",
            1,
        ),
    ),
    Plant(
        "a gate whose two halves are of different colours",
        replace(gated_pixelcnn, "gate_mask", halves_in_one_run),
        test_of("models/test_raster.py", LEAK, "gated", 3),
    ),
    Plant(
        "a logistic mixture without edge bins",
        replace(pixel_heads.LogisticMixtureHead, "log_prob", without_edge_bins),
        test_of(
            "models/test_pixel_heads.py",
            "test_the_logistic_mixture_equals_the_papers_formula_and_sums_to_one",
            [0.3, -0.5, 0.1, 0.2, -0.8, 1.4, -2.0, -1.0, 0.5],
            256,
        ),
    ),
    Plant(
        "a draw one value too low",
        replace(pixel_heads.CategoricalHead, "draw", first_not_exceeded),
        test_of(
            "models/test_raster.py",
            "test_samples_of_a_categorical_model_are_as_frequent_as_they_are_likely",
        ),
    ),
    Plant(
        "cached rows one row late",
        replace(pixel_cache.CachedConvolution, "begin_row", one_row_late),
        test_of("models/test_raster.py", CACHE, "plain", 1, 3),
    ),
    Plant(
        "a cached row that reads one column late",
        changed(pixel_cache.CurrentRow, "at", one_column_late),
        test_of("models/test_raster.py", CACHE, "gated", 1, 3),
    ),
    Plant(
        "a cache that never moves the vertical stack up",
        replace(pixel_cache.RowsAbove, "push", lambda self, row: None),
        test_of("models/test_raster.py", CACHE, "gated", 1, 1),
    ),
    Plant(
        "given pixels painted over a finished sample",
        changed(raster.RasterModel, "sample", given_after_the_fact),
        test_of(
            "models/test_raster.py",
            "test_what_is_drawn_depends_on_the_given_pixels_before_it",
        ),
    ),
]


@each_of(PLANTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_planted_mistake_of_the_pixel_models_is_caught(plant: Plant) -> None:
    assert_caught(plant)
