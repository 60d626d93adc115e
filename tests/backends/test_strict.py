"""The strict backend misbehaves where CuPy does, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen.backends import get_backend, strict
from minigen.backends.strict import StrictArray

backend = get_backend("strict")
xp = backend.xp


def array(values: object, dtype: object = np.float32) -> StrictArray:
    return backend.asarray(values, dtype)


# ---------------------------------------------------------------- nothing converts by itself


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        lambda x: np.array([x, x]),
        lambda x: np.asarray(x, dtype=np.float64),
        np.sum,
        np.exp,
        lambda x: np.add(x, 1),
        lambda x: np.zeros(3) + x,
        lambda x: np.float32(2) * x,
        lambda x: np.concatenate([x, x]),
        lambda x: np.stack([np.zeros(3), x]),
    ],
)
def test_a_strict_array_never_turns_into_a_numpy_array_by_itself(convert) -> None:
    with pytest.raises(TypeError):
        convert(array([1, 2, 3]))


HOST_DATA = [np.ones(3, np.float32), np.float32(2), np.float64(2), np.int64(2), np.array(2.0)]


@pytest.mark.parametrize("host", HOST_DATA, ids=lambda host: type(host).__name__)
@pytest.mark.parametrize(
    "operation",
    [
        lambda x, host: x + host,
        lambda x, host: host - x,
        lambda x, host: x == host,
        lambda x, host: x.__imul__(host),
        lambda x, host: xp.maximum(x, host),
        lambda x, host: xp.where(x > 0, x, host),
        lambda x, host: xp.concatenate([x, host]),
        lambda x, host: xp.matmul(x, host),
        lambda x, host: x.__setitem__(0, host),
        lambda x, host: xp.clip(x, host, 3),
    ],
)
def test_numpy_arrays_and_scalars_are_refused_as_operands(operation, host) -> None:
    with pytest.raises(TypeError, match=r"^Unsupported type numpy"):
        operation(array([1, 2, 3]), host)


def test_a_numpy_index_array_is_refused() -> None:
    with pytest.raises(TypeError, match="Unsupported type numpy"):
        array([1, 2, 3])[np.array([0, 1])]


def test_python_numbers_are_fine_and_promote_nothing() -> None:
    x = array([1, 2, 3])
    for y in (x + 1, 2.5 * x, x**2, 1 - x, x / 3, xp.maximum(x, 0), xp.where(x > 1, x, 0.0), -x):
        assert isinstance(y, StrictArray)
        assert y.dtype == np.float32
    x *= 2
    x += 1.5
    np.testing.assert_array_equal(x.get(), [3.5, 5.5, 7.5])


def test_another_types_own_operator_is_asked() -> None:
    class Loud:
        def __radd__(self, other: object) -> str:
            return "heard"

    assert array([1]) + Loud() == "heard"


# ---------------------------------------------------------------- everything is an array


def test_reductions_and_single_elements_are_0d_arrays() -> None:
    x = array([[1, 2], [3, 4]])
    results = [
        x.sum(), x.mean(), x.max(), xp.prod(x), x.argmax(), x.any(), x[0, 1], x[0][0],
        xp.add(x[0, 0], 1), xp.allclose(x, x), xp.linalg.slogdet(x)[1], xp.array_equal(x, x),
    ]  # fmt: skip
    for result in results:
        assert isinstance(result, StrictArray)
        assert result.shape == ()


def test_a_single_element_is_a_view_as_in_cupy() -> None:
    x = array([1, 2, 3])
    one = x[1]
    one += 10
    np.testing.assert_array_equal(x.get(), [1, 12, 3])


def test_out_is_filled_and_given_back() -> None:
    x, out = array([1, 2, 3]), array([0, 0, 0])
    assert xp.exp(x, out=out) is out
    assert xp.add(x, 1, out=out) is out
    np.testing.assert_array_equal(out.get(), [2, 3, 4])
    total = array(0)
    assert x.sum(out=total) is total
    assert total.item() == 6


def test_host_data_is_copied_in_both_directions() -> None:
    host = np.ones(3, np.float32)
    x = backend.asarray(host)
    host[0] = 9
    back = backend.to_host(x)
    back[1] = 9
    np.testing.assert_array_equal(x.get(), [1, 1, 1])
    assert backend.asarray(x).data.ptr == x.data.ptr


def test_dtypes_that_cupy_lacks_are_refused() -> None:
    for odd in (np.array(["a"]), np.array([None]), np.zeros(2, np.longdouble)):
        with pytest.raises(ValueError, match="Unsupported dtype"):
            backend.asarray(odd)


# ---------------------------------------------------------------- what CuPy lacks is missing


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum(where=x > 0),
        lambda x: x.max(initial=0),
        lambda x: xp.sum(x, initial=0),
        lambda x: xp.mean(x, where=x > 0),
        lambda x: xp.take(x, array([0], np.int64), mode="clip"),
        lambda x: xp.exp(x, where=x > 0),
        lambda x: xp.add(x, x, subok=False),
        lambda x: x.astype(np.float64, casting="safe", copy=True, device="cpu"),
        lambda x: xp.sum(x, 0, None, None, False, 0),
        lambda x: xp.linalg.cholesky(x, upper=True),
    ],
)
def test_keyword_arguments_that_cupy_lacks_are_refused(call) -> None:
    with pytest.raises(TypeError):
        call(array([1, 2, 3]))


def test_functions_that_cupy_lacks_are_missing_and_the_message_says_why() -> None:
    for name in ("errstate", "nditer", "vecdot", "nothing_of_the_kind"):
        with pytest.raises(AttributeError, match=f"strict namespace has no '{name}': CuPy lacks"):
            getattr(xp, name)
    for name in ("at", "reduceat", "reduce", "outer"):
        assert not hasattr(xp.add, name)


def test_where_needs_an_array_as_condition() -> None:
    with pytest.raises(TypeError, match="needs an array as condition"):
        xp.where(True, array([1]), array([2]))


def test_solve_does_not_broadcast_batches() -> None:
    a, b = array(np.eye(3)), array(np.ones((5, 3, 2)))
    with pytest.raises(ValueError, match="multidimensional b"):
        xp.linalg.solve(a, b)
    got = xp.linalg.solve(xp.broadcast_to(a, (5, 3, 3)), b)
    np.testing.assert_allclose(got.get(), np.ones((5, 3, 2)))


# ---------------------------------------------------------------- indices wrap round


def test_entries_of_an_index_array_that_lie_outside_wrap_round() -> None:
    host = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x, far = array(host), array([5, -7, 2], np.int64)
    np.testing.assert_array_equal(x[far].get(), host[[1, 1, 0]])
    np.testing.assert_array_equal(x[:, far].get(), host[:, [2, 2, 2]])
    np.testing.assert_array_equal(x[..., far].get(), host[..., [1, 1, 2]])
    np.testing.assert_array_equal(x[None, :, far, 0].get(), host[None, :, [2, 2, 2], 0])
    np.testing.assert_array_equal(xp.take(x, far, axis=2).get(), host[..., [1, 1, 2]])
    mask = array([True, False], bool)
    np.testing.assert_array_equal(x[mask, far].get(), host[[0], [2, 2, 2]])
    x[:, far] = -1
    host[:, 2] = -1
    np.testing.assert_array_equal(x.get(), host)


def test_scatter_add_wraps_too() -> None:
    x = array(np.zeros(4))
    backend.scatter_add(x, array([5, 5, -1], np.int64), array([1, 2, 3]))
    np.testing.assert_array_equal(x.get(), [0, 3, 0, 3])


def test_a_python_number_that_lies_outside_raises_as_in_cupy() -> None:
    for index in (3, -4, (slice(None), 1)):
        with pytest.raises(IndexError):
            array([1, 2, 3])[index]


# ---------------------------------------------------------------- transfers


@pytest.mark.parametrize(
    ("kind", "transfer"),
    [
        ("get", lambda x: x.get()),
        ("item", lambda x: x.item()),
        ("tolist", lambda x: x.tolist()),
        ("float", float),
        ("int", int),
        ("bool", bool),
        ("bool", lambda x: 1 if x > 0 else 0),
        ("get", backend.to_host),
        ("repr", repr),
        ("nonzero", lambda x: xp.nonzero(x.reshape(1))),
        ("selection by mask", lambda x: x.reshape(1)[x.reshape(1) > 0]),
        ("get", lambda x: mg.Tensor(x).item()),
    ],
)
def test_a_transfer_is_counted_with_its_kind_and_line(kind: str, transfer) -> None:
    with mg.use("strict"), strict.count_transfers() as count:
        transfer(array(3.0))
    assert count.total == 1
    assert count.places[0].startswith(f"{kind} at ")
    assert count.places[0] in repr(count)


def test_nothing_is_counted_outside_and_blocks_nest() -> None:
    x = array(3.0)
    with strict.count_transfers() as outer:
        float(x)
        with strict.count_transfers() as inner:
            float(x)
    float(x)
    assert (outer.total, inner.total) == (2, 1)


def test_a_forward_and_backward_pass_makes_no_transfer() -> None:
    with mg.use("strict"):
        mg.manual_seed(0)
        x, target = mg.randn(8, 1, 6, 6), mg.randint(0, 4, (8,))
        weight = (mg.randn(3, 1, 3, 3) * 0.3).requires_grad_()
        table = mg.randn(4, 48).requires_grad_()
        step = {}
        with strict.count_transfers() as count:
            hidden = mg.relu(mg.conv2d(x, weight))  # (8, 3, 4, 4)
            logits = hidden.reshape(8, -1) @ table.transpose(0, 1)
            loss = mg.cross_entropy(logits, target) + mg.embedding(target, table).mean()
            (g,) = mg.grad(loss, [weight], create_graph=True)
            (loss + mg.norm(g)).backward()
            step["loss"] = loss.detach()
        assert count.total == 0, count
        assert weight.grad is not None
        assert np.isfinite(step["loss"].item())


def test_a_whole_training_step_of_a_model_makes_no_transfer() -> None:
    from minigen.models.vae import VAE

    with mg.use("strict"):
        mg.manual_seed(0)
        model = VAE(in_features=64, hidden=(16,), latent=3)
        optimizer = mg.optim.Adam(model.parameters(), lr=1e-3)
        x = mg.bernoulli(mg.full((8, 64), 0.3))
        before = [p.detach().numpy() for p in model.parameters()]
        with strict.count_transfers() as count:
            for _ in range(2):
                optimizer.zero_grad()
                loss, _terms = model.loss(x)
                loss.backward()
                optimizer.step()
        assert count.total == 0, count
        assert all((p.detach().numpy() != b).any() for p, b in zip(model.parameters(), before))


# ---------------------------------------------------------------- random numbers


def test_random_numbers_are_numpys_for_the_same_seed() -> None:
    def draws() -> list[np.ndarray]:
        g = mg.Generator(4)
        return [
            g.normal(3, 2).numpy(), g.uniform(5).numpy(), g.integers(0, 9, (4,)).numpy(),
            g.permutation(6).numpy(), g.normal().numpy(), g.integers(0, 9).numpy(),
        ]  # fmt: skip

    with mg.use("strict"):
        ours = draws()
    for a, b in zip(ours, draws()):
        np.testing.assert_array_equal(a, b)
