"""Path lengths against finite differences and linear maps; the goal is a constant that moves."""

import numpy as np
import pytest

import minigen as mg
from minigen.models.path_length import PathLength, path_lengths

pytestmark = pytest.mark.usefixtures("backend")


def draw(*shape: int, seed: int = 0) -> mg.Tensor:
    return mg.randn(*shape, dtype="float64", generator=mg.Generator(seed))


def images_of(weight: mg.Tensor, styles: mg.Tensor) -> mg.Tensor:
    """A smooth generator of images (N, 1, 2, 3) from styles (N, 2, 3)."""
    hidden = mg.tanh(mg.matmul(styles.reshape(len(styles), -1), weight))  # (N, 6)
    return (hidden + 0.3 * mg.square(hidden)).reshape(-1, 1, 2, 3)


def lengths_of(weight: mg.Tensor) -> mg.Tensor:
    styles = draw(4, 2, 3).requires_grad_()
    return path_lengths(images_of(weight, styles), styles, draw(4, 1, 2, 3, seed=1))


def test_the_length_is_that_of_the_jacobian_times_the_direction() -> None:
    weight, styles, y = draw(6, 6, seed=2), draw(4, 2, 3).numpy(), draw(4, 1, 2, 3, seed=1).numpy()
    squares = np.zeros(4)
    for layer in range(2):
        for entry in range(3):
            values = []
            for sign in (1, -1):
                moved = styles.copy()
                moved[:, layer, entry] += sign * 1e-6
                values.append((images_of(weight, mg.tensor(moved)).numpy() * y).sum(axis=(1, 2, 3)))
            squares += ((values[0] - values[1]) / 2e-6) ** 2
    expected = np.sqrt(squares / 2) / np.sqrt(2 * 3)  # mean over two layers, √(H·W)
    np.testing.assert_allclose(lengths_of(weight).numpy(), expected, rtol=1e-7)


def test_an_orthogonal_map_has_the_length_of_the_direction() -> None:
    q, _ = np.linalg.qr(draw(6, 6).numpy())
    styles, y = draw(3, 6, seed=1).requires_grad_(), draw(3, 1, 2, 3, seed=2)
    images = mg.matmul(styles, mg.tensor(q)).reshape(3, 1, 2, 3)
    expected = np.sqrt((y.numpy() ** 2).sum(axis=(1, 2, 3)) / 6)
    np.testing.assert_allclose(path_lengths(images, styles, y).numpy(), expected, rtol=1e-12)


def penalty_of(weight: mg.Tensor, member: PathLength) -> mg.Tensor:
    styles = draw(4, 2, 3).requires_grad_()
    return member(images_of(weight, styles), styles, draw(4, 1, 2, 3, seed=1))


def test_the_penaltys_gradient_is_that_of_finite_differences_with_the_goal_held() -> None:
    member = PathLength(decay=0.5).to_dtype("float64")
    penalty_of(draw(6, 6, seed=3), member)
    weight = draw(6, 6, seed=2).requires_grad_()
    (found,) = mg.grad(penalty_of(weight, member), [weight])
    goal = member.mean.item()
    for place in np.ndindex(6, 6):
        values = []
        for sign in (1, -1):
            moved = weight.numpy().copy()
            moved[place] += sign * 1e-5
            values.append(((lengths_of(mg.tensor(moved)).numpy() - goal) ** 2).mean())
        assert abs(found.numpy()[place] - (values[0] - values[1]) / 2e-5) < 1e-6


def test_the_goal_is_the_plain_mean_at_first_and_then_a_moving_one() -> None:
    member = PathLength(decay=0.4).to_dtype("float64")
    weights = [draw(6, 6, seed=seed) for seed in range(5)]
    means = [lengths_of(weight).numpy().mean() for weight in weights]
    expected = 0.0
    for number, (weight, mean) in enumerate(zip(weights, means, strict=True), start=1):
        penalty = penalty_of(weight, member)
        expected += max(1 / number, 0.4) * (mean - expected)
        assert member.mean.item() == pytest.approx(expected, rel=1e-12)
        lengths = lengths_of(weight).numpy()
        assert penalty.item() == pytest.approx(((lengths - expected) ** 2).mean(), rel=1e-12)


def test_the_goal_is_saved_and_the_penalty_finite_where_nothing_depends_on_w() -> None:
    member = PathLength().to_dtype("float64")
    penalty_of(draw(6, 6, seed=2), member)
    twin = PathLength().to_dtype("float64")
    twin.load_state_dict(member.state_dict())
    assert (twin.mean.item(), twin.count.item()) == (member.mean.item(), 1.0)
    weight = mg.zeros(6, 6, dtype="float64").requires_grad_()
    (slope,) = mg.grad(penalty_of(weight, PathLength().to_dtype("float64")), [weight])
    assert np.isfinite(slope.numpy()).all()
    with pytest.raises(ValueError, match=r"decay must be in \(0, 1\], got 0"):
        PathLength(0)
