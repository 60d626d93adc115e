"""The VAE against exact answers: quadrature over z, sums over all images, and hand-set weights."""

import itertools
import math

import numpy as np
import pytest

import minigen as mg
from minigen.models.vae import VAE, gaussian_kl, gaussian_log_density


def overwrite(parameter: mg.Tensor, value: np.ndarray) -> None:
    with mg.no_grad():
        parameter.copy_(mg.tensor(value))


@pytest.fixture
def tiny() -> VAE:
    """Three pixels, one latent: small enough to integrate p(x) over z on a grid."""
    mg.manual_seed(3)
    model = VAE(in_features=3, hidden=(5,), latent=1)
    for parameter in model.parameters():  # larger weights: a posterior that is not the prior
        overwrite(parameter, 2.0 * parameter.numpy())
    return model


ALL_IMAGES = np.array(list(itertools.product([0.0, 1.0], repeat=3)), dtype=np.float32)  # (8, 3)


def exact_log_likelihood(model: VAE, x: np.ndarray) -> np.ndarray:
    """log ∫ p(x | z) N(z; 0, 1) dz by the trapezoid rule: (N, 3) → (N,)."""
    grid = np.linspace(-8, 8, 4001)
    with mg.no_grad():
        logits = model.decode(mg.tensor(grid.astype(np.float32)[:, None])).numpy().astype(float)
    # log p(x | z) = ∑_d x_d·logit_d − log(1 + exp(logit_d)): (N, G)
    log_p = x.astype(float) @ logits.T - np.logaddexp(0, logits).sum(axis=1)
    density = np.exp(log_p - 0.5 * grid**2) / math.sqrt(2 * math.pi)
    return np.log(np.trapezoid(density, grid, axis=1))


def test_the_decoder_mirrors_the_encoder() -> None:
    shapes = {name: tuple(p.shape) for name, p in VAE().named_parameters() if "weight" in name}
    assert list(shapes.values()) == [
        (512, 784), (256, 512), (20, 256), (20, 256), (256, 20), (512, 256), (784, 512),
    ]  # fmt: skip


def test_images_and_flat_rows_give_the_same_code() -> None:
    model = VAE(in_features=64, hidden=(16,), latent=4)
    x = np.random.default_rng(0).random((5, 1, 8, 8)).astype(np.float32)
    mean, log_var = model.encode(mg.tensor(x))
    flat_mean, _ = model.encode(mg.tensor(x.reshape(5, 64)))
    assert mean.shape == log_var.shape == (5, 4)
    np.testing.assert_array_equal(mean.numpy(), flat_mean.numpy())
    assert model.decode(mean).shape == model(mg.tensor(x)).shape == (5, 64)


def test_a_model_that_says_nothing_costs_log_2_for_each_pixel_and_no_kl() -> None:
    model = VAE(in_features=64, hidden=(16,), latent=4)
    for layer in (model.mean, model.log_var, model.logits):
        for parameter in layer.parameters():
            overwrite(parameter, np.zeros(parameter.shape, np.float32))
    x = (np.random.default_rng(0).random((7, 64)) < 0.4).astype(np.float32)
    nelbo, terms = model.loss(mg.tensor(x))
    assert terms["reconstruction"].item() == pytest.approx(64 * math.log(2), rel=1e-6)
    assert terms["kl"].item() == 0.0
    assert nelbo.item() == pytest.approx(64 * math.log(2), rel=1e-6)


def test_the_loss_is_a_mean_over_the_batch(tiny: VAE) -> None:
    x = mg.tensor(ALL_IMAGES)
    one, _ = tiny.loss(x, mg.Generator(0))
    noise = mg.Generator(0).normal((8, 1)).numpy()

    class Twice:
        def normal(self, shape: tuple[int, ...], dtype: object = None) -> mg.Tensor:
            return mg.tensor(np.concatenate([noise, noise]))

    two, _ = tiny.loss(mg.tensor(np.concatenate([ALL_IMAGES] * 2)), Twice())  # type: ignore[arg-type]
    assert two.item() == pytest.approx(one.item(), rel=1e-6)


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1.5, 0.3), (-0.7, 2.0)])
def test_the_closed_kl_is_the_integral(mean: float, deviation: float) -> None:
    grid = np.linspace(-20, 20, 200_001)
    log_q = -0.5 * ((grid - mean) / deviation) ** 2 - math.log(deviation * math.sqrt(2 * math.pi))
    log_p = -0.5 * grid**2 - 0.5 * math.log(2 * math.pi)
    integral = np.trapezoid(np.exp(log_q) * (log_q - log_p), grid)
    log_var = np.array([[2 * math.log(deviation)]])
    kl = gaussian_kl(mg.tensor(np.array([[mean]])), mg.tensor(log_var))
    assert kl.item() == pytest.approx(integral, abs=1e-8)


def test_the_gaussian_density_integrates_to_one() -> None:
    grid = np.linspace(-15, 15, 20_001)[:, None]
    log_density = gaussian_log_density(
        mg.tensor(grid), mg.tensor(np.array([0.4])), mg.tensor(np.array([2 * math.log(1.7)]))
    )
    assert np.trapezoid(np.exp(log_density.numpy()), grid[:, 0]) == pytest.approx(1.0, abs=1e-9)


