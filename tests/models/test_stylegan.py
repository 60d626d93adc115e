"""StyleGAN's networks: sizes, styles and their mean, mixing, truncation, noise, R1."""

import numpy as np
import pytest

import minigen as mg
from minigen.models.adversarial import r1_penalty
from minigen.models.path_length import PathLength
from minigen.models.stylegan import (
    MappingNetwork,
    StyleDiscriminator,
    StyleGenerator,
    levels,
    mix_styles,
    resolutions,
)

pytestmark = pytest.mark.usefixtures("backend")


def small(side: int = 16, channels: int = 1, seed: int = 0, **options: float) -> StyleGenerator:
    """In float64, with every noise strength and a mean style that are not 0."""
    mg.manual_seed(seed)
    network = StyleGenerator(5, (channels, side, side), 4, 2, 3, 2, **options).to_dtype("float64")
    with mg.no_grad():
        for layer in network.synthesis.convolutions:
            layer.noise_strength.copy_(mg.tensor(0.3, dtype="float64"))
        network.mean_style.copy_(draw(4, seed=9))
    return network


def draw(*shape: int, seed: int = 0) -> mg.Tensor:
    return mg.randn(*shape, dtype="float64", generator=mg.Generator(seed))


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(("side", "layers"), [(16, 6), (32, 8), (64, 10)])
@pytest.mark.parametrize("channels", [1, 3])
def test_both_networks_fit_every_size(side: int, channels: int, layers: int) -> None:
    network = small(side, channels)
    assert network.layers == layers
    images = network(draw(2, 5))
    assert images.shape == (2, channels, side, side)
    judge = StyleDiscriminator((channels, side, side), 2, 3).to_dtype("float64")
    assert judge(images).shape == (2,)
    assert resolutions((channels, side, side)) == [4 << k for k in range(layers // 2)]
    own = [layer for _, layers in levels((channels, side, side)).values() for layer in layers]
    assert own == list(range(layers))


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 8, 8), (1, 32, 16), (1, 48, 48), (1, 18, 18)])
def test_another_size_is_refused_in_one_line(shape: tuple[int, int, int]) -> None:
    for network in (StyleGenerator, StyleDiscriminator):
        with pytest.raises(ValueError, match=r"a side of 16, 32, 64, .* got \d+×\d+") as error:
            network(shape=shape)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        StyleGenerator(shape=(2, 16, 16))


def test_the_levels_of_32_pixels_are_4_and_8_then_16_then_32() -> None:
    assert levels((1, 32, 32)) == {
        "coarse": ([4, 8], [0, 1, 2]), "middle": ([16], [3, 4]), "fine": ([32], [5, 6, 7]),
    }  # fmt: skip


def test_a_level_changes_nothing_below_its_own_resolution() -> None:
    """The layers that `levels` names are those that the synthesis gives to these sides."""
    network, styles = small(32), draw(1, 8, 4)
    seen: dict[int, list[np.ndarray]] = {}
    for layer in network.synthesis.convolutions:
        layer.register_forward_hook(
            lambda _, args, out: seen.setdefault(out.shape[2], []).append(out.numpy())
        )
    network.synthesis(styles, noise="none")
    before, seen = dict(seen), {}
    for sides, layers in levels((1, 32, 32)).values():
        seen.clear()
        changed = styles.numpy().copy()
        changed[:, layers] += 1.0
        network.synthesis(mg.tensor(changed), noise="none")
        for side, arrays in seen.items():
            same = all(np.array_equal(a, b) for a, b in zip(arrays, before[side], strict=True))
            assert same == (side < sides[0])


