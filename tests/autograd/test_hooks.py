"""Hooks on leaves and in the middle; retain_grad."""

from __future__ import annotations

import gc
import weakref

import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")


def leaf():
    return mg.tensor([1.0, 2.0], requires_grad=True)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_on_a_leaf_sees_the_whole_gradient_and_may_change_it(create_graph):
    x, seen = leaf(), []
    x.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: g * 10)
    (x + x).sum().backward(create_graph=create_graph)
    assert seen == [[2, 2]]
    assert x.grad.tolist() == [20, 20]


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_on_a_leaf_is_called_by_grad_too(create_graph):
    x = leaf()
    x.register_hook(lambda g: g * 10)
    (g,) = mg.grad((x * x).sum(), x, create_graph=create_graph)
    assert g.tolist() == [20, 40]
    assert x.grad is None


@pytest.mark.parametrize("wrong", [lambda g: g.sum(), lambda g: g[:1], lambda g: 2.0])
def test_what_a_hook_returns_is_a_gradient_of_the_same_shape_or_refused(wrong):
    for on in (lambda x: x, lambda x: x * 3):
        x = leaf()
        h = on(x)
        h.register_hook(wrong)
        with pytest.raises((ValueError, TypeError), match="a hook must return a"):
            (h * h).sum().backward()


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_in_the_middle_changes_what_flows_on(create_graph):
    x = leaf()
    h = x * 3
    h.register_hook(lambda g: g * 2)
    (g,) = mg.grad((h * h).sum(), x, create_graph=create_graph)
    assert g.tolist() == [36, 72]


def test_a_hook_that_returns_none_changes_nothing():
    x = leaf()
    h = x * 3
    h.register_hook(lambda g: None)
    h.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_a_removed_hook_is_not_called():
    x, seen = leaf(), []
    remove = x.register_hook(lambda g: seen.append(g))
    remove()
    x.sum().backward()
    assert not seen


def test_a_hook_needs_a_gradient_to_come():
    with pytest.raises(RuntimeError, match="a hook needs a tensor that requires grad"):
        mg.ones(2).register_hook(print)


def test_retain_grad_keeps_the_gradient_of_a_tensor_in_the_middle():
    x = leaf()
    h = x * 3
    h.retain_grad()
    (h * h).sum().backward()
    assert h.grad.tolist() == [6, 12]
    assert x.grad.tolist() == [18, 36]


def test_retain_grad_makes_no_reference_cycle():
    x = leaf()
    h = x * 3
    h.retain_grad()
    gone = weakref.ref(h)
    gc.disable()
    try:
        del h
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("with_optimizer", [False, True])
def test_gradients_that_a_hook_keeps_keep_their_values(with_optimizer):
    layer = mg.nn.Linear(2, 1)
    optimizer = mg.optim.SGD(layer.parameters(), lr=0.1) if with_optimizer else layer
    kept = []
    layer.weight.register_hook(kept.append)
    for k in range(3):
        optimizer.zero_grad()
        layer(mg.full((1, 2), float(k))).sum().backward()
    assert [g.tolist() for g in kept] == [[[0, 0]], [[1, 1]], [[2, 2]]]


def test_a_hook_that_writes_into_its_gradient_changes_no_other():
    x = leaf()
    y = x * 1
    y.register_hook(lambda g: g.mul_(3))
    mg.square(y + x).sum().backward()
    assert x.grad.tolist() == [16, 32]  # (3 + 1) · 2 · 2x
