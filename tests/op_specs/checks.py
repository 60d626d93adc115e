"""The checks that follow from a description of an op; each raises AssertionError."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from hypothesis import Phase, given, settings

import minigen as mg
from minigen.autograd.fused import Fused
from minigen.autograd.primitive import Primitive
from minigen.backends import active
from minigen.testing import check_create_graph, check_grads

from .core import Case, Spec, torch

TIGHT, SINGLE = 1e-9, 1e-5
FLOATS = {"float64": TIGHT, "float32": SINGLE}

# ---------------------------------------------------------------- what was compared at all

_compared = 0


def _count(numbers: int) -> None:
    global _compared
    _compared += numbers


@contextmanager
def something_compared(what: Any) -> Iterator[None]:
    """Fail if the checks inside pass without having compared a single number."""
    before = _compared
    yield
    assert _compared > before, f"{what}: nothing was compared"


# ---------------------------------------------------------------- running a spec


def tensors(case: Case, dtype: str = "float64") -> list[mg.Tensor]:
    """The arrays of a case as leaves on the active backend, memory layout kept."""
    leaves = []
    for x in case.arrays:
        if x.dtype.kind == "f":
            cast = x if dtype == "float64" else np.asarray(x.astype(dtype, order="K"))
            leaves.append(mg.from_numpy(_like_layout(cast, x)).requires_grad_())
        else:
            leaves.append(mg.from_numpy(x))
    return leaves


def _like_layout(values: np.ndarray, model: np.ndarray) -> np.ndarray:
    """``values`` with the strides of ``model``, in elements (``astype`` straightens views)."""
    steps = tuple([s // model.itemsize * values.itemsize for s in model.strides])
    if steps == values.strides or 0 in model.shape:
        return values
    low = sum((n - 1) * s for n, s in zip(model.shape, steps) if s < 0)
    high = sum((n - 1) * s for n, s in zip(model.shape, steps) if s > 0)
    buffer = np.zeros((high - low) // values.itemsize + 1, dtype=values.dtype)
    view = np.lib.stride_tricks.as_strided(
        buffer[-low // values.itemsize :], values.shape, steps, writeable=True
    )
    view[...] = values
    return view


def listed(out: Any) -> list[Any]:
    """One output or several, as a list."""
    return list(out) if isinstance(out, (tuple, list)) else [out]


def call(spec: Spec, xs: list[Any], case: Case) -> list[mg.Tensor]:
    """The outputs of the function described."""
    return listed(spec.function()(*xs, **case.options))


def weights(outs: list[Any], seed: int = 0) -> list[np.ndarray]:
    """A random gradient for each output, in values that float32 holds exactly."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, tuple(y.shape)).astype(np.float32).astype(float) for y in outs]


def _floating(outs: list[Any]) -> list[Any]:
    return [y for y in outs if y.requires_grad]


def gradients(
    spec: Spec, case: Case, dtype: str = "float64", order: int = 1
) -> list[tuple[np.ndarray, ...]]:
    """The gradients of order 1 (and 2) by every floating-point input, as NumPy arrays.

    Order 2 is the gradient of ``Σᵢ ⟨∇ᵢ, uᵢ⟩`` by the inputs and by the output's gradient.
    """
    xs = tensors(case, dtype)
    by = [x for x in xs if x.requires_grad]
    outs = _floating(call(spec, xs, case))
    if not outs:
        return []
    vs = [mg.tensor(v, dtype=dtype).requires_grad_() for v in weights(outs)]
    first = mg.grad(outs, by, vs, create_graph=order > 1, allow_unused=True)
    results = [_arrays(first, by)]
    for x, g in zip(by, first):
        assert g is None or g.dtype == x.dtype, f"a gradient is {g.dtype}, its input {x.dtype}"
        assert g is None or g.shape == x.shape, f"a gradient is {g.shape}, its input {x.shape}"
    if order > 1:
        us = [mg.tensor(u, dtype=dtype) for u in weights(by, seed=1)]
        again = [(g, u) for g, u in zip(first, us) if g is not None and g.requires_grad]
        second = (
            mg.grad([g for g, _ in again], [*by, *vs], [u for _, u in again], allow_unused=True)
            if again
            else [None] * (len(by) + len(vs))
        )
        results.append(_arrays(second, [*by, *vs]))
    return results


