"""Containers."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.autograd.tape import reachable


def test_sequential_is_a_sequence():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    model = nn.Sequential(a, b)
    assert model.append(c) is model
    assert list(model) == [a, b, c]
    assert len(model) == 3
    assert model[0] is a
    assert model[-1] is c
    assert isinstance(model[1:], nn.Sequential)
    assert list(model[1:]) == [b, c]
    model[1] = nn.Tanh()
    assert isinstance(model[1], nn.Tanh)
    assert list(model)[2] is c
    with pytest.raises(IndexError):
        model[3]


def test_an_empty_sequential_is_the_identity():
    x = mg.ones(2)
    assert nn.Sequential()(x) is x


def test_a_list_shows_its_modules_and_cannot_be_called():
    layers = nn.ModuleList([nn.Linear(1, 1)]).extend([nn.Linear(1, 2, bias=False)])
    assert [name for name, _ in layers.named_parameters()] == ["0.weight", "0.bias", "1.weight"]
    assert len(layers[:1]) == 1
    with pytest.raises(TypeError, match="ModuleList has no forward method"):
        layers(mg.ones(1, 1))


def test_a_dictionary_shows_its_modules():
    heads = nn.ModuleDict({"mean": nn.Linear(1, 1, bias=False)})
    heads["scale"] = nn.Linear(1, 2, bias=False)
    assert heads.keys() == ["mean", "scale"]
    assert [type(m) for m in heads.values()] == [nn.Linear, nn.Linear]
    assert dict(heads.items())["scale"] is heads["scale"]
    assert "mean" in heads
    assert "other" not in heads
    assert len(heads) == 2
    assert list(heads) == ["mean", "scale"]
    assert list(heads.state_dict()) == ["mean.weight", "scale.weight"]


@pytest.mark.parametrize("name", ["", "a.b", "forward", "training", "_buffers"])
def test_a_name_that_is_taken_or_has_a_dot_is_refused(name):
    with pytest.raises(ValueError, match="a key of ModuleDict must be a free name without dots"):
        nn.ModuleDict()[name] = nn.ReLU()


def test_only_modules_go_in():
    with pytest.raises(TypeError, match=r"Sequential\[1\] must be a Module, got function"):
        nn.Sequential(nn.ReLU(), lambda x: x)
    with pytest.raises(TypeError, match=r"ModuleList\[0\] must be a Module, got type"):
        nn.ModuleList([nn.ReLU])


def test_a_dense_layer_takes_its_activation_along_unless_somebody_listens():
    first, act = mg.nn.Linear(3, 4), mg.nn.LeakyReLU(0.2)
    both = mg.nn.Sequential(first, act, mg.nn.Linear(4, 2), mg.nn.Sigmoid(), act, act)
    x = mg.tensor(np.linspace(-1, 1, 6).reshape(2, 3).astype(np.float32))
    ops = [node.op.name for node in reachable([both(x).node])]
    assert ops.count("dense") == 2
    assert ops.count("linear") == 0
    assert ops.count("leaky_relu") == 2
    expected = both(x).numpy()
    heard = []
    act.register_forward_hook(lambda module, args, out: heard.append(out.shape))
    np.testing.assert_allclose(both(x).numpy(), expected, rtol=1e-6)
    assert heard == [(2, 4), (2, 2), (2, 2)]
