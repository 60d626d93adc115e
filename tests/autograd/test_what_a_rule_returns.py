"""The walk trusts no rule: gradients are counted, and summed to the shapes of the inputs."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen.ops import kernel as kernels
from minigen.testing import check_grads

pytestmark = pytest.mark.usefixtures("backend")


PRODUCT = f"own_product_of_{__name__}"  # the tests of planted mistakes load this file anew


def fused_product(backward):
    """A fused op of one's own, whose backward kernel thinks of no broadcasting."""

    def reference(x, other):
        return x * other

    @mg.fused(reference=reference, name=PRODUCT)
    def product(b, x, other):
        """``x · other``."""
        return b.xp.multiply(x, other), None

    if backward is not None:
        product.backward(backward)
    return product


def test_a_fused_op_that_broadcasts_gives_gradients_of_its_inputs_shapes():
    product = fused_product(lambda b, g, inputs, saved, needs: (g * inputs[1], g * inputs[0]))
    rng = np.random.default_rng(0)
    for one, other in [((3,), (2, 3)), ((2, 1), (1, 3)), ((), (2, 3)), ((4, 1, 3), (2, 1))]:
        check_grads(product, [rng.normal(size=one), rng.normal(size=other)], order=2)


def test_a_primitive_whose_rule_forgets_broadcasting_is_right_nevertheless():
    @mg.primitive(name=f"own_weighted_of_{__name__}")
    def own_weighted(b, x, weight):
        """``x · weight``."""
        return x * weight

    own_weighted.rules(x=lambda f, g, weight: g * weight, weight=lambda f, g, x: g * x)
    rng = np.random.default_rng(0)
    check_grads(own_weighted, [rng.normal(size=(2, 3)), rng.normal(size=3)], order=2)


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (lambda b, g, inputs, saved, needs: (g,), "a gradient for each of its 2 inputs, got 1"),
        (lambda b, g, inputs, saved, needs: (g, g, g), "each of its 2 inputs, got 3"),
        (lambda b, g, inputs, saved, needs: (g, None), "gave no gradient for other, which needs"),
        (
            lambda b, g, inputs, saved, needs: (g[0], g),
            r"gave a gradient of shape \(3,\) for an input of shape \(2, 3\)",
        ),
        (None, f"{PRODUCT} has no backward kernel; write one under @{PRODUCT}.backward"),
    ],
)
def test_a_backward_kernel_that_cannot_be_right_is_named(backward, message):
    x, other = mg.ones(2, 3, requires_grad=True), mg.ones(2, 3, requires_grad=True)
    out = fused_product(backward)(x, other)
    with pytest.raises(RuntimeError, match=message):
        out.sum().backward()


def test_a_rule_that_returns_nothing_is_named():
    @mg.primitive
    def own_copy(b, x):
        """``x``."""
        return x.copy()

    own_copy.rules(x=lambda f, g: None)
    with pytest.raises(RuntimeError, match="the rule of own_copy by x gave None"):
        own_copy(mg.ones(2, requires_grad=True)).sum().backward()


def test_a_kernel_of_ones_own_is_not_taken_for_minigens_of_the_same_name():
    @kernels.kernel
    def logistic(b, x):
        """Not the logistic function."""
        return x * 10

    @kernels.kernel
    def rectify(b, x):
        """Nor the rectifier."""
        return x * 100

    backend = mg.backends.active.backend
    for size in (3, 100_000):
        x = mg.ones(size).data
        assert float(backend.to_host(logistic(backend, x)).max()) == 10
        assert float(backend.to_host(rectify(backend, x)).max()) == 100
        assert mg.sigmoid(mg.zeros(size)).tolist()[0] == 0.5


def test_gradients_of_0d_values_are_arrays_wherever_they_are_seen():
    x = mg.tensor(2.0, requires_grad=True)
    y = x * x
    seen: list[mg.Tensor] = []
    y.retain_grad()
    y.register_hook(seen.append)
    x.register_hook(lambda g: seen.append(g) or g * 2)
    loss = mg.exp(y)
    loss.retain_grad()
    loss.register_hook(seen.append)
    loss.backward()
    kind = mg.backends.active.backend.array_type
    assert len(seen) == 3
    for tensor in (*seen, x.grad, y.grad, loss.grad, mg.Tensor(np.float32(1))):
        assert tensor.shape == ()
    for tensor in (*seen, x.grad, y.grad, loss.grad):
        assert isinstance(tensor.data, kind)
    assert x.grad.item() == pytest.approx(2 * 4 * np.exp(4), rel=1e-6)


def test_second_derivatives_of_piecewise_linear_functions_are_zeros():
    for function in (
        mg.relu,
        mg.abs,
        mg.leaky_relu,
        mg.relu6,
        lambda x: mg.maximum(x, 0.5),
        lambda x: mg.minimum(mg.zeros(4), x),
        lambda x: x.clamp(-1, 1),
        mg.amax,
        lambda x: x.max(0)[0],
        lambda x: mg.sort(x)[0],
        lambda x: mg.topk(x, 2)[0],
        lambda x: mg.max_pool2d(x.reshape(1, 1, 2, 2), 2),
        lambda x: mg.l1_loss(x, mg.zeros(4)),
    ):
        x = mg.tensor([1.0, -2.0, 3.0, -4.0], requires_grad=True)
        (first,) = mg.grad(function(x).sum(), x, create_graph=True)
        (second,) = mg.grad(first.sum(), x, retain_graph=True)
        assert second.tolist() == [0, 0, 0, 0]
        first.sum().backward()
        assert x.grad.tolist() == [0, 0, 0, 0]


def test_functions_that_are_constant_piece_by_piece_have_a_gradient_of_zeros():
    for function in (mg.floor, mg.ceil, mg.round, mg.sign):
        x = mg.tensor([1.5, -2.5], requires_grad=True)
        (function(x) + x).sum().backward()
        assert x.grad.tolist() == [1, 1]
        (zeros,) = mg.grad(function(x).sum(), x)
        assert zeros.tolist() == [0, 0]


def test_a_gradient_penalty_on_a_critic_with_no_smooth_layer_has_its_gradient():
    mg.manual_seed(0)
    critic = mg.nn.Sequential(mg.nn.Linear(3, 8), mg.nn.ReLU(), mg.nn.Linear(8, 1)).double()
    x = mg.randn(5, 3, dtype="float64").requires_grad_()

    def penalty() -> mg.Tensor:
        (slope,) = mg.grad(critic(x).sum(), x, create_graph=True)
        return ((mg.norm(slope, dim=1) - 1) ** 2).mean()

    names = dict(critic.named_parameters())
    penalty().backward()
    assert names["0.bias"].grad.tolist() == [0] * 8  # moves no kink
    assert names["2.bias"].grad is None
    check_grads(penalty, [], order=1, parameters=[names["0.weight"], names["2.weight"]])
