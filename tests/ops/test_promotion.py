"""The dtype of a result: PyTorch's for every pair of dtypes, shapes and numbers, or a refusal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minigen as mg
from minigen.autograd.operation import registry
from minigen.autograd.primitive import Primitive

try:
    import torch
except ImportError:
    torch = None

pytestmark = pytest.mark.usefixtures("backend")

DTYPES = ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"]
KINDS = "biuf"


def rank(dtype):
    """Booleans, then whole numbers, then floats."""
    return {"b": 0, "u": 1, "i": 1, "f": 2}[np.dtype(dtype).kind]


def joined(one, other):
    """The smallest dtype of the higher kind that holds both."""
    if rank(one) != rank(other):
        return max(one, other, key=rank)
    return np.promote_types(one, other).name


def expected(one, one_ndim, other, other_ndim):
    """PyTorch's rule: tensors with dimensions decide, unless a 0-d one is of a higher kind."""
    if bool(one_ndim) == bool(other_ndim):
        return joined(one, other)
    full, single = (one, other) if one_ndim else (other, one)
    return single if rank(single) > rank(full) else full


def is_exception(one, one_ndim, other, other_ndim):
    """The one pair that is left as NumPy has it; see ``promoted``."""
    return {(one, bool(one_ndim)), (other, bool(other_ndim))} == {
        ("float16", True),
        ("float32", False),
    }


PAIRS = [
    (one, n, other, m)
    for one, other in itertools.product(DTYPES, DTYPES)
    for n, m in ((1, 1), (1, 0), (0, 1), (0, 0))
    if not is_exception(one, n, other, m)
]


def ones(dtype, ndim):
    return mg.tensor(np.ones((2,) * ndim, dtype))


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "where"])
def test_two_tensors_give_the_dtype_that_pytorch_gives(name):
    for one, n, other, m in PAIRS:
        x, y = ones(one, n), ones(other, m)
        found = (
            mg.where(mg.tensor([True, False]), x, y) if name == "where" else getattr(mg, name)(x, y)
        )
        assert found.dtype == expected(one, n, other, m), f"{one} {n}-d and {other} {m}-d"


def test_a_quotient_is_a_float():
    for one, n, other, m in PAIRS:
        dtype = expected(one, n, other, m)
        wanted = dtype if rank(dtype) == 2 else "float32"
        assert mg.divide(ones(one, n), ones(other, m)).dtype == wanted, f"{one} {n}, {other} {m}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ndim", [0, 1])
def test_a_number_of_python_changes_the_kind_but_never_the_width(dtype, ndim):
    x = ones(dtype, ndim)
    for function in (mg.add, mg.multiply, mg.maximum):
        for left, right in ((x, 2.5), (2.5, x)):
            wanted = dtype if rank(dtype) == 2 else "float32"
            assert function(left, right).dtype == wanted
        for left, right in ((x, 3), (3, x)):
            assert function(left, right).dtype == (dtype if rank(dtype) else "int64")


def test_numbers_of_python_alone_are_float32_or_int64():
    for found, wanted in [
        (mg.add(2.5, 3.5), "float32"),
        (mg.exp(1.0), "float32"),
        (mg.sqrt(2), "float32"),
        (mg.divide(1, 2), "float32"),
        (mg.where(mg.tensor([True]), 1.0, 2.0), "float32"),
        (mg.add(2, 3), "int64"),
    ]:
        assert found.dtype == wanted
    assert mg.add(2.5, 3.5).numpy() == 6


def test_gradients_through_a_wider_0d_tensor_keep_each_ones_dtype():
    x, s = mg.ones(3).requires_grad_(), mg.tensor(np.float64(2.0), dtype="float64").requires_grad_()
    for create_graph in (False, True):
        y = x * s
        assert y.dtype == np.float32
        by_x, by_s = mg.grad(y.sum(), [x, s], create_graph=create_graph)
        assert (by_x.dtype, by_s.dtype) == (np.float32, np.float64)
        np.testing.assert_array_equal(by_x.numpy(), 2.0)
        assert by_s.numpy() == 3.0
    assert mg.grad((by_x * by_x).sum(), [s])[0].numpy() == 12


