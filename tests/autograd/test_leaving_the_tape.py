"""A tensor that requires grad never turns into plain memory unasked: it is recorded or refused."""

from __future__ import annotations

import copy
import operator

import numpy as np
import pytest

import minigen as mg

pytestmark = pytest.mark.usefixtures("backend")

VALUES = [1.0, 2.0, 3.0]


def leaf(dtype: str = "float32") -> mg.Tensor:
    return mg.tensor(VALUES, dtype=dtype, requires_grad=True)


# ---------------------------------------------------------------- writes


@pytest.mark.parametrize(
    "write",
    [
        lambda b, w: operator.setitem(b, 0, (w * 3)[0]),
        lambda b, w: operator.setitem(b, slice(None), w * 3),
        lambda b, w: operator.setitem(b, b > -1, w),
        lambda b, w: b.copy_(w * 3),
        lambda b, w: operator.iadd(b, w * 3),
        lambda b, w: operator.imul(b[1:], w[0]),
    ],
)
def test_writing_what_requires_grad_into_plain_memory_is_refused_in_one_line(write):
    b, w = mg.zeros(3), leaf()
    with pytest.raises(RuntimeError, match=r"^cannot write a tensor that requires grad") as error:
        write(b, w)
    assert "\n" not in str(error.value)
    assert b.tolist() == [0, 0, 0]


def test_the_ways_that_the_refusal_names_give_the_right_gradient():
    w = leaf()
    b = mg.where(mg.tensor([True, True, True]), w * 3, mg.zeros(3))
    (b.sum() + w.sum()).backward()
    assert w.grad.tolist() == [4, 4, 4]
    w = leaf()
    (mg.stack([w[0] * 3, w[1]]).sum() + w.sum()).backward()
    assert w.grad.tolist() == [4, 2, 1]


def test_under_no_grad_values_may_be_written_anywhere():
    b, w = mg.zeros(3), leaf()
    with mg.no_grad():
        b[0] = w[1]
        b.copy_(w)
        b += w
        w[0] = 5
        w *= w
    assert b.tolist() == [2, 4, 6]
    assert w.tolist() == [25, 4, 9]
    assert w.requires_grad
    assert not b.requires_grad


@pytest.mark.parametrize(
    ("sign", "expected"),
    [
        ("iadd", [3, 4, 5]),
        ("isub", [-1, 0, 1]),
        ("imul", [2, 4, 6]),
        ("itruediv", [0.5, 1, 1.5]),
        ("ifloordiv", [0, 1, 1]),
        ("imod", [1, 0, 1]),
        ("ipow", [1, 4, 9]),
    ],
)
def test_augmented_assignment_writes_in_place_where_writing_is_allowed(sign, expected):
    w = leaf()
    memory, before = w.data, w
    with mg.no_grad():
        w = getattr(operator, sign)(w, 2)
    assert w is before
    assert w.data is memory
    assert w.tolist() == expected
    plain = mg.tensor(VALUES)
    view = plain[:]
    getattr(operator, sign)(plain, 2)
    assert view.tolist() == expected


@pytest.mark.parametrize("sign", ["iadd", "isub", "imul", "itruediv", "ipow", "imod", "imatmul"])
def test_augmented_assignment_raises_where_the_tape_needs_the_value(sign):
    for x in (leaf(), leaf() * 2):
        with pytest.raises(RuntimeError, match=r"cannot write into .* in place: the tape needs"):
            getattr(operator, sign)(x, 2)


def test_augmented_assignment_keeps_shape_and_dtype_or_refuses():
    with pytest.raises(ValueError, match=r"cannot change the shape \(3,\) into \(2, 3\)"):
        operator.iadd(mg.zeros(3), mg.ones(2, 3))
    whole = mg.zeros(3, dtype="int64")
    with pytest.raises(TypeError, match="cannot keep float32 values in a tensor of int64"):
        operator.iadd(whole, 0.5)
    whole += 2
    assert whole.dtype == np.int64
    assert whole.tolist() == [2, 2, 2]
    halves = mg.zeros(3, dtype="float16")
    halves += mg.ones(3)
    assert halves.dtype == np.float16


