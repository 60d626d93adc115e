"""One's own ops: mg.primitive with a rule for each input, mg.fused beside its reference."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import minigen as mg
from minigen.testing import check_create_graph, check_grads

pytestmark = pytest.mark.usefixtures("backend")


def make_cube():
    @mg.primitive
    def own_cube(b, x):
        """``x³``."""
        return b.xp.power(x, 3)

    own_cube.rules(x=lambda f, g, x: g * (3 * f.square(x)))
    return own_cube


def make_affine():
    def reference(x, scale, *, shift):
        """``tanh(x·scale + shift)`` in plain ops."""
        return mg.tanh(x * scale + shift)

    @mg.fused(reference=reference)
    def own_affine(b, x, scale, *, shift=0.5):
        """The same in one go."""
        out = b.xp.tanh(x * scale + shift)
        return out, (1 - out * out,)

    @own_affine.backward
    def _(b, g, inputs, saved, needs, *, shift):
        x, scale = inputs
        (slope,) = saved
        return (g * slope * scale if needs[0] else None, (g * slope * x) if needs[1] else None)

    return own_affine


X = np.array([[0.3, -0.7], [1.1, 0.4]])


def test_a_rule_written_once_is_differentiable_to_any_order():
    cube = make_cube()
    check_grads(cube, [X], order=3)
    check_create_graph(cube, [X])


def test_a_rule_may_ask_for_the_result_for_shapes_and_options():
    @mg.primitive
    def own_power_mean(b, x, other, *, p):
        """``((xᵖ + otherᵖ)/2)^(1/p)``."""
        return ((x**p + other**p) / 2) ** (1 / p)

    own_power_mean.rules(
        x=lambda f, g, x, out, p: g * 0.5 * (x / out) ** (p - 1),
        other=lambda f, g, other, out, p: g * 0.5 * (other / out) ** (p - 1),
    )
    check_grads(lambda x, y: own_power_mean(x, y, p=3), [np.abs(X), np.array([0.5, 0.9])])

    @mg.primitive
    def own_total(b, x):
        """The sum, whose rule needs only the shape."""
        return x.sum()

    own_total.rules(x=lambda f, g, x_shape: f.broadcast_to(g, shape=x_shape))
    check_grads(own_total, [X])


def test_a_fused_op_runs_its_kernel_and_replays_its_reference():
    affine = make_affine()
    scale = np.array([[0.9, 0.8], [0.7, 1.2]])
    check_grads(affine, [X, scale], order=3)
    check_create_graph(affine, [X, scale])


@pytest.mark.parametrize("reads", [False, True])
def test_a_result_is_kept_for_the_way_back_only_if_the_kernel_reads_it(reads):
    @mg.fused(reference=lambda x: mg.exp(x))
    def own_exp(b, x):
        """eˣ."""
        return b.xp.exp(x), ()

    if reads:

        @own_exp.backward
        def _(b, g, inputs, saved, needs, *, out):
            return (g * out,)
    else:

        @own_exp.backward
        def _(b, g, inputs, saved, needs):
            return (g * b.xp.exp(inputs[0]),)

    check_grads(own_exp, [X])
    x = mg.tensor(X, requires_grad=True)
    y = own_exp(x)
    memory = weakref.ref(y.data)
    total = (y + 1.0).sum()  # their rules need no values
    del y
    assert (memory() is not None) == reads
    total.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp(X), rtol=1e-6)


def test_the_same_tensor_twice_in_a_fused_op():
    affine = make_affine()
    check_grads(lambda x: affine(x, x), [X], order=2)


def test_a_fused_op_with_several_outputs():
    def reference(x):
        """The two angles' functions."""
        return mg.sin(x), mg.cos(x)

    @mg.fused(reference=reference)
    def own_sin_cos(b, x):
        """Both at once."""
        s, c = b.xp.sin(x), b.xp.cos(x)
        return (s, c), (s, c)

    @own_sin_cos.backward
    def _(b, g, inputs, saved, needs):
        s, c = saved
        total = 0
        if g[0] is not None:
            total = total + g[0] * c
        if g[1] is not None:
            total = total - g[1] * s
        return (total,)

    check_grads(own_sin_cos, [X], order=2)
    check_grads(lambda x: own_sin_cos(x)[1], [X], order=2)
    check_create_graph(own_sin_cos, [X])


