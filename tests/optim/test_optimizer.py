"""Optimizers: their formulas, groups, what is skipped, state that resumes bit for bit."""

from __future__ import annotations

import json
import sys
from inspect import signature

import numpy as np
import pytest
from formulas import OPTIMIZERS

import minigen as mg
from minigen import nn
from minigen.errors import UserError

try:
    import torch

    torch.set_num_threads(1)  # small tensors; waiting threads cost more than they help
except ImportError:  # PyTorch is an optional oracle
    torch = None

SETTINGS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "eps": 0.1, "betas": (0.5, 0.9)}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.5, "eps": 1e-3}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.0}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.003, "momentum": 0.9, "weight_decay": 0.01}),
    ("RMSprop", {"lr": 0.003, "centered": True, "alpha": 0.9, "eps": 1e-3}),
    ("RMSprop", {"lr": 0.003, "centered": True, "momentum": 0.5}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01, "maximize": True}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "betas": (0.9, 0.9)}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "maximize": True}),
    ("AdamW", {"lr": 0.01, "amsgrad": True, "betas": (0.9, 0.9), "maximize": True}),
    ("RMSprop", {"lr": 0.003, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("NAdam", {"lr": 0.01, "betas": (0.5, 0.9), "eps": 0.1}),
    ("RAdam", {"lr": 0.01}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.01, "betas": (0.5, 0.9), "eps": 0.1}),
    ("RAdam", {"lr": 0.001, "betas": (0.9, 0.5)}),
    ("Muon", {"lr": 0.01}),
    ("Muon", {"lr": 0.01, "weight_decay": 0.5, "momentum": 0.5, "nesterov": False}),
    ("Muon", {"lr": 0.01, "ns_steps": 3, "ns_coefficients": (3.4, -4.7, 2.0), "eps": 1e3}),
    ("Muon", {"lr": 0.01, "adjust_lr_fn": "match_rms_adamw"}),
]
IDS = [f"{name} {options}" for name, options in SETTINGS]

SHAPES = [(7, 5), (5,), (), (3, 2, 2), (0, 4), (20_000,)]  # the last one takes two blocks
MATRICES = [(7, 5), (5, 5), (1, 3), (3, 9), (0, 4), (30, 12)]


def shapes_for(name: str) -> list[tuple[int, ...]]:
    return MATRICES if name == "Muon" else SHAPES


def start(seed: int = 0, dtype: str = "float32", name: str = "") -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=shape), dtype) for shape in shapes_for(name)]


def some_gradients(step: int, dtype: str = "float32", name: str = "") -> list[np.ndarray]:
    rng = np.random.default_rng(100 + step)
    return [np.asarray(rng.normal(size=shape) * 3, dtype) for shape in shapes_for(name)]


def give(parameters, gradients, wrap) -> None:
    """Set ``grad``; None leaves a parameter without one."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = None if gradient is None else wrap(gradient)


def parameters_of(values: list[np.ndarray]) -> list[nn.Parameter]:
    return [nn.Parameter(mg.tensor(v)) for v in values]


def steps_with(dtype: str, name: str) -> list[list[np.ndarray | None]]:
    """Fifty steps' gradients, some of which are not there."""
    steps: list[list[np.ndarray | None]] = [list(some_gradients(t, dtype, name)) for t in range(50)]
    for t, gradients in enumerate(steps):
        if t % 3 == 1:
            gradients[1] = None  # sometimes there is none
        if t < 5:
            gradients[3] = None  # a late starter
    return steps


def assert_near(mine, expected: list[np.ndarray], tolerance: float) -> None:
    for a, b in zip(mine, expected, strict=True):
        scale = max(1.0, np.abs(b).max(initial=0))
        np.testing.assert_allclose(a.numpy(), b, rtol=0, atol=tolerance * scale)


PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)]
)


def test_every_optimizer_has_a_formula_and_is_tried():
    exported = {
        name
        for name, value in vars(mg.optim).items()
        if isinstance(value, type) and issubclass(value, mg.optim.Optimizer)
    } - {"Optimizer"}
    assert exported == set(OPTIMIZERS)
    assert exported == {name for name, _ in SETTINGS}


