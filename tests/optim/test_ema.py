"""Moving average of a model: the formula, its buffers, its state."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.errors import UserError


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def step(model: nn.Module, seed: int) -> None:
    """Change parameters and running statistics."""
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.data += rng.normal(size=p.shape).astype(np.float32)
    model(mg.tensor(rng.normal(size=(5, 3)).astype(np.float32)))


def values(model: nn.Module) -> dict[str, np.ndarray]:
    return {k: v.numpy().copy() for k, v in model.state_dict().items()}


def test_the_average_follows_the_formula_for_parameters_and_buffers():
    model = network()
    ema = mg.optim.EMA(model, decay=0.9)
    expected = values(model)
    for seed in range(4):
        step(model, seed)
        ema.update()
        now = values(model)
        for key, value in now.items():
            if key.endswith("num_batches_tracked"):
                expected[key] = value
            else:
                expected[key] = 0.9 * expected[key] + 0.1 * value
    for key, value in values(ema.model).items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=1e-6, err_msg=key)
    assert values(ema.model)["1.num_batches_tracked"] == 4
    assert not np.allclose(values(ema.model)["1.running_mean"], values(model)["1.running_mean"])
    assert ema.updates == 4


def backwards(x: np.ndarray) -> np.ndarray:
    return x[::-1, ::-1].copy()[::-1, ::-1]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("layout", [np.asfortranarray, backwards, np.ascontiguousarray])
@pytest.mark.parametrize("decay", [0.75, 0.0])
def test_the_average_follows_weights_whose_memory_is_in_another_order(layout, decay):
    layer = nn.Linear(3, 4, bias=False)
    start = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    asarray = mg.backends.active.backend.asarray
    layer.weight.data = asarray(layout(start + 8))
    ema = mg.optim.EMA(layer, decay=decay)
    ema.model.weight.data = asarray(layout(start.copy()))
    ema.update()
    np.testing.assert_array_equal(ema.model.weight.numpy(), start + 8 * (1 - decay))


def test_buffers_can_be_copied_instead():
    model = network()
    ema = mg.optim.EMA(model, decay=0.9, buffers="copy")
    step(model, 0)
    ema.update()
    np.testing.assert_array_equal(
        values(ema.model)["1.running_mean"], values(model)["1.running_mean"]
    )
    assert not np.allclose(values(ema.model)["0.weight"], values(model)["0.weight"])


def test_the_average_is_a_frozen_model_in_eval_mode_of_its_own_memory():
    model = network()
    ema = mg.optim.EMA(model)
    assert not any(m.training for m in ema.model.modules())
    assert not any(p.requires_grad for p in ema.model.parameters())
    assert all(m.training for m in model.modules())
    before = values(ema.model)
    step(model, 0)
    for key, value in values(ema.model).items():
        np.testing.assert_array_equal(value, before[key])


def test_a_decay_for_one_update():
    model = network()
    ema = mg.optim.EMA(model, decay=0.999)
    step(model, 0)
    ema.update(decay=0.0)
    for key, value in values(ema.model).items():
        np.testing.assert_array_equal(value, values(model)[key])


def test_tied_weights_stay_tied_and_are_averaged_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    ema = mg.optim.EMA(model, decay=0.5)
    start = model[0].weight.numpy().copy()
    model[0].weight.data += 1
    ema.update()
    assert ema.model[0].weight is ema.model[1].weight
    np.testing.assert_allclose(ema.model[0].weight.numpy(), start + 0.5, rtol=1e-6)


def test_an_actnorm_is_initialized_in_the_average_once_it_is_in_the_model():
    model = nn.Flow(nn.ActNorm(2))
    ema = mg.optim.EMA(model, decay=0.5)
    model(mg.randn(8, 2, generator=mg.Generator(0)))
    ema.update()
    assert ema.model[0].initialized.item()


def test_it_works_with_an_optimizer_of_the_model():
    model = nn.Linear(2, 1)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    ema = mg.optim.EMA(model, decay=0.5)
    start = model.weight.numpy().copy()
    model(mg.ones(1, 2)).sum().backward()
    optimizer.step()
    ema.update()
    expected = 0.5 * start + 0.5 * model.weight.numpy()
    np.testing.assert_allclose(ema.model.weight.numpy(), expected, rtol=1e-6)


def test_a_resumed_average_is_bit_equal():
    model = network()
    ema = mg.optim.EMA(model, decay=0.9)
    step(model, 0)
    ema.update()
    state = {k: v.numpy().copy() if k != "updates" else v for k, v in ema.state_dict().items()}
    assert state["updates"] == 1
    assert "model.1.running_mean" in state
    other = mg.optim.EMA(model, decay=0.9)
    other.load_state_dict(state)
    for average in (ema, other):
        average.update()
    for key, value in values(ema.model).items():
        np.testing.assert_array_equal(values(other.model)[key], value)
    assert other.updates == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"updates": None}, "updates must be an integer ≥ 0, got None"),
        ({"updates": -1}, "updates must be an integer ≥ 0, got -1"),
        ({"updates": 1.5}, "updates must be an integer ≥ 0, got 1.5"),
        ({"updates": "3"}, "updates must be an integer ≥ 0, got '3'"),
        ({"0.weight": np.zeros((4, 3))}, "has the keys updates and model.…, got 0.weight"),
        ({"model.0.weight": None}, "0.weight must hold real numbers"),
        ({"model.0.bias": np.zeros(3)}, r"0.bias must be \(4,\), got \(3,\)"),
        ({"model.stray": 1}, "unexpected stray"),
    ],
)
def test_a_foreign_state_is_refused_and_changes_nothing(change, message):
    ema = mg.optim.EMA(network(), decay=0.9)
    ema.update()
    state = {k: v + 1 if k == "updates" else v.numpy() + 1 for k, v in ema.state_dict().items()}
    before = values(ema.model)
    with pytest.raises(UserError, match=message):
        ema.load_state_dict({**state, **change})
    assert ema.updates == 1
    for key, value in values(ema.model).items():
        np.testing.assert_array_equal(value, before[key])
    with pytest.raises(UserError, match="must have the key updates"):
        ema.load_state_dict({})
    with pytest.raises(UserError, match="must have the key updates"):
        ema.load_state_dict(None)


def test_a_model_that_is_no_longer_what_it_was_is_refused():
    model = network()
    ema = mg.optim.EMA(model, decay=0.9)
    before = values(ema.model)
    model.double()
    with pytest.raises(
        ValueError, match=r"0.weight of the model is float64 .* of its average float32"
    ):
        ema.update()
    ema.model.double()
    ema.update()
    model[0].bias = None
    with pytest.raises(ValueError, match=r"0.bias of the model is missing and of its average"):
        ema.update()
    assert ema.updates == 1
    for key, value in values(ema.model).items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize("half", [np.float32(0.5), np.array(0.5), mg.tensor(0.5)])
def test_a_decay_is_a_number_of_any_library(half):
    p = nn.Linear(1, 1)
    ema = mg.optim.EMA(p, decay=half)
    start = p.weight.numpy().copy()
    p.weight.data += 1
    ema.update()
    ema.update(half)
    np.testing.assert_allclose(ema.model.weight.numpy(), start + 0.75, rtol=1e-6)
    for bad in (True, "x", np.nan, -0.1):
        with pytest.raises((TypeError, ValueError), match="decay must be a number ≥ 0 and < 1"):
            ema.update(bad)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"decay must be a number ≥ 0 and < 1, got 1.0"):
        mg.optim.EMA(network(), decay=1.0)
    with pytest.raises(ValueError, match="buffers must be one of average, copy, got 'skip'"):
        mg.optim.EMA(network(), buffers="skip")


def test_the_strict_backend_makes_no_transfer():
    from minigen.backends import strict

    with mg.use("strict"):
        model = network()
        ema = mg.optim.EMA(model)
        with strict.count_transfers() as count:
            ema.update()
        assert count.total == 0
