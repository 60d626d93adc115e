"""Shares of classes, and the numbers in which a collapse shows."""

import math

import numpy as np
import pytest

from minigen.errors import UserError
from minigen.metrics.labels import label_metrics, label_shares


def test_shares_count_every_class_and_sum_to_one():
    shares = label_shares(np.array([0, 2, 2, 3]), classes=5)
    assert shares.tolist() == [0.25, 0, 0.5, 0.25, 0]


def test_even_labels_have_no_divergence_and_a_collapse_has_all_of_it():
    even = label_metrics(np.arange(100) % 10)
    assert even == {
        "rarest_class_percent": 10,
        "commonest_class_percent": 10,
        "label_kl_nats": pytest.approx(0, abs=1e-12),
    }
    one = label_metrics(np.full(50, 7))
    assert (one["rarest_class_percent"], one["commonest_class_percent"]) == (0, 100)
    assert one["label_kl_nats"] == pytest.approx(math.log(10))


def test_labels_that_are_none_are_refused():
    with pytest.raises(UserError, match="labels must lie in 0 … 9, got 0 … 10"):
        label_shares(np.array([0, 10]))
    with pytest.raises(UserError, match="labels must be N >= 1 integers, got float64"):
        label_shares(np.array([0.0]))
    with pytest.raises(UserError, match="labels must be N >= 1 integers"):
        label_shares(np.array([], int))
