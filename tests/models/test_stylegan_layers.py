"""StyleGAN's layers: the fast modulation against the paper's, filters against sums, deviations."""

import math

import numpy as np
import pytest

import minigen as mg
from minigen.models.stylegan_layers import (
    FILTER,
    EqualConv2d,
    EqualLinear,
    MinibatchDeviation,
    StyledConv,
    ToImage,
    modulated_conv2d,
    modulated_conv2d_reference,
    smooth,
)
from minigen.testing import check_grads

pytestmark = pytest.mark.usefixtures("backend")


def draw(*shape: int, seed: int = 0) -> mg.Tensor:
    return mg.randn(*shape, dtype="float64", generator=mg.Generator(seed))


# ---------------------------------------------------------------- modulation


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_scaling_channels_is_convolving_with_a_kernel_for_each_sample(
    demodulate: bool, up: bool
) -> None:
    inputs = [draw(3, 4, 5, 5), draw(2, 4, 3, 3, seed=1), draw(3, 4, seed=2)]
    options = {"demodulate": demodulate, "up": up, "gain": 1.3 if demodulate else 1.0}
    results = []
    for function in (modulated_conv2d, modulated_conv2d_reference):
        leaves = [x.clone().requires_grad_() for x in inputs]
        y = function(*leaves, **options)
        assert y.shape == (3, 2, 10, 10) if up else (3, 2, 5, 5)
        first = mg.grad(mg.sin(y).sum(), leaves, create_graph=True)
        second = mg.grad(sum(mg.square(g).sum() for g in first), leaves)
        results.append([y, *first, *second])
    for fast, reference in zip(*results, strict=True):
        np.testing.assert_allclose(fast.numpy(), reference.numpy(), rtol=1e-9, atol=1e-10)


def test_the_reference_is_equations_1_and_3_pixel_by_pixel() -> None:
    x, weight, style = draw(2, 3, 4, 4), draw(2, 3, 3, 3, seed=1), draw(2, 3, seed=2)
    got = modulated_conv2d_reference(x, weight, style).numpy()
    pixels = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    for n in range(2):
        kernel = weight.numpy() * style.numpy()[n][None, :, None, None]
        for o in range(2):
            own = kernel[o] / math.sqrt((kernel[o] ** 2).sum() + 1e-8)
            for i in range(4):
                for j in range(4):
                    expected = (pixels[n, :, i : i + 3, j : j + 3] * own).sum()
                    assert got[n, o, i, j] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("up", [False, True])
def test_the_gradients_of_a_modulated_convolution_are_those_of_finite_differences(up: bool) -> None:
    check_grads(
        lambda x, w, s: modulated_conv2d(x, w, s, up=up),
        [draw(2, 2, 3, 3), draw(2, 2, 3, 3, seed=1), draw(2, 2, seed=2)],
        order=2,
    )


def test_demodulated_outputs_have_deviation_1_however_strong_the_style() -> None:
    x, weight = draw(8, 32, 12, 12), draw(24, 32, 3, 3, seed=1)
    style = mg.exp(1.5 * draw(8, 32, seed=2))  # from 0.03 to 30
    inner = modulated_conv2d(x, weight, style).numpy()[:, :, 1:-1, 1:-1]
    assert inner.std() == pytest.approx(1, abs=0.02)
    assert inner.std(axis=(1, 2, 3)).max() < 1.3  # of each sample too
    plain = modulated_conv2d(x, weight, style, demodulate=False).numpy()
    assert plain.std() > 30


def test_a_style_ten_times_as_strong_changes_nothing_after_demodulation() -> None:
    x, weight, style = draw(2, 4, 5, 5), draw(3, 4, 3, 3, seed=1), draw(2, 4, seed=2)
    one, ten = (modulated_conv2d(x, weight, style * s).numpy() for s in (1.0, 10.0))
    np.testing.assert_allclose(one, ten, rtol=1e-6, atol=1e-7)


def test_a_styled_layer_is_convolution_noise_bias_and_activation_times_root_2() -> None:
    mg.manual_seed(0)
    layer = StyledConv(3, 4, 5).to_dtype("float64")
    x, w, noise = draw(2, 3, 6, 6), draw(2, 5, seed=1), draw(2, 1, 6, 6, seed=2)
    with mg.no_grad():
        layer.noise_strength.copy_(mg.tensor(0.7, dtype="float64"))
        layer.bias.copy_(draw(4, seed=3))
        y = modulated_conv2d_reference(x, layer.weight, layer.affine(w)).numpy()
        got = layer(x, w, noise).numpy()
    y = y + 0.7 * noise.numpy() + layer.bias.numpy()[None, :, None, None]
    np.testing.assert_allclose(got, math.sqrt(2) * np.where(y > 0, y, 0.2 * y), atol=1e-7)


def test_a_styles_first_strength_is_1_and_its_noise_0() -> None:
    layer = StyledConv(3, 4, 5)
    np.testing.assert_allclose(layer.affine(mg.zeros(2, 5)).numpy(), 1.0)
    x, w = mg.randn(2, 3, 4, 4), mg.randn(2, 5)
    np.testing.assert_allclose(
        layer(x, w, mg.randn(2, 1, 4, 4)).numpy(), layer(x, w).numpy(), rtol=1e-6
    )


