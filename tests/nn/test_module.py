"""Module: finding what it is made of, state with PyTorch's names, hooks, copies."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.errors import UserError

try:
    import torch
except ImportError:  # PyTorch is an optional oracle
    torch = None


class Block(nn.Module):
    """Something of everything: parameters, buffers, branches, a list, a None."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(mg.ones(3))
        self.register_buffer("count", mg.zeros((), dtype=np.int64))
        self.register_buffer("cache", mg.zeros(2), persistent=False)
        self.register_buffer("absent", None)
        self.first = nn.Linear(3, 3)
        self.rest = nn.ModuleList([nn.Linear(3, 3, bias=False), nn.BatchNorm1d(3)])
        self.size = 3

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        return self.rest[1](self.rest[0](self.first(x) * self.scale))


def torch_block() -> Any:
    """The same in PyTorch."""

    class TorchBlock(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3))
            self.register_buffer("count", torch.zeros((), dtype=torch.int64))
            self.register_buffer("cache", torch.zeros(2), persistent=False)
            self.register_buffer("absent", None)
            self.first = torch.nn.Linear(3, 3)
            self.rest = torch.nn.ModuleList(
                [torch.nn.Linear(3, 3, bias=False), torch.nn.BatchNorm1d(3)]
            )

        def forward(self, x):
            return self.rest[1](self.rest[0](self.first(x) * self.scale))

    return TorchBlock()


def test_names_of_parameters_buffers_modules_and_state_are_the_paths_to_them():
    model = Block()
    names = lambda method: [name for name, _ in getattr(model, method)()]
    own, first, rest = ["scale"], ["first.weight", "first.bias"], ["rest.0.weight"]
    affine = ["rest.1.weight", "rest.1.bias"]
    running = ["rest.1.running_mean", "rest.1.running_var", "rest.1.num_batches_tracked"]
    assert names("named_parameters") == [*own, *first, *rest, *affine]
    assert names("named_buffers") == ["count", "cache", *running]
    assert names("named_modules") == ["", "first", "rest", "rest.0", "rest.1"]
    assert names("named_children") == ["first", "rest"]
    assert list(model.state_dict()) == [*own, "count", *first, *rest, *affine, *running]


@pytest.mark.torch
def test_names_of_parameters_buffers_modules_and_state_are_pytorchs():
    mine, theirs = Block(), torch_block()
    for method in ("named_parameters", "named_buffers", "named_modules"):
        names = [name for name, _ in getattr(mine, method)()]
        assert names == [name for name, _ in getattr(theirs, method)()], method
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert [c for c, _ in mine.named_children()] == ["first", "rest"]


@pytest.mark.torch
def test_state_goes_to_pytorch_and_back_with_the_same_outputs():
    mine, theirs = Block(), torch_block()
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    theirs.load_state_dict({k: torch.tensor(np.array(v)) for k, v in mine.state_dict().items()})
    a, b = mine(mg.tensor(x)).numpy(), theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(a, b, atol=1e-5)
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(0.3)
    mine.load_state_dict(theirs.state_dict())
    a, b = mine.eval()(mg.tensor(x)).numpy(), theirs.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_values_of_a_state_may_be_numpy_arrays_numbers_and_tensors_that_require_grad():
    model = Block()
    state = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    state["scale"] = np.full(3, 2.0)
    state["first.bias"] = nn.Parameter(mg.full((3,), 4.0))
    state["count"] = 7
    model.load_state_dict(state)
    assert model.scale.tolist() == [2, 2, 2]
    assert model.first.bias.tolist() == [4, 4, 4]
    assert model.count.item() == 7
    assert model.count.dtype == np.int64


@pytest.mark.torch
def test_values_of_a_state_may_be_pytorchs_tensors_that_require_grad():
    model = nn.Linear(2, 2)
    model.load_state_dict(
        {"weight": torch.full((2, 2), 2.0, requires_grad=True), "bias": torch.zeros(2)}
    )
    assert model.weight.tolist() == [[2, 2], [2, 2]]


def test_a_state_is_cast_to_the_dtype_of_the_module():
    model = nn.Linear(2, 2)
    model.load_state_dict({"weight": np.ones((2, 2)), "bias": np.zeros(2, np.float16)})
    assert model.weight.dtype == model.bias.dtype == np.float32


def test_loading_writes_into_the_memory_that_is_there():
    model = nn.Linear(2, 2)
    weight, array = model.weight, model.weight.data
    model.load_state_dict({"weight": np.ones((2, 2)), "bias": np.zeros(2)})
    assert model.weight is weight
    assert weight.data is array


