"""Flow layers: log-determinants against the numeric Jacobian, inverses, densities that sum to 1.

A sign that is wrong in forward *and* inverse agrees with itself. It cannot agree with the
determinant of the Jacobian, nor give a density that integrates to 1.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.nn import init

CHECKERBOARD = np.indices((2, 3)).sum(0) % 2  # (H, W)


def strong(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with every parameter far from its initial value, in float64."""
    generator = mg.Generator(seed)
    module.double()
    for name, parameter in module.named_parameters():
        if name.endswith("weight") and parameter.ndim == 2 and "conditioner" not in name:
            continue  # the matrix of a 1×1 convolution must stay regular
        init.normal_(parameter, 0.0, 0.5, generator)
    return module


def wide(outputs: int, channels: int = 3, swap: bool = False) -> nn.Module:
    one, two = (channels + 1) // 2, channels // 2
    a, b = (two, one) if swap else (one, two)
    return nn.Conv2d(a, outputs * b, 3, padding=1)


IMAGE, ROW = (3, 2, 3), (3,)
LAYERS = {
    "ActNorm of images": (lambda: nn.ActNorm(3).eval(), IMAGE),
    "ActNorm of rows": (lambda: nn.ActNorm(3).eval(), ROW),
    "1×1 convolution": (lambda: scaled(nn.InvertibleConv1x1(3, lu=False)), IMAGE),
    "1×1 convolution, LU": (lambda: nn.InvertibleConv1x1(3), IMAGE),
    "1×1 convolution of rows": (lambda: nn.InvertibleConv1x1(3), ROW),
    "additive": (lambda: nn.AdditiveCoupling(wide(1)), IMAGE),
    "additive, swapped": (lambda: nn.AdditiveCoupling(wide(1, swap=True), swap=True), IMAGE),
    "additive, mask": (
        lambda: nn.AdditiveCoupling(nn.Conv2d(3, 3, 3, padding=1), mask=CHECKERBOARD),
        IMAGE,
    ),
    "affine": (lambda: nn.AffineCoupling(wide(2)), IMAGE),
    "affine, swapped": (lambda: nn.AffineCoupling(wide(2, swap=True), swap=True), IMAGE),
    "affine, exp": (lambda: nn.AffineCoupling(wide(2), scale="exp"), IMAGE),
    "affine, sigmoid": (lambda: nn.AffineCoupling(wide(2), scale="sigmoid"), IMAGE),
    "affine, mask": (
        lambda: nn.AffineCoupling(nn.Conv2d(3, 6, 3, padding=1), mask=CHECKERBOARD),
        IMAGE,
    ),
    "affine, mask, swapped": (
        lambda: nn.AffineCoupling(nn.Conv2d(3, 6, 3, padding=1), mask=CHECKERBOARD, swap=True),
        IMAGE,
    ),
    "affine, mask of channels": (
        lambda: nn.AffineCoupling(nn.Conv2d(3, 6, 1), mask=np.array([1, 0, 1])[:, None, None]),
        IMAGE,
    ),
    "affine of rows": (lambda: nn.AffineCoupling(nn.Linear(2, 2)), ROW),
    "affine of rows, mask": (lambda: nn.AffineCoupling(nn.Linear(3, 6), mask=[1, 0, 1]), ROW),
    "all in a row": (
        lambda: nn.Flow(
            nn.ActNorm(3).eval(),
            nn.InvertibleConv1x1(3),
            nn.AffineCoupling(wide(2)),
            nn.AffineCoupling(wide(2, swap=True), swap=True),
        ),
        IMAGE,
    ),
}


def scaled(layer: nn.InvertibleConv1x1) -> nn.InvertibleConv1x1:
    """A matrix with determinant 8·det and not ±1."""
    layer.weight.data *= 2
    return layer


def numeric_log_det(function, x: np.ndarray, step: float = 1e-6) -> float:
    """log |det J| of ``function`` at one sample, J by central differences."""
    columns = []
    for i in range(x.size):
        ends = []
        for sign in (1, -1):
            moved = x.copy().reshape(-1)
            moved[i] += sign * step
            ends.append(function(mg.tensor(moved.reshape(x.shape)))[0].numpy().reshape(-1))
        columns.append((ends[0] - ends[1]) / (2 * step))
    return float(np.linalg.slogdet(np.array(columns).T)[1])


def case(name: str) -> tuple[nn.Module, np.ndarray]:
    mg.manual_seed(0)
    build, shape = LAYERS[name]
    return strong(build()), np.random.default_rng(1).normal(size=(3, *shape))


