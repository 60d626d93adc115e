"""The compiled kernels against their plain versions, and when they step aside.

In this module every array counts as large, so that small cases reach the compiled loops.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import warnings
from collections.abc import Iterator

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_specs import SPECS, checks

import minigen as mg
from minigen.backends import get_backend, numpy_kernels
from minigen.backends.compiled import KERNELS, support
from minigen.backends.numpy_backend import NumpyBackend
from minigen.ops import product
from minigen.ops.kernel import defaults

few = settings(deadline=None, max_examples=25, derandomize=True, database=None)
PRECISION = {"float32": 2e-6, "float64": 1e-14}


@pytest.fixture(scope="module", autouse=True)
def compiled() -> Iterator[None]:
    """The numpy backend with compiled kernels for arrays of any size."""
    with pytest.MonkeyPatch.context() as patch, mg.use("numpy") as backend:
        patch.setattr(support, "SMALL", 0)
        patch.setattr(backend, "kernels", dict(KERNELS))
        yield


def laid_out(values: np.ndarray, layout: str) -> np.ndarray:
    """The same values in another order in memory, or with gaps."""
    if layout == "channels-last":
        return np.ascontiguousarray(np.moveaxis(values, 1, -1)).transpose(0, 3, 1, 2)
    if layout == "gaps":
        return np.repeat(values, 2, axis=-1)[..., ::2]
    if layout == "backwards":
        return np.ascontiguousarray(values[::-1])[::-1]
    return values


@st.composite
def arrays(draw: st.DrawFn, layouts: tuple[str, ...], count: int = 2) -> list[np.ndarray]:
    """``count`` arrays (N, C, H, W) of one shape (sizes 0 to 5), dtype and layout."""
    shape = tuple([draw(st.integers(0, 5)) for _ in range(4)])
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    dtype, layout = draw(st.sampled_from(sorted(PRECISION))), draw(st.sampled_from(layouts))
    return [laid_out(rng.normal(0, 4, shape).astype(dtype), layout) for _ in range(count)]


DENSE = ("rows", "channels-last")
ANY = (*DENSE, "gaps", "backwards")

ELEMENTWISE = [
    ("rectify", 1, {"low": 0.0}),
    ("rectify", 1, {"low": 0.2}),
    ("rectify", 1, {"low": 1.5}),
    ("gate", 2, {"low": 0.0}),
    ("gate", 2, {"low": 0.2}),
    ("logistic", 1, {}),
    ("logit_cross_entropy", 2, {}),
]


@pytest.mark.parametrize(("name", "count", "options"), ELEMENTWISE)
@few
@given(data=st.data())
def test_an_elementwise_kernel_equals_its_plain_version(name, count, options, data):
    xs = data.draw(arrays(ANY, count))
    before = [x.copy() for x in xs]
    b = get_backend("numpy")
    expected = defaults[name](b, *xs, **options)
    got = KERNELS[name](b, *xs, **options)
    if got is NotImplemented:
        return
    assert got.dtype == xs[0].dtype
    np.testing.assert_allclose(got, expected, rtol=0, atol=8 * PRECISION[got.dtype.name])
    np.testing.assert_equal(xs, before)
    assert not any(np.shares_memory(got, x) for x in xs)


@pytest.mark.parametrize(("name", "count", "options"), ELEMENTWISE)
@pytest.mark.parametrize("layout", ANY)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int64"])
def test_a_kernel_takes_dense_floats_and_leaves_the_rest(name, count, options, layout, dtype):
    xs = [laid_out(np.ones((2, 3, 4, 5)), layout).astype(dtype, order="K") for _ in range(count)]
    if layout == "gaps":
        xs = [laid_out(np.ones((2, 3, 4, 5), dtype), layout) for _ in range(count)]
    if layout == "backwards":
        xs = [np.ones((2, 3, 4, 5), dtype)[::-1] for _ in range(count)]
    taken = KERNELS[name](get_backend("numpy"), *xs, **options) is not NotImplemented
    single = name in ("logistic", "logit_cross_entropy")
    floats = ("float32",) if single else ("float32", "float64")
    assert taken == (layout in DENSE and dtype in floats)


def test_operands_in_different_orders_or_of_different_kinds_are_left_to_numpy():
    b, x = get_backend("numpy"), np.ones((2, 3, 4, 5), np.float32)
    others = [laid_out(x, "channels-last"), x.astype(np.float64), x[:1], x[:, :1], x.T, 1.0]
    for other in others:
        assert KERNELS["gate"](b, x, other, low=0.0) is NotImplemented
    one = np.ones((2, 1, 4, 5), np.float32)  # a single channel lies the same either way
    assert KERNELS["gate"](b, one, laid_out(one, "channels-last"), low=0.0) is not NotImplemented
    assert mg.relu(-1.5).item() == 0.0


def test_infinities_and_nan_pass_as_in_numpy():
    b, x = get_backend("numpy"), np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0], np.float32)
    ones = np.ones_like(x)
    for name, inputs, options in [
        ("rectify", (x,), {"low": 0.0}),
        ("rectify", (x,), {"low": 0.1}),
        ("gate", (x, -ones), {"low": 0.0}),
        ("gate", (x, ones), {"low": 0.1}),
        ("gate", (ones, x), {"low": 0.1}),
        ("logistic", (x,), {}),
        ("logit_cross_entropy", (x, 0 * ones), {}),
    ]:
        with np.errstate(invalid="ignore"):
            expected = defaults[name](b, *inputs, **options)
        got = KERNELS[name](b, *inputs, **options)
        if name == "logit_cross_entropy":  # NumPy's version has inf · 0 there as well
            np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
        else:
            np.testing.assert_allclose(got, expected, atol=1e-7)


def test_logistic_and_cross_entropy_are_right_to_single_precision_everywhere():
    b, x = get_backend("numpy"), np.linspace(-86, 86, 100_001, dtype=np.float32)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(KERNELS["logistic"](b, x), 1 / (1 + np.exp(-wide)), rtol=1e-6)
    loss = KERNELS["logit_cross_entropy"](b, x, np.zeros_like(x))
    np.testing.assert_allclose(loss, np.logaddexp(0, wide), rtol=1e-6)
    far = np.array([-1e4, 1e4, -3e38, 3e38], np.float32)
    np.testing.assert_allclose(KERNELS["logistic"](b, far), [0, 1, 0, 1], atol=1e-37)


@few
@given(arrays(ANY, 1), st.data())
def test_gathered_windows_equal_the_plain_version_bit_for_bit(xs, data):
    source = xs[0].transpose(0, 2, 3, 1)  # contiguous pixels where the layout is channels-last
    _, h, w, _ = source.shape
    places = st.tuples(st.integers(0, max(h - 1, 0)), st.integers(0, max(w - 1, 0)))
    taps = sorted(data.draw(st.lists(places, min_size=1, max_size=6, unique=True)))
    step = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = tuple(
        [max((n - 1 - max(t[d] for t in taps)) // step[d] + 1, 0) for d, n in enumerate((h, w))]
    )
    b = get_backend("numpy")
    got = KERNELS["gather_windows"](b, source, taps, step, size)
    if got is not NotImplemented:
        np.testing.assert_array_equal(got, defaults["gather_windows"](b, source, taps, step, size))


def test_windows_of_a_part_of_a_larger_array_are_compiled_too():
    b, whole = get_backend("numpy"), np.arange(4 * 9 * 8 * 3, dtype=np.float32)
    part = whole.reshape(4, 9, 8, 3)[1:3, 2:]
    arguments = part, [(0, 0), (0, 1), (2, 1)], (2, 1), (2, 6)
    got = KERNELS["gather_windows"](b, *arguments)
    np.testing.assert_array_equal(got, defaults["gather_windows"](b, *arguments))
    sideways = whole.reshape(4, 9, 8, 3).transpose(0, 2, 1, 3)
    assert KERNELS["gather_windows"](b, sideways, *arguments[1:]) is NotImplemented


@few
@given(arrays(DENSE, 1))
def test_a_bias_is_added_in_place(xs):
    rows = xs[0].transpose(0, 2, 3, 1)
    bias = np.arange(rows.shape[-1], dtype=rows.dtype)
    expected = rows + bias
    product.add_bias(get_backend("numpy"), rows, bias)
    np.testing.assert_array_equal(rows, expected)


def cells(dtype: str, m: int, size: int) -> list[np.ndarray]:
    """z (M, 4H), then c, tanh_c, h and one more (M, H)."""
    rng = np.random.default_rng(m + size)
    shapes = [(m, 4 * size), *[(m, size)] * 4]
    return [rng.normal(0, 4, shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("size", [1, 7, 16])
@pytest.mark.parametrize("m", [0, 1, 5, 40])
def test_a_step_of_lstm_cells_equals_the_plain_one(m, size):
    b, plain = get_backend("numpy"), cells("float32", m, size)[:4]
    fast = [x.copy() for x in plain]
    defaults["lstm_cell"](b, *plain)
    taken = KERNELS["lstm_cell"](b, *fast) is not NotImplemented
    assert taken == (m > 0)
    if taken:
        for expected, got in zip(plain, fast):
            np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", sorted(PRECISION))
@pytest.mark.parametrize("size", [1, 7, 16])
def test_the_way_back_through_lstm_cells_equals_the_plain_one(dtype, size):
    b = get_backend("numpy")
    z, before, tanh_c, g_h, g_c = cells(dtype, 9, size)
    sigma = np.tanh(z)
    plain = [sigma, before, np.tanh(tanh_c), g_h, g_c, np.empty_like(sigma)]
    fast = [x.copy() for x in plain]
    defaults["lstm_cell_backward"](b, *plain)
    assert KERNELS["lstm_cell_backward"](b, *fast) is not NotImplemented
    for expected, got in zip(plain, fast):
        np.testing.assert_allclose(got, expected, rtol=0, atol=20 * PRECISION[dtype])


def test_lstm_cells_with_gaps_or_in_double_precision_are_left_to_numpy():
    b = get_backend("numpy")
    z, c, tanh_c, h, _ = cells("float32", 8, 4)
    assert KERNELS["lstm_cell"](b, z[::2], c[::2], tanh_c[::2], h[::2]) is NotImplemented
    assert KERNELS["lstm_cell"](b, *cells("float64", 8, 4)[:4]) is NotImplemented
    far = np.array([[1e4, -1e4, 3e38, -3e38]] * 4, np.float32).reshape(4, 4)
    KERNELS["lstm_cell"](b, far, *[x := np.zeros((4, 1), np.float32), x.copy(), x.copy()])
    np.testing.assert_allclose(far, [[1, 0, 1, 0]] * 4, atol=1e-7)


@pytest.mark.parametrize("dtype", sorted(PRECISION))
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_step_of_adam_equals_the_plain_one(dtype, decoupled, weight_decay):
    rng = np.random.default_rng(0)
    plain = [rng.normal(size=1000).astype(dtype) for _ in range(3)]
    plain.append(rng.random(1000).astype(dtype))
    fast = [x.copy() for x in plain]
    options = {
        "lr": 0.01,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": weight_decay,
        "decoupled": decoupled,
    }
    for step in range(1, 4):
        defaults["adam_step"](get_backend("numpy"), *plain, **options, step=step)
        assert KERNELS["adam_step"](get_backend("numpy"), *fast, **options, step=step) is None
    for x, y in zip(fast, plain):
        np.testing.assert_allclose(x, y, rtol=PRECISION[dtype], atol=PRECISION[dtype])


@pytest.mark.parametrize("dtype", sorted(PRECISION))
def test_a_moving_average_equals_the_plain_one(dtype):
    rng = np.random.default_rng(0)
    plain, value = rng.normal(size=(2, 1000)).astype(dtype)
    fast = plain.copy()
    defaults["average_step"](get_backend("numpy"), plain, value, decay=0.9)
    assert KERNELS["average_step"](get_backend("numpy"), fast, value, decay=0.9) is None
    np.testing.assert_allclose(fast, plain, rtol=PRECISION[dtype])


@pytest.mark.parametrize("dtype", sorted(PRECISION))
@pytest.mark.parametrize("shape", [(1,), (7,), (5, 2, 3), (0, 3)])
def test_the_way_back_through_a_gate_equals_the_plain_one(dtype, shape):
    rng = np.random.default_rng(0)
    g = rng.normal(size=shape).astype(dtype)
    parts = np.tanh(rng.normal(size=(*shape[:-1], 2 * shape[-1]))).astype(dtype)
    b = get_backend("numpy")
    plain = defaults["gate_backward"](b, g, parts)
    fast = KERNELS["gate_backward"](b, g, parts)
    if 0 in shape:
        assert fast is NotImplemented
        return
    assert (fast.dtype, fast.shape) == (g.dtype, parts.shape)
    np.testing.assert_allclose(fast, plain, rtol=PRECISION[dtype], atol=PRECISION[dtype])
    apart = np.repeat(parts, 2, axis=-1)[..., ::2]
    assert KERNELS["gate_backward"](b, g, apart) is NotImplemented


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(("moved", "kept"), [(1, 1), (2, 3), (8, 8)])
def test_a_coupling_and_its_way_back_equal_the_plain_ones(swap, moved, kept):
    rng, b = np.random.default_rng(0), get_backend("numpy")
    sizes = (moved + kept, 2 * moved, moved + kept)
    x, said, g = (rng.normal(0, 2, (3, c, 4, 5)).astype(np.float32) for c in sizes)
    x = laid_out(x, "channels-last")
    options = {"swap": swap, "limit": 1.5}
    plain, fast = (table["couple"](b, x, said, **options) for table in (defaults, KERNELS))
    for expected, got in zip(plain, fast, strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    for by_sum in (rng.normal(size=3).astype(np.float32), np.broadcast_to(np.float32(2), 3)):
        inputs = (b, g, by_sum, x, *plain[2:])
        plain_back, fast_back = (
            table["couple_backward"](*inputs, swap=swap) for table in (defaults, KERNELS)
        )
        for expected, got in zip(plain_back, fast_back, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert KERNELS["couple"](b, x.astype(np.float64), said, **options) is NotImplemented
    assert KERNELS["couple"](b, x[:, :, 0], said[:, :, 0], **options) is NotImplemented


@pytest.mark.parametrize("dtype", sorted(PRECISION))
@pytest.mark.parametrize("step", [(1, 1), (2, 1)])
def test_scattered_windows_equal_the_plain_version(dtype, step):
    rng, b = np.random.default_rng(0), get_backend("numpy")
    products = rng.normal(size=(2, 3, 4, 6, 5)).astype(dtype)
    taps = [(row, column) for row in range(3) for column in range(2)]
    plain = rng.normal(size=(2, 5, 4, 5)).astype(dtype)
    fast = plain.copy()
    defaults["scatter_windows"](b, products, plain, taps, step, (1, 1))
    assert KERNELS["scatter_windows"](b, products, fast, taps, step, (1, 1)) is None
    np.testing.assert_allclose(fast, plain, rtol=10 * PRECISION[dtype], atol=PRECISION[dtype])
    gaps = products[..., ::2]
    assert KERNELS["scatter_windows"](b, gaps, fast, taps, step, (1, 1)) is NotImplemented


# ---------------------------------------------------------------- the ops above them

USERS = {
    "relu",
    "leaky_relu",
    "step_gate",
    "sigmoid",
    "silu",
    "softplus",
    "bce_with_logits",
    "binary_cross_entropy_with_logits",
    "convolve",
    "convolve_transpose",
    "convolve_weight",
    "conv2d",
    "conv_transpose2d",
    "gated_tanh",
    "affine_coupling",
}
CHOSEN = [spec for spec in SPECS if spec.name in USERS]


@pytest.mark.parametrize("spec", CHOSEN, ids=[f"{s.name}-{i}" for i, s in enumerate(CHOSEN)])
@pytest.mark.parametrize(
    "check",
    [checks.check_value, checks.check_differences, checks.check_single_precision],
    ids=["value", "differences", "single precision"],
)
def test_ops_on_compiled_kernels_keep_to_their_descriptions(spec, check):
    @settings(few, max_examples=5)
    @given(spec.cases)
    def body(case) -> None:
        check(spec, case)

    if spec.differentiable or check is checks.check_value:
        body()


def after_training(kernels: dict) -> list[np.ndarray]:
    """The parameters of a small network after five steps."""
    backend = get_backend("numpy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "kernels", kernels)
        mg.manual_seed(0)
        net = mg.nn.Sequential(
            mg.nn.Conv2d(1, 8, 3, padding=1), mg.nn.ReLU(), mg.nn.Conv2d(8, 1, 1)
        )
        optimizer = mg.optim.Adam(net.parameters(), lr=0.01)
        x = mg.Generator(1).uniform(8, 1, 12, 12)
        for _ in range(5):
            optimizer.zero_grad()
            mg.binary_cross_entropy_with_logits(net(x), x).backward()
            optimizer.step()
        return [p.numpy().copy() for p in net.parameters()]


def test_training_is_the_same_with_and_without_and_repeats_bit_for_bit():
    fast, again = after_training(dict(KERNELS)), after_training(dict(KERNELS))
    plain = after_training({})
    for x, y, z in zip(fast, again, plain):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_allclose(x, z, atol=1e-5)


# ---------------------------------------------------------------- with and without Numba


def test_every_kernel_replaces_one_that_has_a_plain_version():
    assert set(KERNELS) <= set(defaults)


def test_without_numba_or_with_it_turned_off_the_plain_kernels_run(monkeypatch):
    monkeypatch.setenv("MINIGEN_BLAS", "numpy")
    assert set(NumpyBackend().kernels) == set(KERNELS) | set(numpy_kernels.KERNELS)
    monkeypatch.setenv("MINIGEN_NUMBA", "0")
    assert NumpyBackend().kernels == numpy_kernels.KERNELS
    monkeypatch.delenv("MINIGEN_NUMBA")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert NumpyBackend().kernels == numpy_kernels.KERNELS


def test_a_numba_that_cannot_be_imported_is_said_once_and_plain_kernels_run(monkeypatch):
    def broken(name: str) -> None:
        raise ImportError("Numba needs NumPy 2.3 or less")

    x = mg.tensor(np.linspace(-1, 1, 10_000))
    support.loops.cache_clear()
    monkeypatch.setattr(support.importlib, "import_module", broken)
    try:
        with pytest.warns(RuntimeWarning, match="minigen runs without Numba: Numba needs NumPy"):
            first = mg.relu(x)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            second = mg.relu(x)
    finally:
        support.loops.cache_clear()
    np.testing.assert_array_equal(first.numpy(), np.maximum(x.numpy(), 0))
    np.testing.assert_array_equal(second.numpy(), first.numpy())


def test_where_no_cache_can_be_written_loops_are_compiled_all_the_same(monkeypatch):
    from minigen.backends.compiled.loops import compiling

    def nowhere(self) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba.core.dispatcher.Dispatcher, "enable_caching", nowhere)
    assert compiling.compiled(lambda x: x + 1)(2) == 3


def test_machine_code_is_kept_only_as_long_as_no_file_of_loops_changes(tmp_path, monkeypatch):
    """A loop inlines what it calls, which may lie in another file."""
    from minigen.backends.compiled.loops import compiling

    package = tmp_path / "loops_of_a_test"
    package.mkdir()
    (package / "outer.py").write_text(
        "import inner\nfrom minigen.backends.compiled.loops.compiling import compiled\n"
        "step = compiled(inner.step)\n"
        "def twice(x):\n    return step(step(x))\n"
        "twice = compiled(twice)\n"
    )
    monkeypatch.syspath_prepend(str(package))
    results = []
    for addend in (1, 20):
        (package / "inner.py").write_text(f"def step(x):\n    return x + {addend}\n")
        compiling.state_of_sources.cache_clear()
        monkeypatch.setattr(compiling, "__file__", str(package / "outer.py"))
        for name in ("outer", "inner"):
            sys.modules.pop(name, None)
        results.append(importlib.import_module("outer").twice(0))
    compiling.state_of_sources.cache_clear()
    assert results == [2, 40]


def test_importing_minigen_and_small_arrays_leave_numba_alone():
    code = """
import sys, minigen as mg
mg.relu(mg.zeros(100, requires_grad=True)).sum().backward()
assert "numba" not in sys.modules
mg.relu(mg.zeros(10_000))
assert "numba" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
