"""Sizes of every stride, initial values, and batch norm in training and evaluation."""

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.models.dcgan import NORMS, ConvDiscriminator, ConvGenerator, sizes_down


@pytest.mark.parametrize("height", [4, 5, 7, 8, 13, 28, 29, 32, 64])
@pytest.mark.parametrize("width", [4, 9, 28, 31])
def test_both_networks_fit_any_size(height: int, width: int, backend: object) -> None:
    shape = (3, height, width)
    x = ConvGenerator(5, shape, 1)(mg.zeros(2, 5))
    assert x.shape == (2, *shape)
    seen = []
    network = ConvDiscriminator(shape, 1, "none")
    for layer in network.layers.children():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, args, out: seen.append(out.shape[2:]))
    assert network(x).shape == (2,)
    assert [(height, width), *seen[:-1]] == sizes_down(height, width)
    assert seen[-1] == (1, 1)


def test_28_pixels_and_width_64_are_the_sizes_of_the_benchmark() -> None:
    generator, discriminator = ConvGenerator(), ConvDiscriminator()
    assert [p.shape for p in generator.parameters() if p.ndim == 4] == [
        (100, 128, 7, 7), (128, 64, 4, 4), (64, 1, 4, 4),
    ]  # fmt: skip
    assert [p.shape for p in discriminator.parameters() if p.ndim == 4] == [
        (64, 1, 4, 4), (128, 64, 4, 4), (1, 128, 7, 7),
    ]  # fmt: skip


def test_64_pixels_have_the_papers_channels() -> None:
    shapes = [p.shape[1] for p in ConvGenerator(100, (3, 64, 64), 128).parameters() if p.ndim == 4]
    assert shapes == [1024, 512, 256, 128, 3]


def test_weights_begin_with_deviation_one_fiftieth() -> None:
    mg.manual_seed(0)
    for network in (ConvGenerator(), ConvDiscriminator()):
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                values = module.weight.numpy()
                assert values.std() == pytest.approx(0.02, rel=0.1)
                assert abs(values.mean()) < 0.002
            if isinstance(module, nn.BatchNorm2d):
                assert module.weight.numpy().mean() == pytest.approx(1, abs=0.01)
                assert 0.01 < module.weight.numpy().std() < 0.03
            if getattr(module, "bias", None) is not None:
                assert (module.bias.numpy() == 0).all()


def test_norm_stands_everywhere_but_at_the_ends() -> None:
    def kinds(network: nn.Module) -> list[str]:
        return [type(layer).__name__ for layer in network.layers.children()]

    up = kinds(ConvGenerator(5, (1, 32, 32), 2))
    assert up == ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 3 + ["ConvTranspose2d"]
    down = kinds(ConvDiscriminator((1, 32, 32), 2))
    assert down == ["Conv2d", *["Conv2d", "BatchNorm2d"] * 2, "Conv2d"]
    assert "GroupNorm" in kinds(ConvDiscriminator((1, 32, 32), 2, "layer"))
    plain = kinds(ConvDiscriminator((1, 32, 32), 2, "none"))
    assert plain == kinds(ConvDiscriminator((1, 32, 32), 2, "spectral"))
    assert set(plain) == {"Conv2d"}


def test_every_convolution_of_the_discriminator_but_the_first_rectifies_what_it_reads() -> None:
    network = ConvDiscriminator((1, 16, 16), 2, "layer")
    first, *others = (layer for layer in network.layers.children() if isinstance(layer, nn.Conv2d))
    assert first.rectify is None
    assert [layer.rectify for layer in others] == [0.2] * len(others)
    x = mg.randn(3, 1, 16, 16, generator=mg.Generator(0))
    expected = x
    for layer in network.layers.children():
        if isinstance(layer, nn.Conv2d) and layer is not first:
            expected = mg.leaky_relu(expected, 0.2)
            layer.rectify = None
            expected = layer(expected)
            layer.rectify = 0.2
        else:
            expected = layer(expected)
    np.testing.assert_allclose(network(x).numpy(), expected.numpy().reshape(-1), rtol=1e-4)


def test_batch_norm_depends_on_the_batch_in_training_only(backend: object) -> None:
    mg.manual_seed(0)
    network = ConvDiscriminator((1, 16, 16), 2, "batch")
    x, other = mg.randn(4, 1, 16, 16), 3.0 * mg.randn(4, 1, 16, 16)

    def first(rest: mg.Tensor) -> float:
        return network(mg.cat([x[:1], rest]))[0].item()

    assert first(x[1:]) != first(other)
    network.eval()
    assert first(x[1:]) == pytest.approx(first(other), abs=1e-6)


def test_in_evaluation_the_generator_uses_what_it_saw_in_training(backend: object) -> None:
    mg.manual_seed(0)
    network = ConvGenerator(6, (1, 8, 8), 4)
    with mg.no_grad():
        for _ in range(200):
            network(mg.randn(64, 6))
        z = mg.randn(256, 6)
        by_batch = network(z).numpy()
        by_memory = network.eval()(z).numpy()
        alone = network(z[:1]).numpy()
    np.testing.assert_allclose(by_batch, by_memory, atol=0.02)
    np.testing.assert_allclose(alone[0], by_memory[0], atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_lets_a_gradient_through(norm: str, backend: object) -> None:
    mg.manual_seed(0)
    network = ConvDiscriminator((1, 16, 16), 2, norm)
    network(mg.randn(4, 1, 16, 16))[0].backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in network.parameters())


def test_small_images_and_unknown_norms_are_refused() -> None:
    with pytest.raises(ValueError, match="images must be at least 4×4 for a DCGAN, got 3×8"):
        ConvGenerator(5, (1, 3, 8))
    with pytest.raises(ValueError, match=r"norm must be one of batch, .*, got 'instance'"):
        ConvDiscriminator(norm="instance")
