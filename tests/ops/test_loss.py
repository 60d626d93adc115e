"""Losses at the edges: rows that do not count, certain probabilities, logits far out."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigen as mg
from minigen.backends import active

pytestmark = pytest.mark.usefixtures("backend")

INF, NAN = math.inf, math.nan
SIZES = pytest.mark.parametrize("times", [1, 1500], ids=["plain", "compiled"])
REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
LN2 = math.log(2)


def leaf(values, dtype="float32"):
    return mg.tensor(np.asarray(values, dtype)).requires_grad_()


def first_and_second(loss, x):
    """The gradient, and the gradient of the gradient's sum of squares."""
    (plain,) = mg.grad(loss, [x], retain_graph=True)
    (g,) = mg.grad(loss, [x], create_graph=True)
    np.testing.assert_allclose(g.numpy(), plain.numpy(), rtol=1e-5, atol=1e-7)
    return plain.numpy(), mg.grad((g * g).sum(), [x])[0].numpy()


# ---------------------------------------------------------------- classes


@SIZES
@pytest.mark.parametrize("ignored", [[-INF, 0, 1], [NAN, 0, 1], [INF, INF, 0], [-INF] * 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_that_does_not_count_is_nothing_whatever_it_holds(ignored, dtype, times):
    x = leaf([ignored, [0, 1, 2]] * times, dtype)
    target = mg.tensor(np.array([-100, 1] * times))
    loss = mg.cross_entropy(x, target)
    np.testing.assert_allclose(loss.numpy(), 1.4076059, rtol=1e-6)
    first, second = first_and_second(loss, x)
    p = np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()
    np.testing.assert_allclose(first[1] * times, p - [0, 1, 0], rtol=1e-5)
    np.testing.assert_array_equal(first[0::2], 0)
    np.testing.assert_array_equal(second[0::2], 0)
    assert np.isfinite(second).all()


@SIZES
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@REDUCTIONS
def test_where_no_row_counts_the_mean_is_nan_a_sum_0_and_every_gradient_0(
    reduction, label_smoothing, weighted, times
):
    x = leaf([[-INF, 0, 1], [0, 1, 2]] * times)
    weight = mg.tensor([1.0, 2.0, 3.0]) if weighted else None
    target = mg.tensor(np.full(2 * times, -100))
    loss = mg.cross_entropy(x, target, weight, reduction=reduction, label_smoothing=label_smoothing)
    first = mg.grad(loss.sum(), [x])[0].numpy()
    np.testing.assert_array_equal(loss.numpy(), NAN if reduction == "mean" else 0.0)
    np.testing.assert_array_equal(first, 0)


@REDUCTIONS
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_ignored_rows_of_a_weighted_smoothed_cross_entropy_are_chosen_away(
    reduction, label_smoothing
):
    rows, weight = np.array([[0.0, 1, 2], [3.0, 1, -1]]), np.array([1.0, 2, 3])
    options = {"reduction": reduction, "label_smoothing": label_smoothing}
    alone, x = leaf(rows, "float64"), leaf([rows[0], [-INF] * 3, rows[1]], "float64")
    w = mg.tensor(weight)
    expected = mg.cross_entropy(alone, mg.tensor([1, 0]), w, **options)
    loss = mg.cross_entropy(x, mg.tensor([1, -100, 0]), w, **options)
    kept = [0, 2]
    found = loss.numpy()[kept] if reduction == "none" else loss.numpy()
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12)
    first = mg.grad(loss.sum(), [x])[0].numpy()
    np.testing.assert_array_equal(first[1], 0)
    np.testing.assert_allclose(
        first[kept], mg.grad(expected.sum(), [alone])[0].numpy(), rtol=1e-10, atol=1e-15
    )


@REDUCTIONS
def test_the_negative_log_likelihood_leaves_ignored_rows_out(reduction):
    x = leaf([[-INF, -INF], [-1.0, -2.0]])
    loss = mg.nll_loss(x, mg.tensor([-100, 1]), reduction=reduction)
    np.testing.assert_array_equal(loss.numpy(), [0, 2] if reduction == "none" else 2)
    np.testing.assert_array_equal(mg.grad(loss.sum(), [x])[0].numpy(), [[0, 0], [0, -1]])


@SIZES
def test_a_class_that_is_impossible_costs_infinity_and_a_row_without_any_is_nan(times):
    x = mg.tensor(np.array([[-INF, 0.0, 0.0]] * 2 * times, "float32"))
    zero, one = (mg.tensor(np.full(2 * times, k)) for k in (0, 1))
    with np.errstate(all="ignore"):
        assert mg.cross_entropy(x, zero).numpy() == INF
        np.testing.assert_allclose(mg.cross_entropy(x, one).numpy(), LN2, rtol=1e-6)
        assert np.isnan(mg.cross_entropy(x * INF, one).numpy())


# ---------------------------------------------------------------- probabilities


def test_binary_cross_entropy_at_0_and_1_is_cut_at_100_and_goes_on_sloping():
    p, t = (
        leaf([0.0, 0.0, 0.0, 1.0, 1.0], "float64"),
        mg.tensor(np.array([0.0, 1.0, 0.5, 0.0, 1.0])),
    )
    loss = mg.binary_cross_entropy(p, t, reduction="none")
    np.testing.assert_allclose(loss.numpy(), [0, 100, 50, 100, 0])
    np.testing.assert_allclose(mg.grad(loss.sum(), [p])[0].numpy(), [0, -1e12, -5e11, 1e12, 0])


def test_binary_cross_entropy_of_small_probabilities_keeps_their_digits():
    p, t = leaf([1e-8, 1e-30, 1e-38], "float32"), mg.tensor([0.0, 0.0, 1.0])
    loss = mg.binary_cross_entropy(p, t, reduction="none")
    np.testing.assert_allclose(loss.numpy(), [1e-8, 1e-30, 87.49823], rtol=1e-6)


@pytest.mark.parametrize("wrong", [NAN, 1.5, -0.1])
def test_binary_cross_entropy_refuses_what_is_no_probability_or_says_nan(wrong):
    p, t = mg.tensor([0.5, wrong]), mg.tensor([1.0, 0.5])
    if active.backend.name == "numpy":
        message = f"binary_cross_entropy: input must lie in \\[0, 1\\], got {wrong:.6g}"
        with pytest.raises(ValueError, match=message):
            mg.binary_cross_entropy(p, t)
    else:  # where a look would cost a transfer
        with np.errstate(invalid="ignore"):
            assert np.isnan(mg.binary_cross_entropy(p, t).numpy())


# ---------------------------------------------------------------- logits


@pytest.mark.parametrize("pos_weight", [None, 3.0])
@pytest.mark.parametrize("reduction", ["none", "sum"])
@SIZES
def test_cross_entropy_from_logits_far_out(pos_weight, reduction, times):
    cases = np.array(
        [(1e30, 1), (1000, 1), (30, 1), (-30, 0), (-1000, 0), (30, 0), (-30, 1)] * times
    )
    x, t = leaf(cases[:, 0]), mg.tensor(cases[:, 1].astype("float32"))
    factor = 1.0 if pos_weight is None else pos_weight
    weight = None if pos_weight is None else mg.tensor(pos_weight)
    loss = mg.binary_cross_entropy_with_logits(x, t, reduction=reduction, pos_weight=weight)
    e = math.exp(-30)
    terms = np.array([0, 0, factor * e, e, 0, 30, 30 * factor] * times)
    np.testing.assert_allclose(
        loss.numpy(), terms.sum() if reduction == "sum" else terms, rtol=1e-6
    )
    slopes = np.array([0, 0, 0, e, 0, 1, -factor] * times)
    found = mg.grad(loss.sum(), [x])[0].numpy()
    np.testing.assert_allclose(found, slopes, rtol=1e-5, atol=0 if pos_weight is None else 1e-12)


@SIZES
def test_a_logit_that_is_infinite_costs_infinity_or_nothing(times):
    x, t = leaf([-INF, INF, -INF, INF] * times), mg.tensor(np.float32([1, 0, 0, 1] * times))
    loss = mg.binary_cross_entropy_with_logits(x, t, reduction="none")
    np.testing.assert_array_equal(loss.numpy(), [INF, INF, 0, 0] * times)
    np.testing.assert_array_equal(mg.grad(loss.sum(), [x])[0].numpy(), [-1, 1, 0, 0] * times)
    x, t = mg.tensor(np.full(2 * times, NAN, "float32")), mg.tensor(np.float32([0, 1] * times))
    assert np.isnan(mg.binary_cross_entropy_with_logits(x, t, reduction="none").numpy()).all()


def test_the_smooth_loss_of_an_infinite_distance_has_the_slope_1():
    x = leaf([INF, -INF, 1e30, 0.25])
    loss = mg.smooth_l1_loss(x, mg.zeros(4), reduction="none")
    np.testing.assert_allclose(loss.numpy(), [INF, INF, 1e30, 0.03125])
    np.testing.assert_allclose(mg.grad(loss.sum(), [x])[0].numpy(), [1, -1, 1, 0.25])


@pytest.mark.parametrize(
    "loss", [mg.mse_loss, mg.smooth_l1_loss, mg.binary_cross_entropy_with_logits]
)
def test_whole_numbers_are_no_predictions(loss):
    with pytest.raises(TypeError, match="input must be a floating-point tensor, got uint8"):
        loss(mg.tensor(np.array([1, 2], np.uint8)), mg.tensor(np.array([2, 1], np.uint8)))
