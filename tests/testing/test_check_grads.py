"""check_grads and check_create_graph: they pass what is right and say what is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.testing import check_create_graph, check_grads

rng = np.random.default_rng(0)
X, W = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))


def broken(order: int):
    """``sin`` whose gradient is wrong from ``order`` on."""

    @mg.primitive
    def broken_sin(b, x):
        """The sine."""
        return b.xp.sin(x)

    if order == 1:
        broken_sin.rules(x=lambda f, g, x: g * f.cos(x) * f.where(x > 2, 1.01, 1.0))
    else:
        broken_sin.rules(x=lambda f, g, x: g * f.cos(x.detach() if isinstance(x, mg.Tensor) else x))
    return broken_sin


# ---------------------------------------------------------------- what is right passes


@pytest.mark.usefixtures("backend")
def test_a_right_gradient_passes_to_third_order():
    check_grads(lambda x, w: (x @ w).tanh(), [X, W], order=3)


def test_tensors_arrays_numbers_and_several_outputs_are_accepted():
    check_grads(lambda x, w: (x.sin(), x @ w), [mg.tensor(X), W.astype(np.float32)])
    check_grads(lambda x, i: (mg.gather(x, 1, i), i), [X, np.array([[0, 3], [1, 1], [2, 0]])])
    check_grads(lambda x: x * x, [np.array(2.0)])
    check_grads(lambda x: x * x, [np.zeros((0, 3))])


def test_a_linear_function_has_a_second_order_too():
    check_grads(lambda x: 3 * x, [X], order=2)


def test_the_parameters_of_a_layer_are_checked_and_put_back():
    layer = nn.Linear(4, 2, generator=mg.Generator(0)).double()
    before = [p.numpy().copy() for p in layer.parameters()]
    check_grads(layer, [X], parameters=list(layer.parameters()))
    for p, kept in zip(layer.parameters(), before):
        np.testing.assert_array_equal(p.numpy(), kept)
        assert p.grad is None


def test_the_inputs_are_not_changed():
    x = X.copy()
    check_grads(mg.sin, [x])
    np.testing.assert_array_equal(x, X)


def test_a_kink_nearby_does_no_harm():
    check_grads(mg.relu, [np.array([1e-5, -1e-5, 3e-4, 1.0])])
    check_grads(lambda x: x.amax(dim=0), [np.array([1.0, 1.0 + 1e-5, 0.5])])


# ---------------------------------------------------------------- what is wrong is told


def test_a_wrong_gradient_is_told_with_order_input_size_and_place():
    op = broken(1)
    with pytest.raises(AssertionError) as caught:
        check_grads(lambda a, x: a.sum() + op(x), [W, np.array([[0.1, 3.0, 1.5]])])
    message = str(caught.value)
    assert message.startswith("gradient of order 1 is wrong for input 1 of shape (1, 3): along a")
    assert "finite differences say" in message
    assert "worst entry [0, 1]: " in message  # only there x > 2
    off = float(re.search(r"off by ([0-9.e-]+)\)", message).group(1))
    assert 1e-3 < off < 2e-2
    assert "\n" not in message


def test_a_value_detached_in_a_rule_shows_at_second_order_only():
    op = broken(2)
    check_grads(op, [X], order=1)
    with pytest.raises(AssertionError, match="gradient of order 2 is wrong for input 0"):
        check_grads(op, [X], order=2)


def test_a_wrong_parameter_gradient_is_told():
    op = broken(1)
    p = mg.tensor(W, requires_grad=True)
    with pytest.raises(AssertionError, match="wrong for parameter 0 of shape"):
        check_grads(lambda x: x @ op(p + 3), [X], parameters=[p])


def test_a_missing_gradient_is_told():
    with pytest.raises(AssertionError, match="order 1 is wrong for input 0"):
        check_grads(lambda x: x.detach() * 2, [X])


def test_an_input_on_a_kink_is_told_with_both_slopes():
    with pytest.raises(AssertionError, match="seems to have a kink there, with slopes"):
        check_grads(mg.relu, [np.array([0.0, 1.0])], order=1)


def test_a_nan_is_a_failure():
    with pytest.raises(AssertionError), np.errstate(invalid="ignore", divide="ignore"):
        check_grads(lambda x: mg.sqrt(x * x), [np.array([0.0, 1.0])], order=1)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda: check_grads(mg.sin, X), TypeError, "inputs must be a list or tuple"),
        (lambda: check_grads(mg.sin, [X], order=0), ValueError, "order must be an integer ≥ 1"),
        (lambda: check_grads(mg.sin, [np.arange(3)]), ValueError, "at least one floating-point"),
        (lambda: check_grads(lambda x: x > 0, [X]), ValueError, "must return a floating-point"),
        (
            lambda: check_grads(lambda x, w: x.sin(), [X, W]),
            ValueError,
            "must depend on every input, got a result without input 1",
        ),
        (
            lambda: check_grads(lambda x: x * mg.randn(1), [X]),
            ValueError,
            "f must be deterministic",
        ),
        (
            lambda: check_grads(mg.sin, [X], parameters=[mg.ones(2, requires_grad=True)]),
            TypeError,
            r"parameters\[0\] must be a float64 leaf that requires grad, got float32",
        ),
    ],
)
def test_a_wrong_call_is_explained(wrong, error, words):
    with pytest.raises(error, match=words):
        wrong()


# ---------------------------------------------------------------- two executions


def test_a_rule_that_gives_the_same_twice_passes():
    check_create_graph(lambda x, w: mg.gelu(x @ w), [X, W])
    check_create_graph(lambda x: x.float(), [X.astype(np.float32)])


def test_a_kernel_that_disagrees_with_its_reference_is_told():
    @mg.fused(reference=lambda x: x * x)
    def own_square(b, x):
        """``x²``."""
        return x * x, ()

    @own_square.backward
    def _(b, g, inputs, saved, needs):
        return (g * 2.01 * inputs[0],)

    with pytest.raises(AssertionError, match="with create_graph the gradient for differentiable"):
        check_create_graph(own_square, [X])


def test_a_kernel_whose_gradient_has_another_shape_is_told():
    @mg.fused(reference=lambda x: x[:2] * 1.0)
    def own_head(b, x):
        """The first two."""
        return x[:2].copy(), ()

    @own_head.backward
    def _(b, g, inputs, saved, needs):
        return (g,)  # of the wrong shape

    with pytest.raises((AssertionError, ValueError, RuntimeError)):
        check_create_graph(own_head, [X])
