"""Convolutions: the causal one by its Jacobian, options that are refused."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn


def reach(layers: nn.Module, length: int) -> np.ndarray:
    """(T, T): whether output t depends on input s."""
    x = mg.tensor(np.random.default_rng(0).normal(size=(1, 1, length)), requires_grad=True)
    y = layers(x).reshape(-1)
    rows = [mg.grad(y[t], x, retain_graph=True)[0].numpy()[0, 0] != 0 for t in range(length)]
    return np.array(rows)


@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_a_causal_convolution_sees_exactly_its_taps_in_the_past(mask_type):
    layer = nn.CausalConv1d(1, 1, 3, dilation=2, mask_type=mask_type).double()
    shift = 1 if mask_type == "A" else 0
    expected = np.zeros((9, 9), dtype=bool)
    for t in range(9):
        for s in (t - shift, t - shift - 2, t - shift - 4):
            if s >= 0:
                expected[t, s] = True
    np.testing.assert_array_equal(reach(layer, 9), expected)


def test_doubling_dilations_reach_all_of_the_past():
    mg.manual_seed(0)
    stack = nn.Sequential(*[nn.CausalConv1d(1, 1, 2, dilation=d) for d in (1, 2, 4)]).double()
    np.testing.assert_array_equal(reach(stack, 8), np.tril(np.ones((8, 8), dtype=bool)))


def test_one_image_without_a_batch_is_accepted():
    layer = nn.Conv2d(2, 3, 3, padding=1)
    x = mg.randn(2, 4, 5, generator=mg.Generator(0))
    one, batch = layer(x), layer(x.unsqueeze(0))
    assert one.shape == (3, 4, 5)
    np.testing.assert_allclose(one.numpy(), batch.numpy()[0], atol=1e-6)
    assert nn.ConvTranspose2d(2, 3, 2, stride=2)(x).shape == (3, 8, 10)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.Conv2d(0, 1, 3), "Conv2d: in_channels must be an integer ≥ 1, got 0"),
        (lambda: nn.Conv2d(1, -2, 3), "Conv2d: out_channels must be an integer ≥ 1, got -2"),
        (lambda: nn.Conv2d(1, 2.0, 3), "Conv2d: out_channels must be an integer ≥ 1, got 2.0"),
        (lambda: nn.Conv2d(1, 1, 0), "Conv2d: kernel_size must be an integer ≥ 1"),
        (lambda: nn.Conv2d(1, 1, (1, 2, 3)), "Conv2d: kernel_size must be an integer ≥ 1 or 2"),
        (lambda: nn.Conv1d(1, 1, 2, stride=0), "Conv1d: stride must be an integer ≥ 1"),
        (lambda: nn.Conv1d(1, 1, 2, padding=-1), "Conv1d: padding must be an integer ≥ 0"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: groups must divide in_channels and"),
        (lambda: nn.Conv2d(1, 1, 3, padding="full"), "Conv2d: padding must be integers, 'same'"),
        (
            lambda: nn.Conv2d(1, 1, 3, stride=2, padding="same"),
            "Conv2d: padding='same' needs stride 1",
        ),
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), "Conv2d: padding_mode must be one of"),
        (
            lambda: nn.ConvTranspose2d(1, 1, 3, padding="same"),
            "ConvTranspose2d: padding must be integers, got 'same'",
        ),
        (
            lambda: nn.ConvTranspose1d(1, 1, 3, stride=2, output_padding=2),
            "ConvTranspose1d: output_padding must be smaller than stride or dilation",
        ),
        (lambda: nn.CausalConv1d(1, 1, 3, mask_type="C"), "CausalConv1d: mask_type must be"),
    ],
)
def test_mistakes_are_named(build, message):
    with pytest.raises((ValueError, TypeError)) as error:
        build()
    assert str(error.value).startswith(message)


def test_integers_and_arrays_are_refused_as_input():
    with pytest.raises(TypeError, match="Conv2d: input must be floating-point, got int64"):
        nn.Conv2d(1, 1, 1)(mg.ones(1, 1, 2, 2, dtype=np.int64))
    with pytest.raises(TypeError, match="Conv2d: input must be a Tensor, got ndarray"):
        nn.Conv2d(1, 1, 1)(np.ones((1, 1, 2, 2)))