def _arrays(grads: Any, like: list[Any]) -> tuple[np.ndarray, ...]:
    """Host arrays; no gradient counts as zeros."""
    return tuple(np.zeros(tuple(x.shape)) if g is None else _host(g) for g, x in zip(grads, like))


def _host(g: Any) -> np.ndarray:
    return g.numpy() if isinstance(g, mg.Tensor) else g.numpy(force=True)


def torch_gradients(spec: Spec, case: Case, order: int = 1) -> list[tuple[np.ndarray, ...]]:
    """What :func:`gradients` computes, by PyTorch in float64."""
    xs = torch_inputs(case)
    by = [x for x in xs if x.requires_grad]
    outs = _floating(listed(spec.torch_function()(*xs, **case.options)))
    vs = [torch.tensor(v, requires_grad=True) for v in weights(outs)]
    if not outs:
        return []
    first = torch.autograd.grad(outs, by, vs, create_graph=order > 1, allow_unused=True)
    results = [_arrays(first, by)]
    if order > 1:
        us = [torch.tensor(u) for u in weights(by, seed=1)]
        again = [(g, u) for g, u in zip(first, us) if g is not None and g.requires_grad]
        second = (
            torch.autograd.grad(
                [g for g, _ in again], [*by, *vs], [u for _, u in again], allow_unused=True
            )
            if again
            else [None] * (len(by) + len(vs))
        )
        results.append(_arrays(second, [*by, *vs]))
    return results


def torch_inputs(case: Case) -> list[Any]:
    """The arrays of a case as PyTorch tensors."""
    xs = [torch.from_numpy(np.array(x, order="C")) for x in case.arrays]
    return [x.requires_grad_() if x.dtype.is_floating_point else x for x in xs]


def agree(what: str, ours: np.ndarray, truth: np.ndarray, rtol: float) -> None:
    """Equal shapes, and values within ``rtol`` of the largest value (or of 1, if larger)."""
    assert tuple(ours.shape) == tuple(truth.shape), f"{what}: {ours.shape}, not {truth.shape}"
    _count(truth.size)
    if truth.dtype.kind in "biu" or not ours.size:
        assert np.array_equal(ours, truth), f"{what}: {ours} is not {truth}"
        return
    finite = np.isfinite(truth)
    assert np.array_equal(ours[~finite], truth[~finite], equal_nan=True), f"{what}: Inf or NaN"
    scale = max(1.0, float(np.abs(truth[finite]).max(initial=0)))
    off = float(np.abs(ours[finite].astype(float) - truth[finite]).max(initial=0))
    assert off <= rtol * scale, f"{what}: off by {off:.3g} of {scale:.3g}"


# ---------------------------------------------------------------- the checks


def check_value(spec: Spec, case: Case) -> None:
    """The value is what the description says in NumPy, in either precision; inputs stay."""
    assert spec.numpy is not None, f"the description of {spec.name} has no truth in NumPy"
    truth = [np.asarray(y) for y in listed(spec.numpy(*case.arrays, **case.options))]
    _compare_values(spec, case, truth, "NumPy")


def _compare_values(spec: Spec, case: Case, truth: list[np.ndarray], whose: str) -> None:
    before = [x.copy() for x in case.arrays]
    for dtype, tolerance in FLOATS.items():
        outs = call(spec, tensors(case, dtype), case)
        assert len(outs) == len(truth), f"{len(outs)} outputs, {whose} has {len(truth)}"
        for i, (y, expected) in enumerate(zip(outs, truth)):
            if spec.keeps_dtype and spec.name != "cast" and y.dtype.kind == "f":
                assert y.dtype == np.dtype(dtype), f"output {i} is {y.dtype} from {dtype} inputs"
            agree(f"{dtype} output {i} against {whose}", y.numpy(), expected, tolerance)
    for x, kept in zip(case.arrays, before):
        assert np.array_equal(x, kept), "an input was changed"


