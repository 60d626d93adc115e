"""Multi-head attention: masks, causality, weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from layer_truths import attention

import minigen as mg
from minigen import nn

try:
    import torch
except ImportError:  # PyTorch is an optional oracle
    torch = None


def build(**options) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(6, 2, batch_first=True, generator=mg.Generator(0), **options)


def sequence(length: int = 5, batch: int = 2, seed: int = 1) -> mg.Tensor:
    return mg.Generator(seed).normal(batch, length, 6)


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_causal_position_depends_on_itself_and_the_past_only(need_weights):
    layer = build().double()
    x = mg.tensor(sequence(5, 1).numpy().astype(float), requires_grad=True)
    out, _ = layer(x, need_weights=need_weights, is_causal=True)
    for t in range(5):
        (g,) = mg.grad(out[0, t].sum(), x, retain_graph=True)
        depends = np.abs(g.numpy()[0]).sum(axis=1) > 0
        assert depends.tolist() == [s <= t for s in range(5)]


def test_the_three_ways_to_be_causal_agree():
    layer, x = build(), sequence()
    later = np.triu(np.ones((5, 5), dtype=bool), 1)
    by_flag = layer(x, is_causal=True)[0].numpy()
    hidden = layer(x, attn_mask=mg.tensor(later))[0].numpy()
    added = layer(x, attn_mask=mg.tensor(np.where(later, -math.inf, 0).astype("f4")))[0].numpy()
    np.testing.assert_allclose(by_flag, hidden, atol=1e-6)
    np.testing.assert_allclose(by_flag, added, atol=1e-6)


def test_with_and_without_weights_gives_the_same_output():
    layer, x = build(), sequence()
    padding = mg.tensor(np.array([[0, 0, 0, 1, 1], [0, 1, 0, 0, 0]], dtype=bool))
    slow, weights = layer(x, key_padding_mask=padding)
    fast, none = layer(x, key_padding_mask=padding, need_weights=False)
    np.testing.assert_allclose(slow.numpy(), fast.numpy(), atol=1e-6)
    assert none is None
    assert weights.shape == (2, 5, 5)
    np.testing.assert_allclose(weights.numpy().sum(-1), 1, atol=1e-6)
    assert not weights.numpy()[0, :, 3:].any()
    assert not weights.numpy()[1, :, 1].any()
    assert layer(x, average_attn_weights=False)[1].shape == (2, 2, 5, 5)


def test_key_and_value_default_to_the_query():
    layer, x = build(), sequence()
    np.testing.assert_allclose(layer(x)[0].numpy(), layer(x, x, x)[0].numpy(), atol=1e-6)
    other = sequence(3, seed=4)
    np.testing.assert_allclose(
        layer(x, other)[0].numpy(), layer(x, other, other)[0].numpy(), atol=1e-6
    )


def test_one_sequence_without_a_batch():
    layer, x = build(), sequence(batch=1)
    out, weights = layer(x.squeeze(0))
    np.testing.assert_allclose(out.numpy(), layer(x)[0].numpy()[0], atol=1e-6)
    assert weights.shape == (5, 5)


def test_dropout_acts_in_training_only():
    layer, x = build(dropout=0.5), sequence()
    once, twice = layer(x)[0].numpy(), layer(x)[0].numpy()
    assert not np.array_equal(once, twice)
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())


def some_masks() -> tuple[np.ndarray, np.ndarray]:
    """Where a query of a sample's head may not look, (N·h, T, S), and which keys are padding."""
    hidden = np.random.default_rng(0).random((4, 5, 5)) < 0.3
    hidden[:, :, 0] = False
    padding = np.zeros((2, 5), dtype=bool)
    padding[1, 4] = True
    return hidden, padding


def masked(layer: nn.MultiheadAttention, x: mg.Tensor, need_weights: bool) -> list[np.ndarray]:
    hidden, padding = some_masks()
    out, weights = layer(
        x,
        attn_mask=mg.tensor(hidden),
        key_padding_mask=mg.tensor(padding),
        need_weights=need_weights,
    )
    return [out.numpy(), weights.numpy()] if need_weights else [out.numpy()]


NEED_WEIGHTS = pytest.mark.parametrize("need_weights", [True, False])


@NEED_WEIGHTS
def test_nobody_looks_where_a_mask_is_true(need_weights):
    layer, x = build(), sequence()
    hidden, padding = some_masks()
    state = {k: v.numpy() for k, v in layer.state_dict().items()}
    unseen = hidden.reshape(2, 2, 5, 5) | padding[:, None, None, :]  # (N, h, T, S)
    expected = attention(state, [x.numpy()] * 3, 6, 2, bias=True, batch_first=True, hidden=unseen)
    for mine, theirs in zip(masked(layer, x, need_weights), expected):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.torch
@NEED_WEIGHTS
def test_masks_have_pytorchs_meaning(need_weights):
    layer, x = build(), sequence()
    twin = torch.nn.MultiheadAttention(6, 2, batch_first=True)
    twin.load_state_dict({k: torch.tensor(v.numpy()) for k, v in layer.state_dict().items()})
    hidden, padding = (torch.tensor(mask) for mask in some_masks())
    t = torch.tensor(x.numpy())
    expected = twin(t, t, t, attn_mask=hidden, key_padding_mask=padding, need_weights=need_weights)
    for mine, theirs in zip(masked(layer, x, need_weights), expected):
        np.testing.assert_allclose(mine, theirs.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attn_mask": mg.zeros(4, 5)}, r"attn_mask must have shape \(5, 5\) or \(4, 5, 5\)"),
        ({"key_padding_mask": mg.zeros(5)}, r"key_padding_mask must have shape \(2, 5\)"),
        ({"key": mg.zeros(3, 5, 6)}, "do not belong together"),
        ({"key": mg.zeros(5, 6)}, "key must have 2 or 3 dimensions as the query"),
    ],
)
def test_shapes_that_do_not_fit_are_named(arguments, message):
    with pytest.raises(ValueError, match=f"MultiheadAttention: .*{message}|{message}"):
        build()(sequence(), **arguments)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="num_heads must divide embed_dim 6, got 4"):
        nn.MultiheadAttention(6, 4)
