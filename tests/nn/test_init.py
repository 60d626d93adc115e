"""Initial values: moments, bounds, and PyTorch's defaults."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.nn import init


def big(*shape: int) -> mg.Tensor:
    return nn.Parameter(mg.zeros(*shape))


FAN_IN, FAN_OUT = 40 * 9, 90 * 9


@pytest.mark.parametrize(
    ("name", "options", "mean", "deviation"),
    [
        ("uniform_", {"a": -0.5, "b": 2.0}, 0.75, 2.5 / math.sqrt(12)),
        ("normal_", {"mean": 1.0, "std": 3.0}, 1.0, 3.0),
        ("xavier_uniform_", {"gain": 2.0}, 0.0, 2 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
        ("xavier_normal_", {}, 0.0, math.sqrt(2 / (FAN_IN + FAN_OUT))),
        ("kaiming_uniform_", {"a": math.sqrt(5)}, 0.0, math.sqrt(2 / 6 / FAN_IN)),
        (
            "kaiming_uniform_",
            {"mode": "fan_out", "nonlinearity": "relu"},
            0.0,
            math.sqrt(2 / FAN_OUT),
        ),
        ("kaiming_normal_", {"nonlinearity": "tanh"}, 0.0, 5 / 3 / math.sqrt(FAN_IN)),
        ("kaiming_normal_", {"a": 0.2}, 0.0, math.sqrt(2 / 1.04 / FAN_IN)),
    ],
)
def test_mean_deviation_and_range_are_those_of_the_formula(name, options, mean, deviation):
    values = getattr(init, name)(big(90, 40, 3, 3), generator=mg.Generator(0), **options).numpy()
    assert float(values.mean()) == pytest.approx(mean, abs=0.02 * deviation)
    assert float(values.std()) == pytest.approx(deviation, rel=0.02)
    if "uniform" in name:
        reach = float(np.abs(values - mean).max())
        assert reach == pytest.approx(math.sqrt(3) * deviation, rel=1e-2)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(300, 200), 300),
        (nn.Conv2d(30, 40, 3), 30 * 9),
        (nn.Conv1d(30, 40, 5, groups=2), 15 * 5),
        (nn.ConvTranspose2d(30, 40, 3), 40 * 9),  # PyTorch counts the weight's second dimension
        (nn.CausalConv1d(30, 40, 2), 60),
        (nn.LSTM(50, 60), 60),
        (nn.GRUCell(50, 60), 60),
    ],
    ids=lambda value: type(value).__name__,
)
def test_layers_start_uniform_within_one_over_the_root_of_fan_in(layer, fan_in):
    bound = 1 / math.sqrt(fan_in)
    for name, parameter in layer.named_parameters():
        values = parameter.numpy()
        assert 0.8 * bound < float(np.abs(values).max()) <= bound * (1 + 1e-6), name
        assert float(values.std()) == pytest.approx(bound / math.sqrt(3), rel=0.3), name


def test_embeddings_start_normal_and_attention_as_xavier():
    assert float(nn.Embedding(100, 90).weight.numpy().std()) == pytest.approx(1, rel=0.05)
    attention = nn.MultiheadAttention(60, 4)
    expected = math.sqrt(2 / (60 + 180))
    assert float(attention.in_proj_weight.numpy().std()) == pytest.approx(expected, rel=0.05)
    assert not attention.in_proj_bias.numpy().any()
    assert not attention.out_proj.bias.numpy().any()


def test_equal_generators_give_equal_layers():
    a, b = (nn.Conv2d(2, 3, 3, generator=mg.Generator(5)) for _ in range(2))
    np.testing.assert_array_equal(a.weight.numpy(), b.weight.numpy())
    np.testing.assert_array_equal(a.bias.numpy(), b.bias.numpy())
    mg.manual_seed(1)
    assert not np.array_equal(nn.Conv2d(2, 3, 3).weight.numpy(), a.weight.numpy())


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (4, 2, 3)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape):
    matrix = init.orthogonal_(big(*shape), gain=2.0).numpy().reshape(shape[0], -1)
    product = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_constants():
    assert init.constant_(big(2), 3.0).tolist() == [3, 3]
    assert init.ones_(big(2)).tolist() == [1, 1]
    assert init.zeros_(init.ones_(big(2))).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("name", "gain"),
    [("linear", 1), ("tanh", 5 / 3), ("relu", 2**0.5), ("leaky_relu", (2 / 1.0001) ** 0.5)],
)
def test_gains(name, gain):
    assert init.calculate_gain(name) == pytest.approx(gain)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="fans need a weight of two or more dimensions"):
        init.xavier_uniform_(big(3))
    with pytest.raises(ValueError, match="mode must be 'fan_in' or 'fan_out', got 'fan'"):
        init.kaiming_normal_(big(3, 3), mode="fan")
    with pytest.raises(ValueError, match=r"nonlinearity must be one of .*, got 'swish'"):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match="std must be a number ≥ 0, got -1"):
        init.normal_(big(3), std=-1)
    with pytest.raises(RuntimeError, match="tensor must be a leaf"):
        init.zeros_(big(3) * 2)
    with pytest.raises(ValueError, match="orthogonal_ needs two or more dimensions"):
        init.orthogonal_(big(3))