@pytest.mark.parametrize(("name", "options"), SETTINGS, ids=IDS)
@PRECISIONS
def test_fifty_steps_are_those_of_the_formula(name, options, dtype, tolerance):
    mine = parameters_of(start(dtype=dtype, name=name))
    ours = getattr(mg.optim, name)(mine, **options)
    expected = [v.astype(float) for v in start(dtype=dtype, name=name)]
    memories: list[dict] = [{} for _ in expected]
    for gradients in steps_with(dtype, name):
        give(mine, gradients, mg.tensor)
        ours.step()
        for i, g in enumerate(gradients):
            if g is not None:
                expected[i] = OPTIMIZERS[name](expected[i], g, memories[i], **options)
    assert_near(mine, expected, tolerance)


GROUPS = [{"lr": 0.1}, {"weight_decay": 0.5}, {"betas": (0.5, 0.9)}]  # two, two, the rest


def some_steps_in_groups(optim, parameters, wrap) -> None:
    """AdamW, whose groups have options of their own, one of which changes on the way."""
    first, second, third = GROUPS
    groups = [{"params": parameters[:2], **first}, {"params": parameters[2:4], **second}]
    optimizer = optim.AdamW(groups, lr=0.01)
    optimizer.add_param_group({"params": parameters[4:], **third})
    for step in range(5):
        give(parameters, some_gradients(step), wrap)
        if step == 3:
            optimizer.param_groups[0]["lr"] = 0.02
        optimizer.step()


