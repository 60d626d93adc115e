"""Weight and spectral normalization: values, gradients, state, and when the iteration runs."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.testing import check_grads

try:
    import torch
except ImportError:  # PyTorch is an optional oracle
    torch = None

BUILDS = {
    "Linear": (lambda lib: lib.Linear(4, 3), (2, 4)),
    "Conv2d": (lambda lib: lib.Conv2d(2, 3, 3, padding=1), (2, 2, 4, 4)),
    "ConvTranspose2d": (lambda lib: lib.ConvTranspose2d(2, 3, 3, stride=2), (2, 2, 4, 4)),
}


def numbers(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("name", BUILDS)
def test_weight_norm_is_the_length_times_the_direction(name):
    build, shape = BUILDS[name]
    layer = nn.weight_norm(build(nn)).double()
    layer.weight_g.data *= 1.5
    g, v = layer.weight_g.numpy(), layer.weight_v.numpy()
    layer(mg.tensor(numbers(shape)))
    for i in range(len(v)):  # along the first dimension
        expected = g[i] * v[i] / np.sqrt((v[i] ** 2).sum())
        np.testing.assert_allclose(layer.weight.numpy()[i], expected, atol=1e-12)


@pytest.mark.parametrize("name", BUILDS)
def test_spectral_norm_divides_by_what_the_power_iteration_has_found(name):
    build, shape = BUILDS[name]
    layer = nn.spectral_norm(build(nn), generator=mg.Generator(0)).double()
    weight = layer.weight_orig.numpy()
    rows = 1 if name == "ConvTranspose2d" else 0  # where the outputs are
    matrix = np.moveaxis(weight, rows, 0).reshape(weight.shape[rows], -1)
    u, v = layer.weight_u.numpy(), layer.weight_v.numpy()
    for seed in range(3):
        v = matrix.T @ u / np.linalg.norm(matrix.T @ u)
        u = matrix @ v / np.linalg.norm(matrix @ v)
        layer(mg.tensor(numbers(shape, seed)))
        np.testing.assert_allclose(layer.weight.numpy(), weight / (u @ matrix @ v), atol=1e-12)
        np.testing.assert_allclose(layer.weight_u.numpy(), u, atol=1e-12)
        np.testing.assert_allclose(layer.weight_v.numpy(), v, atol=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("name", BUILDS)
def test_outputs_gradients_and_buffers_are_pytorchs(norm, name):
    build, shape = BUILDS[name]
    layer = getattr(nn, norm)(build(nn)).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        twin = getattr(torch.nn.utils, norm)(build(torch.nn)).double()
    layer.load_state_dict(twin.state_dict())
    for seed in range(3):  # three forwards: the power iteration goes on alike
        x = numbers(shape, seed)
        layer.zero_grad()
        twin.zero_grad()
        ours, theirs = layer(mg.tensor(x)), twin(torch.tensor(x))
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), atol=1e-9)
        (ours * ours).sum().backward()
        (theirs * theirs).sum().backward()
        for key, parameter in twin.named_parameters():
            mine = dict(layer.named_parameters())[key].grad.numpy()
            np.testing.assert_allclose(mine, parameter.grad.numpy(), atol=1e-8)
    for key, value in twin.state_dict().items():
        np.testing.assert_allclose(layer.state_dict()[key].numpy(), value.numpy(), atol=1e-9)


def test_spectral_norm_brings_the_largest_singular_value_to_1():
    plain = nn.Conv2d(3, 5, 3, generator=mg.Generator(1))
    layer = nn.spectral_norm(plain, generator=mg.Generator(0))
    for _ in range(200):
        layer(mg.zeros(1, 3, 3, 3))
    matrix = layer.weight.numpy().reshape(5, -1)
    assert np.linalg.svd(matrix)[1][0] == pytest.approx(1, abs=1e-4)


def test_evaluation_does_not_iterate_and_its_state_is_saved():
    layer = nn.spectral_norm(nn.Linear(4, 3)).eval()
    before = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
    assert set(before) == {"bias", "weight_orig", "weight_u", "weight_v"}
    layer(mg.ones(1, 4))
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])
    layer.weight_orig.data[0] *= 3  # the iteration has converged for the old matrix
    layer.train()(mg.ones(1, 4))
    assert not np.array_equal(layer.weight_u.numpy(), before["weight_u"])


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_gradients_pass_through_length_and_sigma(norm):
    layer = getattr(nn, norm)(nn.Linear(3, 2)).double().eval()
    x = mg.tensor(numbers((2, 3)), requires_grad=True)
    check_grads(layer, [x], parameters=list(layer.parameters()), order=2)


def test_two_forwards_before_one_backward_are_allowed():
    """A discriminator sees the real half and the fake half before its step."""
    layer = nn.spectral_norm(nn.Linear(3, 2))
    (layer(mg.ones(1, 3)).sum() + layer(mg.zeros(1, 3)).sum()).backward()
    assert layer.weight_orig.grad is not None


def test_weight_norm_keeps_the_value_and_splits_length_from_direction():
    plain = nn.Linear(4, 3)
    weight = plain.weight.numpy().copy()
    layer = nn.weight_norm(plain)
    np.testing.assert_allclose(layer.weight.numpy(), weight, atol=1e-7)
    assert layer.weight_g.shape == (3, 1)
    layer.weight_v.data *= 7
    np.testing.assert_allclose(
        layer(mg.tensor(np.eye(4, dtype="f4"))).numpy(),
        weight.T + layer.bias.numpy(),
        atol=1e-6,
    )
    assert nn.weight_norm(nn.Linear(4, 3), dim=None).weight_g.shape == ()
    assert nn.weight_norm(nn.Linear(4, 3), dim=-1).weight_g.shape == (1, 4)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_removing_leaves_an_ordinary_layer_with_the_present_weight(norm):
    layer = getattr(nn, norm)(nn.Linear(4, 3))
    x = mg.randn(2, 4, generator=mg.Generator(0))
    expected = layer.eval()(x).numpy()
    assert getattr(nn, f"remove_{norm}")(layer) is layer
    assert set(layer.state_dict()) == {"weight", "bias"}
    np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-6)
    assert isinstance(layer.weight, nn.Parameter)
    with pytest.raises(ValueError, match=f"remove_{norm}: Linear has no such 'weight'"):
        getattr(nn, f"remove_{norm}")(layer)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_a_copy_after_a_forward_is_independent(norm):
    layer = getattr(nn, norm)(nn.Linear(4, 3))
    layer(mg.ones(1, 4)).sum().backward()
    twin = copy.deepcopy(layer).eval()
    expected = layer.eval()(mg.ones(1, 4)).numpy().copy()
    for parameter in layer.parameters():
        parameter.data *= 3
    np.testing.assert_array_equal(twin(mg.ones(1, 4)).numpy(), expected)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="weight_norm: Linear has no parameter called 'wait'"):
        nn.weight_norm(nn.Linear(1, 1), "wait")
    with pytest.raises(ValueError, match="spectral_norm: bias must be a matrix"):
        nn.spectral_norm(nn.Linear(1, 1), "bias")
    with pytest.raises(ValueError, match=r"weight_norm: dim must lie in \[-2, 1\], got 2"):
        nn.weight_norm(nn.Linear(1, 1), dim=2)
    with pytest.raises(ValueError, match="n_power_iterations must be an integer ≥ 1, got 0"):
        nn.spectral_norm(nn.Linear(1, 1), n_power_iterations=0)