def check_differences(spec: Spec, case: Case) -> None:
    """Gradients of both orders agree with finite differences, with and without create_graph."""
    check_grads(lambda *xs: tuple(call(spec, list(xs), case)), case.arrays, order=spec.order)
    check_create_graph(lambda *xs: tuple(call(spec, list(xs), case)), case.arrays)
    _count(sum(x.size for x in case.arrays if x.dtype.kind == "f"))


def check_against_torch(spec: Spec, case: Case) -> None:
    """The value and the gradients of both orders are PyTorch's, in either precision."""
    xs = [x.detach() for x in torch_inputs(case)]
    values = listed(spec.torch_function()(*xs, **case.options))
    _compare_values(spec, case, [y.numpy() for y in values], "PyTorch")
    if not spec.differentiable:
        return
    truth = torch_gradients(spec, case, spec.order)
    for dtype, tolerance in FLOATS.items():
        ours = gradients(spec, case, dtype, spec.order)
        assert len(ours) == len(truth), "PyTorch has a gradient here, or minigen alone has"
        for order, (mine, theirs) in enumerate(zip(ours, truth), start=1):
            for i, (one, other) in enumerate(zip(mine, theirs)):
                agree(f"{dtype} gradient of order {order}, number {i}", one, other, tolerance)


def check_alone(spec: Spec, case: Case) -> None:
    """An input has the same gradient where no other one wants it; and the outputs' ones add up."""

    def pulled(inputs: Any, outputs: Any) -> list[np.ndarray]:
        xs = [x if i in inputs else x.detach() for i, x in enumerate(tensors(case))]
        outs = call(spec, xs, case)
        pairs = [(y, mg.tensor(v)) for y, v in zip(outs, weights(outs)) if y.requires_grad]
        pairs = pairs if outputs is None else pairs[outputs]
        by = [x for x in xs if x.requires_grad]
        if not pairs:
            return [np.zeros(x.shape) for x in by]
        ys, vs = ([pair[i] for pair in pairs] for i in (0, 1))
        return list(_arrays(mg.grad(ys, by, vs, allow_unused=True), by))

    wanted = [i for i, x in enumerate(case.arrays) if x.dtype.kind == "f"]
    together = pulled(wanted, None)
    for place, i in enumerate(wanted):
        agree(f"gradient {i} alone", pulled([i], None)[0], together[place], TIGHT)
    outs = _floating(call(spec, tensors(case), case))
    if len(outs) > 1:
        each = [pulled(wanted, slice(k, k + 1)) for k in range(len(outs))]
        for i, *parts in zip(wanted, *each):
            agree(f"sum of gradients {i}", sum(parts), together[wanted.index(i)], TIGHT)


def check_single_precision(spec: Spec, case: Case) -> None:
    """No gradient rule brings float64 into a float32 graph, recorded or not."""
    for create_graph in (False, True):
        seen: list[Any] = []
        xs = []
        for x in tensors(case, "float32"):
            if x.requires_grad:
                x = x.clone()  # a leaf would cast its gradient; in the middle it comes as it is
                x.register_hook(lambda g, seen=seen: seen.append(g.dtype))
            xs.append(x)
        outs = _floating(call(spec, xs, case))
        vs = [mg.tensor(v, dtype=y.dtype) for v, y in zip(weights(outs), outs)]
        if outs:
            sum_of_products(outs, vs).backward(create_graph=create_graph)
        _count(len(seen))
        for dtype in seen:
            assert dtype == np.float32, f"a gradient is {dtype} where all inputs are float32"


