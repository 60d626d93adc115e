"""Image flows against what does not believe them: numeric Jacobians, sums over all images.

A log-determinant whose sign is wrong in both directions agrees with itself; only these can tell.
"""

import math

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.models import realnvp_image
from minigen.models.glow import Glow, GlowStep
from minigen.models.image_flow import ImageFlow, Reorder, Squeeze, bits_per_dim, squeezed_shapes
from minigen.models.pixel_maps import HistogramMap, Logit, dequantize, quantize
from minigen.models.realnvp_image import ImageRealNVP, checkerboard

SHAPE = (1, 4, 4)
LEVELS = 5


def strong(model: nn.Module, dtype: str = "float64", amount: float = 0.2) -> nn.Module:
    """The model with every parameter moved away from where it starts."""
    model.to_dtype(dtype).eval()
    random = np.random.default_rng(5)
    with mg.no_grad():
        for parameter in model.parameters():
            moved = parameter.numpy() + random.normal(0, amount, parameter.shape)
            parameter.copy_(mg.tensor(moved.astype(dtype)))
    return model


def images(count: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Whole values in [0, LEVELS), dark ones more often."""
    return (np.random.default_rng(seed).uniform(size=(count, *shape)) ** 2 * LEVELS).astype(int)


def flow(
    kind: str, pixels: str = "histogram", dtype: str = "float64", amount: float = 0.2
) -> ImageFlow:
    mg.manual_seed(1)
    model: ImageFlow
    if kind == "glow":
        model = Glow(SHAPE, LEVELS, steps=(2, 2), hidden=(6, 6), pixels=pixels)
    else:
        model = ImageRealNVP(SHAPE, LEVELS, hidden=(6, 6), pixels=pixels, couplings=2)
    if isinstance(model.pixels, HistogramMap):
        model.pixels.fit(images(300))
    return strong(model, dtype, amount)  # type: ignore[return-value]


def slopes(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """∂ function(x)[0] / ∂x at one sample, by central differences: (D, D), [output, input]."""
    moves = step * np.eye(x.size).reshape(x.size, *x.shape)
    ahead, behind = (function(mg.tensor(x + sign * moves))[0].numpy() for sign in (1, -1))
    return (ahead - behind).reshape(x.size, x.size).T / (2 * step)


MODELS = pytest.mark.parametrize("kind", ["glow", "realnvp"])
PIXELS = pytest.mark.parametrize("pixels", ["histogram", "logit", "none"])


@MODELS
@PIXELS
@mg.no_grad()
def test_log_det_is_that_of_the_numeric_jacobian_in_both_directions(kind, pixels):
    model = flow(kind, pixels)
    y = (images(3, seed=1) + np.random.default_rng(2).uniform(0.1, 0.9, (3, *SHAPE))) / LEVELS
    z, log_det = model(mg.tensor(y))
    _, log_det_back = model.inverse(z)
    assert z.shape == (3, 16)
    assert log_det.shape == (3,)
    for i in range(3):
        expected = np.linalg.slogdet(slopes(model, y[i]))[1]
        assert log_det[i].item() == pytest.approx(expected, abs=1e-5)
        expected = np.linalg.slogdet(slopes(model.inverse, z.numpy()[i]))[1]
        assert log_det_back[i].item() == pytest.approx(expected, abs=1e-5)


@MODELS
@PIXELS
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
@mg.no_grad()
def test_the_inverse_gives_the_data_back(kind, pixels, dtype, tolerance):
    model = flow(kind, pixels, dtype, 0.1)
    x = mg.tensor((images(50, seed=3) / (LEVELS - 1)).astype(dtype))
    y = model.dequantize(x, mg.Generator(0))
    z, log_det = model(y)
    back, log_det_back = model.inverse(z)
    assert back.dtype == z.dtype == log_det.dtype == dtype
    np.testing.assert_allclose(back.numpy(), y.numpy(), atol=tolerance)
    np.testing.assert_allclose(log_det_back.numpy(), -log_det.numpy(), atol=1e3 * tolerance)
    np.testing.assert_allclose(model.decode(z).numpy(), x.numpy(), atol=1e-6)


@MODELS
@mg.no_grad()
def test_every_noise_but_the_first_to_leave_depends_on_every_pixel(kind):
    # With masks that are never exchanged, half of the pixels would reach the noise alone.
    model = flow(kind)
    y = (images(1, seed=1)[0] + 0.5) / LEVELS
    assert (np.abs(slopes(model, y)[8:]) > 1e-7).all()
    assert (np.abs(slopes(model, y)) > 1e-7).any(axis=0).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Glow((1, 6, 6), steps=(1, 1), hidden=(4, 4)), "scales must be at most 1"),
        (lambda: Glow((1, 7, 8), steps=(1,), hidden=(4,)), "7×8 cannot be squeezed into halves"),
        (lambda: Glow(SHAPE, steps=(1, 0), hidden=(4, 4)), "steps and hidden must be at least 1"),
        (lambda: Glow(SHAPE, steps=(1, 1), hidden=(4,)), "one for each scale"),
        (lambda: Glow(SHAPE, steps=(1,), hidden=(4,), pixels="sine"), "pixels must be one of"),
        (lambda: Glow(SHAPE, steps=(1,), hidden=(4,), pixels="logit", alpha=0.5), "alpha must be"),
        (lambda: ImageRealNVP(SHAPE, hidden=(4,)), "a number for each scale and one for the end"),
        (lambda: ImageRealNVP(SHAPE, hidden=(4, 4), couplings=1), "to move both halves, got 1"),
        (lambda: Reorder([0, 0, 1]), "order must have every channel once"),
        (lambda: HistogramMap(SHAPE, 1), "levels must be a whole number >= 2, got 1"),
        (lambda: HistogramMap(SHAPE, 3).fit(images(4), 0.0), "smoothing must be a number > 0"),
        (lambda: HistogramMap((1, 2, 2), 5).fit(images(4)), r"values must have shape \(N, 1, 2, 2"),
    ],
)
def test_bad_sizes_and_kinds_are_refused_in_one_line(build, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_images_of_another_size_and_a_negative_temperature_are_refused():
    model = flow("glow")
    with pytest.raises(ValueError, match=r"y must have shape \(N, 1, 4, 4\), got \(2, 1, 8, 8\)"):
        model(mg.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match=r"z must have shape \(N, 16\), got \(2, 8\)"):
        model.inverse(mg.zeros(2, 8))
    with pytest.raises(ValueError, match="temperature must be a number >= 0, got -1"):
        model.sample(2, temperature=-1)


# ---------------------------------------------------------------- the pieces


@mg.no_grad()
def test_a_squeeze_puts_each_square_into_four_channels_in_reading_order():
    x = np.arange(2 * 4 * 6).reshape(1, 2, 4, 6).astype(np.float32)
    z, log_det = Squeeze()(mg.tensor(x))
    assert z.shape == (1, 8, 2, 3)
    assert log_det.numpy() == [0]
    for c in range(2):
        for dy in range(2):
            for dx in range(2):
                np.testing.assert_array_equal(
                    z.numpy()[0, 4 * c + 2 * dy + dx], x[0, c, dy::2, dx::2]
                )
    np.testing.assert_array_equal(Squeeze().inverse(z)[0].numpy(), x)


@mg.no_grad()
def test_halves_of_the_ordered_squeeze_are_the_colours_of_the_checkerboard():
    board = checkerboard(4, 6)
    np.testing.assert_array_equal(board[:2, :3], [[1, 0, 1], [0, 1, 0]])
    picture = mg.tensor(np.broadcast_to(board, (1, 2, 4, 6)).astype(np.float32))
    z, _ = Reorder(realnvp_image.by_colour(8))(Squeeze()(picture)[0])
    assert (z.numpy()[:, :4] == 1).all()
    assert (z.numpy()[:, 4:] == 0).all()


@mg.no_grad()
def test_reordering_is_undone():
    x = mg.randn(2, 8, 3, 3, generator=mg.Generator(0))
    layer = Reorder([3, 1, 7, 0, 2, 6, 5, 4])
    z, _ = layer(x)
    np.testing.assert_array_equal(z.numpy()[:, 2], x.numpy()[:, 7])
    np.testing.assert_array_equal(layer.inverse(z)[0].numpy(), x.numpy())


def test_two_scales_of_mnist_are_14_and_7_pixels_wide():
    assert squeezed_shapes((1, 28, 28), 2) == [(4, 14, 14), (8, 7, 7)]


@mg.no_grad()
def test_what_leaves_first_comes_first_in_z():
    mg.manual_seed(0)
    model = Glow(SHAPE, LEVELS, steps=(1, 1), hidden=(4, 4), pixels="none").double().eval()
    inside, _ = model.flow.scales[0](mg.zeros(1, *SHAPE, dtype="float64") - 0.5)
    z, _ = model(mg.zeros(1, *SHAPE, dtype="float64"))
    np.testing.assert_allclose(z.numpy()[0, :8], inside.numpy()[0, 2:].reshape(-1), atol=1e-12)


def test_the_first_batch_in_training_leaves_every_actnorm_with_mean_0_and_deviation_1():
    mg.manual_seed(0)
    x = mg.tensor(np.random.default_rng(0).normal(3, 5, (64, 4, 6, 6)))
    layer = nn.ActNorm(4).double()
    z, _ = layer(x)
    np.testing.assert_allclose(z.numpy().mean((0, 2, 3)), 0, atol=1e-9)
    np.testing.assert_allclose(z.numpy().std((0, 2, 3)), 1, atol=1e-9)
    step = GlowStep((4, 6, 6), hidden=8).double()
    z, _ = step(x)  # the coupling is the identity, the mix a rotation: still mean 0
    np.testing.assert_allclose(z.numpy().mean((0, 2, 3)), 0, atol=1e-9)
    np.testing.assert_allclose((z.numpy() ** 2).sum(1).mean(), 4, rtol=1e-6)


@mg.no_grad()
def test_a_glow_step_is_its_three_layers_one_after_the_other():
    step = strong(GlowStep((4, 3, 3), hidden=6))
    x = mg.tensor(np.random.default_rng(0).normal(size=(5, 4, 3, 3)))
    z, log_det = step(x)
    by_hand, total = nn.Flow(step.actnorm, step.mix, step.coupling)(x)
    np.testing.assert_allclose(z.numpy(), by_hand.numpy(), atol=1e-12)
    np.testing.assert_allclose(log_det.numpy(), total.numpy(), atol=1e-12)
    doubled = mg.cat([x, x], 3)  # twice the places: twice the volume of the 1×1 and of ActNorm
    _, once = step.mix(x)
    _, twice = step.mix(doubled)
    np.testing.assert_allclose(twice.numpy(), 2 * once.numpy(), atol=1e-12)
    assert abs(once.numpy()[0]) > 0.1


# ---------------------------------------------------------------- pixels and units


@mg.no_grad()
def test_even_values_have_exactly_8_bits_and_the_logarithm_of_256_is_counted_once():
    np.testing.assert_array_equal(bits_per_dim(mg.zeros(3), 784, 256).numpy(), 8)
    # A density twice as high in every pixel costs one bit less in each.
    half = bits_per_dim(mg.full((1,), 784 * math.log(2.0)), 784, 256)
    np.testing.assert_allclose(half.numpy(), 7, rtol=1e-6)


@MODELS
@PIXELS
@mg.no_grad()
def test_the_loss_is_minus_log2_p_in_bits_per_dimension(kind, pixels):
    model = flow(kind, pixels)
    x = mg.tensor(images(20, seed=3) / (LEVELS - 1))
    loss, terms = model.loss(x, mg.Generator(7))
    log_p = model.log_prob(model.dequantize(x, mg.Generator(7))).numpy()
    assert loss.item() == pytest.approx(-log_p.mean() / math.log(2) / 16 + math.log2(5), rel=1e-9)
    named = {name: term.item() for name, term in terms.items()}
    assert named["nll"] == pytest.approx(named["prior"] - named["log_det"] + math.log2(5))


@mg.no_grad()
def test_dequantized_values_stay_in_their_bins_and_come_back():
    x = np.repeat(np.arange(256), 40).reshape(1, 1, 256, 40) / 255
    for dtype in ("float32", "float64"):
        y = dequantize(mg.tensor(x.astype(dtype)), 256, mg.Generator(0))
        assert y.numpy().max() < 1
        assert y.numpy().min() > 0
        np.testing.assert_allclose(quantize(y, 256).numpy(), x, atol=1e-6)
        within = y.numpy() * 256 - np.round(x * 255)
        assert within.mean() == pytest.approx(0.5, abs=0.01)
        assert within.std() == pytest.approx(12**-0.5, abs=0.01)
    assert quantize(mg.tensor([-0.5, 1.5]), 256).numpy().tolist() == [0, 1]


@pytest.mark.parametrize("alpha", [1e-6, 0.05])
@mg.no_grad()
def test_the_slope_of_the_logit_agrees_with_finite_differences(alpha):
    layer, y = Logit(alpha), np.linspace(0.01, 0.99, 9).reshape(-1, 1)
    z, log_det = layer(mg.tensor(y))
    slope = (layer(mg.tensor(y + 1e-6))[0].numpy() - layer(mg.tensor(y - 1e-6))[0].numpy()) / 2e-6
    np.testing.assert_allclose(log_det.numpy(), np.log(slope[:, 0]), atol=1e-6)
    back, log_det_back = layer.inverse(z)
    np.testing.assert_allclose(back.numpy(), y, atol=1e-12)
    np.testing.assert_allclose(log_det_back.numpy(), -log_det.numpy(), atol=1e-9)


@mg.no_grad()
def test_the_histogram_map_makes_every_pixel_standard_normal():
    layer, values = HistogramMap(SHAPE, LEVELS).double(), images(40_000)
    layer.fit(values, smoothing=1e-9)
    y = dequantize(mg.tensor(values / (LEVELS - 1)), LEVELS, mg.Generator(1))
    z = layer(y)[0].numpy().reshape(-1)
    assert z.mean() == pytest.approx(0, abs=0.01)
    assert z.std() == pytest.approx(1, abs=0.01)
    assert (z**4).mean() == pytest.approx(3, abs=0.06)


@mg.no_grad()
def test_a_histogram_map_alone_has_the_likelihood_of_independent_pixels():
    from minigen.data import Dataset
    from minigen.metrics.baselines import histogram_bits

    train, held_out = images(400), images(300, seed=9)
    layer = HistogramMap(SHAPE, LEVELS).double()
    layer.fit(train)
    y = mg.tensor((held_out + 0.5) / LEVELS)
    slope = layer(y)[1].numpy() - 0.5 * (layer(y)[0].numpy() ** 2 + math.log(2 * math.pi)).sum(
        (1, 2, 3)
    )
    bits = -slope.mean() / math.log(2) / 16 + math.log2(LEVELS)
    made = [
        Dataset("own", split, data.astype(np.uint8), None, "image", (0, LEVELS - 1))
        for split, data in (("train", train), ("val", held_out))
    ]
    assert bits == pytest.approx(histogram_bits(*made), abs=1e-3)  # Φ̃ is Φ to 1.4e-4


@mg.no_grad()
def test_the_density_of_two_pixels_integrates_to_1():
    mg.manual_seed(0)
    layer = HistogramMap((1, 1, 2), 3).double()
    layer.fit(np.array([[0, 2], [1, 2], [0, 0], [0, 1]]).reshape(4, 1, 1, 2))
    network = nn.Sequential(nn.Conv2d(1, 6, 1), nn.Tanh(), nn.Conv2d(6, 2, 1))
    inner = strong(
        nn.Flow(Turn(), nn.ActNorm(2), nn.AffineCoupling(network), nn.InvertibleConv1x1(2))
    )
    side = 600
    axis = (np.arange(side) + 0.5) / side
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 1, 1, 2)
    x, log_det = layer(mg.tensor(grid))
    z, more = inner(x)
    log_p = -0.5 * (z.numpy() ** 2 + math.log(2 * math.pi)).sum((1, 2, 3))
    total = np.exp(log_p + log_det.numpy() + more.numpy()).mean()
    assert np.abs(more.numpy()).mean() > 0.05
    assert total == pytest.approx(1, abs=0.01)


class Turn(nn.FlowLayer):
    """Two pixels in a row as two channels."""

    def forward(self, x):
        return x.permute(0, 3, 1, 2), mg.zeros(x.shape[0], dtype=x.dtype)


# ---------------------------------------------------------------- training and sampling


@MODELS
def test_a_new_model_learns_in_a_few_steps_and_starts_at_independent_pixels(kind):
    mg.manual_seed(0)
    model = flow(kind, dtype="float32", amount=0.0).train()
    x = mg.tensor((images(64) / (LEVELS - 1)).astype(np.float32))
    x = mg.cat([x[:, :, :2], x[:, :, :2]], 2)  # the lower half repeats the upper one
    optimizer = mg.optim.Adam(model.parameters(), lr=1e-2)
    values = []
    for _ in range(30):
        loss, _ = model.loss(x, mg.Generator(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0] - 0.2
    assert values[0] < math.log2(LEVELS) + 0.2


@MODELS
@mg.no_grad()
def test_samples_are_grey_values_repeat_with_their_seed_and_gather_when_cold(kind):
    model = flow(kind)
    first, again, other = (model.sample(6, mg.Generator(s)).numpy() for s in (5, 5, 6))
    assert first.shape == (6, *SHAPE)
    assert set(np.round(first * (LEVELS - 1), 6).reshape(-1)) <= set(range(LEVELS))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    frozen = model.sample(3, mg.Generator(5), temperature=0.0).numpy()
    np.testing.assert_array_equal(frozen, np.broadcast_to(frozen[:1], frozen.shape))