def test_gradient_descent_by_augmented_assignment_moves_the_parameter():
    w = leaf()
    (w * w).sum().backward()
    with mg.no_grad():
        w -= 0.25 * w.grad
    assert w.tolist() == [0.5, 1.0, 1.5]
    w.grad = None
    (w * w).sum().backward()
    w.data = w.data - 0.5 * w.grad.data  # the other idiom
    assert w.tolist() == [0, 0, 0]


def test_the_data_of_a_parameter_takes_a_step_by_its_gradient():
    w = leaf()
    (w * w).sum().backward()
    if mg.backends.active.backend.name == "numpy":
        w.data -= 0.5 * w.grad
        assert w.tolist() == [0, 0, 0]
        assert type(w.data) is np.ndarray
    else:  # a device's array takes no tensors
        with pytest.raises(TypeError):
            w.data -= 0.5 * w.grad


def test_data_takes_arrays_and_tensors_of_floats_alone():
    w = leaf()
    w.data = mg.zeros(2)
    assert w.tolist() == [0, 0]
    with pytest.raises(TypeError, match="data must be an array or a tensor, got list"):
        w.data = [1.0, 2.0]
    with pytest.raises(TypeError, match="requires grad must be floats, got int64"):
        w.data = mg.zeros(2, dtype="int64")


# ---------------------------------------------------------------- new leaves


@pytest.mark.parametrize(
    "make",
    [
        lambda w: mg.tensor(w * 2),
        lambda w: mg.tensor([w, w * w]),
        lambda w: mg.tensor([[1.0, w[0]], [w[1], 2.0]]),
        lambda w: mg.tensor((w[0], 3.0)),
        lambda w: mg.nn.Parameter(w * 2),
        lambda w: mg.nn.Parameter([w[0], w[1]]),
    ],
)
def test_a_leaf_made_of_what_requires_grad_is_refused(make):
    with pytest.raises(RuntimeError, match=r"a leaf, which would lose the .*detach\(\)"):
        make(leaf())


def test_values_that_require_no_grad_make_leaves():
    with mg.no_grad():
        assert mg.tensor([leaf(), leaf()]).shape == (2, 3)
    assert mg.tensor([mg.tensor(1.0), 2.0]).tolist() == [1, 2]
    assert mg.nn.Parameter(leaf()).tolist() == VALUES


NUMPYS = [
    lambda w: np.stack([w, w]),
    lambda w: np.where([True, False, True], w, 0),
    lambda w: np.concatenate([w, w]),
    lambda w: np.asarray(w),
    lambda w: np.array([w[0], w[1]]),
    lambda w: np.array([[w[0]], [w[1]]]),
    lambda w: np.full((3,), w[0]),
    lambda w: np.dot(w, w),
    lambda w: np.copyto(np.zeros(3), w),
    lambda w: np.zeros(3).__setitem__(slice(None), w),
]


@pytest.mark.parametrize("call", NUMPYS)
def test_numpys_functions_refuse_a_tensor_that_requires_grad(call):
    w = leaf()
    with pytest.raises((RuntimeError, TypeError)) as error:
        call(w)
    assert "\n" not in str(error.value)


def test_numpys_elementwise_functions_and_operators_record():
    w, array = leaf(), np.array([2.0, 3.0, 4.0], dtype=np.float32)
    if mg.backends.active.backend.name == "numpy":
        (np.exp(w) + array * w + np.float32(2) * w).sum().backward()
        np.testing.assert_allclose(w.grad.numpy(), np.exp(VALUES) + array + 2, rtol=1e-6)
    with pytest.raises(TypeError, match="NumPy's modf does not take tensors"):
        np.modf(w)
    with pytest.raises(TypeError, match="NumPy's add does not take tensors"):
        np.add.reduce(w)
    with pytest.raises((RuntimeError, TypeError), match="by itself"):
        array += w


