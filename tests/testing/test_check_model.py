"""check_model: it passes what is right, says what is wrong, and leaves the model as it was."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.testing import check_model

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))


class Net(nn.Module):
    """Two layers, with a dial for what goes wrong between them."""

    def __init__(self, between: Callable[[mg.Tensor], mg.Tensor] = mg.tanh) -> None:
        super().__init__()
        mg.manual_seed(0)
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)
        self.between = between

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        return self.second(self.between(self.first(x)))

    def loss(self, x: mg.Tensor, y: mg.Tensor) -> tuple[mg.Tensor, dict[str, mg.Tensor]]:
        fit = mg.square(self(x) - y).mean()
        size = mg.square(self.first.weight).sum()
        return fit + 0.1 * size, {"fit": fit, "size": size}


# ---------------------------------------------------------------- what is right passes


def test_every_term_is_compared_by_every_parameter_and_input():
    net = Net()
    report = check_model(net, net.loss, X, Y)
    assert report == (3 * (4 + 2), 0, (), ())
    assert check_model(net, net.loss, X, Y, directions=3).compared == 3 * 3 * 6
    assert check_model(net, net.loss, X, Y, each=False).compared == 3


def test_a_loss_may_be_a_tensor_of_any_shape_a_list_or_a_dictionary():
    net = Net()
    assert check_model(net, lambda x: net(x), X).compared == 5
    assert check_model(net, lambda x: [net(x), x.exp()], X).compared == 10
    assert check_model(net, lambda x: {"a": net(x), "b": x.exp()}, X).compared == 10


def test_integers_and_other_things_are_passed_on():
    table = nn.Embedding(4, 3)
    ids = np.array([0, 3, 3])
    loss = lambda ids, power: (table(ids) ** power).sum()
    assert check_model(table, loss, ids, 3).compared == 1


def test_a_tensor_that_the_loss_finds_by_its_name_goes_to_the_strict_backend_with_it():
    net, target = Net(), mg.tensor(Y)
    check_model(net, lambda x: mg.mse_loss(net(x), target), X)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.LeakyReLU(0.2), nn.Dropout(0.5)])
def test_rectifiers_and_dropout_are_no_obstacle(layer):
    net = Net(layer)
    check_model(net, net.loss, X, Y)


def test_batch_norm_and_layers_that_look_at_their_first_batch_are_none():
    for net in (
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh()),
        nn.Sequential(nn.spectral_norm(nn.Linear(3, 1))),
    ):
        check_model(net, lambda x, net=net: net(x).exp().sum(), X)
    flow = nn.Flow(nn.ActNorm(3), nn.InvertibleConv1x1(3))
    assert check_model(flow, lambda x: flow(x), X).compared == 2 * 6


def test_a_loss_that_holds_a_gradient_is_checked_to_second_order():
    net = Net()

    def penalty(x: mg.Tensor) -> mg.Tensor:
        x = x.detach().requires_grad_()
        (slope,) = mg.grad(net(x).sum(), [x], create_graph=True)
        return mg.square(slope).sum()

    x = mg.tensor(X)
    assert check_model(net, lambda: penalty(x)).unreached == ("second.bias",)


def test_two_networks_and_one_that_is_fixed():
    one, other, judge = Net(), Net(), Net()
    loss = lambda x: judge(mg.cat([one(x), other(x)[:, :1]], dim=1)).sum()
    assert check_model([one, other], loss, X, fixed=judge).compared == 9


def test_draws_come_from_the_generator_that_is_handed_in():
    net, draws = Net(), mg.Generator(3)
    loss = lambda x: net(x + draws.normal(x.shape, dtype=x.dtype)).sum()
    check_model(net, loss, X, generator=draws)
    with pytest.raises(ValueError, match="deterministic, got two values of 'loss'"):
        check_model(net, loss, X)


def test_a_frozen_parameter_is_left_out():
    net = Net()
    net.second.requires_grad_(False)
    assert check_model(net, lambda x: net(x), X).compared == 3


def test_a_term_off_the_tape_is_named():
    net = Net()
    report = check_model(net, lambda x: {"loss": net(x), "share": (net(x) > 0).double().mean()}, X)
    assert report.undifferentiated == ("share",)


# ---------------------------------------------------------------- the model is as it was


def test_the_model_its_optimizer_and_its_generators_are_as_they_were():
    net = nn.ModuleList([nn.ActNorm(3), nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)])

    def loss(x: mg.Tensor) -> mg.Tensor:
        x = net[0](x + draws.normal(x.shape, dtype=x.dtype))[0]
        for layer in net[1:]:
            x = layer(x)
        return x.exp().sum()

    adam, draws = mg.optim.Adam(net.parameters(), lr=0.1), mg.Generator(1)
    draws.normal(2)
    state = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    arrays = [p.data for p in net.parameters()]
    here, default = draws.state(), mg.default_generator().state()
    check_model(net, loss, X, generator=draws)
    for name, value in net.state_dict().items():
        assert value.dtype == state[name].dtype
        np.testing.assert_array_equal(value.numpy(), state[name], err_msg=name)
    assert all(p.data is array for p, array in zip(net.parameters(), arrays))
    assert (draws.state(), mg.default_generator().state()) == (here, default)
    assert all(p.grad is None for p in net.parameters())
    loss(mg.randn(6, 3)).backward()  # the optimizer still owns its parameters
    adam.step()
    assert any((p.numpy() != state[name]).any() for name, p in net.named_parameters())


def test_it_is_after_a_failure_too():
    net = Net(lambda x: x.detach().tanh())
    before = net.first.weight.numpy().copy()
    with pytest.raises(AssertionError):
        check_model(net, net.loss, X, Y)
    assert net.first.weight.dtype == np.float32
    np.testing.assert_array_equal(net.first.weight.numpy(), before)


# ---------------------------------------------------------------- what is wrong is told


def told(net: nn.Module, loss: Any, *inputs: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as error:
        check_model(net, loss, *inputs, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("each", [True, False])
def test_something_detached_is_told_with_term_name_shape_and_both_numbers(each):
    net = Net(lambda x: x.detach().tanh())
    message = told(net, net.loss, X, Y, each=each)
    pattern = (
        r"the gradient of '(loss|fit)' by first\.weight \(4, 3\) is wrong: along a random direction"
        r" it is -?[\d.e+-]+, finite differences say -?[\d.e+-]+ \(off by [\d.e+-]+\)"
    )
    assert re.match(pattern, message), message


def test_a_parameter_that_the_tape_has_lost_is_told_as_such():
    net = Net(lambda x: x.detach().tanh())
    assert "is something detached?" in told(net, lambda x: net(x), X)


def test_an_input_whose_gradient_is_lost_is_told():
    net = Net()
    assert "'loss' by input 0 (5, 3)" in told(net, lambda x: net(x.detach()), X)


def test_a_loss_off_the_tape_is_told():
    net = Net()
    assert told(net, lambda x: net(x).detach(), X).startswith("the loss does not require grad")


def test_a_gradient_hidden_behind_a_zero_is_found_because_of_the_noise():
    net = Net(lambda x: x.detach().tanh())
    with mg.no_grad():
        net.second.weight.copy_(mg.zeros(2, 4))
    check_model(net, lambda x: net(x), X, noise=0.0)  # nothing depends on the first layer here
    assert "first.weight" in told(net, lambda x: net(x), X)


def test_a_kink_just_where_the_model_is_is_told_and_not_passed_over():
    net = Net(mg.relu)
    with mg.no_grad():
        net.first.weight.copy_(mg.zeros(4, 3))
        net.first.bias.copy_(mg.zeros(4))
    assert "has a kink just here along 6 directions" in told(net, lambda x: net(x), X, noise=0.0)
    check_model(net, lambda x: net(x), X)


def test_a_nan_is_told():
    net = Net(lambda x: (x - 100.0).log())
    with np.errstate(invalid="ignore"):
        assert "'loss' must be finite, got nan" in told(net, lambda x: net(x), X)


def test_numpy_in_the_middle_fails_on_the_strict_backend():
    net = Net(lambda x: x * mg.Tensor(np.array([1.0, 2.0, 3.0, 4.0])))
    assert told(net, lambda x: net(x), X).startswith("on the strict backend")
    check_model(net, lambda x: net(x), X, strict=False, captured=False)


def test_a_value_that_is_looked_at_fails_captured():
    net = Net(lambda x: x * (2.0 if x.sum().item() > 0 else 3.0))
    assert told(net, lambda x: net(x), X).startswith("captured, the loss fails with CaptureError")
    check_model(net, lambda x: net(x), X, captured=False)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: check_model(3, lambda: None), TypeError, "'int' object is not iterable"),
        (lambda: check_model([3], lambda: None), TypeError, "model must be a Module, or several"),
        (
            lambda: check_model([], lambda: mg.ones(1)),
            ValueError,
            "hold something to differentiate",
        ),
        (lambda: check_model(Net(), lambda: 1.0), TypeError, "loss must return a floating-point"),
        (lambda: check_model(Net(), lambda: 1.0, noise=-1), ValueError, "noise must be a number"),
        (lambda: check_model(Net(), lambda: 1.0, directions=0), ValueError, "directions must be"),
    ],
)
def test_a_wrong_call_is_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()
