"""Numbers: whatever library they come from, and what is none. Ops, layers and tools ask alike."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.data.resize import resize
from minigen.models.cyclegan import ImagePool
from minigen.numeric import integer, is_integer, is_number, number, plain_number

GOOD = [
    (3, 3),
    (0.5, 0.5),
    (np.int64(3), 3),
    (np.uint8(3), 3),
    (np.float32(0.5), 0.5),
    (np.float16(0.5), 0.5),
    (np.array(3), 3),
    (np.array(0.5, np.float32), 0.5),
    (np.array([[0.5]]), 0.5),
    (Fraction(1, 2), 0.5),
]
BAD = [True, np.True_, np.array(True), None, "3", 1j, np.complex64(1), [3], (3,), slice(3), {}]
BAD += [np.ones(2), np.ones(0), np.array("3"), np.datetime64("2020-01-01")]


@pytest.mark.parametrize(("value", "plain"), GOOD)
def test_a_number_of_any_library_is_one(value, plain):
    assert plain_number(value) == plain
    assert type(plain_number(value)) is type(plain)
    assert is_number(value)
    assert is_integer(value) == (type(plain) is int)
    assert number("x", value) == plain
    assert type(number("x", value)) is float


@pytest.mark.parametrize("value", BAD, ids=repr)
def test_what_is_none_is_refused_in_one_line(value):
    assert plain_number(value) is None
    assert not is_number(value)
    assert not is_integer(value)
    for ask, accepted in ((number, "a number ≥ 0"), (integer, "an integer")):
        with pytest.raises(TypeError, match=f"^size must be {accepted}, got ") as error:
            ask("size", value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_a_tensor_of_one_value_is_a_number_unless_its_gradient_would_be_lost(backend):
    with mg.use(backend):
        assert plain_number(mg.tensor(3)) == 3
        assert number("lr", mg.tensor(0.5)) == 0.5
        assert integer("n", mg.tensor([3])) == 3
        with pytest.raises(TypeError, match=r"lr must be .* requires grad; pass x.item\(\)"):
            number("lr", mg.tensor(0.5, requires_grad=True))


@pytest.mark.parametrize(
    ("options", "inside", "outside", "accepted"),
    [
        ({}, [0, 1e300], [-1e-9, math.nan, math.inf, -math.inf], "a number ≥ 0"),
        ({"above": True}, [1e-9], [0, -1, math.nan, math.inf], "a number > 0"),
        ({"below": 1.0}, [0, 0.999], [1, 2, math.nan, -1], "a number ≥ 0 and < 1"),
        ({"high": 1}, [0, 1], [1.001, -0.1, math.nan, math.inf], r"a number in \[0, 1\]"),
        ({"above": True, "high": 1}, [1], [0, 2], r"a number in \(0, 1\]"),
        ({"infinite": True}, [0, math.inf], [-1, math.nan, -math.inf], "a number ≥ 0"),
        (
            {"low": -math.inf},
            [-5, 0, 5],
            [math.nan, math.inf, -math.inf],
            "a number that is finite",
        ),
        ({"low": -math.inf, "below": 0}, [-5], [0, -math.inf], "a number < 0"),
        ({"low": 2}, [2], [1.9], "a number ≥ 2"),
    ],
)
def test_ranges(options, inside, outside, accepted):
    for value in inside:
        assert number("x", value, **options) == value
    for value in outside:
        with pytest.raises(ValueError, match=f"^x must be {accepted}, got {value}$"):
            number("x", value, **options)


def test_integers_have_a_least_one():
    assert integer("n", 0) == 0
    assert integer("n", -3) == -3
    assert integer("n", np.int8(1), 1) == 1
    assert type(integer("n", np.int8(1), 1)) is int
    with pytest.raises(ValueError, match=r"^n must be an integer ≥ 1, got 0$"):
        integer("n", 0, 1)
    for broken in (1.0, np.float64(1), np.array(1.0)):
        with pytest.raises(TypeError, match=r"^n must be an integer ≥ 1, got 1\.0$"):
            integer("n", broken, 1)


def test_what_came_is_shown_if_it_is_short():
    with pytest.raises(TypeError, match=r"got ndarray$"):
        number("x", np.ones((30, 30)))
    with pytest.raises(TypeError, match=r"got 'abc'$"):
        number("x", "abc")


# ---------------------------------------------------------------- everywhere


def draws() -> mg.Generator:
    return mg.Generator(0)


X = np.random.default_rng(0).normal(size=(2, 4, 6, 6)).astype(np.float32)
M = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
W = np.random.default_rng(2).normal(size=(4, 4, 2, 2)).astype(np.float32)

SIZES = {
    "zeros": lambda n: mg.zeros(n),
    "zeros of a tuple": lambda n: mg.zeros((n, 3)),
    "ones": lambda n: mg.ones(n, n),
    "full": lambda n: mg.full((n,), 1.0),
    "eye": lambda n: mg.eye(n),
    "rand": lambda n: mg.rand(n, generator=draws()),
    "randint": lambda n: mg.randint(0, n, (3,), generator=draws()),
    "randint's size": lambda n: mg.randint(0, 5, (n,), generator=draws()),
    "randperm": lambda n: mg.randperm(n, generator=draws()),
    "linspace": lambda n: mg.linspace(0, 1, n),
    "sum": lambda n: mg.tensor(X).sum(n),
    "sum over several": lambda n: mg.tensor(X).sum((n, 0)),
    "mean": lambda n: mg.mean(mg.tensor(X), n),
    "argmax": lambda n: mg.argmax(mg.tensor(X), n),
    "softmax": lambda n: mg.softmax(mg.tensor(X), n),
    "norm": lambda n: mg.linalg.norm(mg.tensor(X), 2, n),
    "cat": lambda n: mg.cat([mg.tensor(X)] * 2, n),
    "stack": lambda n: mg.stack([mg.tensor(X)] * 2, n),
    "split": lambda n: mg.split(mg.tensor(M), n)[1],
    "split by a list": lambda n: mg.split(mg.tensor(M), [n, n])[1],
    "roll": lambda n: mg.roll(mg.tensor(M), n, 0),
    "roll of several": lambda n: mg.roll(mg.tensor(M), (n, 1), (0, 1)),
    "unsqueeze": lambda n: mg.unsqueeze(mg.tensor(X), n),
    "transpose": lambda n: mg.transpose(mg.tensor(X), 0, n),
    "permute": lambda n: mg.permute(mg.tensor(X), (0, n, 1, 3)),
    "reshape": lambda n: mg.tensor(X).reshape(n, -1),
    "repeat": lambda n: mg.tensor(M).repeat(n, n),
    "one_hot": lambda n: mg.one_hot(mg.tensor([0, 1]), n),
    "tril": lambda n: mg.tril(mg.tensor(M), n),
    "triu": lambda n: mg.triu(mg.tensor(M), n),
    "conv2d's stride": lambda n: mg.conv2d(mg.tensor(X), mg.tensor(W), None, n),
    "conv2d's padding": lambda n: mg.conv2d(mg.tensor(X), mg.tensor(W), None, 1, n),
    "conv2d's groups": lambda n: mg.conv2d(mg.tensor(X), mg.tensor(W[:, :2]), None, 1, 0, 1, n),
    "conv_transpose2d's groups": lambda n: mg.conv_transpose2d(
        mg.tensor(X), mg.tensor(W), None, 1, 0, 0, n
    ),
    "max_pool2d": lambda n: mg.max_pool2d(mg.tensor(X), n),
    "avg_pool2d": lambda n: mg.avg_pool2d(mg.tensor(X), n),
    "interpolate": lambda n: mg.interpolate(mg.tensor(X), size=n),
    "unfold": lambda n: mg.unfold(mg.tensor(X), n),
    "pixel_shuffle": lambda n: mg.pixel_shuffle(mg.tensor(X), n),
    "layer_norm": lambda n: mg.layer_norm(mg.tensor(M[:, :2]), n),
    "group_norm": lambda n: mg.group_norm(mg.tensor(X), n),
    "Linear": lambda n: nn.Linear(n, n).weight.shape,
    "Conv2d": lambda n: nn.Conv2d(n, n, n, n, n, n, n).weight.shape,
    "BatchNorm2d": lambda n: nn.BatchNorm2d(n).weight.shape,
    "LayerNorm": lambda n: nn.LayerNorm(n).weight.shape,
    "GroupNorm": lambda n: nn.GroupNorm(n, 4).weight.shape,
    "Embedding": lambda n: nn.Embedding(n, n).weight.shape,
    "LSTM": lambda n: nn.LSTM(n, n)(mg.ones(1, 1, 2))[0].shape,
    "a generator": lambda n: mg.Generator(n).normal(n, n),
    "a generator's integers": lambda n: draws().integers(0, n, (n,)),
    "a permutation": lambda n: draws().permutation(n),
    "a pool": lambda n: ImagePool(n).capacity,
    "resize": lambda n: resize(np.ones((1, 1, 4, 4), np.float32), n),
    "capture": lambda n: mg.capture(lambda x: x, limit=n).limit,
    "Muon's steps": lambda n: mg.optim.Muon([mg.ones(2, 2)], ns_steps=n).defaults["ns_steps"],
    "StepLR": lambda n: mg.optim.StepLR(mg.optim.SGD([mg.ones(2)]), n).step_size,
}

FACTORS = {
    "dropout": lambda p: mg.dropout(mg.tensor(X), p, generator=draws()),
    "label smoothing": lambda p: mg.cross_entropy(
        mg.tensor(M), mg.tensor([0, 1, 2, 3]), label_smoothing=p
    ),
    "linspace": lambda p: mg.linspace(p, 1, 3),
    "full": lambda p: mg.full((2,), p),
    "clamp": lambda p: mg.clamp(mg.tensor(X), -p, p),
    "interpolate": lambda p: mg.interpolate(mg.tensor(X), scale_factor=p),
    "Dropout": lambda p: nn.Dropout(p).eval()(mg.tensor(X)),
    "LeakyReLU": lambda p: nn.LeakyReLU(p)(mg.tensor(X)),
    "ELU": lambda p: nn.ELU(p)(mg.tensor(X)),
    "Softplus": lambda p: nn.Softplus(p)(mg.tensor(X)),
    "BatchNorm2d": lambda p: nn.BatchNorm2d(4, p, p)(mg.tensor(X)),
    "LayerNorm": lambda p: nn.LayerNorm(6, p)(mg.tensor(X)),
    "GroupNorm": lambda p: nn.GroupNorm(2, 4, p)(mg.tensor(X)),
    "InstanceNorm2d": lambda p: nn.InstanceNorm2d(4, p)(mg.tensor(X)),
    "normal_": lambda p: nn.init.normal_(mg.zeros(2), p, p, generator=draws()),
    "uniform_": lambda p: nn.init.uniform_(mg.zeros(2), -1, p, generator=draws()),
    "constant_": lambda p: nn.init.constant_(mg.zeros(2), p),
    "xavier_uniform_": lambda p: nn.init.xavier_uniform_(mg.zeros(2, 2), p, generator=draws()),
    "kaiming_uniform_": lambda p: nn.init.kaiming_uniform_(mg.zeros(2, 2), p, generator=draws()),
    "SGD": lambda p: mg.optim.SGD([mg.ones(2)], p, p, 0.0, p).defaults,
    "Adam": lambda p: mg.optim.Adam([mg.ones(2)], p, [p, p], p, p).defaults,
    "RMSprop": lambda p: mg.optim.RMSprop([mg.ones(2)], p, p, p, p, p).defaults,
    "NAdam": lambda p: mg.optim.NAdam([mg.ones(2)], p, (p, p), p, p, p).defaults,
    "RAdam": lambda p: mg.optim.RAdam([mg.ones(2)], p, (p, p), p, p).defaults,
    "Muon": lambda p: mg.optim.Muon([mg.ones(2, 2)], p, p, p, True, [p, p, p], p).defaults,
}


def assert_same(one, other) -> None:
    if isinstance(one, mg.Tensor):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other
        if isinstance(one, dict):
            assert [type(v) for v in one.values()] == [type(v) for v in other.values()]


@pytest.mark.parametrize("name", SIZES)
def test_a_size_may_come_from_any_library(name):
    expected = SIZES[name](2)
    for two in (np.int64(2), np.int8(2), np.array(2), mg.tensor(2)):
        assert_same(SIZES[name](two), expected)


@pytest.mark.parametrize("name", SIZES)
def test_a_size_that_is_none_is_refused_in_one_line(name):
    for bad in (True, np.True_, 2.0, np.float32(2), "2", 1j):
        if name == "randint" and bad is True:
            continue
        with pytest.raises((TypeError, ValueError)) as error:
            SIZES[name](bad)
        assert "\n" not in str(error.value), name


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_may_come_from_any_library(name):
    expected = FACTORS[name](0.5)
    for half in (np.float32(0.5), np.float64(0.5), np.array(0.5, np.float32), mg.tensor(0.5)):
        assert_same(FACTORS[name](half), expected)


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_that_is_none_is_refused_in_one_line(name):
    for bad in ("x", 1j, np.ones(2), True):
        if name in ("full", "linspace", "clamp") and not isinstance(bad, str | complex):
            continue  # True is a value of `full`; a bound of `clamp` may have a shape
        with pytest.raises((TypeError, ValueError)) as error:
            FACTORS[name](bad)
        assert "\n" not in str(error.value), name


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_whose_gradient_would_be_lost_is_refused(name):
    if name == "clamp":  # a bound gets its gradient
        return
    with pytest.raises(TypeError, match="requires grad"):
        FACTORS[name](mg.tensor(0.5, requires_grad=True))