def test_an_input_without_a_rule_is_refused_unless_it_was_said_to_have_none():
    @mg.primitive
    def own_scale(b, x, factor):
        """``x·factor``, differentiable by x only."""
        return x * factor

    own_scale.rules(x=lambda f, g, factor: g * factor)
    x = mg.tensor(X, requires_grad=True)
    factor = mg.tensor(X, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"own_scale has no rule for its input 'factor'"):
        own_scale(x, factor)
    own_scale(x, factor.detach())
    own_scale.rules(factor=None)
    own_scale(x, factor).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), X)
    assert factor.grad is None


def test_an_own_comparison_needs_no_rule():
    @mg.primitive
    def own_above(b, x):
        """``x > 1``."""
        return x > 1

    assert not own_above(mg.tensor(X, requires_grad=True)).requires_grad


def test_an_input_may_be_left_out():
    @mg.primitive
    def own_times(b, x, factor=None):
        """``x·factor``, or 2x."""
        return x * 2 if factor is None else x * factor

    own_times.rules(
        x=lambda f, g, factor: g * (2 if factor is None else factor),
        factor=lambda f, g, x: g * x,
    )
    x = mg.tensor(X, requires_grad=True)
    own_times(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full_like(x.grad.numpy(), 2))


def test_a_rule_that_writes_into_the_gradient_it_is_given_changes_no_other():
    @mg.primitive
    def own_square(b, x):
        """``x²``."""
        return x * x

    def rule(f, g, x):
        g *= 2
        return g * x

    own_square.rules(x=rule)
    x = mg.tensor(X, requires_grad=True)
    y = x * 1
    mg.square(own_square(y) + y).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * (X * X + X) * (2 * X + 1), rtol=1e-6)


@pytest.mark.parametrize("result", [None, [1.0, 2.0], "text"])
def test_a_forward_that_returns_no_array_is_named(result):
    @mg.primitive
    def own_nothing(b, x):
        """Nothing that a tensor could hold."""
        return result

    with pytest.raises(ValueError, match=r"^own_nothing: .*(given x .*)$"):
        own_nothing(mg.ones(2))


def test_mistakes_in_a_definition_are_named():
    with pytest.raises(TypeError, match="own_cube has no input called y"):
        make_cube().rules(y=lambda f, g: g)
    bad = make_cube().rules(x=lambda f, g, nonsense: g)
    x = mg.tensor(X, requires_grad=True)
    with pytest.raises(TypeError, match="a rule asks for 'nonsense', which is no input and no"):
        bad(x)


def test_a_name_of_another_module_cannot_be_taken():
    def exp(b, x):
        """Not the exponential."""
        return x

    with pytest.raises(ValueError, match="an op called 'exp' exists already in another module"):
        mg.primitive(exp)


@pytest.mark.parametrize("result", [lambda g: g * 2, lambda g: None])
def test_a_fused_backward_that_returns_no_tuple_is_named(result):
    @mg.fused(reference=lambda x: x * 2)
    def own_double(b, x):
        """``2x``."""
        return x * 2, ()

    @own_double.backward
    def own_double_backward(b, grad, arrays, saved, needs):
        return result(grad)

    x = mg.ones(1, 1, requires_grad=True)
    with pytest.raises(RuntimeError, match="must return a tuple with a gradient for each of its 1"):
        own_double(x).sum().backward()


def test_a_rule_that_is_set_anew_takes_the_place_of_the_one_that_was_used():
    @mg.primitive(name=f"own_square_of_{__name__}")
    def own_square(b, x):
        """``x²``."""
        return x * x

    x = mg.tensor([3.0, 4.0], requires_grad=True)
    for factor, rule in ((3, lambda f, g, x: g * 3 * x), (2, lambda f, g, x: g * 2 * x)):
        own_square.rules(x=rule)
        (g,) = mg.grad(own_square(x).sum(), x)
        assert g.tolist() == [3 * factor, 4 * factor]