def test_missing_unexpected_and_misshapen_values_are_listed_in_one_line():
    model = Block()
    state = dict(model.state_dict())
    del state["first.weight"]
    state["stray"] = mg.zeros(1)
    state["scale"] = mg.zeros(4)
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    with pytest.raises(UserError) as error:
        model.load_state_dict(state)
    assert str(error.value) == (
        "state_dict does not fit Block: missing first.weight; unexpected stray; "
        "scale must be (3,), got (4,)"
    )
    for key, value in model.state_dict().items():  # nothing was written
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_a_long_list_of_missing_keys_is_cut():
    with pytest.raises(UserError, match=r"missing scale, count, .* and 2 more$"):
        Block().load_state_dict({})


def test_loading_without_strict_reports_what_did_not_match():
    model = nn.Linear(2, 2)
    report = model.load_state_dict({"weight": np.ones((2, 2)), "stray": 1}, strict=False)
    assert report.missing_keys == ["bias"]
    assert report.unexpected_keys == ["stray"]
    assert model.weight.tolist() == [[1, 1], [1, 1]]


BAD_VALUES = [
    ("words", "bias must hold real numbers, got str"),
    ([1j, 2j], "bias must hold real numbers, got list"),
    (np.ones(2, complex), "bias must hold real numbers, got complex128"),
    (None, "bias must hold real numbers, got NoneType"),
    (object(), "bias must hold real numbers, got object"),
    ({"a": 1}, "bias must hold real numbers, got dict"),
    ([[1.0], [1.0, 2.0]], "bias cannot be read as an array"),
    (np.array(["1", "2"]), "bias must hold real numbers, got .*U"),
    (1.0, r"bias must be \(2,\), got \(\)"),
]


@pytest.mark.parametrize(("value", "message"), BAD_VALUES)
@pytest.mark.parametrize("strict", [True, False])
def test_a_bad_value_is_named_and_nothing_is_written(value, message, strict):
    layer = nn.Linear(1, 2)
    before = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
    with pytest.raises(UserError, match=f"^state_dict does not fit Linear: {message}"):
        layer.load_state_dict({"weight": np.full((2, 1), 9.0), "bias": value}, strict)
    for key, old in layer.state_dict().items():
        np.testing.assert_array_equal(old.numpy(), before[key])


def test_every_bad_value_is_named():
    state = {"weight": None, "bias": np.ones(3)}
    with pytest.raises(
        UserError,
        match=r"weight must hold real numbers, got NoneType \(object\), bias must be \(2,\), got",
    ):
        nn.Linear(1, 2).load_state_dict(state)


def test_a_count_does_not_become_a_fraction():
    layer = nn.BatchNorm1d(2)
    state = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
    state["num_batches_tracked"] = np.array(2.5)
    state["weight"] = np.array([7, 8])
    with pytest.raises(UserError, match="num_batches_tracked must be int64, got float64"):
        layer.load_state_dict(state)
    assert layer.weight.tolist() == [1, 1]
    state["num_batches_tracked"] = np.int32(3)
    layer.load_state_dict(state)
    assert layer.num_batches_tracked.item() == 3
    assert layer.weight.tolist() == [7, 8]


def test_values_that_are_not_finite_are_loaded():
    layer = nn.Linear(1, 2)
    layer.load_state_dict({"weight": [[np.nan], [np.inf]], "bias": [-np.inf, 0]})
    np.testing.assert_array_equal(layer.weight.numpy(), [[np.nan], [np.inf]])


def test_values_that_lie_in_the_modules_own_memory_change_places():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = mg.optim.SGD(model.parameters())
    old = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    state = model.state_dict()
    swapped = {f"{1 - int(k[0])}{k[1:]}": v for k, v in state.items()}
    swapped["0.weight"] = swapped["0.weight"].data.T
    model.load_state_dict(swapped)
    np.testing.assert_array_equal(model[0].weight.numpy(), old["1.weight"].T)
    np.testing.assert_array_equal(model[1].weight.numpy(), old["0.weight"])
    np.testing.assert_array_equal(model[0].bias.numpy(), old["1.bias"])
    np.testing.assert_array_equal(model[1].bias.numpy(), old["0.bias"])
    model.load_state_dict({**model.state_dict(), "0.weight": model[0].weight.data.T})
    np.testing.assert_array_equal(model[0].weight.numpy(), old["1.weight"])
    del optimizer


def test_a_module_of_another_backend_and_one_in_read_only_memory_are_refused():
    layer = nn.Linear(1, 2)
    state = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
    with (
        mg.use("strict"),
        pytest.raises(UserError, match="weight lies in ndarray, the active backend is strict"),
    ):
        layer.load_state_dict(state)
    array = np.ones(2, np.float32)
    array.flags.writeable = False
    layer.bias.data = array
    with pytest.raises(UserError, match="bias lies in memory that is read-only"):
        layer.load_state_dict(state)