def test_groups_have_options_of_their_own():
    mine = parameters_of(start())
    some_steps_in_groups(mg.optim, mine, mg.tensor)
    expected = [v.astype(float) for v in start()]
    memories: list[dict] = [{} for _ in expected]
    for step in range(5):
        for i, g in enumerate(some_gradients(step)):
            options = {"lr": 0.01, **GROUPS[min(i // 2, 2)]}
            if i < 2 and step >= 3:
                options["lr"] = 0.02
            expected[i] = OPTIMIZERS["AdamW"](expected[i], g, memories[i], **options)
    assert_near(mine, expected, 1e-6)


@pytest.mark.torch
@pytest.mark.parametrize(("name", "options"), SETTINGS, ids=IDS)
@PRECISIONS
def test_fifty_steps_are_pytorchs(name, options, dtype, tolerance, monkeypatch):
    # NAdam's product of momenta has PyTorch's default precision, Muon iterates in bfloat16
    nadam = sys.modules["torch.optim.nadam"]
    monkeypatch.setattr(nadam, "_get_scalar_dtype", lambda: getattr(torch, dtype))
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    mine = parameters_of(start(dtype=dtype, name=name))
    theirs = [torch.nn.Parameter(torch.tensor(v)) for v in start(dtype=dtype, name=name)]
    ours = getattr(mg.optim, name)(mine, **options)
    peer = getattr(torch.optim, name)(theirs, **options)
    for gradients in steps_with(dtype, name):
        give(mine, gradients, mg.tensor)
        give(theirs, gradients, torch.tensor)
        ours.step()
        peer.step()
    assert_near(mine, [b.detach().numpy() for b in theirs], tolerance)


@pytest.mark.torch
def test_groups_with_options_of_their_own_are_pytorchs():
    mine = parameters_of(start())
    theirs = [torch.nn.Parameter(torch.tensor(v)) for v in start()]
    some_steps_in_groups(mg.optim, mine, mg.tensor)
    some_steps_in_groups(torch.optim, theirs, torch.tensor)
    assert_near(mine, [b.detach().numpy() for b in theirs], 1e-6)


def test_adam_takes_a_first_step_of_length_lr():
    """Both corrections cancel at t = 1: the step is lr·g/(|g| + ε)."""
    p = nn.Parameter(mg.zeros(3))
    optimizer = mg.optim.Adam([p], lr=0.1)
    p.grad = mg.tensor([1e-3, -5.0, 100.0])
    optimizer.step()
    np.testing.assert_allclose(p.numpy(), [-0.1, 0.1, -0.1], rtol=1e-4)


def test_a_parameter_without_a_gradient_keeps_value_moments_and_count():
    ps = parameters_of(start()[:3])
    optimizer = mg.optim.Adam(ps, lr=0.1)
    give(ps, some_gradients(0)[:3], mg.tensor)
    optimizer.step()
    before = {k: np.copy(v) for k, v in optimizer.state_dict().items()}
    value = ps[1].numpy().copy()
    give(ps, [some_gradients(1)[0], None, some_gradients(1)[2]], mg.tensor)
    optimizer.step()
    np.testing.assert_array_equal(ps[1].numpy(), value)
    after = optimizer.state_dict()
    for key in ("step", "gradient_sum", "square_sum"):
        np.testing.assert_array_equal(after[f"state.1.{key}"], before[f"state.1.{key}"])
    assert after["state.0.step"] == 2
    assert before["state.0.step"] == 1


def test_a_frozen_parameter_does_not_move():
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    before = layer.bias.numpy().copy()
    optimizer = mg.optim.SGD(layer.parameters(), lr=1.0)
    layer(mg.ones(1, 2)).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(layer.bias.numpy(), before)


def build(name: str, model: nn.Module, **options) -> mg.optim.Optimizer:
    params = [p for p in model.parameters() if name != "Muon" or p.ndim == 2]
    return getattr(mg.optim, name)(params, **options)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_defaults_are_those_of_the_formula(name):
    ours = {p.name: p.default for p in signature(getattr(mg.optim, name)).parameters.values()}
    for p in list(signature(OPTIMIZERS[name]).parameters.values())[3:]:
        assert ours[p.name] == p.default, p.name


@pytest.mark.torch
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_arguments_are_pytorchs(name):
    def arguments(kind):
        return [(p.name, p.default, p.kind) for p in signature(kind).parameters.values()]

    assert arguments(getattr(mg.optim, name)) == arguments(getattr(torch.optim, name))


def train(model: nn.Module, optimizer: mg.optim.Optimizer, steps: range) -> None:
    for step in steps:
        x = mg.Generator(step).normal(8, 4)
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()


def network(seed: int = 0) -> nn.Module:
    generator = mg.Generator(seed)
    return nn.Sequential(
        nn.Linear(4, 6, generator=generator), nn.Tanh(), nn.Linear(6, 2, generator=generator)
    )


@pytest.mark.parametrize(("name", "options"), SETTINGS, ids=IDS)
def test_a_resumed_run_is_bit_equal_to_one_never_stopped(name, options):
    whole = network()
    optimizer = build(name, whole, **options)
    train(whole, optimizer, range(3))
    model_state = {k: v.numpy().copy() for k, v in whole.state_dict().items()}
    state = optimizer.state_dict()
    train(whole, optimizer, range(3, 6))  # the state is a copy: this does not change it

    resumed = network(seed=1)
    second = build(name, resumed, **{**options, "lr": 77.0})
    train(resumed, second, range(1))  # leftovers that loading must overwrite
    resumed.load_state_dict(model_state)
    second.load_state_dict(state)
    train(resumed, second, range(3, 6))
    for key, value in whole.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[key].numpy(), value.numpy())


def test_the_state_is_flat_numbers_and_arrays():
    ps = parameters_of(start()[:2])
    optimizer = mg.optim.Adam([{"params": [ps[0]]}, {"params": [ps[1]], "lr": 0.5}])
    assert not any(key.startswith("state.") for key in optimizer.state_dict())
    give(ps, some_gradients(0)[:2], mg.tensor)
    optimizer.step()
    state = optimizer.state_dict()
    arrays = {k: v for k, v in state.items() if isinstance(v, np.ndarray)}
    assert {k: v.shape for k, v in arrays.items()} == {
        "state.0.gradient_sum": (7, 5),
        "state.0.square_sum": (7, 5),
        "state.1.gradient_sum": (5,),
        "state.1.square_sum": (5,),
    }
    json.dumps({k: v for k, v in state.items() if k not in arrays})
    assert state["param_groups.0.betas.1"] == 0.999
    assert state["param_groups.1.lr"] == 0.5
    assert not any("/" in key for key in state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"state.0.gradient_sum": np.zeros(3)},
            r"state.0.gradient_sum must have shape \(7, 5\), got \(3,\)",
        ),
        ({"state.9.step": 1}, "state.9.step belongs to no parameter"),
        ({"stray": 1}, "stray belongs to no parameter"),
        ({"param_groups.0.params": 7}, "group 0 must have 2 parameters, got 7"),
        ({"param_groups.0.lr": None}, "lr must be a number ≥ 0, got None"),
        ({"param_groups.0.betas.1": 1}, r"betas\[1\] must be a number ≥ 0 and < 1, got 1"),
        ({"param_groups.1.lr": 0.1}, "param_groups.1.lr belongs to no parameter or option"),
        ({"param_groups.0.rate": 0.1}, "param_groups.0.rate belongs to no parameter or option"),
        ({"state.0.step": -1}, "state.0.step must be an integer ≥ 0, got -1"),
        ({"state.0.step": 1.5}, "state.0.step must be an integer ≥ 0, got 1.5"),
        ({"state.0.step": float("nan")}, "state.0.step must be an integer ≥ 0, got nan"),
        ({"state.0.step": float("inf")}, "state.0.step must be an integer ≥ 0, got inf"),
        ({"state.0.step": True}, "state.0.step must be an integer ≥ 0, got True"),
        ({"state.0.velocity": np.zeros((7, 5))}, "state.0.velocity belongs to no parameter"),
        ({"state.1.square_sum": None}, "state.1.square_sum must hold real numbers"),
        ({"state.1.square_sum": np.zeros(5, complex)}, "state.1.square_sum must hold real numbers"),
        (
            {"state.0.step": -1, "state.1.square_sum": np.zeros(4)},
            r"state.0.step must be .* -1; state.1.square_sum must have shape \(5,\), got \(4,\)$",
        ),
        ({"state.0.gradient_sum": "words"}, "state.0.gradient_sum must hold real numbers"),
    ],
)
def test_a_foreign_state_is_refused_in_one_line_and_changes_nothing(change, message):
    ps = parameters_of(start()[:2])
    optimizer = mg.optim.Adam(ps)
    give(ps, some_gradients(0)[:2], mg.tensor)
    optimizer.step()
    before = optimizer.state_dict()
    with pytest.raises((UserError, TypeError), match=message):
        optimizer.load_state_dict({**before, "param_groups.0.eps": 3.0, **change})
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize("missing", ["gradient_sum", "square_sum", "step"])
def test_a_state_without_one_of_its_moments_is_refused(missing):
    ps = parameters_of(start()[:2])
    optimizer = mg.optim.Adam(ps)
    give(ps, some_gradients(0)[:2], mg.tensor)
    optimizer.step()
    state = optimizer.state_dict()
    del state[f"state.1.{missing}"]
    with pytest.raises(UserError, match=f"optimizer state: state.1.{missing} (is missing|must be)"):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "options", "change", "message"),
    [
        (
            "NAdam",
            {},
            {"state.0.mu_product": None},
            "state.0.mu_product must be a number, got None",
        ),
        ("NAdam", {}, {"state.0.mu_product": "1"}, "state.0.mu_product must be a number, got '1'"),
        ("Muon", {}, {"param_groups.0.adjust_lr_fn": 3}, "adjust_lr_fn must be one of"),
        ("Muon", {}, {"param_groups.0.ns_steps": 1.5}, "ns_steps must be an integer ≥ 0, got 1.5"),
        ("SGD", {}, {"param_groups.0.nesterov": 1}, "nesterov must be True or False, got 1"),
        ("Adam", {}, {"param_groups.0.amsgrad": True}, "state.0.largest_square_sum is missing"),
        ("SGD", {}, {"param_groups.0.momentum": 0.9}, "state.0.momentum_buffer is missing"),
        ("RMSprop", {}, {"param_groups.0.centered": True}, "state.0.grad_avg is missing"),
    ],
)
def test_every_optimizer_looks_at_its_own_state(name, options, change, message):
    ps = parameters_of([np.ones((2, 3), np.float32)])
    optimizer = getattr(mg.optim, name)(ps, **options)
    give(ps, [np.ones((2, 3), np.float32)], mg.tensor)
    optimizer.step()
    before = optimizer.state_dict()
    with pytest.raises(UserError, match=message):
        optimizer.load_state_dict({**before, "param_groups.0.lr": 9.0, **change})
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_numbers_in_a_state_may_come_from_any_library():
    ps = parameters_of(start()[:2])
    optimizer = mg.optim.Adam(ps)
    give(ps, some_gradients(0)[:2], mg.tensor)
    optimizer.step()
    before = optimizer.state_dict()
    arrays = {
        key: mg.tensor(v) if isinstance(v, np.ndarray) else v if type(v) is bool else np.array(v)
        for key, v in before.items()
    }
    optimizer.load_state_dict(arrays)
    after = optimizer.state_dict()
    assert after.keys() == before.keys()
    for key, value in after.items():
        np.testing.assert_array_equal(value, before[key])
        assert type(value) is type(before[key])
    with pytest.raises(UserError, match="optimizer state must be a dictionary, got list"):
        optimizer.load_state_dict([1])