def test_the_likelihoods_of_all_images_sum_to_one(tiny: VAE) -> None:
    assert np.exp(exact_log_likelihood(tiny, ALL_IMAGES)).sum() == pytest.approx(1.0, abs=1e-5)


def test_both_forms_of_the_bound_have_the_same_mean_and_lie_under_the_likelihood(
    tiny: VAE,
) -> None:
    x = mg.tensor(ALL_IMAGES[5:6].repeat(200_000, axis=0))  # 200,000 draws for one image
    with mg.no_grad():
        closed, _ = tiny.loss(x, mg.Generator(1), kl="closed")
        sampled, _ = tiny.loss(x, mg.Generator(2), kl="sampled")
    assert closed.item() == pytest.approx(sampled.item(), abs=0.03)
    exact = exact_log_likelihood(tiny, ALL_IMAGES[5:6])[0]
    assert -closed.item() < exact - 0.01


def test_the_importance_weighted_bound_rises_with_k_to_the_exact_likelihood(tiny: VAE) -> None:
    exact = exact_log_likelihood(tiny, ALL_IMAGES)
    copies = mg.tensor(ALL_IMAGES.repeat(500, axis=0))
    with mg.no_grad():
        means = [
            tiny.importance_weighted_bound(copies, k, mg.Generator(k)).numpy().reshape(8, 500)
            for k in (1, 4, 16)
        ]
        tight = tiny.importance_weighted_bound(mg.tensor(ALL_IMAGES), 50_000, mg.Generator(0))
    averages = [bound.mean() for bound in means]
    assert averages[0] < averages[1] < averages[2] < exact.mean() + 0.01
    np.testing.assert_allclose(tight.numpy(), exact, atol=0.05)


def test_one_importance_sample_is_the_sampled_bound(tiny: VAE) -> None:
    x = mg.tensor(ALL_IMAGES)
    with mg.no_grad():
        nelbo, _ = tiny.loss(x, mg.Generator(4), kl="sampled")
        bound = tiny.importance_weighted_bound(x, 1, mg.Generator(4))
    assert bound.mean().item() == pytest.approx(-nelbo.item(), rel=1e-5)


def test_reparameterize_moves_and_scales_standard_normal_draws() -> None:
    model = VAE(in_features=4, hidden=(4,), latent=2)
    mean = mg.tensor(np.full((50_000, 2), 3.0, np.float32))
    log_var = mg.tensor(np.full((50_000, 2), 2 * math.log(0.5), np.float32))
    z = model.reparameterize(mean, log_var, mg.Generator(0)).numpy()
    assert z.mean() == pytest.approx(3.0, abs=0.01)
    assert z.std() == pytest.approx(0.5, abs=0.01)


def test_the_gradient_of_the_loss_agrees_with_finite_differences(tiny: VAE) -> None:
    x = mg.tensor(ALL_IMAGES)
    nelbo, _ = tiny.loss(x, mg.Generator(7))
    nelbo.backward()
    random = np.random.default_rng(0)
    for name, parameter in tiny.named_parameters():
        direction = random.normal(size=parameter.shape).astype(np.float32)
        original = parameter.numpy().copy()
        ends = []
        for sign in (1, -1):
            overwrite(parameter, original + np.float32(sign * 1e-3) * direction)
            with mg.no_grad():
                ends.append(tiny.loss(x, mg.Generator(7))[0].item())
        overwrite(parameter, original)
        slope = (ends[0] - ends[1]) / 2e-3
        assert parameter.grad is not None
        expected = (parameter.grad.numpy() * direction).sum()
        assert slope == pytest.approx(expected, rel=0.02, abs=1e-3), name


def test_samples_are_probabilities_and_repeat_with_their_seed() -> None:
    model = VAE(in_features=64, hidden=(16,), latent=4)
    with mg.no_grad():
        first, again = (model.sample(9, mg.Generator(5)).numpy() for _ in range(2))
        other = model.sample(9, mg.Generator(6)).numpy()
    assert first.shape == (9, 64)
    assert (first > 0).all()
    assert (first < 1).all()
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_features": 0}, "in_features must be"),
        ({"latent": -1}, "latent must be"),
        ({"hidden": ()}, "hidden must be"),
        ({"hidden": (3, 0)}, "hidden must be"),
    ],
)
def test_sizes_under_one_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VAE(**options)


def test_images_of_another_size_an_unknown_kl_and_k_of_zero_are_refused() -> None:
    model = VAE(in_features=64, hidden=(16,), latent=4)
    with pytest.raises(ValueError, match=r"x must have 64 pixels per image, got shape \(2, 49\)"):
        model.encode(mg.zeros(2, 49))
    with pytest.raises(ValueError, match="kl must be 'closed' or 'sampled', got 'open'"):
        model.loss(mg.zeros(2, 64), kl="open")
    with pytest.raises(ValueError, match="k must be a whole number >= 1, got 0"):
        model.importance_weighted_bound(mg.zeros(2, 64), 0)