def test_a_list_of_tensors_as_an_operand_is_refused_or_recorded():
    w = leaf()
    with pytest.raises((RuntimeError, TypeError), match=r"gradient would be lost|does not convert"):
        mg.add(w, [w[0], w[1], w[2]])


@pytest.mark.parametrize(
    "call",
    [
        lambda w: mg.leaky_relu(mg.ones(3), w[0]),
        lambda w: mg.elu(mg.ones(3), alpha=w[0]),
        lambda w: mg.layer_norm(mg.ones(2, 3), (3,), eps=w[0]),
        lambda w: mg.full((3,), w[0]),
        lambda w: mg.full_like(mg.ones(3), w[0]),
        lambda w: mg.linspace(w[0], w[1], 3),
        lambda w: mg.arange(w[0]),
        lambda w: mg.scatter(mg.zeros(3, dtype=w.dtype), 0, mg.tensor([0, 1]), w[:2]),
        lambda w: mg.smooth_l1_loss(mg.zeros(3), mg.ones(3), beta=w[0]),
        lambda w: mg.cross_entropy(mg.ones(2, 3), mg.tensor([0, 1]), label_smoothing=w[0] / 10),
        lambda w: mg.norm(mg.ones(3), p=w[2]),
        lambda w: mg.pad(mg.ones(3), (1, 1), value=w[0]),
        lambda w: mg.softplus(mg.ones(3), beta=w[1]),
        lambda w: mg.add(mg.ones(3), 2.0, alpha=w[0]),
        lambda w: mg.clamp(mg.ones(3) * 5, max=w[0]),
        lambda w: mg.scaled_dot_product_attention(*[mg.ones(1, 2, 3)] * 3, scale=w[0]),
    ],
)
def test_a_number_of_an_op_that_requires_grad_is_recorded_or_refused(call):
    w = leaf("float64")
    try:
        out = call(w)
    except (TypeError, RuntimeError, ValueError) as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert "grad" in str(error)  # noqa: PT017
    else:
        assert out.requires_grad


def test_copies_of_a_result_are_refused_and_those_of_a_leaf_train():
    with pytest.raises(RuntimeError, match="only a leaf can be deep-copied"):
        copy.deepcopy(leaf() * 2)
    twin = copy.deepcopy(leaf())
    (twin * 2).sum().backward()
    assert twin.grad.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "call",
    [
        lambda x, p: mg.softplus(x, beta=p),
        lambda x, p: mg.softplus(x, threshold=p),
        lambda x, p: mg.norm(x, p),
        lambda x, p: mg.linalg.vector_norm(x, p),
        lambda x, p: mg.normalize(x, p, dim=0),
        lambda x, p: mg.cdist(x.unsqueeze(0), x.unsqueeze(0), p),
        lambda x, p: mg.logit(x / 4, eps=p / 10),
        lambda x, p: mg.smooth_l1_loss(x, x.detach(), beta=p - 1),
    ],
)
@pytest.mark.parametrize("value", [1.0, 2.0])
def test_an_option_is_no_tensor_that_requires_grad_not_even_at_its_usual_value(call, value):
    with pytest.raises(TypeError, match=r"must be a number.*requires grad"):
        call(leaf(), mg.tensor(value, requires_grad=True))


@pytest.mark.parametrize(
    "function",
    [
        *(np.sum, np.mean, np.std, np.max, np.cumsum, np.transpose, np.squeeze, np.ones_like),
        lambda x: np.concatenate([x, x]),
        lambda x: np.clip(x, 0, 1),
        lambda x: np.dot(x, x),
    ],
)
def test_numpys_functions_refuse_what_requires_grad_and_compute_with_the_rest(function):
    with pytest.raises(RuntimeError, match="does not become a NumPy array by itself"):
        function(leaf())
    if mg.backends.active.backend.name == "numpy":
        np.testing.assert_array_equal(function(mg.tensor(VALUES)), function(np.float32(VALUES)))


def test_numpy_may_ask_for_the_shape():
    assert np.shape(leaf()) == (3,)
    assert np.ndim(leaf()) == 1
    assert np.size(leaf()) == 3
