"""Writing in place: allowed where it is safe, an error where a graph needs the old value."""

from __future__ import annotations

import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")


def leaf():
    return mg.tensor([1.0, 2.0, 3.0], requires_grad=True)


def test_writing_between_forward_and_backward_raises_and_names_the_op():
    w, x = leaf(), mg.tensor([1.0, 2.0, 3.0])
    y = (w * x).sum()
    x[0] = 5.0
    with pytest.raises(RuntimeError, match="backward of multiply: an array of shape \\(3,\\)"):
        y.backward()


def test_an_updated_parameter_is_noticed_as_well():
    w, x = leaf(), leaf()
    y = mg.exp(w * x).sum()
    with mg.no_grad():
        w.copy_(mg.zeros(3))
    with pytest.raises(RuntimeError, match="backward of multiply"):
        y.backward()


def test_a_write_through_a_view_is_noticed():
    w, x = leaf(), mg.tensor([1.0, 2.0, 3.0])
    y = (w * x).sum()
    view = x[1:]
    view[...] = 0.0
    with pytest.raises(RuntimeError, match="overwritten in place after multiply ran"):
        y.backward()


def test_a_write_into_the_base_of_a_saved_view_is_noticed():
    w, x = leaf(), mg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    y = (w * x[0]).sum()
    x[...] = 0.0
    with pytest.raises(RuntimeError, match="backward of multiply"):
        y.backward()


def test_a_fused_op_is_named_as_well():
    x, labels = mg.tensor([[1.0, 2.0], [0.5, 0.1]], requires_grad=True), mg.tensor([0, 1])
    y = mg.cross_entropy(x, labels)
    with mg.no_grad():
        x.copy_(mg.zeros(2, 2))
    with pytest.raises(RuntimeError, match="backward of mean_cross_entropy"):
        y.backward()


def test_a_write_that_no_rule_needs_is_allowed():
    w, x = leaf(), mg.tensor([1.0, 2.0, 3.0])
    y = (w + x).sum()  # the gradient of a sum needs no values
    x[...] = 0.0
    y.backward()
    assert w.grad.tolist() == [1, 1, 1]


def test_a_write_before_the_forward_or_after_the_backward_is_allowed():
    w, x = leaf(), mg.tensor([1.0, 2.0, 3.0])
    x[0] = 7.0
    y = (w * x).sum()
    y.backward()
    x[0] = 8.0
    assert w.grad.tolist() == [7, 2, 3]


def test_other_memory_may_be_written():
    w, x, other = leaf(), mg.tensor([1.0, 2.0, 3.0]), mg.zeros(3)
    y = (w * x).sum()
    other[...] = 1.0
    y.backward()
    assert w.grad.tolist() == [1, 2, 3]


def test_a_result_or_a_recorded_leaf_cannot_be_written():
    w = leaf()
    with pytest.raises(RuntimeError, match="cannot write into the result of multiply in place"):
        (w * 2)[0] = 1.0
    with pytest.raises(RuntimeError, match="cannot write into a leaf that requires grad in place"):
        w[0] = 1.0
    with mg.no_grad():
        w[0] = 9.0
    assert w.tolist() == [9, 2, 3]


def test_copy_broadcasts_and_casts():
    x = mg.zeros(2, 2)
    assert x.copy_(mg.tensor([1, 2])) is x
    assert x.tolist() == [[1, 2], [1, 2]]
    assert x.dtype == "float32"


def test_tensors_index_and_fill_places():
    x = mg.zeros(4)
    x[mg.tensor([0, 2])] = mg.tensor([5.0, 6.0])
    x[mg.tensor([False, True, False, False])] = 7.0
    assert x.tolist() == [5, 7, 6, 0]


def test_second_order_after_a_write_raises_too():
    x = leaf()
    (g,) = mg.grad((x**3).sum(), x, create_graph=True)
    with mg.no_grad():
        x.copy_(mg.zeros(3))
    with pytest.raises(RuntimeError, match="overwritten in place"):
        g.sum().backward()