def test_the_image_of_a_level_is_not_demodulated() -> None:
    layer = ToImage(4, 3, 5).to_dtype("float64")
    x, w = draw(2, 4, 6, 6), draw(2, 5, seed=1)
    with mg.no_grad():
        style, weight = layer.affine(w).numpy(), layer.weight.numpy()[:, :, 0, 0]
        got = layer(x, w).numpy()
    expected = np.einsum("oi,ni,nihw->nohw", weight / 2, style, x.numpy())  # √4
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- equalised learning rate


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_an_equalised_layer_stores_large_weights_and_uses_small_ones(multiplier: float) -> None:
    mg.manual_seed(0)
    layer = EqualLinear(200, 300, bias=1.0, multiplier=multiplier, gain=1.0)
    assert layer.weight.numpy().std() == pytest.approx(1 / multiplier, rel=0.02)
    with mg.no_grad():
        np.testing.assert_allclose(layer(mg.zeros(1, 200)).numpy(), 1.0, rtol=1e-5)
        assert layer(mg.randn(50, 200)).numpy().std() == pytest.approx(1, rel=0.03)


def test_an_equalised_convolution_keeps_the_deviation_and_carries_its_gain() -> None:
    mg.manual_seed(0)
    layer = EqualConv2d(64, 32, 3, padding=1, gain=math.sqrt(2))
    assert layer.weight.numpy().std() == pytest.approx(1, rel=0.02)
    with mg.no_grad():
        layer.bias.copy_(mg.ones(32))
        y = layer(mg.randn(4, 64, 16, 16)).numpy()[:, :, 1:-1, 1:-1]
    assert y.std() == pytest.approx(math.sqrt(2), rel=0.03)
    assert y.mean() == pytest.approx(math.sqrt(2), rel=0.05)


# ---------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("before", "after", "step", "size"), [(1, 1, 1, 6), (2, 2, 1, 8), (1, 1, 2, 3)]
)
def test_the_filter_is_its_sum_over_both_axes(
    before: int, after: int, step: int, size: int
) -> None:
    x = draw(2, 3, 7, 7)
    got = smooth(x, before, after, step, gain=2.0)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (before, after), (before, after)))
    assert got.shape == (2, 3, size, size)
    for i in range(size):
        for j in range(size):
            window = padded[:, :, step * i : step * i + 4, step * j : step * j + 4]
            expected = 4 * np.einsum("nckl,k,l->nc", window, FILTER, FILTER)
            np.testing.assert_allclose(got.numpy()[:, :, i, j], expected, atol=1e-12)


def test_growing_by_zeros_and_the_filter_is_bilinear_but_for_the_border() -> None:
    """[1, 3, 3, 1] on an image with zeros between its pixels: ¾ and ¼ of two neighbours."""
    x = draw(1, 2, 5, 5)
    sparse = mg.zeros(1, 2, 11, 11, dtype="float64").numpy()
    sparse[:, :, 1:10:2, 1:10:2] = x.numpy()
    grown = smooth(mg.tensor(sparse), 1, 1, gain=2.0).numpy()[:, :, 1:-2, 1:-2]
    bilinear = mg.interpolate(x, scale_factor=2, mode="bilinear").numpy()
    offset = [
        np.abs(grown[:, :, a : a + 4, a : a + 4] - bilinear[:, :, 3:7, 3:7]).max() for a in range(4)
    ]
    assert min(offset) < 1e-12


def test_a_flat_picture_stays_flat_when_it_grows_and_when_it_shrinks() -> None:
    flat = mg.ones(1, 1, 8, 8, dtype="float64")
    assert smooth(flat, 1, 1, step=2).numpy()[0, 0, 1:-1, 1:-1] == pytest.approx(1, abs=1e-12)
    assert smooth(flat, 2, 2).shape == (1, 1, 9, 9)
    kernel = mg.ones(1, 1, 3, 3, dtype="float64")
    even = modulated_conv2d(
        flat, kernel, mg.ones(1, 1, dtype="float64"), demodulate=False, up=True
    ).numpy()[0, 0, 3:-3, 3:-3]
    assert even == pytest.approx(9, abs=1e-9)  # no checkerboard


# ---------------------------------------------------------------- minibatch deviation


def test_the_deviation_of_a_group_is_the_formula() -> None:
    x = draw(8, 3, 2, 2)
    got = MinibatchDeviation(4)(x).numpy()
    np.testing.assert_array_equal(got[:, :3], x.numpy())
    for n in range(8):
        group = x.numpy()[n % 2 :: 2]
        expected = np.sqrt(group.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(got[n, 3], expected, rtol=1e-12)


def test_equal_samples_are_seen_and_odd_batches_are_grouped() -> None:
    layer = MinibatchDeviation(4)
    same = mg.broadcast_to(draw(1, 3, 2, 2), (4, 3, 2, 2))
    assert layer(same).numpy()[:, 3].max() == pytest.approx(1e-4)
    assert [layer.size(n) for n in (1, 2, 3, 4, 6, 7, 8, 10, 16)] == [1, 2, 3, 4, 3, 7, 4, 2, 4]
    assert layer(draw(7, 3, 2, 2)).shape == (7, 4, 2, 2)
    with pytest.raises(ValueError, match="group must be at least 1, got 0"):
        MinibatchDeviation(0)
