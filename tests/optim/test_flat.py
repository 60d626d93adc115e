"""The flat buffer: views, sharing, and what happens when somebody replaces an array."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.optim.flat import ALIGNMENT, BLOCK, FlatParameters, _overlap, blocks


def two() -> list[nn.Parameter]:
    return [nn.Parameter(mg.ones(3, 5)), nn.Parameter(mg.full((7,), 2.0))]


def test_parameters_and_gradients_are_views_of_one_buffer_each():
    layer = nn.Linear(5, 3)
    values = layer.weight.numpy().copy()
    flat = FlatParameters([layer.weight, layer.bias], ["weight", "bias"])
    np.testing.assert_array_equal(layer.weight.numpy(), values)
    assert np.shares_memory(layer.weight.data, flat.values)
    layer(mg.ones(2, 5)).sum().backward()
    for parameter in layer.parameters():
        assert np.shares_memory(parameter.grad.data, flat.grads)
    np.testing.assert_array_equal(layer.bias.grad.numpy(), [2, 2, 2])
    assert all(part.start % ALIGNMENT == 0 for part in flat.parts)


def test_gaps_between_parameters_stay_zero():
    ps = two()
    optimizer = mg.optim.AdamW(ps, lr=0.1, weight_decay=0.1)
    for _ in range(3):
        for p in ps:
            p.grad = mg.ones(*p.shape)
        optimizer.step()
    flat = optimizer._flat[0][0]
    gap = np.ones(flat.values.size, dtype=bool)
    for part in flat.parts:
        gap[part] = False
    assert gap.any()
    for buffer in (flat.values, flat.grads, *flat.moments.values()):
        assert not buffer[gap].any()


def test_dtypes_have_buffers_of_their_own():
    ps = [nn.Parameter(mg.ones(2)), nn.Parameter(mg.ones(2, dtype=np.float64))]
    optimizer = mg.optim.SGD(ps, lr=0.5)
    for p in ps:
        p.grad = mg.ones(2, dtype=p.dtype)
    optimizer.step()
    assert [p.dtype for p in ps] == [np.float32, np.float64]
    assert all(p.tolist() == [0.5, 0.5] for p in ps)


def _stretches(flat):
    """Start, stop and count of each stretch that a step updates."""
    return [(run.part.start, run.part.stop, flat.count(run.places)) for run in flat.runs()]


def test_neighbours_with_gradients_are_one_run_and_a_gap_makes_two():
    ps = [nn.Parameter(mg.ones(4)) for _ in range(4)]
    flat = FlatParameters(ps, list("abcd"))
    for p in ps:
        p.grad = mg.ones(4)
    assert _stretches(flat) == [(0, 52, 1)]
    ps[1].grad = None
    assert _stretches(flat) == [(0, 4, 2), (32, 52, 2)]
    ps[1].grad = mg.ones(4)  # it is one step behind the others
    assert _stretches(flat) == [(0, 4, 3), (16, 20, 2), (32, 52, 3)]


def test_nothing_is_updated_twice_or_left_out_when_runs_split():
    ps = [nn.Parameter(mg.zeros(5)) for _ in range(4)]
    optimizer = mg.optim.SGD(ps, lr=1.0)
    for step in range(3):
        for i, p in enumerate(ps):
            p.grad = mg.ones(5) if i != step else None
        optimizer.step()
    assert [p.tolist()[0] for p in ps] == [-2, -2, -2, -3]


def test_an_array_that_the_user_put_in_its_place_is_taken_over():
    p, q = two()
    optimizer = mg.optim.SGD([p, q], lr=1.0)
    p.data = np.full((3, 5), 10.0, dtype=np.float32)
    p.grad, q.grad = mg.ones(3, 5), mg.ones(7)
    optimizer.step()
    np.testing.assert_array_equal(p.numpy(), 9)
    np.testing.assert_array_equal(q.numpy(), 1)
    assert np.shares_memory(p.data, optimizer._flat[0][0].values)


def test_two_optimizers_of_one_parameter_both_see_the_present_value():
    p = nn.Parameter(mg.zeros(3))
    first, second = mg.optim.SGD([p], lr=1.0), mg.optim.SGD([p], lr=10.0)
    for expected in (-11, -22):
        for optimizer in (first, second):
            optimizer.zero_grad()
            p.sum().backward()
            optimizer.step()
        assert p.tolist() == [expected] * 3


def test_a_parameter_of_another_shape_than_its_moments_is_refused():
    layer = nn.Linear(2, 2)
    optimizer = mg.optim.Adam(layer.parameters())
    layer(mg.ones(1, 2)).sum().backward()
    optimizer.step()
    layer.bias.data = np.zeros(1, np.float32)
    layer.bias.grad = mg.ones(1)
    with pytest.raises(
        ValueError, match=r"params\[1\] was float32 \(2,\) when it was last updated and is now"
    ):
        optimizer.step()


def test_a_parameter_of_another_shape_without_moments_is_taken_over():
    p = nn.Parameter(mg.ones(3))
    optimizer = mg.optim.SGD([p], lr=1.0)
    p.data = np.full(2, 5, np.float32)
    (p * 2).sum().backward()
    assert p.grad.shape == (2,)
    optimizer.step()
    assert p.tolist() == [3, 3]


def test_a_gradient_of_another_shape_is_refused():
    p = nn.Parameter(mg.zeros(3))
    optimizer = mg.optim.SGD([p])
    with pytest.raises(ValueError, match=r"grad must have the shape \(3,\)"):
        p.grad = mg.ones(2)
    p._grad = mg.ones(2)  # past the door
    with pytest.raises(ValueError, match=r"gradient of params\[0\] must have shape \(3,\)"):
        optimizer.step()


def test_a_gradient_that_is_part_of_a_graph_is_used_and_left_alone():
    p = nn.Parameter(mg.full((2,), 3.0))
    optimizer = mg.optim.SGD([p], lr=1.0)
    (p * p).sum().backward(create_graph=True)
    grad = p.grad
    optimizer.step()
    assert p.tolist() == [-3, -3]
    assert grad.tolist() == [6, 6]


def test_gradients_of_two_backward_passes_add_up():
    p = nn.Parameter(mg.zeros(2))
    optimizer = mg.optim.SGD([p], lr=1.0)
    p.sum().backward()
    p.sum().backward()
    optimizer.step()
    assert p.tolist() == [-2, -2]
    optimizer.zero_grad()
    p.sum().backward()
    optimizer.step()
    assert p.tolist() == [-3, -3]


def test_a_state_is_loaded_into_the_buffer():
    layer = nn.Linear(2, 2)
    optimizer = mg.optim.SGD(layer.parameters(), lr=1.0)
    layer.load_state_dict({"weight": np.full((2, 2), 5.0), "bias": np.zeros(2)})
    layer(mg.ones(1, 2)).sum().backward()
    optimizer.step()
    assert layer.weight.tolist() == [[4, 4], [4, 4]]


def test_a_graph_from_before_a_step_cannot_be_walked_after_it():
    p = nn.Parameter(mg.ones(2))
    optimizer = mg.optim.SGD([p], lr=1.0)
    loss = (p * p).sum()
    p.grad = mg.ones(2)
    optimizer.step()
    with pytest.raises(RuntimeError, match="overwritten in place"):
        loss.backward()


def test_a_parameter_that_is_left_out_may_still_be_needed_by_a_graph():
    p, q = nn.Parameter(mg.ones(2)), nn.Parameter(mg.ones(2))
    optimizer = mg.optim.SGD([p, q], lr=1.0)
    loss = (q * q).sum()
    p.grad = mg.ones(2)
    optimizer.step()  # writes p only
    loss.backward()
    assert q.grad.tolist() == [2, 2]


def test_blocks_cover_every_element_once():
    for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5):
        seen = np.zeros(size, dtype=int)
        for part in blocks(size):
            assert part.stop - part.start <= BLOCK
            seen[part] += 1
        assert (seen == 1).all()


@pytest.mark.parametrize("captured", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("with_optimizer", [True, False])
def test_a_gradient_kept_in_a_list_keeps_its_values(backend, captured, with_optimizer):
    layer = mg.nn.Linear(2, 1)
    optimizer = mg.optim.SGD(layer.parameters(), lr=0.1) if with_optimizer else None

    def step(x):
        layer.zero_grad()
        layer(x).sum().backward()
        if optimizer is not None:
            optimizer.step()

    run = mg.capture(step) if captured else step
    kept = []
    for k in range(6):
        run(mg.full((1, 2), float(k)))
        kept.append(layer.weight.grad)
    assert [g.numpy()[0, 0] for g in kept] == [0, 1, 2, 3, 4, 5]


def test_a_gradient_that_nobody_keeps_stays_in_its_place():
    layer = mg.nn.Linear(2, 1)
    optimizer = mg.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        layer(mg.ones(1, 2)).sum().backward()
        assert layer.weight.grad.data is layer.weight.grad_buffer


def test_neighbours_in_memory_do_not_overlap():
    x = np.zeros(8, "f4")
    for one, other in ((x[:4], x[4:]), (x[4:], x[:4])):
        assert not _overlap(one, other)
    for one, other in ((x[:5], x[4:]), (x[4:], x[:5]), (x[2:3], x), (x, x)):
        assert _overlap(one, other)
