"""How an op is called: inputs in order or by name, options by name, and everything else refused."""

from __future__ import annotations

import inspect
import pydoc

import pytest

import minigen as mg
from minigen.autograd.operation import functions, registry

pytestmark = pytest.mark.usefixtures("backend")


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(values or [1.0, 2.0, 3.0], requires_grad=True)


def test_inputs_given_by_name_are_on_the_tape():
    w, other = leaf(), leaf(4.0, 5.0, 6.0)
    choice = mg.tensor([True, False, True])
    for out, by_w, by_other in [
        (functions.where(choice, x=w * w, other=other), [2, 0, 6], [0, 1, 0]),
        (mg.where(choice, input=w * w, other=other), [2, 0, 6], [0, 1, 0]),
        (mg.where(other=other, input=w * w, condition=choice), [2, 0, 6], [0, 1, 0]),
        (mg.add(w, other=other), [1, 1, 1], [1, 1, 1]),
        (mg.multiply(other=other, input=w), [4, 5, 6], [1, 2, 3]),
        (mg.pow(w, exponent=2.0), [2, 4, 6], None),
        (mg.matmul(w, other=other), [4, 5, 6], [1, 2, 3]),
    ]:
        w.grad = other.grad = None
        out.sum().backward()
        assert w.grad.tolist() == by_w
        assert other.grad is None if by_other is None else other.grad.tolist() == by_other


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: mg.exp(w, base=2), "exp has no argument called 'base'; it takes input"),
        (lambda w: mg.exp(), "exp takes the inputs input; got 0 of them"),
        (lambda w: mg.exp(w, w), "exp takes the inputs input; got 2 of them"),
        (lambda w: mg.multiply(w, input=w), "multiply was given 'input' by position and by name"),
        (lambda w: mg.multiply(other=w), "multiply needs the argument 'x'"),
        (lambda w: mg.pow(w, power=2), "pow() got an unexpected keyword argument 'power'"),
        (
            lambda w: functions.clip(w, min=w[0], max=2),
            "clip: min must be a plain value, not a tensor, whose gradient would be lost; use "
            "min.item() for its value",
        ),
    ],
)
def test_what_an_op_does_not_know_is_refused_by_name(call, message):
    with pytest.raises(TypeError) as error:
        call(leaf())
    assert str(error.value) == message


def test_every_op_shows_its_inputs_options_and_defaults():
    for op in registry.values():
        parameters = inspect.signature(op).parameters
        if not op.variadic:
            assert len(parameters) == len(op.inputs) + len(op.option_names), op.name
            assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values()), op.name
    for name in mg.__dict__:
        function = getattr(mg, name)
        if callable(function) and not inspect.isclass(function) and not name.startswith("_"):
            assert "(*inputs, **options)" not in str(inspect.signature(function)), name


def test_help_shows_what_an_op_takes_and_does():
    text = pydoc.render_doc(mg.exp, renderer=pydoc.plaintext)
    assert "exp(input)" in text
    assert "its own derivative" in text
    assert "stride" in pydoc.render_doc(mg.conv2d, renderer=pydoc.plaintext)


def test_an_op_in_a_class_is_a_method_as_a_function_is():
    class Curve(mg.Tensor):
        __slots__ = ()
        exponential = mg.exp

    assert Curve(leaf(0.0).data).exponential().tolist() == [1]


def test_an_op_written_anew_takes_the_place_of_the_old_one_in_rules_too():
    name = f"own_scaled_of_{__name__}"

    def version(factor: float):
        @mg.primitive(name=name)
        def scaled(b, x):
            """``factor · x``."""
            return x * factor

        scaled.rules(x=lambda f, g: getattr(f, name)(g))
        return scaled

    for factor in (2.0, 3.0):
        x = leaf()
        version(factor)(x).sum().backward()
        assert x.grad.tolist() == [factor] * 3
        (g,) = mg.grad(getattr(functions, name)(x).sum(), x, create_graph=True)
        assert g.tolist() == [factor] * 3
