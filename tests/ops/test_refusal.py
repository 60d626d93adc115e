"""A list, a number or nothing in the place of a tensor: one line names the argument."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import minigen as mg
from minigen import linalg
from minigen.nn import functional
from minigen.ops import reduction, refusal


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: mg.mean([1.0, 2.0]),
            "mean: input must be a tensor, got list; mg.tensor makes one",
        ),
        (lambda: mg.softmax(np.ones(2), 0), "softmax: input must be a tensor, got ndarray"),
        (lambda: mg.sum(2.5), "sum: input must be a tensor, got float"),
        (lambda: mg.reshape(None, (1,)), "reshape: input must be a tensor, got NoneType"),
        (lambda: mg.mse_loss(mg.ones(2), 1.0), "mse_loss: target must be a tensor, got float"),
        (lambda: mg.linear(mg.ones(2), mg.ones(2, 2), 1.0), "linear: bias must be a tensor"),
        (lambda: mg.stack([mg.ones(2), None]), "stack: tensors must be"),
        (lambda: mg.meshgrid(mg.ones(2), 3), "meshgrid: tensors must be a tensor, got int"),
        (lambda: functional.glu("abc"), "glu: input must be a tensor, got str"),
        (lambda: linalg.det([[1.0]]), "det: A must be a tensor, got list"),
        (lambda: mg.cdist(mg.ones(2, 2), x2=np.ones((2, 2))), "cdist: x2 must be a tensor"),
    ],
)
def test_what_should_be_a_tensor_is_named(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_a_missing_attribute_of_something_else_stays_what_it_is():
    def broken(input: mg.Tensor):
        return input.no_such_name

    with pytest.raises(AttributeError, match="a tensor has no 'no_such_name'"):
        refusal._naming(broken)(mg.ones(2))


def test_names_signatures_and_descriptions_stay():
    assert functional.softmax is mg.softmax
    assert next(iter(inspect.signature(mg.mean).parameters)) == "input"
    assert mg.mean.__doc__ == reduction.mean.__doc__
