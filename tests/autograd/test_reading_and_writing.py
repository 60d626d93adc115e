"""Indices and values from the host reach a tensor on every backend; vectors multiply."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg

HOST = np.arange(20, dtype=np.float32).reshape(4, 5)


@pytest.mark.parametrize(
    "index",
    [
        np.array([0, 2, 2]),
        (np.array([3, 0]), np.array([1, 1])),
        (slice(1, 3), np.array([4, 0])),
        np.array([True, False, True, True]),
        [0, 2, 2],
        np.int64(1),
        (Ellipsis, np.int64(-1)),
    ],
    ids=repr,
)
def test_numpy_arrays_and_numbers_are_indices_on_every_backend(backend, index) -> None:
    x = mg.tensor(HOST, requires_grad=True)
    out = x[index]
    np.testing.assert_array_equal(out.numpy(), HOST[index])
    out.sum().backward()
    expected = np.zeros_like(HOST)
    np.add.at(expected, index, 1)
    np.testing.assert_array_equal(x.grad.numpy(), expected)


@pytest.mark.parametrize(
    "value", [3, 2.5, np.float64(1.5), np.arange(5), [1.0, 2.0, 3.0, 4.0, 5.0], "tensor"], ids=repr
)
def test_values_from_the_host_are_written_on_every_backend(backend, value) -> None:
    x, expected = mg.tensor(HOST), HOST.copy()
    expected[1] = np.arange(5) if isinstance(value, str) else value
    x[1] = mg.arange(5) if isinstance(value, str) else value
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x.numpy(), expected)


@pytest.mark.parametrize(
    ("left", "right"), [((3,), (3,)), ((4, 3), (3,)), ((3,), (3, 4)), ((2, 4, 3), (3,))]
)
def test_the_operator_at_differentiates_vectors_twice(backend, left, right) -> None:
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.normal(size=left), requires_grad=True)
    y = mg.tensor(rng.normal(size=right), requires_grad=True)
    out = x @ y
    np.testing.assert_allclose(out.numpy(), x.detach().numpy() @ y.detach().numpy())
    first = mg.grad((out**2).sum(), [x, y], create_graph=True)
    (second,) = mg.grad((first[0] ** 2).sum(), [y])
    # along a direction, d/dt of the squared gradient norm at y + t·u
    u, step = rng.normal(size=right), 1e-6

    def squared_norm(t: float) -> float:
        moved = mg.tensor(y.detach().numpy() + t * u)
        (g,) = mg.grad(((x @ moved) ** 2).sum(), [x])
        return (g**2).sum().item()

    slope = (squared_norm(step) - squared_norm(-step)) / (2 * step)
    assert (second.numpy() * u).sum() == pytest.approx(slope, rel=1e-6)


def test_solve_broadcasts_its_batches_on_every_backend(backend) -> None:
    rng = np.random.default_rng(0)
    a, right = rng.normal(size=(2, 4, 4)) + 4 * np.eye(4), rng.normal(size=(5, 1, 4, 2))
    x = mg.linalg.solve(mg.tensor(a), mg.tensor(right))
    np.testing.assert_allclose(x.numpy(), np.linalg.solve(a, right))


def test_a_numpy_vector_times_a_vector_is_their_product():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    for out in (np.float32([3, 4]) @ x, np.matmul(x, np.float32([3, 4]))):
        assert out.item() == 11
        x.grad = None
        out.backward()
        assert x.grad.tolist() == [3, 4]


def test_a_number_is_no_operand_of_a_matrix_product():
    with pytest.raises(ValueError, match="need a dimension, got the number 2"):
        mg.ones(3) @ 2


@pytest.mark.parametrize("value", [1 + 2j, None, "a", [1j]])
def test_only_real_numbers_are_written(value):
    x = mg.ones(3)
    with pytest.raises(TypeError, match="a tensor holds real numbers"):
        x[0:1] = value
    assert x.tolist() == [1, 1, 1]


@pytest.mark.parametrize("data", [[1.0, 2.0], 1.0, mg.ones(2)])
def test_the_class_itself_wraps_arrays_only(data):
    with pytest.raises(TypeError, match=r"use mg\.tensor"):
        mg.Tensor(data)
