"""Names that are PyTorch's mean what PyTorch's mean: the cases where they once did not."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")

A = [[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]]


def test_size_is_a_method_and_numel_counts():
    x = mg.zeros(2, 3)
    assert (x.size(), x.size(0), x.size(-1), x.dim(), x.numel()) == ((2, 3), 2, 3, 2, 6)
    with pytest.raises(IndexError, match="dim must lie within shape"):
        x.size(2)


def test_equal_is_one_answer_and_eq_one_for_each_element():
    x = mg.tensor([1.0, 2.0])
    assert mg.equal(x, mg.tensor([1.0, 2.0])) is True
    assert mg.equal(x, mg.tensor([1.0, 3.0])) is False
    assert mg.equal(x, mg.tensor([[1.0, 2.0]])) is False
    assert mg.eq(x, mg.tensor([1.0, 3.0])).tolist() == [True, False]


def test_operators_on_integers_work_bit_by_bit_and_refuse_floats():
    x = mg.tensor([5, 6])
    assert ((x & 3).tolist(), (x | 8).tolist(), (x ^ 1).tolist()) == ([1, 2], [13, 14], [4, 7])
    assert ((3 & x).tolist(), (~x).tolist()) == ([1, 2], [-6, -7])
    yes, no = mg.tensor([True, True]), mg.tensor([True, False])
    assert ((yes & no).tolist(), (yes ^ no).tolist(), (~no).tolist()) == (
        [True, False],
        [False, True],
        [False, True],
    )
    with pytest.raises(TypeError, match="& needs booleans or integers, got float32"):
        x & mg.tensor([1.0, 2.0])


def test_max_and_min_of_two_tensors_compare_element_by_element():
    x = mg.tensor([0.0, 2.0])
    assert mg.max(x, mg.tensor(1.0)).tolist() == [1.0, 2.0]
    assert mg.min(x, other=mg.tensor([1.0, 1.0])).tolist() == [0.0, 1.0]
    found = mg.tensor(A).max(dim=1)
    assert (found.values.tolist(), found.indices.tolist()) == ([3.0, 5.0], [2, 1])


def test_linalg_norm_of_a_matrix_with_an_order_is_a_matrix_norm():
    x = mg.tensor(A)
    assert mg.linalg.norm(x, 1).item() == 9  # the largest column
    assert mg.linalg.norm(x, math.inf).item() == 15  # the largest row
    assert mg.linalg.norm(x).item() == pytest.approx(math.sqrt(91))
    assert mg.norm(x, 1).item() == mg.linalg.vector_norm(x, 1).item() == 21
    with pytest.raises(ValueError, match="needs 1-D or 2-D"):
        mg.linalg.norm(mg.ones(2, 2, 2), 1)


def test_solve_takes_a_vector_for_each_matrix():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 3, 3)) + 4 * np.eye(3), rng.normal(size=(3, 3))
    x = mg.linalg.solve(mg.tensor(a), mg.tensor(b)).numpy()
    np.testing.assert_allclose(x, [np.linalg.solve(m, v) for m, v in zip(a, b)])


def test_the_diagonal_is_that_of_the_first_two_dimensions():
    x = mg.arange(24).reshape(2, 3, 4)
    assert mg.diagonal(x).shape == (4, 2)
    assert mg.linalg.diagonal(x).shape == (2, 3)
    assert mg.diagonal(mg.tensor(A), 1).tolist() == [-2.0, -6.0]


def test_instance_norm_has_its_running_statistics_second_and_third():
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.normal(3, 2, (4, 2, 5)))
    mean, var = mg.zeros(2, dtype="float64"), mg.ones(2, dtype="float64")
    mg.instance_norm(x, mean, var, momentum=0.5)
    by_sample = x.numpy().mean(2), x.numpy().var(2, ddof=1)
    np.testing.assert_allclose(mean.numpy(), 0.5 * by_sample[0].mean(0))
    np.testing.assert_allclose(var.numpy(), 0.5 + 0.5 * by_sample[1].mean(0))
    out = mg.instance_norm(x, mean, var, use_input_stats=False, eps=0.0).numpy()
    shaped = [v.numpy().reshape(1, 2, 1) for v in (mean, var)]
    np.testing.assert_allclose(out, (x.numpy() - shaped[0]) / np.sqrt(shaped[1]))


def test_a_0d_tensor_is_formatted_and_rounded_as_its_number():
    loss = mg.tensor(1.256)
    assert (f"{loss:.2f}", f"{loss:8.1f}", round(loss), round(loss, 1)) == (
        "1.26",
        "     1.3",
        1,
        1.3,
    )
    with pytest.raises(TypeError, match="a format is for a 0-d tensor"):
        f"{mg.ones(2):.2f}"


def test_slopes_at_the_bounds_are_those_of_pytorch():
    def slope(function):
        x = mg.tensor([-1.0, 0.0, 1.0], requires_grad=True)
        function(x).sum().backward()
        return x.grad.tolist()

    assert slope(mg.hardtanh) == [0.0, 1.0, 0.0]
    assert slope(lambda x: mg.clamp(x, -1, 1)) == [1.0, 1.0, 1.0]
    assert slope(lambda x: mg.clamp(x, mg.tensor(-1.0), mg.tensor(1.0))) == [1.0, 1.0, 1.0]
    assert slope(mg.relu6) == [0.0, 0.0, 1.0]
    assert slope(lambda x: mg.prelu(x, mg.tensor([0.5]))) == [0.5, 0.5, 1.0]
    assert slope(lambda x: mg.huber_loss(x, mg.zeros(3), reduction="sum")) == [-1.0, 0.0, 1.0]


def test_x_log_y_is_0_where_x_is_0_and_its_slopes_are_finite():
    x = mg.tensor([0.0, 0.0, 2.0], requires_grad=True)
    y = mg.tensor([0.0, 3.0, 1.0], requires_grad=True)
    out = mg.xlogy(x, y)
    out.sum().backward()
    assert out.tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(x.grad.numpy(), [0, math.log(3), 0], rtol=1e-6)
    assert y.grad.tolist() == [0.0, 0.0, 2.0]
    assert mg.xlogy(mg.tensor(0.0), math.nan).isnan().item()


def test_erfinv_at_the_ends_and_outside():
    assert mg.erfinv(mg.tensor([-1.0, 0.0, 1.0])).tolist() == [-math.inf, 0.0, math.inf]
    assert mg.erfinv(mg.tensor([1.5])).isnan().all().item()
    for y in (1e-9, 0.3, 2.0, 4.0, 5.5):
        near = mg.erfinv(mg.tensor(math.erf(y), dtype="float64")).item()
        # what a rounding of erf(y) alone does to y
        doubt = 2.0**-53 * math.erf(y) * math.exp(y * y) * math.sqrt(math.pi) / 2
        assert abs(near - y) <= 4 * doubt + 4e-16 * y


def test_a_variance_below_eps_gets_the_slope_at_eps():
    x = mg.tensor([1.0], requires_grad=True)
    var = mg.tensor([0.1], requires_grad=True)
    mg.gaussian_nll_loss(x, mg.tensor([0.0]), var, eps=0.5).backward()
    assert var.grad.item() == pytest.approx(0.5 * (1 / 0.5 - 1 / 0.25))
    with mg.use("numpy"), pytest.raises(ValueError, match="var must be ≥ 0, got -1"):
        mg.gaussian_nll_loss(mg.ones(1), mg.ones(1), mg.tensor([-1.0]))


def test_weights_of_losses_are_kept_by_their_modules():
    weight = mg.tensor([1.0, 2.0, 0.5])
    loss = mg.nn.CrossEntropyLoss(weight)
    x, target = mg.tensor(A), mg.tensor([2, 0])
    assert loss(x, target).item() == mg.cross_entropy(x, target, weight).item()
    assert set(loss.state_dict()) == {"weight"}
    pos = mg.nn.BCEWithLogitsLoss(pos_weight=mg.tensor(3.0))
    goal = mg.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    expected = mg.binary_cross_entropy_with_logits(x, goal, pos_weight=mg.tensor(3.0))
    assert pos(x, goal).item() == expected.item()
    with pytest.raises(ValueError, match="MSELoss: reduction must be one of mean, sum, none"):
        mg.nn.MSELoss(reduction="avg")