def check_ownership(spec: Spec, case: Case) -> None:
    """Gradients share no memory, nothing is overwritten, and the graph is gone afterwards."""
    xs = tensors(case)
    outs = _floating(call(spec, xs, case))
    if not outs:
        return
    seeds = [mg.tensor(v) for v in weights(outs)]
    kept = [x.numpy().copy() for x in [*xs, *outs, *seeds]]
    nodes = [weakref.ref(y.node) for y in outs if y.node is not None]
    with without_garbage_collection():
        root = sum_of_products(outs, seeds)
        root.backward()
        grads = [x.grad for x in xs if x.grad is not None]
        everything = [*xs, *outs, *seeds]
        for before, now in zip(kept, everything):
            assert np.array_equal(before, now.numpy(), equal_nan=True), "backward overwrote"
        _count(len(grads))
        for i, g in enumerate(grads):
            for other in [*grads[:i], *everything]:
                assert not np.shares_memory(g.data, other.data), "a gradient shares its memory"
        del root, outs, everything, now, other
        assert all(node() is None for node in nodes), "the graph outlives its last tensor"


def check_second_order_is_freed(spec: Spec, case: Case) -> None:
    """Recording the gradient leaves no reference cycle behind either."""
    xs = tensors(case)
    outs = _floating(call(spec, xs, case))
    if not outs:
        return
    by = [x for x in xs if x.requires_grad]
    nodes = [weakref.ref(y.node) for y in outs if y.node is not None]
    with without_garbage_collection():
        vs = [mg.tensor(v).requires_grad_() for v in weights(outs)]
        grads = mg.grad(outs, by, vs, create_graph=True, allow_unused=True)
        nodes += [weakref.ref(g.node) for g in grads if g is not None and g.node is not None]
        _count(len(nodes))
        del grads, outs
        assert all(node() is None for node in nodes), "create_graph leaves a reference cycle"


def sum_of_products(outs: list[mg.Tensor], seeds: list[mg.Tensor]) -> mg.Tensor:
    """``Σ ⟨out, seed⟩``, the scalar whose gradient by each output is its seed."""
    total = mg.zeros((), dtype=outs[0].dtype)
    for y, v in zip(outs, seeds):
        total = total + (y * v).sum()
    return total


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """What is freed inside is freed by reference counts alone."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def check_layout(spec: Spec, case: Case) -> None:
    """The memory layout of the inputs changes nothing but rounding."""
    straight = Case(tuple(np.array(x, order="C") for x in case.arrays), case.options)
    for one, other in zip(call(spec, tensors(case), case), call(spec, tensors(straight), straight)):
        agree("value", one.numpy(), other.numpy(), 1e-12)
    for mine, theirs in zip(gradients(spec, case, order=spec.order),
                            gradients(spec, straight, order=spec.order)):  # fmt: skip
        for one, other in zip(mine, theirs):
            agree("gradient", one, other, 1e-12)


def check_backends_agree(spec: Spec, case: Case, name: str) -> None:
    """Another backend computes NumPy's values and gradients, and stays in float32."""
    for dtype, tolerance in FLOATS.items():
        with mg.use("numpy"):
            expected = [y.numpy() for y in call(spec, tensors(case, dtype), case)]
            slopes = gradients(spec, case, dtype, spec.order) if spec.differentiable else []
        with mg.use(name):
            found = call(spec, tensors(case, dtype), case)
            for y, truth in zip(found, expected):
                assert isinstance(y.data, active.backend.array_type)
                assert y.dtype == truth.dtype, f"{y.dtype}, not {truth.dtype}"
                agree(f"{dtype} value on {name}", y.numpy(), truth, tolerance)
            if spec.differentiable:
                for mine, theirs in zip(gradients(spec, case, dtype, spec.order), slopes):
                    for one, other in zip(mine, theirs):
                        agree(f"{dtype} gradient on {name}", one, other, tolerance)


