"""One's own ops: mg.primitive with a rule for each input, mg.fused beside its reference."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import minigen as mg
from minigen.autograd.operation import registry
from minigen.testing import check_create_graph, check_grads

pytestmark = pytest.mark.usefixtures("backend")


@pytest.fixture(autouse=True)
def _own_ops_do_not_stay():
    before = set(registry)
    yield
    for name in set(registry) - before:
        del registry[name]


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


def test_an_input_without_a_rule_gets_no_gradient():
    @mg.primitive
    def own_scale(b, x, factor):
        """``x·factor``, differentiable by x only."""
        return x * factor

    own_scale.rules(x=lambda f, g, factor: g * factor)
    x = mg.tensor(X, requires_grad=True)
    factor = mg.tensor(X, requires_grad=True)
    own_scale(x, factor).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), X)
    assert factor.grad is None


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