def test_the_last_tanh_is_the_only_difference_to_the_paper_and_reaches_exact_black() -> None:
    network, linear = small(), small(bounded=False)
    linear.load_state_dict(network.state_dict())
    styles = network.spread(draw(3, 4))
    bounded, free = (net.synthesis(styles, mg.Generator(0)).numpy() for net in (network, linear))
    np.testing.assert_allclose(bounded, np.tanh(free), rtol=1e-12)
    assert np.abs(free - bounded).max() > 0.01
    with mg.no_grad():
        network.synthesis.outputs[-1].bias.copy_(mg.full((1,), -40.0, dtype="float64"))
    assert (network.synthesis(styles, mg.Generator(0)).numpy() == -1.0).all()


# ---------------------------------------------------------------- styles


def test_the_length_of_z_does_not_matter() -> None:
    mg.manual_seed(0)
    network, z = MappingNetwork(5, 4).to_dtype("float64"), draw(3, 5)
    np.testing.assert_allclose(network(z).numpy(), network(7.0 * z).numpy(), rtol=1e-6)
    assert np.abs(network(z).numpy() - network(-z).numpy()).max() > 0.1


def test_styles_change_hands_exactly_at_the_crossover() -> None:
    first, second = mg.zeros(6, 3), mg.ones(6, 3)
    got = mix_styles(first, second, mg.tensor(np.arange(1, 7)), 6)
    assert got.shape == (6, 6, 3)
    for n, crossover in enumerate(range(1, 7)):
        np.testing.assert_array_equal(got.numpy()[n, :, 0], np.arange(6) >= crossover)


def test_crossovers_are_all_places_between_two_layers_and_the_rest_is_not_mixed() -> None:
    found = small(mixing=0.75).crossovers(4000, mg.Generator(0)).numpy()
    shares = np.bincount(found, minlength=7) / 4000
    assert shares[0] == 0
    np.testing.assert_allclose(shares[1:6], 0.75 / 5, atol=0.02)
    assert shares[6] == pytest.approx(0.25, abs=0.03)


def test_the_mean_style_follows_the_mapping_in_training_and_rests_in_evaluation() -> None:
    network = small(mixing=0.9, momentum=0.9)
    expected = network.mean_style.numpy().copy()
    for seed in range(3):
        z = draw(4, 5, seed=seed)
        network(z)
        expected = 0.9 * expected + 0.1 * network.mapping(z).numpy().mean(axis=0)
        np.testing.assert_allclose(network.mean_style.numpy(), expected, rtol=1e-9)
    network.eval()
    network(draw(4, 5, seed=5))
    np.testing.assert_allclose(network.mean_style.numpy(), expected, rtol=1e-9)
    assert "mean_style" in network.state_dict()
    assert StyleGenerator().momentum == 0.995


def test_at_psi_0_there_is_one_style_and_images_differ_by_noise_only() -> None:
    network = small().eval()
    w = network.truncated(network.mapping(draw(4, 5)), 0.0)
    np.testing.assert_allclose(w.numpy() - network.mean_style.numpy(), 0, atol=1e-15)
    styles = network.spread(w)
    for noise, equal in (("none", True), ("shared", True), ("each", False)):
        images = network.synthesis(styles, mg.Generator(0), noise).numpy()
        assert np.allclose(images, images[:1], atol=1e-12) == equal, noise


def test_truncation_moves_towards_the_mean_and_1_changes_nothing() -> None:
    network = small().eval()
    w = network.mapping(draw(4, 5))
    assert network.truncated(w, 1.0) is w
    half = network.truncated(w, 0.5).numpy()
    np.testing.assert_allclose(half, 0.5 * (w.numpy() + network.mean_style.numpy()), rtol=1e-12)


def test_nothing_is_mixed_in_evaluation_and_all_that_is_drawn_comes_from_the_generator() -> None:
    network, z = small(mixing=1.0), draw(4, 5)
    before = mg.default_generator().state()
    trained = network(z, None, mg.Generator(1)).numpy()
    network.eval()
    got = network(z, None, mg.Generator(1)).numpy()
    expected = network.synthesis(network.spread(network.mapping(z)), mg.Generator(1)).numpy()
    np.testing.assert_array_equal(got, expected)
    assert not np.allclose(got, trained)
    assert mg.default_generator().state() == before


