"""Tests of the stream that all batches come from: epochs, its place, refusals."""

import json

import numpy as np
import pytest

from minigen.data.stream import EpochStream, check_integer
from minigen.errors import UserError


class Numbers(EpochStream[list[int]]):
    """The numbers below `count`, two at a time; each batch ends with its number in the epoch."""

    def __init__(self, count: int = 6, seed: int = 0) -> None:
        self.count, self.seed, self.batch_size, self.batches_per_epoch = count, seed, 2, count // 2
        self._begin(0)

    def _identity(self):
        return {"count": self.count}

    def _start_epoch(self, epoch):
        self._order = self._generator(epoch).permutation(self.count)

    def _take(self, number, rows):
        return [*self._order[rows].tolist(), number]


def test_an_epoch_takes_everything_once_and_the_next_in_another_order():
    stream = Numbers(20)
    first, second = ([next(stream) for _ in range(10)] for _ in range(2))
    for epoch in (first, second):
        assert sorted(n for *numbers, _ in epoch for n in numbers) == list(range(20))
        assert [number for *_, number in epoch] == list(range(10))
    assert first != second


@pytest.mark.parametrize("taken", [0, 1, 3, 4, 7])
def test_a_stream_goes_on_where_its_state_was_taken_with_its_seed(taken):
    one, two = Numbers(seed=5), Numbers(seed=9)
    for _ in range(taken):
        next(one)
    two.load_state(json.loads(json.dumps(one.state())))
    assert two.epoch == one.epoch == taken // 3
    assert [next(one) for _ in range(8)] == [next(two) for _ in range(8)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 8}, "the same count: it was saved with 8, this stream has 6"),
        ({"more": 1}, r"must be a dict with keys \['batch', 'count', 'epoch', 'seed'\], got"),
        ({"epoch": -1}, r"state\['epoch'\] must be an integer >= 0, got -1"),
        ({"batch": 4}, r"state\['batch'\] must be <= 3, got 4"),
        ({"seed": "0"}, r"state\['seed'\] must be an integer >= 0, got '0'"),
    ],
)
def test_a_state_that_cannot_be_is_refused_and_changes_nothing(change, message):
    stream = Numbers()
    next(stream)
    before = stream.state()
    with pytest.raises(UserError, match=message):
        stream.load_state({**before, **change})
    assert stream.state() == before


def test_an_integer_is_what_can_be_an_index():
    assert check_integer("n", np.int32(3), 1) == 3
    for wrong in (True, 1.0, "1", None, 0):
        with pytest.raises(UserError, match="n must be an integer >= 1, got"):
            check_integer("n", wrong, 1)
