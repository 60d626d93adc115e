"""LeNet's shapes, what it computes, and that it learns."""

import numpy as np
import pytest
from op_specs.convolution import np_conv

import minigen as mg
from minigen.metrics.lenet import FEATURES, LeNet


@pytest.mark.usefixtures("backend")
def test_it_has_the_paper_s_sizes():
    network = LeNet()
    x = mg.Generator(0).uniform((3, 1, 28, 28))
    assert network.features(x).shape == (3, FEATURES)
    assert network(x).shape == (3, 10)
    assert sum(p.numel() for p in network.parameters()) == 61_706


@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 13, 20), (1, 32, 32)])
def test_other_sizes_fit_down_to_twelve_pixels(shape):
    assert LeNet(shape, classes=3)(mg.zeros(2, *shape)).shape == (2, 3)
    with pytest.raises(ValueError, match="H and W at least 12, got"):
        LeNet((1, 28, 11))


def test_it_computes_what_its_picture_says():
    network = LeNet((2, 20, 16), classes=4).double()
    state = {k: v.numpy() for k, v in network.state_dict().items()}
    (w1, b1), (w2, b2), (w3, b3), (w4, b4), (w5, b5) = zip(
        list(state.values())[::2], list(state.values())[1::2], strict=True
    )
    x = np.random.default_rng(0).random((3, 2, 20, 16))

    def pooled(maps):
        n, c, h, w = maps.shape
        return np.maximum(maps, 0).reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))

    maps = pooled(np_conv(pooled(np_conv(x, w1, b1, padding=2)), w2, b2))  # (3, 16, 3, 2)
    hidden = np.maximum(maps.reshape(3, 16 * 3 * 2) @ w3.T + b3, 0)
    expected = np.maximum(hidden @ w4.T + b4, 0) @ w5.T + b5
    np.testing.assert_allclose(network(mg.tensor(x)).numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.torch
def test_it_computes_what_pytorch_computes():
    import torch

    network = LeNet((2, 20, 16), classes=4).double()
    conv, linear, relu, pool = torch.nn.Conv2d, torch.nn.Linear, torch.nn.ReLU, torch.nn.MaxPool2d
    theirs = torch.nn.Sequential(
        *(conv(2, 6, 5, padding=2), relu(), pool(2), conv(6, 16, 5), relu(), pool(2)),
        *(torch.nn.Flatten(), linear(16 * 3 * 2, 120), relu(), linear(120, 84), relu()),
        linear(84, 4),
    ).double()
    values = [torch.tensor(p.numpy()) for p in network.parameters()]
    with torch.no_grad():
        for parameter, value in zip(theirs.parameters(), values, strict=True):
            parameter.copy_(value)
    x = np.random.default_rng(0).random((3, 2, 20, 16))
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(network(mg.tensor(x)).numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("backend")
def test_it_learns_to_tell_left_from_right():
    mg.manual_seed(1)
    network = LeNet((1, 12, 12), classes=2)
    optimizer = mg.optim.Adam(network.parameters(), lr=3e-3)
    x = np.zeros((16, 1, 12, 12), np.float32)
    labels = np.arange(16) % 2
    x[labels == 0, :, :, :6] = x[labels == 1, :, :, 6:] = 1.0
    x += 0.1 * np.random.default_rng(0).random(x.shape, np.float32)
    for _ in range(30):
        loss = mg.cross_entropy(network(mg.tensor(x)), mg.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"x must have shape \(N, 1, 28, 28\), got \(2, 3, 28, 28"):
        LeNet()(mg.zeros(2, 3, 28, 28))
    with pytest.raises(ValueError, match="classes must be at least 2, got 1"):
        LeNet(classes=1)