def test_every_parameter_learns_from_the_image() -> None:
    network = small()
    network.synthesis(network.spread(network.mapping(draw(2, 5)))).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert np.abs(parameter.grad.numpy()).max() > 0, name


# ---------------------------------------------------------------- penalties through the networks


def test_r1_of_the_discriminator_is_that_of_finite_differences() -> None:
    mg.manual_seed(0)
    judge = StyleDiscriminator((1, 16, 16), 1, 2, group=2).to_dtype("float64")
    real = draw(2, 1, 16, 16)
    leaf = real.clone().requires_grad_()
    (slope,) = mg.grad(judge(leaf).sum(), [leaf])
    places = np.random.default_rng(0).integers(0, 16, (12, 2))
    with mg.no_grad():
        for n, (i, j) in enumerate(places):
            ends = []
            for sign in (1, -1):
                moved = real.numpy().copy()
                moved[n % 2, 0, i, j] += sign * 1e-6
                ends.append(judge(mg.tensor(moved)).numpy().sum())
            expected = (ends[0] - ends[1]) / 2e-6
            assert slope.numpy()[n % 2, 0, i, j] == pytest.approx(expected, rel=1e-5, abs=1e-9)
    squares = (slope.numpy() ** 2).sum(axis=(1, 2, 3))
    assert r1_penalty(judge, real).item() == pytest.approx(squares.mean(), rel=1e-12)


@pytest.mark.parametrize("kind", ["r1", "path length"])
def test_a_penaltys_gradient_through_the_networks_is_that_of_finite_differences(kind: str) -> None:
    if kind == "r1":
        mg.manual_seed(0)
        network = StyleDiscriminator((1, 16, 16), 1, 2, group=2).to_dtype("float64")
        real = draw(2, 1, 16, 16)

        def penalty() -> mg.Tensor:
            return r1_penalty(network, real)
    else:
        network = small()

        def penalty() -> mg.Tensor:
            member = PathLength().to_dtype("float64")
            member.mean.copy_(mg.tensor(3.0, dtype="float64"))
            member.count.copy_(mg.tensor(1e9, dtype="float64"))
            member.decay = 1e-12  # so that the goal stays where it is
            styles = network.spread(network.mapping(draw(2, 5)))
            images = network.synthesis(styles, mg.Generator(3))
            return member(images, styles, draw(*images.shape, seed=4))

    named = [(name, p) for name, p in network.named_parameters() if p.ndim > 1]
    found = mg.grad(penalty(), [p for _, p in named], allow_unused=True)
    for (name, parameter), slope in zip(named, found, strict=True):
        if slope is None:
            continue
        place = np.unravel_index(np.abs(slope.numpy()).argmax(), parameter.shape)
        keep, ends = parameter.numpy().copy(), []
        step = 1e-5 * max(1.0, abs(keep[place]))
        for sign in (1, -1):
            moved = keep.copy()
            moved[place] += sign * step
            with mg.no_grad():
                parameter.copy_(mg.tensor(moved))
            ends.append(penalty().item())
        with mg.no_grad():
            parameter.copy_(mg.tensor(keep))
        expected = (ends[0] - ends[1]) / (2 * step)
        assert slope.numpy()[place] == pytest.approx(expected, rel=1e-3, abs=1e-7), name


def test_the_discriminator_sees_a_batch_of_equal_images() -> None:
    mg.manual_seed(0)
    judge = StyleDiscriminator((1, 16, 16), 2, 4).to_dtype("float64")
    x = draw(4, 1, 16, 16)
    same = mg.broadcast_to(x[:1], (4, 1, 16, 16))
    assert judge(x).numpy()[0] != judge(same).numpy()[0]
    np.testing.assert_allclose(judge(same).numpy(), judge(same).numpy()[0], rtol=1e-9)
