"""Losses against plain formulas, penalties against finite differences, and who learns in a step."""

import math

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.models.adversarial import (
    LOSSES,
    accuracies,
    frozen,
    gradient_penalty,
    r1_penalty,
)
from minigen.models.dcgan import ConvDiscriminator, ConvGenerator
from minigen.testing import check_grads

pytestmark = pytest.mark.usefixtures("backend")

REAL, FAKE = np.array([-2.0, 0.3, 1.7, 5.0]), np.array([-3.0, -0.2, 0.4, 2.0])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


PLAIN = {
    "non-saturating": (
        -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
        -np.log(sigmoid(FAKE)).mean(),
    ),
    "minimax": (
        -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
        np.log(1 - sigmoid(FAKE)).mean(),
    ),
    "lsgan": (
        0.5 * ((REAL - 1) ** 2).mean() + 0.5 * (FAKE**2).mean(),
        0.5 * ((FAKE - 1) ** 2).mean(),
    ),
    "hinge": (
        np.maximum(0, 1 - REAL).mean() + np.maximum(0, 1 + FAKE).mean(),
        -FAKE.mean(),
    ),
    "wasserstein": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_its_formula(name: str) -> None:
    loss, (discriminator, generator) = LOSSES[name], PLAIN[name]
    assert loss.discriminator(mg.tensor(REAL), mg.tensor(FAKE)).item() == pytest.approx(
        discriminator, rel=1e-12
    )
    assert loss.generator(mg.tensor(FAKE)).item() == pytest.approx(generator, rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_what_the_discriminator_likes_the_generator_does_not(name: str) -> None:
    """Real up and fake down is the discriminator's way, fake up the generator's."""
    real, fake = (mg.tensor(x).requires_grad_() for x in (np.zeros(3), np.zeros(3)))
    by_real, by_fake = mg.grad(LOSSES[name].discriminator(real, fake + 0.1), [real, fake])
    (by_own,) = mg.grad(LOSSES[name].generator(fake), [fake])
    assert by_real.numpy().max() < 0 < by_fake.numpy().min()
    assert by_own.numpy().max() < 0


def test_a_sure_discriminator_silences_minimax_and_not_the_non_saturating_loss() -> None:
    fake = mg.tensor(np.full(2, -30.0)).requires_grad_()
    slopes = {
        name: mg.grad(LOSSES[name].generator(fake), [fake])[0].numpy()
        for name in ("minimax", "non-saturating")
    }
    assert np.abs(slopes["minimax"]).max() < 1e-12
    np.testing.assert_allclose(slopes["non-saturating"], -0.5, rtol=1e-6)


def test_a_logit_of_a_thousand_is_finite_everywhere() -> None:
    logits = mg.tensor(np.array([1000.0, -1000.0], dtype="f4"))
    for loss in LOSSES.values():
        assert math.isfinite(loss.discriminator(logits, logits).item())
        assert math.isfinite(loss.generator(logits).item())


def test_accuracy_counts_each_half_by_its_own_threshold() -> None:
    real, fake = mg.tensor(REAL), mg.tensor(FAKE)
    for name, expected in {
        "non-saturating": (0.75, 0.5),  # 0
        "lsgan": (0.5, 0.75),  # ½
        "wasserstein": (0.5, 0.75),  # the middle of the means, 0.525
    }.items():
        got = tuple(share.item() for share in accuracies(LOSSES[name], real, fake))
        assert got == expected, name


# ---------------------------------------------------------------- penalties


class Critic(nn.Module):
    """Smooth, so that finite differences can be trusted."""

    def __init__(self) -> None:
        super().__init__()
        mg.manual_seed(2)
        self.first, self.second = nn.Linear(3, 5), nn.Linear(5, 1)
        self.to_dtype("float64")

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        return self.second(mg.tanh(2.0 * self.first(x))).reshape(-1)


def points(seed: int) -> mg.Tensor:
    return mg.randn(4, 3, dtype="float64", generator=mg.Generator(seed))


def difference(function, tensor: mg.Tensor, place: tuple[int, ...], step: float = 1e-5) -> float:
    """∂ function() / ∂ tensor[place] by central differences."""
    values = []
    for sign in (1, -1):
        move = np.zeros(tensor.shape)
        move[place] = sign * step
        before = tensor.data.copy()
        with mg.no_grad():
            tensor.copy_(tensor.detach() + mg.tensor(move))
        values.append(function().item())
        with mg.no_grad():
            tensor.copy_(mg.Tensor(before))
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize("kind", ["gradient_penalty", "r1"])
def test_the_gradient_of_a_penalty_is_that_of_finite_differences(kind: str) -> None:
    critic, real, fake = Critic(), points(0), points(1)

    def penalty() -> mg.Tensor:
        if kind == "r1":
            return r1_penalty(critic, real)
        return gradient_penalty(critic, real, fake, mg.Generator(7))[0]

    weights = [critic.first.weight, critic.first.bias, critic.second.weight]
    found = mg.grad(penalty(), weights, allow_unused=True)
    for weight, grad in zip(weights, found, strict=True):
        assert grad is not None
        got = grad.numpy()
        for place in np.ndindex(*weight.shape):
            assert abs(got[place] - difference(penalty, weight, place)) < 1e-6


LINEAR_PIECES = {
    "linear": lambda h: h,
    "relu": mg.relu,
    "leaky_relu": lambda h: mg.leaky_relu(h, 0.2),
    "abs": mg.abs,
    "clamp": lambda h: mg.clamp(h, -0.7, 0.7),
    "max_pool2d": lambda h: mg.max_pool2d(h.reshape(-1, 1, 2, 3), (1, 3)).reshape(-1, 2),
    "max": lambda h: mg.stack([h.reshape(-1, 2, 3).max(dim=2)[0]]).squeeze(0),
    "where": lambda h: mg.where(h > 0, h, 3.0 * h),
    "maximum": lambda h: mg.maximum(h, 0.1),
}


@pytest.mark.parametrize("pieces", LINEAR_PIECES)
def test_a_penalty_on_a_critic_of_linear_pieces_is_that_of_finite_differences(pieces: str) -> None:
    """WGAN-GP without a smooth layer: the slope depends on the weights, though not on the place."""
    bend = LINEAR_PIECES[pieces]
    mg.manual_seed(4)
    first, real, fake = nn.Linear(3, 6).to_dtype("float64"), points(0), points(1)
    width = bend(first(real)).shape[1]
    second = nn.Linear(width, 1).to_dtype("float64")
    between = points(2)

    def critic(x: mg.Tensor) -> mg.Tensor:
        return second(bend(first(x))).reshape(-1)

    def penalty() -> mg.Tensor:
        return gradient_penalty(critic, real, fake, mg.Generator(7))[0] + r1_penalty(
            critic, between
        )

    loss = penalty()
    weights = [first.weight, first.bias, second.weight, second.bias]
    for weight, grad in zip(weights, mg.grad(loss, weights, allow_unused=True), strict=True):
        got = np.zeros(weight.shape) if grad is None else grad.numpy()
        for place in np.ndindex(*weight.shape):
            assert abs(got[place] - difference(penalty, weight, place)) < 1e-6
    optimizer = mg.optim.Adam(weights, lr=1e-2)
    penalty().backward()
    optimizer.step()
    assert penalty().item() < loss.item()


def test_a_penalty_is_the_plain_formula_of_each_samples_own_gradient() -> None:
    critic, real, fake = Critic(), points(0), points(1)
    epsilon = mg.Generator(7).uniform((4, 1), dtype="float64").numpy()
    between = epsilon * real.numpy() + (1 - epsilon) * fake.numpy()

    def slope(x: np.ndarray) -> np.ndarray:
        leaf = mg.tensor(x[None]).requires_grad_()
        return mg.grad(critic(leaf), [leaf])[0].numpy()[0]

    norms = np.array([np.linalg.norm(slope(x)) for x in between])
    penalty, got = gradient_penalty(critic, real, fake, mg.Generator(7))
    np.testing.assert_allclose(got.numpy(), norms, rtol=1e-12)
    assert penalty.item() == pytest.approx(((norms - 1) ** 2).mean(), rel=1e-12)
    squares = [(slope(x) ** 2).sum() for x in real.numpy()]
    assert r1_penalty(critic, real).item() == pytest.approx(np.mean(squares), rel=1e-12)


def test_the_norm_is_over_all_numbers_of_an_image() -> None:
    weight = mg.randn(1, 2, 3, 3, dtype="float64", generator=mg.Generator(0))
    images = mg.randn(4, 2, 3, 3, dtype="float64", generator=mg.Generator(1))
    _, norms = gradient_penalty(lambda x: (x * weight).sum(dim=(1, 2, 3)), images, images + 1.0)
    np.testing.assert_allclose(norms.numpy(), np.linalg.norm(weight.numpy()), rtol=1e-12)


@pytest.mark.parametrize("blind", [False, True])
def test_a_penalty_is_finite_where_the_critic_is_flat(blind: bool) -> None:
    critic, x = Critic(), points(0)
    with mg.no_grad():
        critic.second.weight.copy_(mg.zeros(1, 5, dtype="float64"))
    judge = (lambda x: critic.second.bias + mg.zeros(4, dtype="float64")) if blind else critic
    penalty, norms = gradient_penalty(judge, x, points(1))
    assert penalty.item() == 1.0
    assert norms.numpy().max() == 0.0
    if not blind:
        for grad in mg.grad(penalty, list(critic.parameters()), allow_unused=True):
            assert grad is None or np.isfinite(grad.numpy()).all()
        for grad in mg.grad(r1_penalty(critic, x), list(critic.parameters()), allow_unused=True):
            assert grad is None or np.isfinite(grad.numpy()).all()


def test_a_penalty_can_be_differentiated_by_the_weights_of_a_convolution() -> None:
    mg.manual_seed(0)
    conv = nn.Conv2d(1, 2, 3, 2, 1).to_dtype("float64")
    real, fake = (
        mg.randn(2, 1, 4, 4, dtype="float64", generator=mg.Generator(seed)) for seed in (0, 1)
    )

    def penalty(weight: mg.Tensor) -> mg.Tensor:
        def critic(x: mg.Tensor) -> mg.Tensor:
            return mg.tanh(mg.conv2d(x, weight, None, 2, 1)).sum(dim=(1, 2, 3))

        return gradient_penalty(critic, real, fake, mg.Generator(3))[0]

    check_grads(penalty, [conv.weight.detach()], order=1)


def test_no_gradient_reaches_the_samples_of_a_penalty() -> None:
    critic = Critic()
    real, fake = points(0).requires_grad_(), points(1).requires_grad_()
    (gradient_penalty(critic, real, fake)[0] + r1_penalty(critic, real)).backward()
    assert real.grad is None
    assert fake.grad is None


def test_halves_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"fake must have the shape of real, \(4, 3\), got"):
        gradient_penalty(Critic(), points(0), points(1)[:2])


# ---------------------------------------------------------------- frozen


def state_of(network: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_a_frozen_network_computes_as_ever_and_is_the_same_afterwards(norm: str) -> None:
    mg.manual_seed(0)
    network = ConvDiscriminator((1, 16, 16), 4, norm).train()
    before = state_of(network)
    x = mg.randn(3, 1, 16, 16, generator=mg.Generator(0)).requires_grad_()
    with frozen(network):
        inside = network(x)
        inside.sum().backward()
    assert state_of(network) == before
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert np.abs(x.grad.numpy()).max() > 0  # gradients go through it
    np.testing.assert_array_equal(network(x).numpy(), inside.numpy())
    assert state_of(network) != before  # this test could fail


def test_a_frozen_network_is_restored_after_an_error_and_keeps_what_was_fixed() -> None:
    network = ConvGenerator(4, (1, 8, 8), 4)
    fixed = next(iter(network.parameters())).requires_grad_(False)
    before = state_of(network)

    def fails() -> None:
        with frozen(network):
            network(mg.zeros(2, 4))
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert state_of(network) == before
    assert [p.requires_grad for p in network.parameters()].count(False) == 1
    assert not fixed.requires_grad
