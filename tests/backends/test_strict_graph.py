"""The strict backend's double of CUDA's stream capture does what CUDA does."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen.backends import get_backend
from minigen.backends.strict_graph import capturing

b = get_backend("strict")
xp = b.xp


@pytest.fixture
def maker():
    made = b.graph_maker()
    yield made
    made.abandon()


def test_nothing_is_computed_while_a_graph_is_captured(maker) -> None:
    x, total = b.asarray(np.ones(3)), b.asarray(np.zeros(3))
    maker.begin()
    y = x + 1
    total += y
    total[0] = 5.0
    assert np.isnan(y._array).all()
    assert total._array.tolist() == [0, 0, 0]
    graph = maker.end()
    assert total._array.tolist() == [0, 0, 0]
    graph.launch()
    assert y._array.tolist() == [2, 2, 2]
    assert total._array.tolist() == [5, 2, 2]
    x[...] = 2.0
    graph.launch()
    assert total._array.tolist() == [5, 5, 5]


def test_views_are_views_also_in_a_capture(maker) -> None:
    x = b.asarray(np.arange(6.0).reshape(2, 3))
    maker.begin()
    row = x.T[1]
    row += 10
    graph = maker.end()
    assert len(graph.calls) == 1
    graph.launch()
    assert x._array.tolist() == [[0, 11, 2], [3, 14, 5]]


def test_work_aside_is_done_at_once_and_not_recorded(maker) -> None:
    maker.begin()
    with maker.aside():
        assert not capturing()
        x = b.asarray(np.ones(2)) + 1
    assert capturing()
    assert x._array.tolist() == [2, 2]
    assert maker.end().calls == []


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.get(),
        lambda x: float(x[0, 0]),
        lambda x: bool(x[0, 0] > 1),
        lambda x: x[x > 1],
        lambda x: xp.matmul(x, x),
        lambda x: x @ x,
        lambda x: xp.einsum("ij,jk->ik", x, x),
        lambda x: xp.linalg.solve(x, x),
        lambda x: xp.argsort(x),
        lambda x: xp.concatenate([x, x]),
        lambda x: xp.array(np.ones(2)),
        lambda x: xp.asarray([1.0, 2.0]),
    ],
)
def test_what_cupy_refuses_in_a_capture_raises(maker, work) -> None:
    x = b.asarray(np.eye(3) + 1)
    work(x)
    maker.begin()
    with pytest.raises(RuntimeError, match="cannot be captured in a graph"):
        work(x)


def test_products_by_the_kernel_are_captured(maker) -> None:
    from minigen.ops.product import product
    from minigen.ops.summation import dots, sum_rows

    x = b.asarray(np.arange(6.0).reshape(2, 3))
    out = b.asarray(np.ones((2, 2)))
    maker.begin()
    product(b, x, x.T, out, add=True)
    rows, each = sum_rows(b, x), dots(b, x, x, 1)
    maker.end().launch()
    assert out._array.tolist() == [[6, 15], [15, 51]]
    assert rows._array.tolist() == [3, 5, 7]
    assert each._array.tolist() == [5, 50]


def test_two_captures_at_once_are_refused(maker) -> None:
    maker.begin()
    with pytest.raises(RuntimeError, match="another graph"):
        b.graph_maker().begin()


def test_after_an_abandoned_capture_the_backend_computes_again(maker) -> None:
    maker.begin()
    maker.abandon()
    with mg.use("strict"):
        assert (mg.ones(2) + 1).tolist() == [2.0, 2.0]
