"""Batches: each sample once an epoch, and resuming is bit-equal."""

import itertools
import json

import numpy as np
import pytest

from minigen.data import BINARIZATIONS, Batches, BatchGroups, Dataset, eval_batches, load
from minigen.errors import UserError


def numbered(count, split="train"):
    """A data set whose sample n is the number n, with label n."""
    data = np.arange(count, dtype=np.float32)[:, None]
    return Dataset("numbered", split, data, np.arange(count), "rows", None)


def take(batches, count):
    return list(itertools.islice(batches, count))


def assert_equal_batches(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right):
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.labels, b.labels)


@pytest.mark.parametrize(("count", "size"), [(10, 3), (9, 3), (2, 5), (1, 1)])
def test_an_epoch_holds_each_sample_once_with_its_label(count, size):
    batches = Batches(numbered(count), size, seed=0)
    for epoch in range(3):
        assert batches.epoch == epoch
        taken = take(batches, batches.batches_per_epoch)
        for x, labels in taken:
            np.testing.assert_array_equal(x[:, 0], labels)
        assert sorted(np.concatenate([b.labels for b in taken])) == list(range(count))


def test_each_epoch_and_each_seed_has_another_order():
    orders = set()
    for seed in range(3):
        batches = Batches(numbered(50), 50, seed=seed)
        orders |= {tuple(next(batches).labels) for _ in range(3)}
    assert len(orders) == 9


def test_drop_last_gives_full_batches_only():
    batches = Batches(numbered(10), 4, seed=0, drop_last=True)
    assert batches.batches_per_epoch == 2
    assert {len(b.x) for b in take(batches, 7)} == {4}


def test_a_data_set_smaller_than_a_batch_is_one_batch_or_one_clear_line():
    assert len(next(Batches(numbered(3), 128, seed=0)).x) == 3
    with pytest.raises(UserError, match=r"batch_size must be at most 3.*got 128"):
        Batches(numbered(3), 128, seed=0, drop_last=True)


@pytest.mark.parametrize("binarization", BINARIZATIONS)
@pytest.mark.parametrize("steps", [0, 1, 5, 6, 7, 20])
def test_a_resumed_stream_goes_on_bit_for_bit(binarization, steps):
    options = {"seed": 4, "binarization": binarization}
    digits = load("digits", "val")  # 250 samples: 6 batches an epoch, the last one of 30
    unbroken = Batches(digits, 44, **options)
    take(unbroken, steps)
    state = json.loads(json.dumps(unbroken.state()))
    resumed = Batches(digits, 44, **{**options, "seed": 99})
    take(resumed, 3)
    resumed.load_state(state)
    assert resumed.state() == state
    assert_equal_batches(take(unbroken, 15), take(resumed, 15))


def test_dynamic_draws_differ_between_epochs_and_static_ones_do_not():
    digits = load("digits", "val")

    def two_epochs(binarization):
        batches = Batches(digits, 250, seed=0, binarization=binarization)
        # Sorted by its (unique) order of label and pixels, an epoch is comparable with the next.
        for x, labels in take(batches, 2):
            rows = np.c_[labels, x.reshape(250, -1)]
            yield rows[np.lexsort(rows.T)]

    first, second = two_epochs("static")
    np.testing.assert_array_equal(first, second)
    first, second = two_epochs("dynamic")
    assert (first != second).any()


def test_dynamic_draws_differ_between_the_batches_of_an_epoch():
    grey = Dataset("grey", "train", np.full((8, 50), 128, np.uint8), None, "rows", (0, 255))
    draws = [b.x.tobytes() for b in take(Batches(grey, 2, seed=0, binarization="dynamic"), 8)]
    assert len(set(draws)) == 8


def test_static_batches_and_static_evaluation_see_the_same_images():
    digits = load("digits", "val")
    (trained,) = take(Batches(digits, 250, seed=0, binarization="static"), 1)
    (evaluated,) = eval_batches(digits, 250, binarization="static")
    order = lambda x: x[np.lexsort(x.T)]
    np.testing.assert_array_equal(
        order(trained.x.reshape(250, -1)), order(evaluated.x.reshape(250, -1))
    )


def test_the_mean_of_dynamic_draws_is_the_grey_value():
    grey = Dataset("grey", "train", np.array([[0, 51, 255]], np.uint8), None, "rows", (0, 255))
    batches = Batches(grey, 1, seed=0, binarization="dynamic")
    draws = np.concatenate([b.x for b in take(batches, 2000)])
    assert set(np.unique(draws)) == {0, 1}
    assert draws[:, 0].max() == 0
    assert draws[:, 2].min() == 1
    assert abs(draws[:, 1].mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 2000)


