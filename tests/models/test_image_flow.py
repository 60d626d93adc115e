"""Image flows against what does not believe them: numeric Jacobians, sums over all images.

A log-determinant whose sign is wrong in both directions agrees with itself; only these can tell.
"""

import math

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.models.glow import Glow, GlowStep
from minigen.models.image_flow import ImageFlow, Reorder, Squeeze, bits_per_dim, squeezed_shapes
from minigen.models.pixel_maps import HistogramMap, Logit, dequantize, quantize
from minigen.models.realnvp_image import ImageRealNVP, by_colour, checkerboard

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
