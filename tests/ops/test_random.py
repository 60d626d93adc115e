"""Random draws: distributions, repeatability, saved state, dropout."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import minigen as mg
from minigen.errors import UserError

pytestmark = pytest.mark.usefixtures("backend")


def test_equal_seeds_give_equal_numbers_and_others_do_not():
    draws = [mg.Generator(seed).normal(5).numpy() for seed in (3, 3, 4)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_the_default_generator_starts_anew_with_manual_seed():
    mg.manual_seed(7)
    first = [mg.randn(3).numpy(), mg.rand(3).numpy(), mg.randperm(5).numpy()]
    assert mg.manual_seed(7) is mg.default_generator()
    again = [mg.randn(3).numpy(), mg.rand(3).numpy(), mg.randperm(5).numpy()]
    for one, other in zip(first, again):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("backend", ["numpy", "strict"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": None}, "seed must be an integer ≥ 0, got None"),
        ({"seed": -1}, "seed must be an integer ≥ 0, got -1"),
        ({"seed": 1.5}, "seed must be an integer ≥ 0, got 1.5"),
        ({"streams": [1]}, r"streams must be a dictionary, got \[1\]"),
        ({"streams": {"numpy": None, "strict": None}}, "the stream of .* cannot be read"),
        ({"streams": {"numpy": {}, "strict": {}}}, "the stream of .* cannot be read"),
    ],
)
def test_a_state_that_is_none_is_refused_and_changes_nothing(backend, change, message):
    with mg.use(backend):
        generator, other = mg.Generator(5), mg.Generator(5)
        for one in (generator, other):
            one.normal(3)
        with pytest.raises(UserError, match=message):
            generator.load_state({**generator.state(), **change})
        with pytest.raises(UserError, match="has the keys seed and streams"):
            generator.load_state({})
        assert generator.normal(4).tolist() == other.normal(4).tolist()


@pytest.mark.parametrize("seed", [np.int64(3), np.array(3), mg.tensor(3)])
def test_a_seed_is_an_integer_of_any_library(seed):
    assert mg.Generator(seed).normal(2).tolist() == mg.Generator(3).normal(2).tolist()
    for bad in (True, -1, 1.0, "1", None):
        with pytest.raises(ValueError, match="seed must be an integer ≥ 0"):
            mg.Generator(bad)


def test_a_stream_goes_on_from_its_saved_state_which_is_json():
    generator = mg.Generator(1)
    generator.normal(3)
    state = json.loads(json.dumps(generator.state()))
    expected = [generator.normal(4).numpy(), generator.permutation(6).numpy()]
    other = mg.Generator(99)
    other.load_state(state)
    np.testing.assert_array_equal(other.normal(4).numpy(), expected[0])
    np.testing.assert_array_equal(other.permutation(6).numpy(), expected[1])


def test_normal_and_uniform_draws_have_the_right_moments_and_dtype():
    generator = mg.Generator(0)
    n = 20_000
    x, u = generator.normal(n).numpy(), generator.uniform(n).numpy()
    assert x.dtype == u.dtype == np.float32
    assert generator.normal(2, dtype=np.float64).dtype == np.float64
    assert abs(x.mean()) < 4 / np.sqrt(n)
    assert abs(x.std() - 1) < 4 / np.sqrt(2 * n)
    assert abs((x**4).mean() - 3) < 0.3
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / n)


def test_integers_cover_the_range_without_its_end():
    draws = mg.randint(2, 5, (500,), generator=mg.Generator(0))
    assert draws.dtype == np.int64
    assert set(draws.tolist()) == {2, 3, 4}


def test_a_permutation_holds_every_number_once():
    p = mg.randperm(50, generator=mg.Generator(0))
    assert p.dtype == np.int64
    assert sorted(p.tolist()) == list(range(50))
    assert p.tolist() != list(range(50))


def test_draws_like_a_tensor_take_its_shape_and_dtype():
    x = mg.zeros(2, 3, dtype=np.float64)
    for draw in (mg.randn_like(x), mg.rand_like(x)):
        assert draw.shape == (2, 3)
        assert draw.dtype == np.float64


def test_bernoulli_gives_ones_as_often_as_asked():
    p = mg.tensor(np.repeat([0.0, 0.2, 1.0], 5000).reshape(3, 5000).astype(np.float32))
    draws = mg.bernoulli(p, generator=mg.Generator(0)).numpy()
    assert draws.dtype == np.float32
    assert set(np.unique(draws)) == {0.0, 1.0}
    np.testing.assert_allclose(draws.mean(axis=1), [0, 0.2, 1], atol=0.03)


def test_multinomial_draws_each_class_in_proportion():
    p = mg.tensor(np.broadcast_to([0.1, 0.0, 0.6, 0.3], (8000, 4)).astype(np.float32))
    draws = mg.multinomial(p, 1, generator=mg.Generator(0))
    assert draws.shape == (8000, 1)
    shares = np.bincount(draws.numpy().reshape(-1), minlength=4) / 8000
    np.testing.assert_allclose(shares, [0.1, 0, 0.6, 0.3], atol=0.03)
    draws = mg.multinomial(3 * p[0], 8000, replacement=True, generator=mg.Generator(0))
    assert draws.shape == (8000,)
    shares = np.bincount(draws.numpy(), minlength=4) / 8000
    np.testing.assert_allclose(shares, [0.1, 0, 0.6, 0.3], atol=0.03)


def test_multinomial_without_replacement_draws_no_class_twice():
    p = mg.tensor(np.broadcast_to([0.1, 0.0, 0.6, 0.3], (8000, 4)).astype(np.float32))
    hands = mg.multinomial(p, 2, generator=mg.Generator(0)).numpy()
    assert hands.shape == (8000, 2)
    assert (hands[:, 0] != hands[:, 1]).all()
    assert not (hands == 1).any()
    shares = np.bincount(hands[:, 0], minlength=4) / 8000
    np.testing.assert_allclose(shares, [0.1, 0, 0.6, 0.3], atol=0.03)
    # the second of a hand that began with class 2: in proportion to what is left
    rest = np.bincount(hands[hands[:, 0] == 2, 1], minlength=4)
    np.testing.assert_allclose(rest / rest.sum(), [0.25, 0, 0, 0.75], atol=0.03)


def test_randint_counts_from_0_if_one_bound_is_given():
    for draws in (
        mg.randint(3, (500,), generator=mg.Generator(0)),
        mg.randint(high=3, size=(500,), generator=mg.Generator(0)),
        mg.randint(3, size=(500,), generator=mg.Generator(0)),
    ):
        assert set(draws.tolist()) == {0, 1, 2}
    assert mg.randint(2, (3,), dtype=mg.int32).dtype == np.int32


def test_draws_take_a_dtype_and_may_require_grad():
    for make in (mg.randn, mg.rand):
        x = make(size=(2, 3), dtype=mg.float64, requires_grad=True)
        assert (x.shape, x.dtype, x.requires_grad) == ((2, 3), np.float64, True)
    like = mg.zeros(2, dtype=mg.float64)
    for make in (mg.randn_like, mg.rand_like):
        x = make(like, dtype=mg.float32, requires_grad=True)
        assert (x.shape, x.dtype, x.requires_grad) == ((2,), np.float32, True)
    with pytest.raises(TypeError, match="floating-point"):
        mg.randint(3, (2,), requires_grad=True)


def test_bernoulli_with_one_probability_for_all():
    assert mg.bernoulli(mg.zeros(3), 1.0).tolist() == [1.0, 1.0, 1.0]
    assert mg.bernoulli(mg.ones(3), p=0.0).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: mg.bernoulli(mg.tensor([0.5, 1.5])), r"must lie in \[0, 1\], got 1.5"),
        (lambda: mg.bernoulli(mg.tensor([math.nan])), r"must lie in \[0, 1\], got nan"),
        (lambda: mg.multinomial(mg.tensor([0.5, -0.5]), 1), "finite and ≥ 0, got -0.5"),
        (lambda: mg.multinomial(mg.zeros(2, 3), 1), "a row of weights must not be all 0"),
    ],
)
def test_wrong_probabilities_are_refused_on_the_cpu(wrong, words):
    with mg.use("numpy"), pytest.raises(ValueError, match=words):
        wrong()


def check_dropout_keeps_the_expectation(p=0.25):
    """In training each element is 0 with probability p, and the mean stays."""
    x = mg.ones(20_000)
    y = mg.dropout(x, p, training=True, generator=mg.Generator(0)).numpy()
    assert abs((y == 0).mean() - p) < 0.02
    assert abs(y.mean() - 1) < 0.03


def test_dropout_keeps_the_expectation():
    check_dropout_keeps_the_expectation()


def test_dropout_outside_training_or_with_probability_0_is_the_identity():
    x = mg.tensor([1.0, 2.0])
    np.testing.assert_array_equal(mg.dropout(x, 0.9, training=False).numpy(), x.numpy())
    np.testing.assert_array_equal(mg.dropout(x, 0.0).numpy(), x.numpy())
    np.testing.assert_array_equal(mg.dropout(x, 1.0).numpy(), [0, 0])


def test_the_gradient_of_dropout_is_its_mask():
    x = mg.tensor(np.linspace(1, 2, 50, dtype=np.float32), requires_grad=True)
    y = mg.dropout(x, 0.5, generator=mg.Generator(3))
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), y.numpy() / x.numpy(), rtol=1e-6)
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: mg.Generator(-1), "seed must be an integer ≥ 0, got -1"),
        (lambda: mg.Generator(1.5), "seed must be an integer ≥ 0, got 1.5"),
        (lambda: mg.multinomial(mg.ones(2, 2, 2), 1), "input must be floats"),
        (lambda: mg.multinomial(mg.ones(2), 3), "without replacement, at most 2, got 3"),
        (lambda: mg.randint(3, 3, (2,)), "low must be < high, got 3 and 3"),
        (lambda: mg.randn(-2), "shape must be lengths ≥ 0, got"),
        (lambda: mg.dropout(mg.ones(2), 1.5), r"p must be a number in \[0, 1\], got 1.5"),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(wrong, words):
    with pytest.raises(ValueError, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_halves_are_drawn_too_and_stay_below_one():
    generator = mg.Generator(0)
    drawn = generator.uniform(100_000, dtype="float16")
    assert drawn.dtype == np.float16
    assert 0 <= drawn.numpy().min() <= drawn.numpy().max() < 1
    normal = generator.normal(100_000, dtype="float16").numpy().astype(float)
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    layer = mg.nn.Sequential(mg.nn.Linear(4, 4), mg.nn.Dropout(0.5)).half()
    assert layer(mg.ones(2, 4, dtype="float16")).dtype == np.float16
    with pytest.raises(TypeError, match="must be a floating-point type, got int64"):
        mg.randn(2, dtype="int64")