@pytest.mark.parametrize("name", LAYERS)
@mg.no_grad()
def test_log_det_is_that_of_the_numeric_jacobian_in_both_directions(name):
    layer, x = case(name)
    z, log_det = layer(mg.tensor(x))
    assert log_det.shape == (3,)
    _, log_det_back = layer.inverse(z)
    assert log_det_back.shape == (3,)
    for i in range(3):
        one = slice(i, i + 1)
        assert log_det[i].item() == pytest.approx(numeric_log_det(layer, x[one]), abs=1e-6)
        numeric = numeric_log_det(layer.inverse, z.numpy()[one])
        assert log_det_back[i].item() == pytest.approx(numeric, abs=1e-6)
    if "additive" not in name:
        assert np.abs(log_det.numpy()).min() > 0.01  # otherwise the sign would not show


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@mg.no_grad()
def test_inverse_undoes_forward_and_forward_inverse(name, dtype, tolerance):
    layer, x = case(name)
    layer.to_dtype(dtype)
    x = x.astype(dtype)
    z, log_det = layer(mg.tensor(x))
    back, log_det_back = layer.inverse(z)
    assert back.dtype == z.dtype == log_det.dtype == dtype
    np.testing.assert_allclose(back.numpy(), x, atol=tolerance)
    np.testing.assert_allclose(log_det_back.numpy(), -log_det.numpy(), atol=10 * tolerance)
    x_of, _ = layer.inverse(mg.tensor(x))
    scale = max(1.0, float(np.abs(x_of.numpy()).max()))
    np.testing.assert_allclose(layer(x_of)[0].numpy(), x, atol=tolerance * scale)


@mg.no_grad()
def test_a_flow_in_the_plane_gives_a_density_that_integrates_to_1():
    mg.manual_seed(0)
    flow = nn.Flow(
        nn.ActNorm(2).eval(),
        nn.AffineCoupling(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 2))),
        nn.InvertibleConv1x1(2),
        nn.AffineCoupling(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 2)), swap=True),
        nn.AdditiveCoupling(nn.Linear(1, 1)),
    )
    strong(flow)
    axis = np.linspace(-12, 12, 801)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    z, log_det = flow(mg.tensor(grid))
    assert float(np.abs(log_det.numpy()).mean()) > 0.5  # a flip of the sign would show
    log_p = -0.5 * (z.numpy() ** 2).sum(1) - math.log(2 * math.pi) + log_det.numpy()
    cell = (axis[1] - axis[0]) ** 2
    assert np.exp(log_p).sum() * cell == pytest.approx(1, abs=1e-3)


def test_a_1x1_convolution_counts_every_pixel():
    layer = scaled(nn.InvertibleConv1x1(2, lu=False)).double()
    x = mg.zeros(1, 2, 5, 7, dtype=np.float64)
    assert layer(x)[1].item() == pytest.approx(5 * 7 * math.log(4))


@pytest.mark.parametrize("lu", [True, False])
def test_a_1x1_convolution_starts_as_a_rotation(lu):
    matrix = nn.InvertibleConv1x1(6, lu=lu, generator=mg.Generator(0)).matrix().numpy()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-5)


def test_the_lu_form_is_the_plain_form_with_the_same_matrix():
    lu = nn.InvertibleConv1x1(4, lu=True, generator=mg.Generator(0))
    plain = nn.InvertibleConv1x1(4, lu=False, generator=mg.Generator(0))
    np.testing.assert_allclose(lu.matrix().numpy(), plain.matrix().numpy(), atol=1e-6)
    x = mg.randn(2, 4, 3, 3, generator=mg.Generator(1))
    for a, b in zip(lu(x), plain(x), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)


def test_training_moves_neither_permutation_nor_signs():
    layer = nn.InvertibleConv1x1(3)
    assert {n for n, _ in layer.named_parameters()} == {"lower", "upper", "log_s"}
    assert {n for n, _ in layer.named_buffers()} == {"permutation", "sign_s"}


# ---------------------------------------------------------------- ActNorm


def data(shape: tuple[int, ...], seed: int = 0) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(seed).normal(5, 3, shape).astype(np.float32))


@pytest.mark.parametrize(("shape", "axes"), [((64, 3), (0,)), ((8, 3, 4, 4), (0, 2, 3))])
def test_actnorm_starts_at_mean_0_and_deviation_1_and_only_the_first_batch_counts(shape, axes):
    layer = nn.ActNorm(3)
    z, _ = layer(data(shape))
    np.testing.assert_allclose(z.numpy().mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(z.numpy().std(axes), 1, atol=1e-5)
    state = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
    layer(data(shape, seed=1) * 10)
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key])


def test_evaluation_and_inverse_do_not_initialize():
    layer = nn.ActNorm(3)
    layer.inverse(data((4, 3)))
    layer.eval()(data((4, 3)))
    assert not layer.initialized.item()
    assert not layer.bias.numpy().any()


def test_a_loaded_actnorm_is_initialized_and_stays_as_it_was():
    first, second = nn.ActNorm(3), nn.ActNorm(3)
    first(data((16, 3)))
    second.load_state_dict(first.state_dict())
    second(data((16, 3), seed=9))
    np.testing.assert_array_equal(second.bias.numpy(), first.bias.numpy())
    second.load_state_dict(nn.ActNorm(3).state_dict())  # and one that was not is not
    z, _ = second(data((16, 3), seed=9))
    np.testing.assert_allclose(z.numpy().mean(0), 0, atol=1e-5)