@pytest.mark.parametrize(
    ("function", "from_bool"),
    [
        (mg.square, "int64"),
        (mg.sign, "bool"),
        (mg.tril, "bool"),
        (mg.triu, "bool"),
        (mg.sum, "int64"),
        (mg.prod, "int64"),
        (lambda x: mg.cumsum(x, 0), "int64"),
        (mg.amax, "bool"),
        (lambda x: mg.flip(x, 0), "bool"),
    ],
)
def test_whole_numbers_and_booleans_stay_what_they_are(function, from_bool):
    for dtype in DTYPES:
        found = function(mg.tensor(np.ones((2, 2), dtype))).dtype
        summed = function in (mg.sum, mg.prod) or (
            from_bool == "int64" and function is not mg.square
        )
        if dtype == "bool":
            assert found == from_bool
        else:
            assert found == ("int64" if summed and rank(dtype) == 1 else dtype)


@pytest.mark.parametrize("name", ["round", "floor", "ceil", "relu", "relu6"])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_rounding_and_rectifying_whole_numbers_keeps_them(name, dtype):
    x = np.array([0, 1, 5, 9], dtype)
    found = getattr(mg, name)(mg.tensor(x)).numpy()
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.minimum(x, 6) if name == "relu6" else x)


IMAGE = np.ones((1, 4, 4, 4), np.int64)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mg.adaptive_avg_pool2d(mg.tensor(IMAGE), 2),
        lambda: mg.interpolate(mg.tensor(IMAGE), scale_factor=2.0, mode="bilinear"),
        lambda: mg.conv2d(mg.tensor(IMAGE), mg.tensor(IMAGE)),
        lambda: mg.conv_transpose2d(mg.tensor(IMAGE), mg.tensor(IMAGE)),
        lambda: mg.gated_tanh(mg.tensor(IMAGE)),
        lambda: mg.affine_coupling(mg.tensor(IMAGE), mg.tensor(IMAGE)),
        lambda: mg.norm(mg.tensor(IMAGE)),
        lambda: mg.mean(mg.tensor(IMAGE)),
        lambda: mg.layer_norm(mg.tensor(IMAGE), 4),
        lambda: mg.lerp(mg.tensor(IMAGE), mg.tensor(IMAGE), 0.5),
        lambda: mg.cross_entropy(mg.tensor(IMAGE[0, 0]), mg.tensor([0, 1, 2, 3])),
    ],
)
def test_what_is_not_defined_on_whole_numbers_refuses_them_in_one_line(call):
    with pytest.raises(TypeError, match="floating-point tensor, got int64") as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "pow", "matmul", "relu"])
def test_what_is_not_defined_on_booleans_refuses_them_in_one_line(name):
    x = mg.tensor(np.ones((2, 2), bool))
    with pytest.raises(TypeError, match="must hold numbers, got booleans") as caught:
        getattr(mg, name)(*[x] * (1 if name == "relu" else 2))
    assert "\n" not in str(caught.value)


def test_no_primitive_makes_float64_of_narrower_inputs():
    for name in sorted(registry):
        op = registry[name]
        plain = isinstance(op, Primitive) and not (op.option_names or op.variadic)
        if not plain or len(op.inputs) > 2:
            continue
        for dtype in DTYPES[:-1]:
            xs = [mg.tensor(np.ones((2, 2), dtype)) for _ in op.inputs]
            try:
                found = op(*xs)
            except (TypeError, ValueError):
                continue  # it refuses this dtype
            for y in found if isinstance(found, tuple) else (found,):
                assert y.dtype != np.float64, f"{name} of {dtype}"


if torch is not None:

    def test_the_rule_above_is_that_of_pytorch():
        for one, n, other, m in PAIRS:
            x, y = (
                torch.ones((2,) * k, dtype=getattr(torch, d)) for d, k in ((one, n), (other, m))
            )
            assert str((x + y).dtype) == f"torch.{expected(one, n, other, m)}"
