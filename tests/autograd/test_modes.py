"""no_grad, enable_grad, detach: when the tape records and when it does not."""

from __future__ import annotations

import threading

import pytest

import minigen as mg


def leaf():
    return mg.tensor([1.0, 2.0], requires_grad=True)


def test_nothing_is_recorded_under_no_grad():
    x = leaf()
    with mg.no_grad():
        y = x * 2
        assert not mg.is_grad_enabled()
    assert y.node is None
    assert not y.requires_grad
    assert mg.is_grad_enabled()


def test_enable_grad_records_inside_no_grad():
    x = leaf()
    with mg.no_grad(), mg.enable_grad():
        assert (x * 2).requires_grad


def test_both_work_as_decorators_also_of_recursive_functions():
    @mg.no_grad()
    def off(x, depth):
        return x * 2 if depth == 0 else off(x, depth - 1)

    @mg.enable_grad()
    def on(x):
        return x * 2

    x = leaf()
    assert not off(x, 3).requires_grad
    assert mg.is_grad_enabled()
    with mg.no_grad():
        assert on(x).requires_grad


def test_one_switch_can_be_entered_inside_itself():
    switch = mg.no_grad()
    with switch:
        with switch:
            pass
        assert not mg.is_grad_enabled()
    assert mg.is_grad_enabled()


def test_an_exception_restores_the_mode():
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert mg.is_grad_enabled()


def test_the_mode_belongs_to_its_thread():
    inside, leave = threading.Event(), threading.Event()

    def sampler():
        with mg.no_grad():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=sampler)
    thread.start()
    inside.wait(10)
    try:
        assert mg.is_grad_enabled()
        assert (leaf() * 2).requires_grad
    finally:
        leave.set()
        thread.join()


def test_threads_differentiate_at_the_same_time():
    results = {}

    def work(k):
        x = mg.tensor([float(k)], requires_grad=True)
        for _ in range(50):
            x.grad = None
            (x * x).sum().backward()
        results[k] = x.grad.item()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: 2.0 * k for k in range(4)}


def test_detach_shares_memory_and_stops_the_gradient():
    x = leaf()
    d = x.detach()
    assert d.data is x.data
    assert not d.requires_grad
    (x * x.detach()).sum().backward()
    assert x.grad.tolist() == [1, 2]  # and not 2·x


def test_without_an_input_that_requires_grad_nothing_is_recorded():
    assert (mg.ones(2) * 2).node is None


def test_an_op_without_a_gradient_gives_a_constant():
    assert not mg.floor_divide(leaf(), 2).requires_grad
    assert not (leaf() > 1).requires_grad


def test_the_decorators_need_no_brackets():
    @mg.no_grad
    def double(x):
        """Twice x."""
        return x * 2

    assert not double(leaf()).requires_grad
    assert double.__name__ == "double"
    with mg.no_grad():
        assert mg.enable_grad(lambda: leaf() * 2)().requires_grad


def test_requires_grad_is_set_where_it_means_something():
    with pytest.raises(TypeError, match="only a floating-point tensor can require grad"):
        mg.tensor([1, 2]).requires_grad = True
    with pytest.raises(RuntimeError, match=r"only be changed on a leaf; use x\.detach\(\)"):
        (leaf() * 2).requires_grad = False
    with pytest.raises(TypeError, match="requires_grad must be True or False, got 'yes'"):
        leaf().requires_grad = "yes"
    x = leaf()
    x.requires_grad = False
    assert not (x * 2).requires_grad
    x.requires_grad = True
    assert (x * 2).requires_grad
