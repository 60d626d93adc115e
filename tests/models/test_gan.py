"""The dense pair: shapes, labels, and what is learned."""

import numpy as np
import pytest

import minigen as mg
from minigen.models.gan import DenseDiscriminator, DenseGenerator

pytestmark = pytest.mark.usefixtures("backend")


def test_the_papers_sizes_are_the_defaults() -> None:
    mg.manual_seed(0)
    generator, discriminator = DenseGenerator(), DenseDiscriminator()
    shapes = [p.shape for p in generator.parameters() if p.ndim == 2]
    assert shapes == [(256, 100), (512, 256), (1024, 512), (784, 1024)]
    shapes = [p.shape for p in discriminator.parameters() if p.ndim == 2]
    assert shapes == [(1024, 784), (512, 1024), (256, 512), (1, 256)]
    x = generator(mg.randn(3, 100))
    assert x.shape == (3, 1, 28, 28)
    assert np.abs(x.numpy()).max() < 1
    assert discriminator(x).shape == (3,)


def test_points_are_not_bounded_and_logits_have_no_sigmoid() -> None:
    mg.manual_seed(0)
    generator = DenseGenerator(2, (2,), (8,), bounded=False)
    assert np.abs(generator(1000.0 * mg.randn(50, 2)).numpy()).max() > 1
    logits = DenseDiscriminator((2,), (8,))(1000.0 * mg.randn(50, 2)).numpy()
    assert logits.min() < 0
    assert logits.max() > 1


def test_every_layer_but_the_last_bends_by_a_fifth() -> None:
    mg.manual_seed(1)
    network = DenseDiscriminator((3,), (4, 5)).to_dtype("float64")
    x = np.random.default_rng(0).normal(size=(6, 3))
    h = x
    linears = [m for m in network.layers.children() if hasattr(m, "weight")]
    for place, linear in enumerate(linears):
        h = h @ linear.weight.numpy().T + linear.bias.numpy()
        if place < 2:
            h = np.where(h > 0, h, 0.2 * h)
    np.testing.assert_allclose(network(mg.tensor(x)).numpy(), h[:, 0], rtol=1e-12)


def test_labels_change_samples_and_verdicts_and_are_learned() -> None:
    mg.manual_seed(0)
    generator = DenseGenerator(4, (1, 4, 4), (8,), classes=3)
    discriminator = DenseDiscriminator((1, 4, 4), (8,), classes=3)
    z, zero, one = mg.randn(2, 4), mg.tensor(np.array([0, 0])), mg.tensor(np.array([1, 1]))
    assert not np.allclose(generator(z, zero).numpy(), generator(z, one).numpy())
    x = generator(z, one)
    assert not np.allclose(discriminator(x, zero).numpy(), discriminator(x, one).numpy())
    discriminator(x, one).sum().backward()
    for table in (generator.labels, discriminator.labels):
        rows = np.abs(table.weight.grad.numpy()).sum(axis=1) > 0
        assert rows.tolist() == [False, True, False]
    with pytest.raises(ValueError, match="labels must be given: the network has 3 classes"):
        generator(z)


def test_spectral_norm_bounds_the_slope_by_1() -> None:
    mg.manual_seed(0)
    network = DenseDiscriminator((5,), (16, 16), spectral=True)
    for _ in range(30):
        network(mg.zeros(1, 5))
    network.eval()
    a, b = mg.randn(200, 5), mg.randn(200, 5)
    rise = np.abs((network(a) - network(b)).numpy())
    assert (rise <= 1.01 * np.linalg.norm((a - b).numpy(), axis=1)).all()


def test_dropout_is_between_the_layers_and_off_in_evaluation() -> None:
    network = DenseDiscriminator((5,), (64,), dropout=0.5)
    assert [type(m).__name__ for m in network.layers.children()] == [
        "Linear", "LeakyReLU", "Dropout", "Linear",
    ]  # fmt: skip
    x = mg.ones(1, 5)
    assert network(x).item() != network(x).item()
    network.eval()
    assert network(x).item() == network(x).item()


def test_a_width_of_0_is_refused() -> None:
    with pytest.raises(ValueError, match="widths must be at least 1 everywhere"):
        DenseGenerator(hidden=(8, 0))
