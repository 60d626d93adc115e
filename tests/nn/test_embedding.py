"""Embedding: rows by number, gradients that add up, numbers that do not exist."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn


def test_a_row_that_is_read_twice_gets_both_gradients():
    table = nn.Embedding(4, 2)
    table(mg.tensor([1, 3, 1])).sum().backward()
    np.testing.assert_array_equal(table.weight.grad.numpy(), [[0, 0], [2, 2], [0, 0], [1, 1]])


def test_mistakes_are_named():
    with pytest.raises(TypeError, match="Embedding: input must be an integer tensor, got float32"):
        nn.Embedding(4, 2)(mg.ones(2))
    with pytest.raises(IndexError, match=r"embedding: index must lie in \[0, 4\), got 4"):
        nn.Embedding(4, 2)(mg.tensor([4]))
    with pytest.raises(IndexError, match=r"embedding: index must .*, got -1"):
        nn.Embedding(4, 2)(mg.tensor([-1]))
    with pytest.raises(ValueError, match="Embedding: num_embeddings must be an integer ≥ 1"):
        nn.Embedding(0, 2)


def test_the_row_of_the_padding_starts_as_zeros_and_stays_so():
    table = nn.Embedding(4, 2, padding_idx=-1)
    assert table.padding_idx == 3
    assert table.weight[3].tolist() == [0.0, 0.0]
    table(mg.tensor([3, 1, 3])).sum().backward()
    assert table.weight.grad.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]
