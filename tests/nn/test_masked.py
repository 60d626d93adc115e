"""Masked convolution: who can see whom, by the Jacobian."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.nn.masked import autoregressive_mask


def sees(model, channels: int, height: int, width: int) -> np.ndarray:
    """(out places, in places): whether an output depends on an input, both in raster order.

    Each place holds its channels one after the other.
    """
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.normal(size=(1, channels, height, width)), requires_grad=True)
    y = model(x).permute(0, 2, 3, 1).reshape(-1)  # (1, O, H, W) -> (H·W·O,)
    rows = []
    for i in range(y.numel()):
        (g,) = mg.grad(y[i], x, retain_graph=True)
        rows.append(g.permute(0, 2, 3, 1).reshape(-1).numpy() != 0)
    return np.array(rows)


def test_the_masks_of_the_paper():
    assert autoregressive_mask("A", (3, 3)).astype(int).tolist() == [
        [1, 1, 1],
        [1, 0, 0],
        [0, 0, 0],
    ]
    assert autoregressive_mask("B", (3, 3)).astype(int).tolist() == [
        [1, 1, 1],
        [1, 1, 0],
        [0, 0, 0],
    ]
    assert autoregressive_mask("A", (7, 7)).sum() == 24
    assert autoregressive_mask("B", (3, 3)).sum() == 5


def test_the_colors_of_the_paper():
    """At the pixel itself R sees nothing, G sees R, B sees R and G; type B adds the own one."""
    centre_a = autoregressive_mask("A", (3, 3), 6, 3, 3)[:, :, 1, 1].astype(int)
    assert centre_a.tolist() == [
        [0, 0, 0],
        [0, 0, 0],
        [1, 0, 0],
        [1, 0, 0],
        [1, 1, 0],
        [1, 1, 0],
    ]
    centre_b = autoregressive_mask("B", (3, 3), 3, 3, 3)[:, :, 1, 1].astype(int)
    assert centre_b.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_type_a_then_b_never_sees_itself_or_the_future_and_sees_its_past():
    mg.manual_seed(0)
    model = nn.Sequential(
        nn.MaskedConv2d(1, 3, 3, padding=1, mask_type="A"),
        nn.MaskedConv2d(3, 3, 3, padding=1, mask_type="B"),
        nn.MaskedConv2d(3, 1, 3, padding=1, mask_type="B"),
    ).double()
    dependence = sees(model, 1, 4, 4)
    assert not np.triu(dependence).any()
    assert dependence[1:].any(axis=1).all()
    assert dependence[15, 14]


def test_type_b_in_first_place_leaks():
    model = nn.MaskedConv2d(1, 1, 3, padding=1, mask_type="B").double()
    assert np.diag(sees(model, 1, 3, 3)).all()


def test_colors_are_predicted_in_order():
    mg.manual_seed(0)
    model = nn.Sequential(
        nn.MaskedConv2d(3, 6, 3, padding=1, mask_type="A", colors=3),
        nn.MaskedConv2d(6, 6, 3, padding=1, mask_type="B", colors=3),
        nn.MaskedConv2d(6, 3, 1, mask_type="B", colors=3),
    ).double()
    dependence = sees(model, 3, 3, 3)  # places are pixel by pixel, R G B
    assert not np.triu(dependence).any()
    below = np.tril(np.ones((3, 3)), -1).astype(bool)
    for pixel in range(9):
        own = slice(3 * pixel, 3 * pixel + 3)
        np.testing.assert_array_equal(dependence[own, own], below)


def test_masked_weights_are_zero_get_no_gradient_and_stay_zero():
    layer = nn.MaskedConv2d(2, 3, 5, padding=2, mask_type="A")
    hidden = ~np.broadcast_to(layer.mask, layer.weight.shape)
    assert not layer.weight.numpy()[hidden].any()
    assert layer.weight.numpy()[~hidden].all()
    optimizer = mg.optim.Adam(layer.parameters(), lr=0.1)
    layer(mg.ones(2, 2, 6, 6)).sum().backward()
    assert not layer.weight.grad.numpy()[hidden].any()
    optimizer.step()
    assert not layer.weight.numpy()[hidden].any()


def test_the_mask_is_not_part_of_the_state():
    layer = nn.MaskedConv2d(1, 1, 3, mask_type="A")
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_a_mask_of_ones_is_an_ordinary_convolution():
    layer = nn.MaskedConv2d(2, 3, 3, mask=np.ones((3, 3)))
    plain = nn.Conv2d(2, 3, 3)
    plain.load_state_dict(layer.state_dict())
    x = mg.randn(1, 2, 5, 5, generator=mg.Generator(0))
    np.testing.assert_allclose(layer(x).numpy(), plain(x).numpy(), atol=1e-6)


def test_a_mask_of_zeros_leaves_the_bias():
    layer = nn.MaskedConv2d(1, 2, 1, mask_type="A")
    expected = np.broadcast_to(layer.bias.numpy()[None, :, None, None], (1, 2, 3, 3))
    np.testing.assert_array_equal(layer(mg.ones(1, 1, 3, 3)).numpy(), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of mask_type and mask must be given"),
        ({"mask_type": "A", "mask": np.ones((3, 3))}, "exactly one of mask_type and mask"),
        ({"mask_type": "C"}, "mask_type must be 'A' or 'B', got 'C'"),
        ({"mask": np.ones((2, 2))}, r"mask must broadcast to the weight \(2, 2, 3, 3\)"),
        ({"mask": np.ones(3)}, r"mask must broadcast to the weight \(2, 2, 3, 3\)"),
        ({"mask_type": "A", "colors": 3}, "colors must divide in_channels and out_channels"),
        ({"mask_type": "A", "colors": 2, "groups": 2}, "colors needs groups=1, got 2"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=f"^MaskedConv2d: {message}"):
        nn.MaskedConv2d(2, 2, 3, **options)


def test_an_even_kernel_has_no_centre():
    with pytest.raises(ValueError, match=r"kernel_size must be odd .* got \(2, 2\)"):
        nn.MaskedConv2d(1, 1, 2, mask_type="A")
