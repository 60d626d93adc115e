"""RealNVP against what does not believe it: numeric Jacobians, integrals over a grid, the inverse.

A log-determinant whose sign is wrong in both directions agrees with itself; only these can tell.
"""

import math

import numpy as np
import pytest

import minigen as mg
from minigen.models.realnvp import DiagonalScale, RealNVP, standard_normal_log_density

KINDS = pytest.mark.parametrize("coupling", ["affine", "additive"])


def strong(features: int = 2, dtype: str = "float64", **options: object) -> RealNVP:
    """A flow with every parameter moved away from where it starts: far from the identity."""
    mg.manual_seed(1)
    model = RealNVP(features, **{"couplings": 4, "hidden": (16,), **options})  # type: ignore[arg-type]
    model.to_dtype(dtype).eval()
    random = np.random.default_rng(5)
    with mg.no_grad():
        for parameter in model.parameters():
            moved = parameter.numpy() + random.normal(0, 0.2, parameter.shape)
            parameter.copy_(mg.tensor(moved.astype(dtype)))
    return model


def jacobian(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """∂ function(x)[0] / ∂x at one row x (D,), by central differences: (D, D), [output, input]."""
    moves = step * np.eye(len(x))
    ahead, behind = (function(mg.tensor(x + sign * moves))[0].numpy() for sign in (1, -1))
    return (ahead - behind).T / (2 * step)


def trained(name: str = "moons", steps: int = 60) -> RealNVP:
    """A flow after a few steps of training on a toy density, in float32."""
    from minigen.data import Batches, load

    mg.manual_seed(0)
    model = RealNVP(2, couplings=4, hidden=(32,))
    optimizer = mg.optim.Adam(model.parameters(), lr=5e-3)
    batches = Batches(load(name), 256, seed=0)
    for _ in range(steps):
        loss, _ = model.loss(mg.tensor(next(batches).x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def integral(model: RealNVP, reach: float = 8.0, side: int = 400) -> float:
    """∫ p(x) dx over [−reach, reach]²."""
    axis = (np.arange(side) + 0.5) / side * 2 * reach - reach
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    dtype = next(iter(model.parameters())).dtype
    log_p = model.log_prob(mg.tensor(grid.astype(dtype))).numpy()
    return float(np.exp(log_p.astype(float)).sum() * (2 * reach / side) ** 2)


@KINDS
@mg.no_grad()
def test_the_density_of_any_weights_integrates_to_1(coupling):
    model = strong(coupling=coupling)
    _, log_det = model(mg.randn(100, 2, generator=mg.Generator(0), dtype="float64"))
    assert np.abs(log_det.numpy()).mean() > 0.1  # a sign turned round would show
    assert integral(model) == pytest.approx(1, abs=0.01)


def test_the_density_after_training_integrates_to_1():
    model = trained()
    with mg.no_grad():
        assert integral(model, reach=5.0) == pytest.approx(1, abs=0.01)


@KINDS
@pytest.mark.parametrize("features", [2, 3, 5])
@mg.no_grad()
def test_log_det_is_that_of_the_numeric_jacobian_in_both_directions(features, coupling):
    model = strong(features, coupling=coupling)
    x = np.random.default_rng(0).normal(size=(4, features))
    z, log_det = model(mg.tensor(x))
    _, log_det_back = model.inverse(z)
    for row in range(4):
        expected = np.linalg.slogdet(jacobian(model, x[row]))[1]
        assert log_det[row].item() == pytest.approx(expected, abs=1e-6)
        expected = np.linalg.slogdet(jacobian(model.inverse, z.numpy()[row]))[1]
        assert log_det_back[row].item() == pytest.approx(expected, abs=1e-6)


@KINDS
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@mg.no_grad()
def test_the_inverse_gives_the_data_back(coupling, dtype, tolerance):
    model = strong(5, dtype, coupling=coupling)
    x = np.random.default_rng(0).normal(size=(200, 5)).astype(dtype)
    z, log_det = model(mg.tensor(x))
    back, log_det_back = model.inverse(z)
    assert back.dtype == dtype
    np.testing.assert_allclose(back.numpy(), x, atol=tolerance)
    np.testing.assert_allclose(log_det_back.numpy(), -log_det.numpy(), atol=10 * tolerance)


@KINDS
@pytest.mark.parametrize("features", [2, 5])
@mg.no_grad()
def test_every_noise_depends_on_every_coordinate(features, coupling):
    # With halves that are never exchanged, the first of them reaches the noise alone.
    slopes = jacobian(strong(features, coupling=coupling), np.full(features, 0.3))
    assert (np.abs(slopes) > 1e-4).all()


@mg.no_grad()
def test_the_jacobian_of_one_coupling_is_triangular():
    slopes = jacobian(strong(4).flow[1], np.array([0.2, -0.4, 0.9, 0.5]))  # after its ActNorm
    np.testing.assert_allclose(slopes[:2, :2], np.eye(2), atol=1e-8)
    np.testing.assert_allclose(slopes[:2, 2:], 0, atol=1e-8)
    assert np.abs(slopes[2:, :2]).min() > 1e-4
    assert np.abs(slopes[2, 3]) < 1e-8
    assert np.abs(slopes[3, 2]) < 1e-8


@mg.no_grad()
def test_log_prob_of_hand_set_weights_is_the_gaussian_that_they_describe():
    # The identity, but for ActNorms: z = (x + bias)·exp(s) four times, a Gaussian in x.
    mg.manual_seed(0)
    model = RealNVP(2, couplings=2).eval()
    for place, (bias, scale) in enumerate([((1.0, -2.0), (2.0, 0.5)), ((0.5, 0.0), (1.0, 3.0))]):
        model.flow[2 * place].bias.copy_(mg.tensor(bias))
        model.flow[2 * place].log_scale.copy_(mg.tensor(np.log(scale).astype(np.float32)))
    x = np.array([[0.3, 1.1], [-2.0, 2.5]])
    deviation, mean = np.array([1 / 2, 1 / 1.5]), np.array([-1.25, 2.0])
    expected = (
        -0.5 * ((x - mean) / deviation) ** 2 - np.log(deviation) - 0.5 * math.log(2 * math.pi)
    ).sum(axis=1)
    np.testing.assert_allclose(
        model.log_prob(mg.tensor(x.astype(np.float32))).numpy(), expected, rtol=1e-5
    )


@KINDS
@mg.no_grad()
def test_a_new_flow_without_actnorm_is_the_identity(coupling):
    x = mg.randn(7, 3, generator=mg.Generator(0))
    z, log_det = RealNVP(3, coupling=coupling, actnorm=False)(x)
    np.testing.assert_array_equal(z.numpy(), x.numpy())
    np.testing.assert_array_equal(log_det.numpy(), 0)


@mg.no_grad()
def test_nice_changes_volume_only_by_its_diagonal():
    model = strong(3, coupling="additive", actnorm=False)
    _, log_det = model(mg.randn(9, 3, generator=mg.Generator(0), dtype="float64"))
    (last,) = [layer for layer in model.flow.children() if isinstance(layer, DiagonalScale)]
    assert abs(last.log_scale.sum().item()) > 0.01
    np.testing.assert_allclose(log_det.numpy(), last.log_scale.sum().item(), atol=1e-12)


def test_the_loss_is_the_mean_of_minus_log_p_and_the_difference_of_its_terms():
    model, x = strong(3), mg.tensor(np.random.default_rng(0).normal(size=(6, 3)))
    nll, terms = model.loss(x)
    assert nll.item() == pytest.approx(-model.log_prob(x).numpy().mean(), rel=1e-12)
    assert nll.item() == pytest.approx(terms["prior"].item() - terms["log_det"].item(), rel=1e-12)
    z, _ = model(x)
    assert terms["prior"].item() == pytest.approx(-standard_normal_log_density(z).numpy().mean())


def test_the_gradient_of_the_loss_agrees_with_finite_differences():
    model, x = strong(3), mg.tensor(np.random.default_rng(0).normal(size=(6, 3)))
    model.loss(x)[0].backward()
    random = np.random.default_rng(1)
    for name, parameter in model.named_parameters():
        direction = random.normal(size=parameter.shape)
        original, ends = parameter.numpy().copy(), []
        for sign in (1, -1):
            with mg.no_grad():
                parameter.copy_(mg.tensor(original + sign * 1e-6 * direction))
                ends.append(model.loss(x)[0].item())
        with mg.no_grad():
            parameter.copy_(mg.tensor(original))
        expected = (parameter.grad.numpy() * direction).sum()
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(expected, rel=1e-4, abs=1e-7), name


@mg.no_grad()
def test_samples_have_the_density_that_log_prob_says():
    # The mean of q/p over samples of p is ∫ q = 1, for any density q that p covers.
    model = strong(2)
    x = model.sample(40_000, mg.Generator(0))
    q = -2.0 * (x.numpy() ** 2).sum(axis=1) - math.log(math.pi / 2)  # N(0, ¼ I)
    weights = np.exp(q - model.log_prob(x).numpy())
    error = weights.std() / math.sqrt(len(weights))
    assert error < 0.05
    assert weights.mean() == pytest.approx(1, abs=4 * error)


@mg.no_grad()
def test_samples_repeat_with_their_seed_and_gather_when_it_is_cold():
    model = strong(4)
    first, again, other = (model.sample(9, mg.Generator(s)).numpy() for s in (5, 5, 6))
    assert first.shape == (9, 4)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    frozen = model.sample(9, mg.Generator(5), temperature=0.0).numpy()
    np.testing.assert_allclose(frozen, np.broadcast_to(frozen[:1], (9, 4)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 1}, "features must be at least 2"),
        ({"couplings": 1}, "couplings must be at least 2, to move both halves, got 1"),
        ({"hidden": ()}, "hidden must be at least 1 everywhere"),
        ({"hidden": (4, 0)}, "hidden must be at least 1 everywhere"),
        ({"coupling": "linear"}, "coupling must be 'affine' or 'additive', got 'linear'"),
        ({"activation": "gelu"}, "activation must be 'relu' or 'tanh', got 'gelu'"),
    ],
)
def test_bad_sizes_and_kinds_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RealNVP(**{"features": 2, **options})


def test_rows_of_another_length_and_a_negative_temperature_are_refused():
    model = RealNVP(3)
    with pytest.raises(ValueError, match=r"x must have shape \(N, 3\), got \(5, 2\)"):
        model(mg.zeros(5, 2))
    with pytest.raises(ValueError, match=r"z must have shape \(N, 3\), got \(3,\)"):
        model.inverse(mg.zeros(3))
    with pytest.raises(ValueError, match="temperature must be a number >= 0, got -1"):
        model.sample(2, temperature=-1)
