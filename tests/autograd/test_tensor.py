"""The tensor as a Python object: conversions, indexing, printing, errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import minigen as mg


@pytest.fixture
def x(backend):
    return mg.tensor(np.arange(6.0).reshape(2, 3))


# ---------------------------------------------------------------- as a Python object


def test_shape_dtype_and_counts(x):
    assert (x.shape, x.ndim, x.size(), x.numel(), len(x)) == ((2, 3), 2, (2, 3), 6, 2)
    assert x.dtype == np.float64
    assert x.is_leaf


def test_iteration_goes_over_the_first_dimension_and_is_differentiable(x):
    rows = list(x.requires_grad_())
    assert [row.tolist() for row in rows] == [[0, 1, 2], [3, 4, 5]]
    rows[1].sum().backward()
    assert x.grad.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_one_element_converts_to_a_python_number(x):
    one = x[1, 2]
    assert (one.item(), float(one), int(one), bool(one)) == (5.0, 5.0, 5, True)
    assert list(range(3))[mg.tensor(1)] == 1


@pytest.mark.parametrize("convert", [bool, float, int, lambda t: t.item()])
def test_several_elements_do_not(x, convert):
    with pytest.raises(ValueError, match=r"item\(\) needs exactly one element, got shape \(2, 3\)"):
        convert(x)


def test_a_0d_tensor_has_no_length(x):
    with pytest.raises(TypeError, match="len"):
        len(x.sum())
    with pytest.raises(TypeError, match="only an integer tensor can be an index"):
        [1, 2][mg.tensor(1.0)]


def test_equality_is_elementwise_and_tensors_are_keys_by_identity(x):
    assert (x == x).all().item()
    other = x.clone()
    assert {x: 1, other: 2}[x] == 1


def test_printing_shows_values_dtype_and_op(x):
    assert repr(mg.tensor([1.5, 2.0])) == "tensor([1.5, 2. ])"
    assert "dtype=float64" in repr(x)
    assert "requires_grad=True" in repr(mg.tensor([1.0], requires_grad=True))
    assert "op=multiply" in repr(mg.tensor([1.0], requires_grad=True) * 2)


def test_pickling_is_refused(x):
    with pytest.raises(TypeError, match="minigen never pickles"):
        pickle.dumps(x)


def test_a_leaf_can_be_deep_copied_and_a_result_cannot(x):
    x.requires_grad_()
    twin = copy.deepcopy(x)
    assert twin.requires_grad
    assert twin.data is not x.data
    with pytest.raises(RuntimeError, match=r"only a leaf can be deep-copied"):
        copy.deepcopy(x * 2)


# ---------------------------------------------------------------- to and from other libraries


def test_numpy_gives_the_same_memory_on_the_cpu():
    x = mg.zeros(3)
    x.numpy()[0] = 5
    assert x.tolist() == [5, 0, 0]


def test_the_memory_of_a_recorded_tensor_comes_read_only():
    x = mg.zeros(3, requires_grad=True)
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 5
    x.detach().numpy()[0] = 5
    assert x.tolist() == [5, 0, 0]


def test_numpy_functions_take_a_tensor_on_the_cpu():
    x = mg.tensor([1.0, 2.0])
    assert np.asarray(x).dtype == np.float32
    assert np.array(x, dtype=np.float64).dtype == np.float64
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x, copy=True), x.numpy())
    np.testing.assert_allclose(x, [1, 2])


def test_elsewhere_a_tensor_does_not_become_a_numpy_array_by_itself():
    with mg.use("strict"):
        x = mg.tensor([1.0, 2.0])
        with pytest.raises(TypeError, match=r"call x\.numpy\(\)"):
            np.asarray(x)


def test_an_array_on_the_left_asks_the_tensor():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = np.array([3.0, 4.0], np.float32) * x
    assert isinstance(y, mg.Tensor)
    assert y.requires_grad


def test_from_numpy_shares_memory():
    a = np.zeros(2)
    x = mg.from_numpy(a)
    a[0] = 3
    assert x.tolist() == [3, 0]


def test_dlpack_hands_over_the_memory_itself():
    x = mg.tensor([1.0, 2.0])
    a = np.from_dlpack(x)
    assert np.shares_memory(a, x.numpy())
    back = mg.from_dlpack(a)
    assert np.shares_memory(back.numpy(), x.numpy())


def test_a_recorded_tensor_is_not_exported():
    with pytest.raises(BufferError, match=r"x\.detach\(\)"):
        np.from_dlpack(mg.zeros(2, requires_grad=True))


try:
    import torch
except ImportError:
    torch = None


@pytest.mark.torch
def test_pytorch_shares_memory_by_dlpack_both_ways():
    x = mg.tensor([1.0, 2.0])
    t = torch.from_dlpack(x)
    t[0] = 7
    assert x.tolist() == [7, 2]
    y = mg.from_dlpack(t)
    t[1] = 8
    assert y.tolist() == [7, 8]


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda x: x + mg.ones(4), ValueError, r"add: .*x \(2, 3\) float64, other \(4,\) float32"),
        (lambda x: x @ x, ValueError, r"matmul: inner lengths differ: \(2, 3\) and \(2, 3\)"),
        (lambda x: x + "a", TypeError, "add: an operand must be a tensor or number, got"),
        (lambda x: x.reshape(4, 2), ValueError, r"shape \(4, 2\) has 8 elements"),
        (lambda x: x.reshape(-1, -1), ValueError, "at most one -1"),
        (lambda x: x.reshape(-2, 3), ValueError, "lengths ≥ 0"),
        (lambda x: x.sum(dim=5), IndexError, r"dim must lie in \[-2, 1\] for 2 dimensions, got 5"),
        (lambda x: x.sum(dim=(0, 0)), ValueError, "dim names a dimension twice"),
        (lambda x: x.sum(dim=1.5), TypeError, "dim must be an integer, got 1.5"),
        (lambda x: mg.zeros(0, 3).amax(dim=0), ValueError, "at least one element"),
        (lambda x: mg.tensor([1, 2]).mean(), TypeError, "mean needs a floating-point tensor"),
        (lambda x: x.permute(0), ValueError, "dims must name all 2 dimensions once"),
        (lambda x: x.expand(2, 4, 5), ValueError, "broadcast_to|expand"),
        (lambda x: mg.concatenate([]), ValueError, "needs at least one tensor, got none"),
        (lambda x: x.split(0), ValueError, "split_size_or_sections must be an integer ≥ 1, got 0"),
        (lambda x: x.split([1, 2]), ValueError, r"split: lengths \[1, 2\] must be ≥ 0 and add up"),
        (lambda x: x.gather(0, mg.tensor([[0.5]])), TypeError, "index must be an integer tensor"),
        (lambda x: x.gather(0, mg.tensor([0])), ValueError, r"index \(1,\) does not fit"),
        (lambda x: mg.gather(x.sum(), 0, mg.tensor([[0]])), ValueError, "does not fit"),
        (lambda x: x.topk(9), ValueError, r"k must lie in \[0, 3\], got 9"),
        (lambda x: mg.linalg.inv(x), ValueError, r"inv needs square matrices"),
        (lambda x: mg.linear(x, mg.ones(2, 2)), ValueError, r"does not fit weight \(2, 2\)"),
        (lambda x: mg.clamp(x), ValueError, "clamp needs min or max"),
        (lambda x: mg.elu(x, -1), ValueError, "alpha must be > 0, got -1"),
        (lambda x: mg.mse_loss(x, mg.ones(2)), ValueError, r"\(2, 3\) and target \(2,\) must"),
        (
            lambda x: mg.mse_loss(x, x, reduction="avg"),
            ValueError,
            "reduction must be 'mean'",
        ),
        (lambda x: mg.cross_entropy(x, mg.tensor([0])), ValueError, r"\(2, 3\)"),
        (
            lambda x: mg.one_hot(mg.tensor([0]), -2),
            ValueError,
            r"num_classes must be .* ≥ 1, got -2",
        ),
        (lambda x: mg.einsum("ij,jk->ik", x), ValueError, "names 2 operands, got 1"),
        (lambda x: mg.einsum("ij,jk->ik", x, x), ValueError, "'j' is 3 and also 2"),
        (lambda x: mg.conv2d(x, x), ValueError, r"conv2d: input \(2, 3\)"),
        (
            lambda x: mg.conv2d(mg.ones(1, 1, 4, 4), mg.ones(1, 1, 3, 3), stride=0),
            ValueError,
            "stride must be an integer ≥ 1",
        ),
        (
            lambda x: mg.conv2d(mg.ones(1, 1, 2, 2), mg.ones(1, 1, 3, 3)),
            ValueError,
            "kernel",
        ),
        (lambda x: mg.pad(x, (1,)), ValueError, "pad must be pairs"),
        (lambda x: mg.pad(x, (1, 1), mode="mirror"), ValueError, "mode must be constant"),
        (lambda x: mg.layer_norm(x, 4), ValueError, r"does not end in \(4,\)"),
        (lambda x: mg.max_pool2d(x, 2), ValueError, r"must have shape \(N, C, H, W\)"),
        (lambda x: mg.interpolate(mg.ones(1, 1, 2, 2)), ValueError, "exactly one of size"),
        (lambda x: mg.embedding(mg.tensor([0.5]), x), TypeError, "needs an integer tensor"),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(x, wrong, error, words):
    with pytest.raises(error, match=words) as caught:
        wrong(x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.gather(0, mg.tensor([[2, 0, 0]])),
        lambda x: x.index_select(1, mg.tensor([3])),
        lambda x: mg.embedding(mg.tensor([2]), x),
        lambda x: mg.embedding(mg.tensor([-1]), x),
        lambda x: mg.one_hot(mg.tensor([3]), 3),
        lambda x: mg.cross_entropy(x, mg.tensor([0, 3])),
        lambda x: mg.cross_entropy(x, mg.tensor([0, -1])),
        lambda x: mg.nll_loss(x, mg.tensor([0, 3])),
    ],
)
def test_an_index_out_of_range_raises_on_the_cpu(wrong):
    x = mg.tensor(np.arange(6.0).reshape(2, 3))
    with pytest.raises(IndexError) as caught:
        wrong(x)
    assert "\n" not in str(caught.value)


def test_a_tensor_of_another_backend_is_named():
    x = mg.tensor([1.0, 2.0])
    with mg.use("strict"), pytest.raises(TypeError, match="other lies in numpy"):
        mg.ones(2) + x


def test_data_is_the_very_array_that_it_was_given_and_a_subclass_as_its_plain_array():
    array = np.ones(2, dtype=np.float32)
    x = mg.Tensor(array)
    assert x.data is array
    x.data = other = np.zeros(2, dtype=np.float32)
    assert x.data is other
    for kept in (mg.Tensor(array.view(np.matrix)), x):
        kept.data = array.view(np.matrix)
        assert type(kept.data) is np.ndarray
        assert np.shares_memory(kept.data, array)


def test_a_gradient_set_by_hand_has_the_shape_and_dtype_of_its_tensor():
    w = mg.ones(3, requires_grad=True)
    w.grad = mg.zeros(3)
    w.grad = None
    with pytest.raises(ValueError, match=r"shape \(3,\) and dtype float32 .*, got \(\) and"):
        w.grad = mg.tensor(1.0)
    with pytest.raises(ValueError, match=r"got \(3,\) and float64"):
        w.grad = mg.zeros(3, dtype="float64")
    with pytest.raises(TypeError, match="grad must be a tensor or None, got float"):
        w.grad = 1.0
