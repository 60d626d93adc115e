"""Recurrent layers: states that are carried, gradients of any order, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from layer_truths import recurrent

import minigen as mg
from minigen import nn
from minigen.testing import check_grads

try:
    import torch
except ImportError:  # PyTorch is an optional oracle
    torch = None


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_sequence_in_two_pieces_with_the_state_carried_is_the_whole(kind):
    layer = getattr(nn, kind)(3, 4, num_layers=2).double()
    x = mg.tensor(numbers(7, 2, 3))
    whole, end = layer(x)
    first, state = layer(x[:3])
    second, last = layer(x[3:], state)
    np.testing.assert_allclose(first.numpy(), whole.numpy()[:3], atol=1e-12)
    np.testing.assert_allclose(second.numpy(), whole.numpy()[3:], atol=1e-12)
    pairs = zip(end, last, strict=True) if kind == "LSTM" else [(end, last)]
    for a, b in pairs:
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-12)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_cell_step_by_step_is_the_layer(kind):
    layer = getattr(nn, kind)(3, 4).double()
    cell = getattr(nn, kind + "Cell")(3, 4).double()
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x = mg.tensor(numbers(5, 2, 3))
    whole, _ = layer(x)
    state = None
    for t in range(5):
        state = cell(x[t], state)
        h = state[0] if kind == "LSTM" else state
        np.testing.assert_allclose(h.numpy(), whole.numpy()[t], atol=1e-12)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_second_order_gradients_are_right(kind):
    layer = getattr(nn, kind)(2, 2).double()
    x = mg.tensor(numbers(3, 2, 2), requires_grad=True)
    check_grads(lambda x: layer(x)[0], [x], parameters=list(layer.parameters()), order=2)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_gradients_flow_into_the_initial_state(kind):
    layer = getattr(nn, kind)(2, 3).double()
    states = [mg.tensor(numbers(1, 2, 3, seed=s), requires_grad=True) for s in (1, 2)]
    states = states if kind == "LSTM" else states[:1]
    x = mg.tensor(numbers(4, 2, 2))

    def last(*given):
        return layer(x, tuple(given) if kind == "LSTM" else given[0])[0][-1]

    check_grads(last, states, order=1)


def test_a_bidirectional_layer_reads_backwards_too():
    layer = nn.GRU(2, 3, bidirectional=True).double()
    x = numbers(5, 1, 2)
    forwards, backwards = (
        layer(mg.tensor(x))[0].numpy(),
        layer(mg.tensor(x[::-1].copy()))[0].numpy(),
    )
    changed = x.copy()
    changed[-1] += 1
    after = layer(mg.tensor(changed))[0].numpy()
    np.testing.assert_array_equal(after[:-1, :, :3], forwards[:-1, :, :3])  # not yet seen
    assert not np.allclose(after[0, :, 3:], forwards[0, :, 3:])  # seen first
    assert backwards.shape == (5, 1, 6)


def test_dropout_lies_between_layers_and_acts_in_training_only():
    layer = nn.LSTM(2, 8, num_layers=2, dropout=0.5, generator=mg.Generator(0))
    x = mg.tensor(numbers(3, 2, 2).astype("f4"))
    assert not np.array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())
    single = nn.LSTM(2, 8, dropout=0.5)
    np.testing.assert_array_equal(single(x)[0].numpy(), single(x)[0].numpy())


BOTH_KINDS = pytest.mark.parametrize("kind", ["LSTM", "GRU"])
TWO_LAYERS = {"num_layers": 2, "bidirectional": True, "batch_first": True}


def some_states(kind: str) -> list[np.ndarray]:
    """A sequence and the first states of two layers in two directions."""
    arrays = [numbers(2, 5, 3), numbers(4, 2, 4, seed=1), numbers(4, 2, 4, seed=2)]
    return [a.astype(np.float32) for a in (arrays if kind == "LSTM" else arrays[:2])]


def run_with_states(layer, kind: str, wrap) -> list:
    """Output and last states, in one list."""
    x, *states = map(wrap, some_states(kind))
    out, last = layer(x, tuple(states) if kind == "LSTM" else states[0])
    return [out, *last] if kind == "LSTM" else [out, last]


@BOTH_KINDS
def test_given_states_and_last_states_are_those_of_the_definition(kind):
    layer = getattr(nn, kind)(3, 4, **TWO_LAYERS)
    state = {k: v.numpy() for k, v in layer.state_dict().items()}
    expected = recurrent(kind)(state, some_states(kind), 3, 4, bias=True, **TWO_LAYERS)
    for mine, theirs in zip(run_with_states(layer, kind, mg.tensor), expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, atol=1e-6)


@BOTH_KINDS
def test_a_sequence_without_a_batch_is_a_batch_of_one(kind):
    layer = getattr(nn, kind)(3, 4)
    x = numbers(5, 3).astype(np.float32)
    out, last = layer(mg.tensor(x))
    whole, ends = layer(mg.tensor(x[:, None]))
    np.testing.assert_array_equal(out.numpy(), whole.numpy()[:, 0])
    pairs = zip(last, ends, strict=True) if kind == "LSTM" else [(last, ends)]
    for a, b in pairs:
        np.testing.assert_array_equal(a.numpy(), b.numpy()[:, 0])


@pytest.mark.torch
@BOTH_KINDS
def test_given_states_and_last_states_are_pytorchs(kind):
    layer = getattr(nn, kind)(3, 4, **TWO_LAYERS)
    twin = getattr(torch.nn, kind)(3, 4, **TWO_LAYERS)
    layer.load_state_dict(twin.state_dict())
    mine = run_with_states(layer, kind, mg.tensor)
    theirs = run_with_states(twin, kind, torch.tensor)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), atol=1e-6)


@pytest.mark.torch
@BOTH_KINDS
def test_a_sequence_without_a_batch_is_pytorchs(kind):
    layer, twin = getattr(nn, kind)(3, 4), getattr(torch.nn, kind)(3, 4)
    layer.load_state_dict(twin.state_dict())
    x = numbers(5, 3).astype(np.float32)
    out, last = layer(mg.tensor(x))
    expected, expected_last = twin(torch.tensor(x))
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), atol=1e-6)
    last, expected_last = (last[1], expected_last[1]) if kind == "LSTM" else (last, expected_last)
    np.testing.assert_allclose(last.numpy(), expected_last.detach().numpy(), atol=1e-6)


def test_mistakes_are_named():
    x = mg.zeros(3, 2, 4)
    with pytest.raises(ValueError, match="LSTM: input must have at least one step"):
        nn.LSTM(4, 5)(mg.zeros(0, 2, 4))
    with pytest.raises(TypeError, match=r"LSTM: hx must be a pair \(h, c\), got Tensor"):
        nn.LSTM(4, 5)(x, mg.zeros(1, 2, 5))
    with pytest.raises(ValueError, match=r"GRU: hx must have shape \(1, 2, 5\), got \(2, 5\)"):
        nn.GRU(4, 5)(x, mg.zeros(2, 5))
    with pytest.raises(ValueError, match=r"GRUCell: hx must have shape \(2, 5\), got \(3, 5\)"):
        nn.GRUCell(4, 5)(x[0], mg.zeros(3, 5))
    with pytest.raises(TypeError, match="LSTMCell: hx must be a pair"):
        nn.LSTMCell(4, 5)(x[0], mg.zeros(2, 5))
    with pytest.raises(ValueError, match="GRU: num_layers must be an integer ≥ 1, got 0"):
        nn.GRU(4, 5, num_layers=0)
    with pytest.raises(ValueError, match=r"LSTM: dropout: p must be a number in \[0, 1\], got 2"):
        nn.LSTM(4, 5, dropout=2)


def test_the_length_of_a_sequence_costs_linear_memory_and_nodes():
    """Backward through 800 steps keeps one gradient of the input and not one for each step."""
    layer = nn.GRU(2, 2)
    x = mg.randn(800, 1, 2, generator=mg.Generator(0)).requires_grad_()
    out, _ = layer(x)
    from minigen.autograd.tape import reachable

    assert len(reachable([out.node])) < 10
    out.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