def test_a_copied_actnorm_remembers_that_it_is_initialized():
    layer = nn.ActNorm(3)
    layer(data((16, 3)))
    twin = copy.deepcopy(layer)
    twin(data((16, 3), seed=9))
    np.testing.assert_array_equal(twin.bias.numpy(), layer.bias.numpy())


def test_a_constant_channel_and_an_empty_batch_do_no_harm():
    layer = nn.ActNorm(2)
    layer(mg.zeros(0, 2))
    assert not layer.initialized.item()
    z, log_det = layer(mg.ones(4, 2))
    assert np.isfinite(z.numpy()).all()
    np.testing.assert_array_equal(log_det.numpy(), 0)


# ---------------------------------------------------------------- couplings


@pytest.mark.parametrize("channels", [2, 3, 4, 5])
def test_two_couplings_of_which_one_swaps_change_every_channel(channels):
    mg.manual_seed(0)
    one, two = (channels + 1) // 2, channels // 2
    flow = strong(
        nn.Flow(
            nn.AdditiveCoupling(nn.Linear(one, two)),
            nn.AdditiveCoupling(nn.Linear(two, one), swap=True),
        )
    )
    x = np.random.default_rng(0).normal(size=(5, channels))
    assert (np.abs(flow(mg.tensor(x))[0].numpy() - x) > 1e-6).all()


@pytest.mark.parametrize("swap", [False, True])
def test_part_a_passes_unchanged(swap):
    mg.manual_seed(0)
    mask = CHECKERBOARD
    layer = strong(nn.AffineCoupling(nn.Conv2d(1, 2, 1), mask=mask, swap=swap))
    x = np.random.default_rng(0).normal(size=(2, 1, 2, 3))
    same = layer(mg.tensor(x))[0].numpy() == x
    np.testing.assert_array_equal(
        same[:, 0], np.broadcast_to(mask == (0 if swap else 1), (2, 2, 3))
    )


def test_the_scale_is_limited():
    layer = nn.AffineCoupling(nn.Linear(1, 2), limit=1.5).double()
    init.constant_(layer.conditioner.weight, 100.0)
    _, log_det = layer(mg.ones(1, 2, dtype=np.float64))
    assert log_det.item() == pytest.approx(1.5)


def test_a_mask_is_no_part_of_the_state():
    layer = nn.AdditiveCoupling(nn.Linear(2, 2), mask=[1, 0])
    assert list(layer.state_dict()) == ["conditioner.weight", "conditioner.bias"]


@pytest.mark.parametrize(
    ("build", "shape", "message"),
    [
        (lambda: nn.AffineCoupling(nn.Linear(1, 1)), (2, 2), "the conditioner must return shape"),
        (lambda: nn.AffineCoupling(nn.Linear(1, 2)), (2, 1), "two or more channels"),
        (lambda: nn.AffineCoupling(nn.Linear(1, 2)), (2,), "input must have shape"),
        (lambda: nn.AdditiveCoupling(nn.Linear(2, 2), mask=[1, 0, 1]), (4, 2), "fit the mask"),
        (lambda: nn.AdditiveCoupling(nn.Linear(2, 2), mask=[1, 2]), (4, 2), "0 and 1 only"),
        (lambda: nn.AffineCoupling(nn.Linear(1, 2), scale="softplus"), (2, 2), "scale must be"),
        (lambda: nn.AffineCoupling(nn.Linear(1, 2), limit=0), (2, 2), "limit must be a number > 0"),
        (lambda: nn.AffineCoupling(lambda a: a), (2, 2), "conditioner must be a Module"),
        (lambda: nn.Flow(nn.Linear(1, 1)), (2, 1), "must have an inverse method, got Linear"),
        (lambda: nn.InvertibleConv1x1(0), (2, 1), "num_channels must be an integer ≥ 1"),
    ],
)
def test_mistakes_are_named(build, shape, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()(mg.ones(*shape))


def test_the_base_has_no_directions():
    with pytest.raises(TypeError, match="FlowLayer has no forward method"):
        nn.FlowLayer()(mg.ones(1))
    with pytest.raises(TypeError, match="FlowLayer has no inverse method"):
        nn.FlowLayer().inverse(mg.ones(1))


def test_an_empty_flow_is_the_identity():
    z, log_det = nn.Flow()(mg.ones(3, 2))
    np.testing.assert_array_equal(z.numpy(), 1)
    np.testing.assert_array_equal(log_det.numpy(), [0, 0, 0])
    assert len(nn.Flow()) == 0
    assert isinstance(nn.Flow(nn.ActNorm(2))[0], nn.ActNorm)
