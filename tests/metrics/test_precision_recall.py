"""Precision and recall: against a naive computation, and where the answer is plain."""

import numpy as np
import pytest

from minigen.errors import UserError
from minigen.metrics import precision_recall as room
from minigen.metrics.precision_recall import neighbour_radii, precision_recall

RANDOM = np.random.default_rng(13)


def by_definition(real, fake, k):
    def inside(points, centres):
        count = 0
        for point in points:
            for index, centre in enumerate(centres):
                others = np.delete(centres, index, axis=0)
                radius = np.sort(np.linalg.norm(others - centre, axis=1))[k - 1]
                if np.linalg.norm(point - centre) <= radius:
                    count += 1
                    break
        return count / len(points)

    return inside(fake, real), inside(real, fake)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_it_is_what_the_definition_says(k):
    real, fake = RANDOM.standard_normal((30, 2)), RANDOM.standard_normal((24, 2)) * 0.7 + 0.5
    expected = by_definition(real, fake, k)
    assert 0.1 < expected[1] < 0.99
    assert precision_recall(real, fake, k) == pytest.approx(expected, abs=1e-12)


def test_several_blocks_of_which_the_last_is_not_full_change_nothing(monkeypatch):
    real, fake = RANDOM.standard_normal((30, 2)), RANDOM.standard_normal((24, 2))
    whole = precision_recall(real, fake)
    monkeypatch.setattr(room, "BLOCK", 7)
    assert precision_recall(real, fake) == whole


def test_a_radius_is_the_distance_to_the_kth_other_point():
    line = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert neighbour_radii(line, 1).tolist() == [1, 1, 4, 16]
    assert neighbour_radii(line, 2).tolist() == [9, 4, 9, 36]


def test_one_set_far_from_another_has_neither_and_a_set_has_both_with_itself():
    x = RANDOM.standard_normal((40, 3))
    assert precision_recall(x, x + 100) == (0, 0)
    assert precision_recall(x, x) == (1, 1)


def test_a_generator_that_makes_one_of_two_clusters_is_precise_and_remembers_half():
    near, far = RANDOM.standard_normal((200, 2)), 50 + RANDOM.standard_normal((200, 2))
    real, fake = np.concatenate([near, far]), RANDOM.standard_normal((400, 2))
    precision, recall = precision_recall(real, fake)
    assert precision > 0.85
    assert 0.4 < recall <= 0.5


def test_a_generator_that_makes_more_than_there_is_covers_all_and_is_less_precise():
    real = RANDOM.standard_normal((300, 2))
    fake = np.concatenate([RANDOM.standard_normal((300, 2)), 50 + RANDOM.random((300, 2))])
    precision, recall = precision_recall(real, fake)
    assert precision <= 0.5  # the half that is far off never counts
    assert recall > 0.85


def test_exchanging_the_sets_exchanges_the_numbers_and_scale_and_shift_change_nothing():
    real, fake = RANDOM.standard_normal((50, 4)), RANDOM.standard_normal((60, 4)) + 0.5
    precision, recall = precision_recall(real, fake)
    assert precision_recall(fake, real) == (recall, precision)
    assert precision_recall(8 * real + 1000, 8 * fake + 1000) == (precision, recall)


def test_what_cannot_be_compared_is_refused():
    x = np.zeros((3, 2))
    with pytest.raises(UserError, match=r"real must be features of shape \(N, D\), N >= 4"):
        precision_recall(x, np.zeros((9, 2)))
    with pytest.raises(UserError, match="k must be a whole number >= 1, got 0"):
        precision_recall(x, x, k=0)
