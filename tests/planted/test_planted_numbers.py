"""Mistakes with infinities, tails and dtypes, each caught by a check that knows the right value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from suite import Patch, Plant, assert_caught, changed, each_of, replace, test_of

import minigen as mg
import minigen.autograd.primitive
import minigen.models.diffaugment
import minigen.nn.coupling
import minigen.ops.activation
import minigen.ops.attention
import minigen.ops.linalg
import minigen.ops.loss
from minigen.autograd import operation
from minigen.autograd.operation import FLOAT16, FLOAT32, FLOAT64, registry

# ---------------------------------------------------------------- how to plant


def rule(op: str, name: str, wrong: Callable[..., Any]) -> Callable[[Patch], None]:
    """Another gradient rule for input ``name`` of ``op``."""

    def plant(patch: Patch) -> None:
        patch.setitem(registry[op].rule_of, name, wrong)
        patch.setattr(registry[op], "_plans", {})

    return plant


def forward(op: str, wrong: Callable[..., Any]) -> Callable[[Patch], None]:
    """Another forward function for ``op``."""

    def plant(patch: Patch) -> None:
        patch.setattr(registry[op], "forward", wrong)
        patch.setattr(operation, "_raw_functions", {})

    return plant


# ---------------------------------------------------------------- the mistakes, written out


def times_mask(b: Any, keep: Any, x: Any) -> Any:
    """Left out by a product with 0."""
    with np.errstate(invalid="ignore"):
        return x * keep.astype(x.dtype)


def where_times(condition: Any, x: Any, other: Any) -> Any:
    """The same for tensors."""
    keep = condition.to(np.float32)
    with np.errstate(invalid="ignore"):
        return x * keep + other * (1 - keep)


def by_half_a_tanh(b: Any, x: Any) -> Any:
    """The sigmoid as ½(1 + tanh(x/2))."""
    return 0.5 * b.xp.tanh(0.5 * x) + 0.5


def cut_at_the_smallest_normal(b: Any, x: Any, target: Any) -> Any:
    """A guard against ln 0 that takes NaN, and whatever is small, for it."""
    xp = b.xp

    def log(p: Any) -> Any:
        return xp.where(p > 1e-38, xp.log(xp.where(p > 1e-38, p, 1)), -100)

    return -(target * log(x) + (1 - target) * log(1 - x))


def logsumexp_with_a_guard(b: Any, x: Any, *, dim: Any, keepdim: bool) -> Any:
    """``total > 0`` is false of NaN as well."""
    xp = b.xp
    top = x.max(axis=dim, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)
    total = xp.exp(x - top).sum(axis=dim, keepdims=True)
    out = xp.where(total > 0, xp.log(xp.where(total > 0, total, 1)), -math.inf) + top
    return out if keepdim else out.reshape([n for d, n in enumerate(x.shape) if d not in dim])


def cancelling_cross_entropy(b: Any, x: Any, target: Any) -> Any:
    """A small logarithm added to a large number before that is taken away again."""
    xp = b.xp
    with np.errstate(all="ignore"):
        return (xp.log1p(xp.exp(-xp.absolute(x))) + xp.maximum(x, 0)) - x * target


def as_numpy_promotes(arrays: list[Any], result: Any) -> list[Any] | None:
    """0-d arrays widen, as any others do."""
    if result is not FLOAT64 and result is not FLOAT16:
        return None
    if any(getattr(x, "dtype", None) is result for x in arrays):
        return None
    return [x.astype(FLOAT32) if getattr(x, "dtype", FLOAT32).kind in "iub" else x for x in arrays]


def share_by_sign(f: Any, g: Any, x: Any, other: Any) -> Any:
    """The difference of two infinities is NaN."""
    with np.errstate(invalid="ignore"):
        return g * (f.sign(x - other) * 0.5 + 0.5)


def weight_by_exp(f: Any, g: Any, out: Any, x: Any) -> Any:
    """e^(x - out): of two large numbers little is left."""
    with np.errstate(invalid="ignore"):
        return g * f.exp(x - out)


ELEMENTWISE = "ops/test_elementwise.py"
LOSS = "ops/test_loss.py"
CHOICE = "ops/test_choice.py"

PLANTS = [
    Plant(
        "a sigmoid without a tail",
        replace(minigen.ops.activation, "logistic", by_half_a_tanh),
        test_of(
            "ops/test_activation.py", "test_the_tail_of_the_sigmoid_that_a_loss_lives_from", 700
        ),
    ),
    Plant(
        "the gradient of a maximum by the sign of the difference",
        rule("maximum", "x", share_by_sign),
        test_of(
            ELEMENTWISE,
            "test_the_larger_and_the_smaller_of_two_share_where_they_are_equal",
            lambda: mg.maximum,
            [0.5, 0.5, 1, 0, 1, 0.5],
            "float64",
        ),
    ),
    Plant(
        "the weights of logaddexp from its result",
        rule("logaddexp", "x", weight_by_exp),
        test_of(
            ELEMENTWISE,
            "test_the_gradients_of_logaddexp_are_the_weights_of_the_two_whatever_their_size",
            "float32",
        ),
    ),
    Plant(
        "ignored rows of the cross-entropy times 0",
        replace(minigen.ops.loss, "or_zero", times_mask),
        test_of(
            LOSS,
            "test_a_row_that_does_not_count_is_nothing_whatever_it_holds",
            [math.nan, 0, 1],
            "float32",
            1,
        ),
    ),
    Plant(
        "a cross-entropy from probabilities whose guard takes small numbers for 0",
        forward("binary_cross_entropy", cut_at_the_smallest_normal),
        test_of(LOSS, "test_binary_cross_entropy_of_small_probabilities_keeps_their_digits"),
    ),
    Plant(
        "a cross-entropy from logits in which large numbers cancel",
        replace(minigen.ops.loss, "logit_cross_entropy", cancelling_cross_entropy),
        test_of(LOSS, "test_cross_entropy_from_logits_far_out", None, "none", 1),
    ),
    Plant(
        "a relu's gradient times 0",
        replace(minigen.ops.activation, "or_zero", times_mask),
        test_of(CHOICE, "test_a_relu_that_is_off_passes_no_infinity", 1, "float32"),
    ),
    Plant(
        "a triangle times 0",
        replace(minigen.ops.linalg, "or_zero", times_mask),
        test_of(CHOICE, "test_triangles_leave_infinities_out"),
    ),
    Plant(
        "a query that may look nowhere looks everywhere",
        replace(
            minigen.ops.attention,
            "softmax_or_zero",
            lambda scores: mg.softmax(mg.clamp(scores, min=-1e30), -1),
        ),
        test_of(
            "ops/test_attention_ops.py",
            "test_a_query_that_may_look_nowhere_gets_0_and_gradients_stay_finite",
            3,
            4,
            "boolean",
            1e-9,
            "float32",
        ),
    ),
    Plant(
        "a guard in logsumexp that hides NaN",
        forward("logsumexp", logsumexp_with_a_guard),
        test_of("ops/test_reduction.py", "test_a_nan_in_a_row_is_not_hidden", lambda: mg.logsumexp),
    ),
    Plant(
        "the mask of a coupling as a factor",
        replace(minigen.nn.coupling, "where", where_times),
        test_of(
            "nn/test_coupling.py",
            "test_the_conditioner_does_not_see_what_the_mask_hides",
            False,
            math.nan,
        ),
    ),
    Plant(
        "the probability of a value under a wide bump as 1 - e^-δ",
        changed(mg.Tensor, "expm1", lambda original, x: x.exp() - 1),
        test_of(
            "models/test_pixel_heads.py",
            "test_a_bump_far_wider_than_a_value_keeps_its_digits_in_float32",
        ),
    ),
    Plant(
        "a 0-d float64 that widens a float32 tensor",
        replace(minigen.autograd.primitive, "promoted", as_numpy_promotes),
        test_of(
            "ops/test_promotion.py", "test_two_tensors_give_the_dtype_that_pytorch_gives", "add"
        ),
    ),
    Plant(
        "numbers of Python alone in float64",
        replace(minigen.autograd.primitive, "promoted", as_numpy_promotes),
        test_of("ops/test_promotion.py", "test_numbers_of_python_alone_are_float32_or_int64"),
    ),
]


@each_of(PLANTS)
def test_a_planted_mistake_is_caught_by_a_named_check(plant):
    assert_caught(plant)
