"""Sums that drift and halves that overflow, planted one at a time: for each a named check."""

from __future__ import annotations

from typing import Any

import numpy as np
from suite import Plant, assert_caught, each_of, replace, test_of

import minigen.backends.numpy_backend
import minigen.ops.attention
import minigen.ops.dense
import minigen.ops.linalg
import minigen.ops.norm
import minigen.ops.normalization
import minigen.ops.reduction
import minigen.ops.shape
import minigen.ops.summation

SUMS, HALVES = "ops/test_summation.py", "ops/test_halves.py"
ROUNDED_ONCE = "test_halves_are_computed_in_float32_and_rounded_once"


def by_product(b: Any, x: Any, out: Any = None, *, add: bool = False) -> Any:
    """A sum over rows as one product with ones: BLAS adds in working precision."""
    total = b.xp.matmul(b.xp.ones(x.shape[0], dtype=x.dtype), x)
    if out is None:
        return total
    out[...] = out + total if add else total
    return out


def at_once(b: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """A sum as NumPy makes it: along a leading axis a running one."""
    return x.sum(axis=axis, keepdims=keepdims)


def product_of_halves(b: Any, x: Any, other: Any, out: Any = None, *, add: bool = False) -> Any:
    """A product of halves, rounded to half after each term."""
    total = np.zeros((*x.shape[:-1], other.shape[-1]), x.dtype)
    for k in range(x.shape[-1]):
        total += x[..., k, None] * other[..., k, :]
    if out is None:
        return total
    out[...] = out + total if add else total
    return out


PLANTS = [
    Plant(
        "the bias gradient of a dense layer added up in working precision",
        replace(minigen.ops.dense, "sum_rows", by_product),
        test_of(SUMS, "test_the_bias_gradient_of_a_dense_layer_is_exact", "plain", "relu"),
    ),
    Plant(
        "what broadcasting repeated added up in working precision",
        replace(minigen.ops.shape, "sum_rows", by_product),
        test_of(
            SUMS,
            "test_what_broadcasting_repeated_is_summed_exactly",
            "plain",
            lambda: (524_288, 8),
            lambda: (8,),
        ),
    ),
    Plant(
        "a mean along the first dimension as a running sum",
        replace(minigen.ops.summation, "sum_of", at_once),
        test_of(SUMS, "test_the_mean_of_four_million_rows_near_250_is_250", "plain"),
    ),
    Plant(
        "a cumulative sum in working precision",
        replace(minigen.ops.reduction, "running_sum", lambda b, x, axis: x.cumsum(axis=axis)),
        test_of(SUMS, "test_a_running_sum_of_a_million_does_not_run_away", "plain"),
    ),
    Plant(
        "too many terms in working precision before they move to float64",
        replace(minigen.ops.summation, "FEW", 4096),
        test_of(SUMS, "test_the_bias_gradient_of_a_dense_layer_is_exact", "plain", "tanh"),
    ),
    Plant(
        "values scattered to one place added up in working precision",
        replace(minigen.backends.numpy_backend, "scatter_add", np.add.at),
        test_of(SUMS, "test_what_is_scattered_to_one_place_is_summed_exactly", "plain"),
    ),
    Plant(
        "the softmax of attention with a running denominator",
        replace(minigen.ops.attention, "sum_of", at_once),
        test_of(SUMS, "test_the_weights_of_attention_are_right_for_many_keys", "plain", False),
    ),
    Plant(
        "a layer norm of halves computed in halves",
        replace(minigen.ops.normalization, "FLOAT16", None),
        test_of(HALVES, ROUNDED_ONCE, "plain", "layer_norm"),
    ),
    Plant(
        "a softmax of halves computed in halves",
        replace(minigen.ops.reduction, "FLOAT16", None),
        test_of(HALVES, "test_the_softmax_of_many_equal_halves_adds_up_to_1", "plain"),
    ),
    Plant(
        "the squares of a norm of halves in halves",
        replace(minigen.ops.norm, "FLOAT16", None),
        test_of(HALVES, ROUNDED_ONCE, "plain", "norm"),
    ),
    Plant(
        "a product of halves accumulated in halves",
        replace(minigen.ops.linalg, "product", product_of_halves),
        test_of(HALVES, ROUNDED_ONCE, "plain", "matmul"),
    ),
]


@each_of(PLANTS)
def test_a_planted_mistake_is_caught_by_a_named_check(plant: Plant) -> None:
    """Passes on minigen as it is, fails on minigen with the mistake."""
    assert_caught(plant, RuntimeWarning, ValueError)
