"""A graph 100,000 nodes deep is no special case."""

from __future__ import annotations

import minigen as mg


def test_a_graph_100_000_nodes_deep_goes_backward_and_is_freed():
    x = mg.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    del y  # freeing a deep chain must not recurse either


def test_a_deep_graph_that_is_never_differentiated_is_freed_as_well():
    y = mg.tensor([1.0], requires_grad=True)
    for _ in range(100_000):
        y = y * 1.0
    del y
