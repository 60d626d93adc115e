"""Reading, writing and joining at the edges: single numbers, empty tensors, wrong arguments."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")


def number(value: float = 2.5) -> mg.Tensor:
    return mg.tensor(np.array(value, np.float32), requires_grad=True)


def places(*values: int) -> mg.Tensor:
    return mg.tensor(np.array(values, np.int64))


ZERO = np.array(0, np.int64)


def test_a_single_number_is_gathered_as_often_as_the_index_is_long() -> None:
    x = number()
    out = mg.gather(x, 0, places(0, 0, 0))
    assert out.tolist() == [2.5, 2.5, 2.5]
    out.sum().backward()
    assert x.grad.tolist() == 3.0
    assert mg.gather(x, 0, mg.tensor(ZERO)).shape == ()


def test_an_empty_index_gathers_nothing_whatever_its_shape() -> None:
    out = mg.gather(mg.ones(5), 0, mg.tensor(np.zeros((2, 0), np.int64)))
    assert out.shape == (2, 0)


def test_a_single_number_is_scattered_into_a_single_number() -> None:
    x, source = number(), number(4.0)
    written = mg.scatter(x, 0, mg.tensor(ZERO), source)
    added = mg.scatter_add(x, 0, mg.tensor(ZERO), source)
    assert (written.shape, written.item(), added.item()) == ((), 4.0, 6.5)
    (written + added).backward()
    assert (x.grad.item(), source.grad.item()) == (1.0, 2.0)


def test_what_is_scattered_at_an_empty_index_changes_nothing() -> None:
    out = mg.scatter(mg.ones(2, 2), 0, places(), mg.ones(3))
    assert out.tolist() == [[1, 1], [1, 1]]


def test_index_select_of_a_single_number_is_that_number() -> None:
    assert mg.index_select(number(), 0, places(0)).shape == ()
    assert mg.index_select(mg.arange(3), 0, mg.tensor(np.array(1))).tolist() == [1]


def test_the_largest_of_a_single_number_is_that_number() -> None:
    values, indices = mg.topk(number(), 1)
    assert (values.item(), indices.item(), values.shape) == (2.5, 0, ())
    smallest, _ = mg.topk(mg.tensor([3.0, 1.0, 2.0]), 2, largest=False)
    assert smallest.tolist() == [1.0, 2.0]


def test_one_hot_counts_the_classes_itself() -> None:
    assert mg.one_hot(places(0, 2)).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_an_empty_vector_joins_with_anything() -> None:
    x = mg.ones(2, 3, requires_grad=True)
    out = mg.cat([mg.tensor(np.zeros(0, np.float32)), x], dim=1)
    assert out.shape == (2, 3)
    out.sum().backward()
    assert x.grad.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_pooling_takes_a_single_image() -> None:
    x = mg.arange(16, dtype=np.float32).reshape(1, 4, 4)
    assert mg.max_pool2d(x, 2).tolist() == [[[5, 7], [13, 15]]]
    assert mg.avg_pool2d(x, 2, divisor_override=2).tolist() == [[[5, 9], [21, 25]]]
    assert mg.adaptive_avg_pool2d(x, (None, 1)).tolist() == [[[1.5], [5.5], [9.5], [13.5]]]


def test_the_mean_of_integers_is_an_integer_rounded_towards_zero() -> None:
    x = mg.tensor(np.array([[[1, 2], [2, 2]], [[-1, -2], [-2, -2]]]))
    out = mg.avg_pool2d(x, 2)
    assert out.dtype == np.int64
    assert out.reshape(-1).tolist() == [1, -1]


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: mg.unbind(number()), ValueError, "unbind needs a tensor with at least one"),
        (lambda: mg.split(number(), 1), ValueError, "split needs a tensor with at least one"),
        (lambda: mg.chunk(number(), 1), ValueError, "chunk needs a tensor with at least one"),
        (
            lambda: mg.split(mg.ones(4), 0),
            ValueError,
            "split_size_or_sections must be an integer ≥ 1",
        ),
        (lambda: mg.roll(mg.ones(4), (1, 2)), ValueError, "as many dims"),
        (lambda: mg.roll(number(), 1, 0), ValueError, "dims must be left out"),
        (lambda: mg.cat(mg.ones(2, 2)), TypeError, "tensors must be a list or tuple"),
        (lambda: mg.cat([number(), number()]), ValueError, "at least one dimension"),
        (lambda: mg.cat([mg.ones(2, 2), mg.ones(2, 3)]), ValueError, "one shape but for dim 0"),
        (lambda: mg.stack([mg.ones(2), mg.ones(3)]), ValueError, "stack: tensors must have one"),
        (lambda: mg.movedim(mg.ones(2, 2), (0, 1), 0), ValueError, "equally many"),
        (lambda: mg.expand(mg.ones(2), 3), ValueError, "cannot expand"),
        (lambda: mg.topk(mg.ones(2), 3), ValueError, r"k must lie in \[0, 2\]"),
        (lambda: mg.one_hot(mg.ones(2)), TypeError, "one_hot: input must be an integer tensor"),
        (lambda: mg.gather(mg.ones(2), 0, mg.ones(1)), TypeError, "index must be an integer"),
        (lambda: mg.gather(mg.ones(2, 2), 0, places(0)), ValueError, "does not fit"),
        (lambda: mg.scatter(mg.ones(2), 0, places(0)), TypeError, "exactly one of src and value"),
        (lambda: mg.scatter(mg.ones(2), 0, places(0), "a"), TypeError, "src must be a tensor"),
        (
            lambda: mg.scatter_add(mg.ones(2), 0, places(0), places(0)),
            TypeError,
            "src must have the input's dtype float32, got int64",
        ),
        (
            lambda: mg.repeat_interleave(mg.ones(3), places(1, 2), 0),
            ValueError,
            "repeats must be one number or 3, got 2",
        ),
        (
            lambda: mg.repeat_interleave(mg.ones(3), 2, output_size=5),
            ValueError,
            "output_size must be 6",
        ),
        (lambda: mg.repeat_interleave(mg.ones(3), 0.5), TypeError, "repeats must be an integer"),
        (lambda: mg.pad(mg.ones(3), (1, 1), "reflect", 2.0), ValueError, "takes no value"),
        (lambda: mg.pad(mg.ones(3), (-2, -2)), ValueError, "cuts off more"),
        (lambda: mg.avg_pool2d(mg.ones(1, 2, 2), 2, divisor_override=0), ValueError, "not be 0"),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(call, kind, words) -> None:
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_sums_and_products_of_booleans_may_stay_booleans() -> None:
    x = mg.tensor(np.array([[True, True], [True, False]]))
    total, product = mg.sum(x, 1, dtype=np.bool_), mg.prod(x, 1, dtype=np.bool_)
    assert (total.dtype, total.tolist()) == (np.bool_, [True, True])
    assert (product.dtype, product.tolist()) == (np.bool_, [True, False])


ROWS = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        (np.zeros((2, 3), np.int64), {}, r"target \(2, 3\) does not fit input \(2, 3\)"),
        (np.zeros(3, np.int64), {}, r"target \(3,\) does not fit input \(2, 3\)"),
        (np.zeros(2, np.int64), {"weight": None}, r"weight must have shape \(3,\)"),
        (np.zeros((2, 3), np.float32), {"ignore_index": 1}, "ignore_index goes with classes"),
    ],
)
def test_a_target_that_does_not_fit_is_refused_in_one_line(target, options, words) -> None:
    options = {name: mg.ones(2) if name == "weight" else v for name, v in options.items()}
    with pytest.raises(ValueError, match=words):
        mg.cross_entropy(mg.tensor(ROWS), mg.tensor(target), **options)