@pytest.mark.parametrize("binarization", BINARIZATIONS)
def test_batches_are_fresh_float32_arrays_between_0_and_1(binarization):
    digits = load("digits")
    for batches in (
        Batches(digits, 64, seed=0, binarization=binarization),
        eval_batches(digits, 64, binarization=binarization),
    ):
        x, labels = next(batches)
        assert (x.shape, x.dtype, labels.dtype) == ((64, 1, 8, 8), np.float32, np.int64)
        assert (x.min(), x.max()) == (0, 1)
        x[:], labels[:] = 7, 7
    assert digits.data.max() == 16


def test_integers_without_a_range_keep_their_type():
    tokens = Dataset("text", "train", np.arange(6).reshape(3, 2), None, "rows", None)
    batch = next(Batches(tokens, 2, seed=0))
    assert batch.x.dtype == np.int64
    assert batch.labels is None


@pytest.mark.parametrize("binarization", BINARIZATIONS)
def test_evaluation_walks_once_in_order_and_is_reproducible_at_any_batch_size(binarization):
    digits = load("digits", "test")

    def whole(size, seed=0):
        batches = list(eval_batches(digits, size, binarization=binarization, seed=seed))
        np.testing.assert_array_equal(np.concatenate([b.labels for b in batches]), digits.labels)
        return np.concatenate([b.x for b in batches])

    np.testing.assert_array_equal(whole(64), whole(64))
    np.testing.assert_array_equal(whole(64), whole(1000))
    assert (whole(64, seed=1) != whole(64)).any() == (binarization == "dynamic")


@pytest.mark.parametrize("bad", [0, -1, 2.5, "3", None, True])
def test_a_bad_batch_size_is_refused_at_the_call(bad):
    for make in (lambda: Batches(numbered(3), bad, seed=0), lambda: eval_batches(numbered(3), bad)):
        with pytest.raises(UserError, match=r"batch_size must be an integer >= 1, got"):
            make()


def test_a_bad_seed_or_binarization_is_refused_at_the_call():
    with pytest.raises(UserError, match="seed must be an integer >= 0, got -1"):
        Batches(numbered(3), 2, seed=-1)
    with pytest.raises(UserError, match="seed must be an integer >= 0, got -1"):
        eval_batches(numbered(3), 2, seed=-1)
    with pytest.raises(UserError, match="binarization must be one of"):
        eval_batches(load("digits"), 2, binarization="dinamic")


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (lambda: Batches(numbered(11), 4, seed=0), "samples"),
        (lambda: Batches(numbered(10), 5, seed=0), "batch_size"),
        (lambda: Batches(numbered(10, "val"), 4, seed=0), "split"),
        (lambda: Batches(numbered(10), 4, seed=0, drop_last=True), "drop_last"),
        (lambda: Batches(load("digits"), 4, seed=0), "dataset"),
    ],
)
def test_the_state_of_another_stream_is_refused_and_changes_nothing(other, named):
    batches = Batches(numbered(10), 4, seed=0)
    next(batches)
    before = batches.state()
    with pytest.raises(UserError, match=f"same {named}"):
        batches.load_state(other().state())
    assert batches.state() == before


@pytest.mark.parametrize(
    "change", [{"batch": 99}, {"batch": -1}, {"epoch": "two"}, {"seed": None}, {"extra": 1}]
)
def test_a_damaged_state_is_refused_and_changes_nothing(change):
    batches = Batches(numbered(10), 4, seed=0)
    next(batches)
    before = batches.state()
    with pytest.raises(UserError, match="state"):
        batches.load_state({**before, **change})
    assert batches.state() == before


def test_what_is_no_dict_is_refused_as_a_state():
    with pytest.raises(UserError, match=r"state must be a dict with keys .* got list"):
        Batches(numbered(10), 4, seed=0).load_state([1, 2])


def test_groups_hold_the_streams_next_batches_and_stand_where_it_stands():
    plain = Batches(numbered(10), 4, seed=3)
    groups, again = (BatchGroups(Batches(numbered(10), 4, seed=3), 3) for _ in range(2))
    first = next(groups)
    assert [len(batch.x) for batch in first] == [4, 4, 2]
    again.load_state(groups.state())
    expected = [next(plain) for _ in range(6)]
    for one, other, right in zip(next(groups), next(again), expected[3:], strict=True):
        np.testing.assert_array_equal(one.x, right.x)
        np.testing.assert_array_equal(other.x, right.x)
    with pytest.raises(UserError, match="count must be an integer >= 1, got 0"):
        BatchGroups(plain, 0)
