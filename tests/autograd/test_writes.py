"""Writing in place: allowed where it is safe, an error where a graph needs the old value."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen.autograd import writes

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


# ---------------------------------------------------------------- nothing is forgotten


def test_a_write_is_remembered_however_many_follow_elsewhere():
    w, x = leaf(), mg.tensor([1.0, 2.0, 3.0])
    y = (w * x).sum()
    x[0] = 5.0
    elsewhere = [mg.zeros(1) for _ in range(50)]
    rows = mg.zeros(5000, 2)
    for row in range(5000):
        elsewhere[row % 50][0] = 1.0
        rows[row][...] = 1.0
    with pytest.raises(RuntimeError, match="overwritten in place after multiply ran"):
        y.backward()


def test_any_number_of_writes_elsewhere_is_no_reason_to_refuse():
    w, x = leaf(), mg.tensor([1.0, 2.0, 3.0])
    y = (w * x).sum()
    rows = mg.zeros(5000, 2)
    for row in range(5000):
        rows[row][...] = 1.0
    y.backward()
    assert w.grad.tolist() == [1, 2, 3]


def test_a_write_into_one_row_leaves_the_others_clean():
    rows = mg.zeros(3, 2)
    w = mg.ones(2, requires_grad=True)
    y = (w * rows[2]).sum()
    rows[0][...] = 1.0
    y.backward()
    assert w.grad.tolist() == [0, 0]


def test_a_memory_with_very_many_written_stretches_counts_as_written_whole():
    rows = mg.zeros(5000, 2)
    w = mg.ones(2, requires_grad=True)
    y = (w * rows[2500]).sum()
    for row in range(5000):
        if row != 2500:
            rows[row][...] = 1.0
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.backward()


def test_what_was_written_goes_with_its_memory():
    import gc

    before = len(writes._written)
    for _ in range(100):
        mg.zeros(3)[0] = 1.0
    gc.collect()
    assert len(writes._written) <= before + 1


def test_an_index_that_is_overwritten_before_the_backward_pass_is_noticed():
    for read in (lambda x, i: x[i], lambda x, i: x[i, i], lambda x, i: mg.index_select(x, 0, i)):
        x, index = mg.ones(3, 3, requires_grad=True), mg.tensor([0, 1])
        y = read(x, index).sum()
        index[0] = 2
        with pytest.raises(RuntimeError, match="overwritten in place"):
            y.backward()


def test_what_a_fused_op_keeps_is_watched_in_whatever_container_it_lies():
    memory, name = mg.zeros(2), f"own_double_of_{__name__}"
    kept = memory.data
    for saved in (kept, (kept, 1), [kept], ((kept,),)):

        @mg.fused(reference=lambda x: x * 2, name=name)
        def double(b, x, *, saved=saved):
            """``2x``."""
            return x * 2, saved

        @double.backward
        def _(b, g, inputs, saved, needs, **options):
            return (g * 2,)

        y = double(mg.ones(2, requires_grad=True)).sum()
        memory[0] = 1.0
        with pytest.raises(RuntimeError, match=f"backward of {name}"):
            y.backward()


def test_a_gradient_that_another_backward_pass_adds_to_is_watched():
    w, x = leaf(), leaf()
    (w * w).sum().backward()
    y = (w.grad * x).sum()
    (w * w).sum().backward()  # adds to w.grad in place
    with pytest.raises(RuntimeError, match="backward of multiply"):
        y.backward()


def test_memory_that_belongs_to_another_library_is_watched_through_every_view():
    if mg.backends.active.backend.name != "numpy":
        return
    memory = bytearray(np.ones(3, dtype=np.float32).tobytes())
    one, other = (mg.from_numpy(np.frombuffer(memory, dtype=np.float32)) for _ in range(2))
    w = leaf()
    y = (w * one).sum()
    other[0] = 7.0
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.backward()


def test_an_optimizers_step_between_forward_and_backward_is_noticed_for_what_it_moved():
    a, b = leaf(), leaf()
    optimizer = mg.optim.SGD([a, b], lr=0.1)
    a.grad = mg.ones(3)
    by_a, by_b = (a * a).sum(), (b * b).sum()
    optimizer.step()
    by_b.backward()
    assert b.grad.tolist() == [2, 4, 6]
    with pytest.raises(RuntimeError, match="overwritten in place"):
        by_a.backward()


def test_a_raw_array_that_is_filled_anew_after_use_changes_no_gradient():
    w = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    buffer, loss = mg.backends.active.backend.xp.ones(3, dtype=np.float32), 0.0
    for k in range(2):
        buffer[:] = k + 1
        loss = loss + (w * buffer).sum() + mg.square(w - buffer).sum()
    loss.backward()
    assert w.grad.tolist() == [3 + 0 + -2, 3 + 2 + 0, 3 + 4 + 2]