def test_many_faults_are_counted():
    ps = parameters_of(start()[:2])
    optimizer = mg.optim.Adam(ps)
    with pytest.raises(UserError, match=r"is missing; and 5 more$"):
        optimizer.load_state_dict({"a": 1})


@pytest.mark.parametrize(
    "change", [("lr", -1.0), ("lr", None), ("betas", (0.9, 1.0)), ("eps", "x")]
)
def test_an_option_changed_by_hand_into_nonsense_is_refused_at_the_next_step(change):
    ps = parameters_of(start()[:2])
    optimizer = mg.optim.Adam(ps)
    give(ps, some_gradients(0)[:2], mg.tensor)
    before = ps[0].numpy().copy()
    optimizer.param_groups[0][change[0]] = change[1]
    with pytest.raises((TypeError, ValueError), match=f"{change[0]}.* must be a"):
        optimizer.step()
    np.testing.assert_array_equal(ps[0].numpy(), before)
    assert not optimizer.flat[0][0].steps[0]


def test_somebodys_own_entry_in_a_group_is_left_alone():
    ps = parameters_of(start()[:2])
    optimizer = mg.optim.SGD(ps, lr=0.1)
    optimizer.param_groups[0]["name"] = "all"
    give(ps, some_gradients(0)[:2], mg.tensor)
    optimizer.step()
    state = optimizer.state_dict()
    assert "param_groups.0.name" not in state
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["name"] == "all"


