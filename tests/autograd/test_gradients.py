"""backward and grad: orders, accumulation, ownership, errors."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")


def leaf(*values, dtype=np.float64):
    return mg.tensor(np.array(values, dtype=dtype), requires_grad=True)


def shares_memory(one, other):
    return np.shares_memory(one.numpy(), other.numpy())


# ---------------------------------------------------------------- orders


def test_backward_gives_the_gradient_of_a_scalar():
    x = leaf(1.0, 2.0)
    (x**3).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [3, 12])
    assert x.grad.requires_grad is False


def test_derivatives_of_every_order_by_repeated_grad():
    x = leaf(0.3)
    y = (x * x).sin()
    u = 0.3**2
    expected = [
        2 * 0.3 * np.cos(u),
        2 * np.cos(u) - 4 * u * np.sin(u),
        -12 * 0.3 * np.sin(u) - 8 * 0.3**3 * np.cos(u),
    ]
    for truth in expected:
        (y,) = mg.grad(y, x, create_graph=True)
        np.testing.assert_allclose(y.item(), truth, rtol=1e-12)


def test_backward_with_create_graph_leaves_a_gradient_that_can_be_differentiated():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    first, x.grad = x.grad, None
    first.backward()
    np.testing.assert_allclose(x.grad.numpy(), [12])


def test_a_gradient_penalty_reaches_the_weights():
    w, x = leaf(0.5, -1.0), leaf(2.0, 3.0)
    (g,) = mg.grad(((w * x).tanh()).sum(), x, create_graph=True)
    ((g * g).sum() - 1).square().backward()
    t = np.tanh([1.0, -3.0])
    s, ww = 1 - t**2, np.array([0.5, -1.0])
    inner = ((ww * s) ** 2).sum() - 1
    slope = 2 * ww * s * (s + ww * (-2 * t * s) * np.array([2.0, 3.0]))
    np.testing.assert_allclose(w.grad.numpy(), 2 * inner * slope, rtol=1e-10)


def test_grad_outputs_weigh_a_vector_output():
    x = leaf(1.0, 2.0)
    v = mg.tensor(np.array([10.0, 100.0]))
    np.testing.assert_allclose(mg.grad(x * x, x, v)[0].numpy(), [20, 400])
    (x * x).backward(v)
    np.testing.assert_allclose(x.grad.numpy(), [20, 400])


def test_several_outputs_add_up():
    x = leaf(1.0, 2.0)
    (g,) = mg.grad([(x * x).sum(), x.sum()], [x], [None, mg.tensor(np.array(10.0))])
    np.testing.assert_allclose(g.numpy(), [12, 14])


def test_grad_by_a_tensor_in_the_middle():
    x = leaf(1.0, 2.0)
    h = x * x
    y = (h * h).sum()
    (g,) = mg.grad(y, h, retain_graph=True)
    np.testing.assert_allclose(g.numpy(), [2, 8])
    both = mg.grad(y, [h, x])
    np.testing.assert_allclose(both[1].numpy(), [4, 32])
    assert x.grad is None


def test_grad_of_an_output_by_itself_is_one():
    x = leaf(3.0)
    assert mg.grad(x, x)[0].item() == 1
    y = x * 2
    assert mg.grad(y, y)[0].item() == 1


# ---------------------------------------------------------------- accumulation and ownership


def test_gradients_of_two_backwards_add_up():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    held = x.grad
    (3 * x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [5, 7])
    assert x.grad is held


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x + x, 2.0),
        (lambda x: x - x, 0.0),
        (lambda x: (x + x) + (x + x), 4.0),
        (lambda x: x * 2 + x * 3 + x, 6.0),
        (lambda x: mg.concatenate([x, x, x]), 3.0),
        (lambda x: x.reshape(1, -1) + x.clone(), 2.0),
    ],
)
def test_branches_that_meet_again_add_their_gradients(function, expected):
    x = leaf(1.0, 2.0)
    seed = mg.ones(function(x).shape, dtype=np.float64)
    function(x).backward(seed)
    np.testing.assert_allclose(x.grad.numpy(), [expected, expected])
    np.testing.assert_array_equal(seed.numpy(), np.ones(seed.shape))


def test_gradients_of_different_leaves_never_share_memory():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mg.ones(2, dtype=np.float64)
    (x + y).backward(seed)
    assert not shares_memory(x.grad, y.grad)
    assert not shares_memory(x.grad, seed)
    one, other = mg.grad(x + y, [x, y], seed)
    assert not shares_memory(one, other)
    assert not shares_memory(one, seed)


def test_retained_gradients_of_siblings_do_not_share_memory():
    x = leaf(1.0, 2.0)
    a, b = x * 2, x * 3
    a.retain_grad()
    b.retain_grad()
    (a + b).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), [1, 1])
    assert not shares_memory(a.grad, b.grad)


def test_a_second_backward_does_not_write_into_a_gradient_that_create_graph_left():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    recorded = x.grad
    (x * x).backward()
    np.testing.assert_allclose(recorded.numpy(), [12])
    np.testing.assert_allclose(x.grad.numpy(), [16])


def test_a_gradient_has_the_dtype_of_its_leaf():
    x, y = leaf(1.0, 2.0, dtype=np.float32), leaf(3.0, 4.0)
    (x * y).sum().backward()
    assert x.grad.dtype == np.float32
    assert y.grad.dtype == np.float64
    for create_graph in (False, True):
        grads = mg.grad((x * y).sum(), [x, y], create_graph=create_graph)
        assert [g.dtype for g in grads] == [np.float32, np.float64]


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_leaf_that_was_given_another_array_is_differentiated_where_it_was(create_graph):
    x = leaf(1.0, 2.0)
    y = (x**3).sum()
    x.data = leaf(5.0, 6.0).data
    (g,) = mg.grad(y, x, create_graph=create_graph)
    np.testing.assert_allclose(g.numpy(), [3, 12])


# ---------------------------------------------------------------- retain_graph


def test_a_second_backward_needs_retain_graph_and_says_so():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True to the first backward"):
        y.backward()


def test_retain_graph_allows_a_second_backward():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), [4, 8])


# ---------------------------------------------------------------- unused


def test_an_input_that_was_not_used_is_an_error_or_none():
    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match=r"inputs\[1\] was not used .* allow_unused=True"):
        mg.grad((x * x).sum(), [x, y])
    assert mg.grad((x * x).sum(), [x, y], allow_unused=True)[1] is None


def test_no_time_is_spent_on_gradients_that_nobody_asked_for():
    ran = []

    @mg.primitive(name="watched_for_need")
    def watched(b, x):
        """Identity whose rule is counted."""
        return x.copy()

    watched.rules(x=lambda f, g: (ran.append(1), g)[1])
    try:
        x, y = leaf(1.0), leaf(2.0)
        mg.grad((watched(x) * y).sum(), y)
        assert not ran
    finally:
        from minigen.autograd.operation import registry

        del registry["watched_for_need"]


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda x: (x * 2).backward(), RuntimeError, "gradient can be left out only for a one-e"),
        (lambda x: x.detach().sum().backward(), RuntimeError, "does not require grad"),
        (lambda x: mg.grad(x.sum(), x.detach()), RuntimeError, r"inputs\[0\] is no tensor that"),
        (lambda x: mg.grad(3.0, x), TypeError, "differentiate a Tensor, got float"),
        (
            lambda x: (x * 2).backward(mg.ones(3, dtype=np.float64)),
            ValueError,
            r"gradient must have shape \(2,\), got \(3,\)",
        ),
        (
            lambda x: mg.grad([x.sum(), x.sum()], x, [None]),
            ValueError,
            r"one entry per output \(2\), got 1",
        ),
        (lambda x: (x * 2).requires_grad_(False), RuntimeError, "only be changed on a leaf"),
    ],
)
def test_a_wrong_call_is_explained_in_one_line(wrong, error, words):
    with pytest.raises(error, match=words) as caught:
        wrong(leaf(1.0, 2.0))
    assert "\n" not in str(caught.value)
