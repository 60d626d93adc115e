"""The heads: probabilities that sum to 1, the plain formula, draws that follow them."""

import math

import numpy as np
import pytest

import minigen as mg
from minigen.backends import active
from minigen.errors import UserError
from minigen.models.pixel_heads import HEADS, make_head
from minigen.testing import check_grads


def table(head, parameters: np.ndarray) -> np.ndarray:
    """The probability of every value for one distribution: (P,) → (K,), by `log_prob`."""
    count = head.values
    repeated = np.broadcast_to(parameters, (count, len(parameters)))
    x = (np.arange(count) / (count - 1)).astype(parameters.dtype)
    rows = mg.tensor(np.ascontiguousarray(repeated)[:, :, None, None])
    return np.exp(head.log_prob(rows, mg.tensor(x[:, None, None, None])).numpy())


def mixture_by_the_book(parameters: list[float], values: int) -> list[float]:
    """Equations 1 and 2 of Salimans et al. 2017, literally, in Python's floats."""
    k = len(parameters) // 3
    exps = [math.exp(w) for w in parameters[:k]]

    def sigma(z: float) -> float:
        return 1 / (1 + math.exp(-z)) if z > 0 else math.exp(z) / (1 + math.exp(z))

    probabilities = []
    for index in range(values):
        v, half, total = 2 * index / (values - 1) - 1, 1 / (values - 1), 0.0
        for weight, mean, log_s in zip(exps, parameters[k : 2 * k], parameters[2 * k :]):
            s = math.exp(log_s)
            upper = 1.0 if index == values - 1 else sigma((v + half - mean) / s)
            lower = 0.0 if index == 0 else sigma((v - half - mean) / s)
            total += weight / sum(exps) * (upper - lower)
        probabilities.append(total)
    return probabilities


PARAMETERS = [
    [0.3, -0.5, 0.1, 0.2, -0.8, 1.4, -2.0, -1.0, 0.5],  # a mean beyond the greatest value
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -6.5, -6.5, 1.5],
    [2.0, -1.0, 0.0, -1.0, 1.0, 0.3, -4.0, -4.0, -3.0],  # sharp bumps on the two edges
]


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("values", [256, 17, 2])
def test_the_logistic_mixture_equals_the_papers_formula_and_sums_to_one(parameters, values):
    head = make_head("logistic-mixture", values, 3)
    got = table(head, np.array(parameters))
    assert got.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(got, mixture_by_the_book(parameters, values), rtol=1e-8, atol=1e-13)


def test_the_logistic_mixture_keeps_its_digits_in_float32_far_from_the_mean():
    """Where two sigmoids agree to seven digits, their difference is noise; the logarithm is not."""
    head = make_head("logistic-mixture", 256, 1)
    parameters = np.array([0.0, -0.9, -3.5])
    x = np.array([0.9]).reshape(1, 1, 1, 1)

    def log_prob(dtype):
        rows = mg.tensor(parameters.astype(dtype)[None, :, None, None])
        return head.log_prob(rows, mg.tensor(x.astype(dtype))).item()

    assert log_prob("float64") < -50
    assert log_prob("float32") == pytest.approx(log_prob("float64"), rel=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_sums_to_one(name):
    head = make_head(name, 11, 2)
    parameters = np.random.default_rng(0).normal(size=head.parameters) * 2
    assert table(head, parameters).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", HEADS)
def test_draws_follow_the_probabilities_and_are_values(name):
    head, n = make_head(name, 8, 2), 40_000
    parameters = np.random.default_rng(1).normal(size=head.parameters)
    asarray, xp = active.backend.asarray, active.backend.xp
    uniforms = mg.Generator(3).uniform((head.uniforms, n), dtype=np.float64).data
    rows = xp.ascontiguousarray(xp.broadcast_to(asarray(parameters), (n, head.parameters)))
    drawn = mg.Tensor(head.draw(rows, uniforms)).numpy()
    assert drawn.shape == (n,)
    index = np.rint(drawn * (head.values - 1)).astype(int)
    np.testing.assert_allclose(drawn, index / (head.values - 1), rtol=0, atol=1e-15)
    frequency = np.bincount(index, minlength=head.values) / n
    probability = table(head, parameters)
    deviation = np.sqrt(probability * (1 - probability) / n)
    assert (np.abs(frequency - probability) < 5 * deviation + 1e-12).all()


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("u", [0.0, 1 - 2**-24])
def test_the_smallest_and_the_greatest_uniform_number_give_a_value(name, u):
    head = make_head(name, 5, 2)
    parameters = np.random.default_rng(2).normal(size=(3, head.parameters)).astype(np.float32)
    drawn = head.draw(parameters, np.full((head.uniforms, 3), u, dtype=np.float32))
    assert drawn.dtype == np.float32
    assert ((drawn >= 0) & (drawn <= 1)).all()


@pytest.mark.parametrize("name", HEADS)
def test_gradients_of_the_likelihood(name):
    head = make_head(name, 5, 2)
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(2, 3 * head.parameters, 2, 2))
    x = mg.tensor(rng.integers(0, head.values, (2, 3, 2, 2)) / (head.values - 1))
    check_grads(lambda p: head.log_prob(p, x), [rows], order=1)


def test_each_colour_reads_its_own_run_of_channels():
    head = make_head("categorical", 4)
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(1, 8, 1, 1))
    x = np.array([1, 3]).reshape(1, 2, 1, 1) / 3
    together = head.log_prob(mg.tensor(rows), mg.tensor(x)).item()
    first, second = np.log(table(head, rows[0, :4, 0, 0])), np.log(table(head, rows[0, 4:, 0, 0]))
    assert together == pytest.approx(first[1] + second[3], abs=1e-12)


def test_names_and_sizes_that_cannot_be_are_told():
    with pytest.raises(UserError, match=r"head must be one of .* got 'gauss'"):
        make_head("gauss")
    with pytest.raises(ValueError, match="values must be at least 2"):
        make_head("categorical", 1)


def test_a_bump_far_wider_than_a_value_keeps_its_digits_in_float32():
    head = make_head("logistic-mixture", 256, 1)
    for log_scale in (6.0, 10.0, 14.0):
        parameters = np.array([0.0, 0.1, log_scale])
        exact = np.log(table(head, parameters))
        found = np.log(table(head, parameters.astype(np.float32)))
        np.testing.assert_allclose(found, exact, rtol=1e-5)