def test_a_state_that_is_no_dictionary_is_refused():
    with pytest.raises(UserError, match="state_dict must be a dictionary, got list"):
        nn.Linear(1, 2).load_state_dict([1, 2])


def test_tied_weights_are_one_parameter_under_two_names():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, x: mg.Tensor) -> mg.Tensor:
            return self.head(self.embedding(x))

    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["embedding.weight"]
    assert list(model.state_dict()) == ["embedding.weight", "head.weight"]
    twin = copy.deepcopy(model)
    assert twin.head.weight is twin.embedding.weight
    assert twin.head.weight is not model.head.weight
    model(mg.tensor([1, 2])).sum().backward()
    assert model.head.weight.grad is model.embedding.weight.grad
    assert model.summary(mg.tensor([1, 2])).parameters == 15


def test_a_module_that_is_used_twice_is_counted_once_and_saved_twice():
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    assert len(list(model.parameters())) == 2
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_train_and_eval_reach_every_module():
    model = Block()
    assert all(m.training for m in model.modules())
    model.eval()
    assert not any(m.training for m in model.modules())
    model.train()
    assert all(m.training for m in model.modules())


def test_apply_visits_children_first():
    seen = []
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
    model.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


def test_zero_grad_and_requires_grad_reach_every_parameter():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model(mg.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    model.requires_grad_(False)
    assert not model(mg.ones(1, 2)).requires_grad


def test_conversion_leaves_integers_alone_and_takes_gradients_along():
    model = Block()
    model(mg.ones(2, 3)).sum().backward()
    model.double()
    assert model.scale.dtype == model.rest[1].running_mean.dtype == np.float64
    assert model.count.dtype == np.int64
    assert model.scale.grad.dtype == np.float64
    assert model(mg.ones(2, 3, dtype=np.float64)).dtype == np.float64
    assert model.float().scale.dtype == np.float32
    with pytest.raises(TypeError, match="dtype must be floating-point, got int64"):
        model.to_dtype(np.int64)


def test_a_hook_sees_inputs_and_output_and_may_replace_the_output():
    layer = nn.Linear(2, 3)
    seen = []
    drop_first = layer.register_forward_pre_hook(lambda m, args: seen.append(args[0].shape))
    drop_second = layer.register_forward_hook(lambda m, args, out: out * 0 + len(seen))
    assert layer(mg.ones(4, 2)).tolist() == [[1, 1, 1]] * 4
    drop_second()
    drop_first()
    assert layer(mg.ones(4, 2)).numpy().std() > 0
    assert seen == [(4, 2)]


def test_a_forgotten_super_init_is_explained():
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) in Forgetful"):
        Forgetful()


def test_a_parameter_cannot_be_replaced_by_a_plain_tensor():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="weight of Linear is a parameter and must stay"):
        layer.weight = mg.zeros(2, 2)
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"]


def test_a_module_without_forward_says_so():
    with pytest.raises(TypeError, match="Module has no forward method"):
        nn.Module()(1)


def test_a_buffer_must_be_a_tensor():
    with pytest.raises(TypeError, match="buffer mean must be a tensor or None, got ndarray"):
        nn.Module().register_buffer("mean", np.zeros(3))


def test_a_parameter_must_be_floating_point():
    with pytest.raises(TypeError, match="a parameter must be floating-point, got int64"):
        nn.Parameter([1, 2])


def test_repr_is_a_tree():
    text = repr(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU())))
    assert text == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")"
    )


def test_loading_into_a_graph_that_still_needs_the_weight_is_caught():
    layer = nn.Linear(2, 2)
    x = mg.ones(1, 2, requires_grad=True)
    y = layer(x).sum()
    layer.load_state_dict({"weight": np.zeros((2, 2)), "bias": np.zeros(2)})
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.backward()


@pytest.mark.parametrize(
    "parts",
    [
        [nn.Linear(2, 2)],
        (nn.Linear(2, 2), nn.ReLU()),
        {"a": nn.Linear(2, 2)},
        [nn.Parameter(mg.ones(2))],
    ],
    ids=["list", "tuple", "dict", "parameters"],
)
def test_a_list_of_modules_whose_parameters_nobody_would_find_is_refused(parts):
    module = nn.Module()
    with pytest.raises(TypeError, match=r"use nn\.ModuleList"):
        module.layers = parts
    module.sizes = [2, 3]  # any other list is one
    module.layers = nn.ModuleList([nn.Linear(2, 2)])
    assert len(list(module.parameters())) == 2


def test_the_mode_is_true_or_false():
    with pytest.raises(TypeError, match="mode must be True or False, got 'eval'"):
        nn.Linear(2, 2).train("eval")
