"""Windows of clips: every sample is learnt, each with its own past, and the stream resumes."""

import numpy as np
import pytest

from minigen.data.clips import IGNORED, ClipBatches, precede
from minigen.errors import UserError

SILENCE = 7


def some_clips() -> list[np.ndarray]:
    """Lengths around the window of 10, no number twice."""
    ends = np.cumsum([25, 10, 3, 11, 40])
    return np.split(np.arange(100, 100 + ends[-1]), ends[:-1])


def stream(**changes) -> ClipBatches:
    options = {"past": 6, "window": 10, "batch_size": 2, "silence": SILENCE, "seed": 3, **changes}
    return ClipBatches(some_clips(), np.arange(5), **options)


def test_every_sample_is_a_target_in_every_epoch_and_nothing_else_is():
    batches = stream(batch_size=1)
    for _ in range(2):
        seen = [next(batches)[1] for _ in range(batches.batches_per_epoch)]
        targets = np.concatenate(seen, axis=None)
        assert set(targets[targets != IGNORED]) == set(np.concatenate(some_clips()))
        assert (targets == IGNORED).sum() == 7  # of the clip of 3


def test_before_each_target_is_its_past_and_before_the_clip_silence():
    clips = some_clips()
    for _, (levels, targets, labels) in zip(range(12), stream()):
        assert levels.shape == (2, 15)
        for row in range(2):
            clip = clips[labels[row]]
            padded = precede(clip, 6, SILENCE)
            for j, target in enumerate(targets[row]):
                if target != IGNORED:
                    at = int(np.flatnonzero(clip == target)[0])
                    np.testing.assert_array_equal(levels[row, j : j + 6], padded[at : at + 6])


def test_epochs_differ_and_the_seed_decides():
    first, again, other = (stream(seed=seed) for seed in (0, 0, 1))
    one = [next(first)[1] for _ in range(10)]
    np.testing.assert_array_equal(one, [next(again)[1] for _ in range(10)])
    assert any((x != next(other)[1]).any() for x in one)
    per = first.batches_per_epoch
    assert any((x != y).any() for x, y in zip(one[:per], one[per:]))


def test_a_stream_goes_on_where_its_state_was_taken():
    batches = stream()
    for _ in range(7):
        next(batches)
    state, expected = batches.state(), [next(batches)[0] for _ in range(6)]
    fresh = stream()
    fresh.load_state(state)
    np.testing.assert_array_equal([next(fresh)[0] for _ in range(6)], expected)
    with pytest.raises(UserError, match="the same window: it was saved with 10, this stream has 9"):
        stream(window=9).load_state({**state, "windows": 13})
    with pytest.raises(UserError, match="state must be a dict with keys"):
        fresh.load_state({})


def test_clips_without_labels_have_none_and_few_clips_make_small_batches():
    batches = ClipBatches(
        some_clips()[1:2], None, past=2, window=10, batch_size=9, silence=0, seed=0
    )
    levels, targets, labels = next(batches)
    assert labels is None
    assert (levels.shape, targets.shape) == ((1, 11), (1, 10))


@pytest.mark.parametrize("name", ["past", "window", "batch_size", "seed"])
def test_sizes_that_cannot_be_are_named(name):
    with pytest.raises(UserError, match=f"{name} must be an integer >= "):
        stream(**{name: -1})
