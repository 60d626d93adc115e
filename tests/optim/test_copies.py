"""Parameters stay views of the optimizer's buffer, whatever is done with the model: copied, loaded,
converted, tied, frozen, given other arrays. Where that cannot be, it is refused.

The test is always the same: afterwards it trains, bit for bit, as one to which nothing was done.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.optim.flat import FlatParameters

OPTIMIZERS = {
    "SGD": lambda ps: mg.optim.SGD(ps, lr=0.1, momentum=0.9),
    "Adam": lambda ps: mg.optim.Adam(ps, lr=0.01),
    "AdamW amsgrad": lambda ps: mg.optim.AdamW(ps, lr=0.01, amsgrad=True),
    "RMSprop": lambda ps: mg.optim.RMSprop(ps, lr=0.01, centered=True, momentum=0.5),
    "NAdam": lambda ps: mg.optim.NAdam(ps, lr=0.01),
    "RAdam": lambda ps: mg.optim.RAdam(ps, lr=0.01),
    "Muon": lambda ps: mg.optim.Muon([p for p in ps if p.ndim == 2], lr=0.01),
}


def network(seed: int = 0) -> nn.Module:
    generator = mg.Generator(seed)
    return nn.Sequential(
        nn.Linear(4, 5, generator=generator),
        nn.BatchNorm1d(5),
        nn.Tanh(),
        nn.Linear(5, 2, generator=generator),
    )


def train(model: nn.Module, optimizer: mg.optim.Optimizer, steps: range = range(3)) -> None:
    for step in steps:
        x = mg.Generator(step).normal(8, 4, dtype=next(model.parameters()).dtype)
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()


def values(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: np.array(value.numpy()) for name, value in model.state_dict().items()}


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    expected = values(other)
    for name, value in values(one).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def assert_apart(one: nn.Module, other: nn.Module) -> None:
    for p in one.parameters():
        assert not any(np.shares_memory(p.data, q.data) for q in other.parameters())


def assert_in_its_buffers(optimizer: mg.optim.Optimizer) -> None:
    """The invariant itself."""
    for flats in optimizer.flat:
        for flat in flats:
            for p, part in zip(flat.parameters, flat.parts, strict=True):
                assert np.shares_memory(p.data, flat.values[part]) or not p.numel()
                np.testing.assert_array_equal(p.numpy().reshape(-1), flat.values[part])


def begun(name: str = "Adam", seed: int = 0) -> tuple[nn.Module, mg.optim.Optimizer]:
    """A model and its optimizer after three steps."""
    model = network(seed)
    optimizer = OPTIMIZERS[name](model.parameters())
    train(model, optimizer)
    return model, optimizer


def gone_on(name: str = "Adam") -> nn.Module:
    """The same after three more, undisturbed."""
    model, optimizer = begun(name)
    train(model, optimizer, range(3, 6))
    return model


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["model first", "optimizer first"])
def test_a_deep_copy_of_both_trains_like_the_original_and_leaves_it_alone(name, order):
    both = begun(name)
    before = values(both[0])
    copied = copy.deepcopy([both[i] for i in order])
    twin, its_optimizer = (copied[order.index(i)] for i in range(2))
    assert_apart(twin, both[0])
    train(twin, its_optimizer, range(3, 6))
    for key, value in values(both[0]).items():
        np.testing.assert_array_equal(value, before[key])
    assert_equal(twin, gone_on(name))
    train(*both, range(3, 6))
    assert_equal(both[0], twin)
    assert_in_its_buffers(its_optimizer)
    assert_in_its_buffers(both[1])


def test_a_copy_made_before_the_first_step_trains_too():
    model = network()
    pair = copy.deepcopy((model, OPTIMIZERS["Adam"](model.parameters())))
    train(*pair, range(6))
    assert_equal(pair[0], gone_on())


def test_a_copy_of_a_copy_trains():
    pair = copy.deepcopy(copy.deepcopy(begun()))
    train(*pair, range(3, 6))
    assert_equal(pair[0], gone_on())


def test_schedule_and_average_are_copied_along():
    model, optimizer = begun()
    schedule = mg.optim.StepLR(optimizer, step_size=1, gamma=0.5)
    average = mg.optim.EMA(model, decay=0.5)
    group = copy.deepcopy({"m": model, "o": optimizer, "s": schedule, "e": average})
    for m, o, s, e in ((model, optimizer, schedule, average), group.values()):
        train(m, o, range(3, 5))
        s.step()
        e.update()
    assert group["s"].optimizer is group["o"]
    assert group["e"].source is group["m"]
    assert group["o"].param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] == 0.005
    assert_equal(group["m"], model)
    assert_equal(group["e"].model, average.model)


def test_a_copied_model_alone_has_memory_of_its_own_and_can_be_trained_by_another_optimizer():
    model, optimizer = begun()
    twin = copy.deepcopy(model)
    assert_apart(twin, model)
    assert all(p.grad is None and p.grad_buffer is None for p in twin.parameters())
    its_own = OPTIMIZERS["Adam"](twin.parameters())
    its_own.load_state_dict(optimizer.state_dict())
    train(twin, its_own, range(3, 6))
    assert_equal(twin, gone_on())


def test_tied_weights_stay_tied_in_a_copy_and_are_updated_once():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    pair = model, mg.optim.SGD(model.parameters(), lr=0.5)
    twin, its_optimizer = copy.deepcopy(pair)
    assert twin[0].weight is twin[1].weight
    for m, o in (pair, (twin, its_optimizer)):
        m(mg.ones(2, 3)).sum().backward()
        o.step()
    assert_equal(twin, model)
    assert not np.shares_memory(twin[0].weight.data, model[0].weight.data)


def test_groups_dtypes_and_parameters_out_of_the_model_are_copied():
    ps = [nn.Parameter(mg.ones(3)), nn.Parameter(mg.ones(2, dtype=np.float64)), mg.ones(2)]
    ps[2].requires_grad_()
    optimizer = mg.optim.Adam([{"params": ps[:2]}, {"params": ps[2], "lr": 0.5}], lr=0.1)
    copied, its_optimizer = copy.deepcopy((ps, optimizer))
    for group, o in ((ps, optimizer), (copied, its_optimizer)):
        for _ in range(2):
            o.zero_grad()
            sum((p.to(np.float64) ** 2).sum() for p in group).backward()
            o.step()
    for p, q in zip(ps, copied, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())
        assert p.dtype == q.dtype
        assert (p.numpy() != 1).all()


def test_a_copy_on_the_strict_backend_trains_too():
    with mg.use("strict"):
        model = network()
        optimizer = OPTIMIZERS["Adam"](model.parameters())
        train(model, optimizer)
        pair = copy.deepcopy((model, optimizer))
        train(*pair, range(3, 6))
        train(model, optimizer, range(3, 6))
        assert_equal(pair[0], model)


def test_a_plain_leaf_is_copied_with_its_gradient_and_a_parameter_without_as_in_pytorch():
    for leaf, has_grad in (
        (mg.ones(2, requires_grad=True), True),
        (nn.Parameter(mg.ones(2)), False),
    ):
        (leaf * 3).sum().backward()
        twin = copy.deepcopy(leaf)
        assert type(twin) is type(leaf)
        assert (twin.grad is not None) == has_grad
        if has_grad:
            twin.grad[0] = 7
            assert twin.grad.tolist() == [7, 3]
        assert leaf.grad.tolist() == [3, 3]


def test_a_shallow_copy_is_the_same_memory():
    p = nn.Parameter(mg.ones(2))
    other = copy.copy(p)
    assert type(other) is nn.Parameter
    assert other.data is p.data
    with pytest.raises(RuntimeError, match=r"only a leaf can be copied; use x.detach\(\)"):
        copy.copy(p * 2)


def test_a_shallow_copy_of_a_module_has_attributes_of_its_own():
    layer = nn.BatchNorm1d(2)
    other = copy.copy(layer)
    assert other.weight is layer.weight
    other.register_buffer("extra", mg.zeros(1))
    other.register_forward_hook(lambda *args: None)
    assert "extra" not in layer.state_dict()
    assert "extra" in other.state_dict()
    assert not layer.is_hooked


@pytest.mark.parametrize("which", ["model", "optimizer", "average", "schedule", "parameter"])
def test_nothing_is_pickled(which):
    model, optimizer = begun()
    things = {
        "model": model,
        "optimizer": optimizer,
        "average": mg.optim.EMA(model),
        "schedule": mg.optim.StepLR(optimizer, 1),
        "parameter": model[0].weight,
    }
    with pytest.raises(TypeError, match="minigen never pickles; save with"):
        pickle.dumps(things[which])


# ---------------------------------------------------------------- other arrays


def another_array(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    for p in model.parameters():
        p.data = p.data.copy()


def a_transposed_array(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    for p in model.parameters():
        p.data = np.asfortranarray(p.data)


def a_view_of_its_own_memory(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    for p in model.parameters():
        p.data = p.data[...]


def the_state_loaded_into_itself(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    model.load_state_dict(model.state_dict())
    optimizer.load_state_dict(optimizer.state_dict())


def there_and_back(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    model.double()
    model.float()


def there_and_back_by_steps(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    """Moments go through float64, and lose nothing by it."""
    model.double()
    assert [flat.dtype for flat in optimizer.flat[0]] == [np.float64]
    model.float()
    assert [flat.dtype for flat in optimizer.flat[0]] == [np.float32]


def frozen_and_thawed(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    model.requires_grad_(False)
    optimizer.zero_grad()
    optimizer.step()
    model.requires_grad_(True)


def another_optimizer_that_dies(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    mg.optim.SGD(model.parameters(), lr=0.0).step()


def groups_laid_out_anew(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    """By hand: the one group becomes two, the other way round."""
    (group,) = optimizer.param_groups
    params = group["params"]
    optimizer.param_groups = [{**group, "params": params[2:]}, {**group, "params": params[:2]}]


def the_list_in_another_order(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    optimizer.param_groups[0]["params"].reverse()


def a_parameter_out_and_in_again(model: nn.Module, optimizer: mg.optim.Optimizer) -> None:
    """Nothing happens in between, so that its moments are still at hand."""
    optimizer.param_groups[0]["params"].append(optimizer.param_groups[0]["params"].pop(0))


DISTURBANCES = [
    another_array,
    a_transposed_array,
    a_view_of_its_own_memory,
    the_state_loaded_into_itself,
    there_and_back,
    there_and_back_by_steps,
    frozen_and_thawed,
    another_optimizer_that_dies,
    groups_laid_out_anew,
    the_list_in_another_order,
    a_parameter_out_and_in_again,
]


@pytest.mark.parametrize("disturb", DISTURBANCES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["Adam", "SGD", "NAdam"])
def test_training_goes_on_as_if_nothing_had_happened(
    disturb: Callable[[nn.Module, mg.optim.Optimizer], None], name: str
):
    model, optimizer = begun(name)
    disturb(model, optimizer)
    train(model, optimizer, range(3, 6))
    assert_equal(model, gone_on(name))
    assert_in_its_buffers(optimizer)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 6


def test_a_parameter_appended_to_a_group_by_hand_is_trained():
    p, q = nn.Parameter(mg.zeros(2)), nn.Parameter(mg.zeros(3))
    optimizer = mg.optim.SGD([p], lr=1.0)
    optimizer.param_groups[0]["params"].append(q)
    (p.sum() + q.sum()).backward()
    optimizer.step()
    assert p.tolist() == [-1, -1]
    assert q.tolist() == [-1, -1, -1]


def test_a_group_that_was_taken_out_takes_its_options_along():
    p, q = nn.Parameter(mg.zeros(2)), nn.Parameter(mg.zeros(2))
    optimizer = mg.optim.SGD([{"params": [p], "lr": 1.0}, {"params": [q], "lr": 10.0}])
    del optimizer.param_groups[0]
    (p.sum() + q.sum()).backward()
    optimizer.step()
    assert p.tolist() == [0, 0]
    assert q.tolist() == [-10, -10]


def test_a_parameter_that_replaces_another_in_a_group_begins_without_moments():
    p, q = nn.Parameter(mg.zeros(2)), nn.Parameter(mg.zeros(2))
    optimizer = mg.optim.Adam([p], lr=0.1)
    p.sum().backward()
    optimizer.step()
    optimizer.param_groups[0]["params"][0] = q
    (q * 2).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(q.numpy(), -0.1, rtol=1e-5)
    assert optimizer.state_dict()["state.0.step"] == 1


def test_a_group_by_hand_that_is_none_is_refused():
    p, q = nn.Parameter(mg.zeros(2)), nn.Parameter(mg.zeros(2))
    optimizer = mg.optim.SGD([p])
    optimizer.param_groups[0]["params"].append(p)
    with pytest.raises(ValueError, match=r"params\[1\] was given to this optimizer already"):
        optimizer.step()
    optimizer.param_groups[0]["params"].pop()
    optimizer.param_groups.append({"params": [q]})
    p.grad = q.grad = mg.ones(2)
    with pytest.raises(ValueError, match="a group must have the option lr, got none"):
        optimizer.step()


# ---------------------------------------------------------------- other dtypes


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_follows_a_model_to_float64(name):
    """The moments come along: it equals a float64 model that was given the same state."""
    model, optimizer = begun(name)
    state, weights = optimizer.state_dict(), values(model)
    model.double()
    train(model, optimizer, range(3, 6))

    other = network().double()
    other.load_state_dict(weights)
    its_optimizer = OPTIMIZERS[name](other.parameters())
    its_optimizer.load_state_dict(state)
    train(other, its_optimizer, range(3, 6))
    assert all(p.dtype == np.float64 for p in model.parameters())
    assert_equal(model, other)
    assert_in_its_buffers(optimizer)


def test_a_gradient_that_waits_is_converted_with_its_parameter():
    p = nn.Linear(2, 1, bias=False)
    optimizer = mg.optim.SGD(p.parameters(), lr=1.0)
    before = p.weight.numpy().copy()
    p(mg.ones(1, 2)).sum().backward()
    p.double()
    assert p.weight.grad.dtype == np.float64
    optimizer.step()
    np.testing.assert_allclose(p.weight.numpy(), before - 1.0)


def test_a_gradient_after_a_conversion_has_the_new_precision():
    p = nn.Parameter(mg.ones(2))
    optimizer = mg.optim.SGD([p], lr=1.0)
    p.data = p.data.astype(np.float64)
    third = mg.tensor(np.full(2, 1 / 3))
    (p * third).sum().backward()
    assert p.grad.dtype == np.float64
    assert p.grad.tolist() == [1 / 3, 1 / 3]
    optimizer.step()
    assert p.tolist() == [1 - 1 / 3] * 2


def test_half_precision():
    layer = nn.Linear(2, 2).half()
    assert [p.dtype for p in layer.parameters()] == [np.float16] * 2
    optimizer = mg.optim.SGD(layer.parameters(), lr=0.5)
    before = layer.weight.numpy().copy()
    layer(mg.ones(1, 2, dtype=np.float16)).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(layer.weight.numpy(), before - np.float16(0.5))


# ---------------------------------------------------------------- shared memory, two owners


def test_parameters_in_the_same_memory_are_refused():
    x = mg.ones(4)
    for one, other in ((x, x.detach()), (x[:3], x[2:]), (x, x[1:2])):
        ps = [nn.Parameter(mg.Tensor(t.data)) for t in (one, other)]
        with pytest.raises(ValueError, match="lie in the same memory; to tie the two, use one"):
            mg.optim.SGD(ps)
        with pytest.raises(ValueError, match="lie in the same memory"):
            mg.optim.SGD([{"params": ps[:1]}, {"params": ps[1:]}])
    mg.optim.SGD([nn.Parameter(x[:2]), nn.Parameter(x[2:])])  # side by side is apart


def test_a_parameter_that_was_put_into_anothers_memory_is_refused():
    p, q = nn.Parameter(mg.ones(2)), nn.Parameter(mg.zeros(2))
    optimizer = mg.optim.SGD([p, q], lr=1.0)
    q.data = p.data
    (p * q).sum().backward()
    with pytest.raises(ValueError, match=r"params\[1\] lies in the memory of another parameter"):
        optimizer.step()


def test_two_optimizers_take_turns_with_one_parameter():
    """Each keeps its own moments; both move the one value that there is."""
    p = nn.Parameter(mg.zeros(3))
    first, second = mg.optim.Adam([p], lr=0.1), mg.optim.SGD([p], lr=1.0, momentum=0.5)
    apart = [nn.Parameter(mg.zeros(3)) for _ in range(2)]
    alone = mg.optim.Adam(apart[:1], lr=0.1), mg.optim.SGD(apart[1:], lr=1.0, momentum=0.5)
    for _ in range(3):
        for optimizer, own, q in zip((first, second), alone, apart, strict=True):
            for one, parameter in ((optimizer, p), (own, q)):
                one.zero_grad()
                parameter.sum().backward()
                one.step()
    np.testing.assert_allclose(p.numpy(), apart[0].numpy() + apart[1].numpy(), rtol=1e-6)


def test_a_step_under_another_backend_is_refused():
    model, optimizer = begun()
    before = values(model)
    state = optimizer.state_dict()
    with mg.use("strict"):
        for action in (optimizer.step, lambda: optimizer.load_state_dict(state)):
            with pytest.raises(TypeError, match="lie in ndarray, but the active backend is strict"):
                action()
    for key, value in values(model).items():
        np.testing.assert_array_equal(value, before[key])


def test_parameters_survive_their_optimizer():
    model, optimizer = begun()
    state = optimizer.state_dict()
    del optimizer
    mg.zeros(10_000)  # (memory that was freed would be used again)
    its_own = OPTIMIZERS["Adam"](model.parameters())
    its_own.load_state_dict(state)
    train(model, its_own, range(3, 6))
    assert_equal(model, gone_on())


# ---------------------------------------------------------------- gradients


def test_zeros_instead_of_none_keep_the_momentum_going():
    p = nn.Parameter(mg.zeros(2))
    optimizer = mg.optim.SGD([p], lr=1.0, momentum=0.5)
    p.sum().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.step()
    assert p.tolist() == [-1.5, -1.5]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()
    assert p.tolist() == [-1.5, -1.5]


def test_zeros_leave_alone_what_another_graph_holds():
    layer = nn.Linear(2, 1, bias=False)
    (layer(mg.ones(1, 2)) ** 2).sum().backward(create_graph=True)
    grad, before = layer.weight.grad, layer.weight.grad.numpy().copy()
    layer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(grad.numpy(), before)
    assert layer.weight.grad.tolist() == [[0, 0]]
    assert layer.weight.grad.node is None
    layer.zero_grad()
    assert layer.weight.grad is None


def test_the_buffers_are_another_list_only_when_something_changed():
    """A recorded step relies on that."""
    p, q = nn.Parameter(mg.zeros(2)), nn.Parameter(mg.zeros(2))
    optimizer = mg.optim.SGD([p])
    flat = optimizer.flat
    assert optimizer.flat is flat
    optimizer.param_groups[0]["lr"] = 5.0
    assert optimizer.flat is flat
    kept = flat[0][0]
    optimizer.add_param_group({"params": q})
    assert optimizer.flat is not flat
    assert optimizer.flat[0][0] is kept
    assert isinstance(optimizer.flat[1][0], FlatParameters)


def test_a_captured_step_notices_a_group_that_came_and_one_that_left():
    def begin() -> tuple:
        p, q = nn.Parameter(mg.zeros(2)), nn.Parameter(mg.zeros(2))
        optimizer = mg.optim.Adam([p], lr=0.1)

        def step() -> mg.Tensor:
            optimizer.zero_grad()
            q.grad = None
            loss = ((p - 1) ** 2).sum() + ((q - 2) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        return p, q, optimizer, step

    results = []
    for wrap in (lambda step: step, mg.capture):
        p, q, optimizer, step = begin()
        run = wrap(step)
        for _ in range(3):
            run()
        optimizer.add_param_group({"params": [q], "lr": 0.5})
        for _ in range(3):
            run()
        del optimizer.param_groups[0]
        for _ in range(3):
            run()
        results.append((p.tolist(), q.tolist()))
    assert results[0] == results[1]
    assert results[0][1] != [0, 0]


def test_a_closure_computes_the_loss_and_its_result_is_returned():
    p = nn.Parameter(mg.ones(2))
    optimizer = mg.optim.SGD([p], lr=1.0)

    def closure() -> mg.Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with mg.no_grad():
        assert optimizer.step(closure).item() == 2
    assert p.tolist() == [-1, -1]
    assert optimizer.step() is None
