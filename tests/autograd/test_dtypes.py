"""float32 stays float32; float64 comes out only where float64 went in."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")


def tensor(dtype):
    return mg.tensor(np.array([1, 2], dtype=dtype))


@pytest.mark.parametrize(
    ("operation", "dtype"),
    [
        (lambda: tensor(np.float32) * 2.5, np.float32),
        (lambda: 2.5 * tensor(np.float32), np.float32),
        (lambda: tensor(np.float32) ** 0.5, np.float32),
        (lambda: 0.5 ** tensor(np.float32), np.float32),
        (lambda: tensor(np.float32) * np.float64(2.5), np.float32),
        (lambda: tensor(np.float32) + np.int64(2), np.float32),
        (lambda: tensor(np.float32) * [1.5, 2.5], np.float32),
        (lambda: [1, 2] * tensor(np.float32), np.float32),
        (lambda: tensor(np.float32) * tensor(np.int64), np.float32),
        (lambda: tensor(np.int64) / 2, np.float32),
        (lambda: tensor(np.int64) * 0.5, np.float32),
        (lambda: tensor(np.int64) / tensor(np.int64), np.float32),
        (lambda: mg.exp(tensor(np.int64)), np.float32),
        (lambda: mg.exp(tensor(np.bool_)), np.float32),
        (lambda: mg.sqrt(tensor(np.int32)), np.float32),
        (lambda: tensor(np.int64) + 1, np.int64),
        (lambda: tensor(np.bool_).sum(), np.int64),
        (lambda: tensor(np.float32) * tensor(np.float64), np.float64),
        (lambda: tensor(np.float64) * 2.5, np.float64),
        (lambda: tensor(np.float64) ** np.float32(2), np.float64),
        (lambda: tensor(np.float32).mean(), np.float32),
        (lambda: tensor(np.float32).var(), np.float32),
        (lambda: mg.where(tensor(np.bool_), 1.0, 0.0), np.float32),
        (lambda: mg.where(tensor(np.bool_), tensor(np.float32), 0.0), np.float32),
        (lambda: tensor(np.float32) > 1.5, np.bool_),
        (lambda: tensor(np.int64).to(np.float64), np.float64),
        (lambda: tensor(np.float64).float(), np.float32),
        (lambda: tensor(np.float32).double(), np.float64),
        (lambda: tensor(np.float32).long(), np.int64),
        (lambda: tensor(np.float32).bool(), np.bool_),
        (lambda: tensor(np.float32) @ tensor(np.float32), np.float32),
        (lambda: mg.softmax(tensor(np.float32), 0), np.float32),
        (lambda: mg.norm(tensor(np.float32)), np.float32),
    ],
)
def test_the_result_has_the_dtype_that_pytorch_would_give(operation, dtype):
    assert operation().dtype == dtype


def test_a_python_number_does_not_round_through_float32():
    x = mg.tensor(np.array([1.0]), dtype=np.float64)
    assert (x * 0.1).item() == 0.1


def test_the_gradient_of_a_cast_is_cast_back():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    x.double().square().sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [2, 4]


def test_gradients_in_a_training_step_stay_float32(backend):
    w = mg.tensor(np.ones((3, 2), np.float32), requires_grad=True)
    bias = mg.tensor(np.zeros(3, np.float32), requires_grad=True)
    x = mg.tensor(np.ones((4, 2), np.float32))
    y = mg.linear(x, w, bias)
    loss = (mg.gelu(y) * 2 + 0.5 ** mg.softplus(y) - mg.logsumexp(y, 1, keepdim=True)).mean()
    (g_w, g_b) = mg.grad(loss, [w, bias], create_graph=True)
    ((g_w**2).sum() + g_b.norm()).backward()
    assert loss.dtype == g_w.dtype == g_b.dtype == w.grad.dtype == bias.grad.dtype == np.float32


def test_a_float64_array_as_operand_is_refused_where_it_is_not_the_backends(backend):
    x = mg.tensor([1.0, 2.0])
    if backend.name == "numpy":
        assert (x * np.array([1.0, 2.0], np.float32)).dtype == np.float32
    else:
        with pytest.raises(TypeError, match="a NumPy array on backend"):
            x * np.array([1.0, 2.0], np.float32)