def test_the_state_of_another_optimizer_is_refused():
    ps = parameters_of(start()[:2])
    with pytest.raises(UserError, match=r"optimizer state: param_groups.0.betas.0 is missing"):
        mg.optim.Adam(ps).load_state_dict(mg.optim.SGD(ps).state_dict())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Adam", {"lr": -1}, "lr must be a number ≥ 0, got -1"),
        ("Adam", {"lr": "fast"}, "lr must be a number ≥ 0, got 'fast'"),
        ("Adam", {"lr": float("nan")}, "lr must be a number ≥ 0, got nan"),
        ("Adam", {"betas": (0.9, 1.0)}, r"betas\[1\] must be a number ≥ 0 and < 1, got 1.0"),
        ("Adam", {"betas": 0.9}, "betas must be a pair of numbers, got 0.9"),
        ("AdamW", {"eps": -1e-8}, "eps must be a number ≥ 0, got -1e-08"),
        ("SGD", {"momentum": -0.1}, "momentum must be a number ≥ 0, got -0.1"),
        ("SGD", {"nesterov": True}, "nesterov needs momentum > 0 and dampening 0"),
        ("RMSprop", {"alpha": 1.0}, "alpha must be a number ≥ 0 and < 1, got 1.0"),
        ("RMSprop", {"weight_decay": -1}, "weight_decay must be a number ≥ 0, got -1"),
    ],
)
def test_options_out_of_range_are_named(name, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(mg.optim, name)(parameters_of(start()), **options)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], "params must have at least one parameter, got none"),
        (mg.ones(2), "params must be a list of tensors or groups, got one Tensor"),
        ([np.ones(2)], r"params\[0\] must be a tensor, got ndarray"),
        ([mg.ones(2, requires_grad=True) * 2], r"params\[0\] must be a leaf, got the result of"),
        ([mg.ones(2, dtype=np.int64)], r"params\[0\] must be floating-point, got int64"),
        ([mg.ones(2)] * 2, r"params\[1\] was given to this optimizer already"),
        ([{"lr": 1.0}], "a group must be a dictionary with the key params"),
        ([{"params": [mg.ones(2)], "rate": 1.0}], "a group's options must be among .*, got rate"),
        ([{"params": [mg.ones(2)], "lr": -1.0}], "lr must be a number ≥ 0, got -1.0"),
    ],
)
def test_parameters_that_are_none_are_named(params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        mg.optim.SGD(params, lr=0.1)


def test_the_same_parameter_in_two_groups_is_refused():
    p = nn.Parameter(mg.ones(2))
    with pytest.raises(ValueError, match=r"params\[0\] of group 1 was given to this optimizer"):
        mg.optim.SGD([{"params": [p]}, {"params": p}])


def test_repr_shows_the_options():
    assert repr(mg.optim.SGD([mg.ones(1)], lr=0.5)).startswith("SGD(lr=0.5, momentum=0.0")


def test_the_base_has_no_formula():
    p = nn.Parameter(mg.ones(2))
    optimizer = mg.optim.Optimizer([p], {})
    p.grad = mg.ones(2)
    with pytest.raises(TypeError, match="Optimizer has no update method"):
        optimizer.step()


@pytest.mark.parametrize(("name", "options"), SETTINGS, ids=IDS)
def test_the_strict_backend_gives_the_same_and_brings_nothing_to_the_host(name, options):
    here = network()
    train(here, build(name, here, **options), range(1))
    from minigen.backends import strict

    with mg.use("strict"):
        there = network()
        there.load_state_dict({k: v.numpy() for k, v in network().state_dict().items()})
        optimizer = build(name, there, **options)
        x = mg.tensor(here_input())
        with strict.count_transfers() as count:
            (there(x) ** 2).mean().backward()
            optimizer.step()
        assert count.total == 0, count
        for key, value in there.state_dict().items():
            np.testing.assert_allclose(value.numpy(), here_state(here)[key], atol=1e-6)


def here_input() -> np.ndarray:
    with mg.use("numpy"):
        return mg.Generator(0).normal(8, 4).numpy()


def here_state(model: nn.Module) -> dict[str, np.ndarray]:
    return {k: np.asarray(v.data) for k, v in model.state_dict().items()}


def test_parameters_of_another_backend_are_refused():
    p = nn.Parameter(mg.ones(2))
    with (
        mg.use("strict"),
        pytest.raises(TypeError, match="lies in ndarray, but the active backend"),
    ):
        mg.optim.SGD([p])


def test_what_is_computed_while_the_step_is_under_way_counts_as_overwritten():
    class Meanwhile(mg.optim.SGD):
        def update(self, *args):
            with mg.enable_grad():
                self.loss = (w * w).sum()
            super().update(*args)

    w = nn.Parameter(mg.ones(2))
    optimizer = Meanwhile([w], lr=0.1)
    w.sum().backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match="was overwritten in place"):
        optimizer.loss.backward()