def check_integers(spec: Spec, case: Case) -> None:
    """Integers and booleans go in wherever PyTorch takes them; float64 never comes out."""
    assert spec.numpy is not None
    for kind in (np.int64, np.bool_):
        arrays = tuple(np.asarray(np.abs(np.round(x)) + 1).astype(kind) for x in case.arrays)
        options = {
            k: round(abs(v)) + 1 if isinstance(v, float) else v for k, v in case.options.items()
        }
        outs = call(spec, [mg.from_numpy(x) for x in arrays], Case(arrays, options))
        for y in outs:
            assert y.dtype not in (np.float64, np.float16), f"{kind.__name__} gave {y.dtype}"
        if kind is np.bool_:  # True + True is True, so that floats say nothing
            continue
        wanted = listed(spec.numpy(*[x.astype(float) for x in arrays], **options))
        for y, truth in zip(outs, map(np.asarray, wanted)):
            agree("int64", y.numpy().astype(float), truth.astype(float), SINGLE)


# ---------------------------------------------------------------- what a case calls


@contextmanager
def watching(kind: type, seen: Callable[[Any, tuple[Any, ...], dict[str, Any]], None]) -> Any:
    """Call ``seen(op, inputs, options)`` whenever an op of ``kind`` is called on tensors."""
    original = kind.__call__

    def watched(op: Any, *inputs: Any, **options: Any) -> Any:
        seen(op, inputs, options)
        return original(op, *inputs, **options)

    kind.__call__ = watched
    try:
        yield
    finally:
        kind.__call__ = original


def ops_called(spec: Spec, case: Case) -> set[str]:
    """The names of all ops that the value and its recorded gradients call."""
    names: set[str] = set()
    note = lambda op, inputs, options: names.add(op.name)
    with watching(Primitive, note), watching(Fused, note):
        call(spec, tensors(case), case)
        if spec.differentiable:
            gradients(spec, case, order=2)
    return names


def check_fused(spec: Spec, case: Case) -> set[str]:
    """Each fused op met on the way equals its reference: value, gradient, its gradient.

    Returns the names of the fused ops that were met.
    """
    met: list[tuple[Fused, tuple[Any, ...], dict[str, Any]]] = []
    with watching(Fused, lambda op, inputs, options: met.append((op, inputs, options))):
        call(spec, tensors(case), case)
    for op, inputs, options in met:
        arrays = tuple(x.numpy() for x in inputs if isinstance(x, mg.Tensor))
        inner = Case(arrays, {**op.defaults, **options})
        fast = Spec(op.name, spec.cases, call=_filled(op, inputs))
        slow = Spec(op.name, spec.cases, call=_filled(op.reference, inputs))
        for one, other in zip(call(fast, tensors(inner), inner), call(slow, tensors(inner), inner)):
            agree(f"{op.name} against its reference", one.numpy(), other.numpy(), TIGHT)
        for order, (mine, theirs) in enumerate(
            zip(gradients(fast, inner, order=2), gradients(slow, inner, order=2)), start=1
        ):
            for i, (one, other) in enumerate(zip(mine, theirs)):
                agree(f"{op.name}: gradient of order {order}, number {i}", one, other, TIGHT)
        raw = gradients(fast, inner, order=1)
        for i, (one, other) in enumerate(zip(raw[0], gradients(slow, inner, order=1)[0])):
            agree(f"{op.name}: gradient of its kernel, number {i}", one, other, TIGHT)
    return {op.name for op, _, _ in met}


def _filled(function: Callable[..., Any], inputs: tuple[Any, ...]) -> Callable[..., Any]:
    """``function`` of the tensors among ``inputs``; the None and numbers stay where they are."""

    def run(*xs: Any, **options: Any) -> Any:
        given = iter(xs)
        return function(
            *[next(given) if isinstance(x, mg.Tensor) else x for x in inputs], **options
        )

    return run


def examples(spec: Spec, check: Callable[[Spec, Case], Any], count: int = 10) -> None:
    """Run ``check`` on ``count`` draws, always the same ones."""

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None,
        phases=[Phase.generate],
    )  # fmt: skip
    @given(spec.cases)
    def body(case: Case) -> None:
        check(spec, case)

    body()
