"""Every layer, by its description: outputs, gradients, state, dtypes, backends, bad input."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from layer_specs import NO_LAYERS, SPECS, LayerCase, LayerSpec, torch

import minigen as mg
from minigen import nn
from minigen.testing import check_grads

LITTLE = settings(
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _same_weights_in_every_run() -> None:
    mg.manual_seed(0)


def described(condition: Any = lambda spec: True) -> Any:
    chosen = [spec for spec in SPECS if condition(spec)]
    return pytest.mark.parametrize("spec", chosen, ids=[spec.name for spec in chosen])


def draw_and_run(spec: LayerSpec, check: Any, batch: int = 2, examples: int = 8) -> None:
    @settings(LITTLE, max_examples=examples)
    @given(spec.cases(batch))
    def body(case: LayerCase) -> None:
        check(spec, case)

    body()


def flat(out: Any) -> list[Any]:
    if isinstance(out, (tuple, list)):
        return [y for part in out for y in flat(part)]
    return [] if out is None else [out]


def leaves(case: LayerCase, dtype: str = "float64") -> list[mg.Tensor]:
    return [
        mg.tensor(x.astype(dtype), requires_grad=True) if x.dtype.kind == "f" else mg.tensor(x)
        for x in case.inputs
    ]


def weighted(outs: list[Any], to: Any) -> Any:
    """A scalar in which every element of every output has its own weight."""
    rng = np.random.default_rng(7)
    total = 0.0
    for y in outs:
        total = total + (y * to(rng.uniform(-1, 1, tuple(y.shape)))).sum()
    return total


def run(layer: Any, case: LayerCase, dtype: str = "float64") -> dict[str, np.ndarray]:
    """Outputs, gradients by inputs and parameters, and the state afterwards."""
    xs = leaves(case, dtype)
    outs = flat(layer(*xs))
    total = weighted(outs, lambda w: mg.tensor(w.astype(dtype)))
    if total.requires_grad:
        total.backward()
    found = {f"output {i}": y.numpy() for i, y in enumerate(outs)}
    found.update({f"d/d input {i}": x.grad.numpy() for i, x in enumerate(xs) if x.grad is not None})
    found.update(
        {f"d/d {n}": p.grad.numpy() for n, p in layer.named_parameters() if p.grad is not None}
    )
    found.update({f"state {n}": v.numpy() for n, v in layer.state_dict().items()})
    return found


def run_twin(twin: Any, case: LayerCase) -> dict[str, np.ndarray]:
    xs = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in case.inputs]
    outs = flat(twin(*xs))
    total = weighted(outs, torch.tensor)
    if total.requires_grad:
        total.backward()
    found = {f"output {i}": y.detach().numpy() for i, y in enumerate(outs)}
    found.update({f"d/d input {i}": x.grad.numpy() for i, x in enumerate(xs) if x.grad is not None})
    found.update(
        {f"d/d {n}": p.grad.numpy() for n, p in twin.named_parameters() if p.grad is not None}
    )
    found.update({f"state {n}": v.numpy() for n, v in twin.state_dict().items()})
    return found


def assert_same(got: dict[str, np.ndarray], want: dict[str, np.ndarray], tolerance: float) -> None:
    assert set(got) == set(want)
    for name, expected in want.items():
        scale = max(1.0, np.abs(expected).max(initial=0))
        assert got[name].shape == expected.shape, name
        np.testing.assert_allclose(
            got[name], expected, rtol=0, atol=tolerance * scale, err_msg=name
        )


def test_every_layer_that_nn_exports_is_described():
    exported = {
        name
        for name in nn.__all__
        if inspect.isclass(getattr(nn, name)) and issubclass(getattr(nn, name), nn.Module)
    }
    assert exported == {spec.name for spec in SPECS} | set(NO_LAYERS)
    assert [spec.name for spec in SPECS if spec.truth is None] == []


def expected_of(spec: LayerSpec, layer: Any, case: LayerCase) -> dict[str, np.ndarray]:
    """What the description in NumPy says of outputs and of the state afterwards."""
    state = {k: v.numpy().astype(float) for k, v in layer.state_dict().items()}
    outs = flat(spec.truth(state, case.inputs, *case.args, **case.options))
    expected = {f"output {i}": np.asarray(y) for i, y in enumerate(outs)}
    return {**expected, **{f"state {k}": v for k, v in state.items()}}


@described()
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
def test_outputs_and_state_are_those_of_the_definition_in_numpy(spec, dtype, tolerance):
    compared = []

    def check(spec: LayerSpec, case: LayerCase) -> None:
        layer = spec.build(case).train(spec.train)
        expected = expected_of(spec, layer, case)
        found = run(layer.to_dtype(dtype), case, dtype)
        found = {k: v for k, v in found.items() if not k.startswith("d/d")}
        assert_same(found, expected, tolerance)
        compared.append(sum(found[k].size for k in found if k.startswith("output")))

    draw_and_run(spec, check)
    assert sum(compared) > 0


@pytest.mark.torch
@described(lambda spec: spec.twin is not None)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
def test_outputs_gradients_and_state_are_those_of_pytorch(spec, dtype, tolerance):
    def check(spec: LayerSpec, case: LayerCase) -> None:
        layer, twin = spec.build(case), spec.build_twin(case).double()
        twin.load_state_dict(
            {k: torch.tensor(v.numpy().copy()) for k, v in layer.state_dict().items()}
        )
        layer.train(spec.train).to_dtype(dtype)
        assert_same(run(layer, case, dtype), run_twin(twin.train(spec.train), case), tolerance)

    draw_and_run(spec, check)


@pytest.mark.torch
@described(lambda spec: spec.twin is not None)
def test_the_state_of_pytorchs_layer_loads_strictly_and_gives_its_outputs(spec):
    def check(spec: LayerSpec, case: LayerCase) -> None:
        layer, twin = spec.build(case).double().eval(), spec.build_twin(case).double().eval()
        report = layer.load_state_dict(twin.state_dict())
        assert report == ([], [])
        assert list(layer.state_dict()) == list(twin.state_dict())
        assert_same(run(layer, case), run_twin(twin, case), 1e-9)

    draw_and_run(spec, check, examples=3)


@described()
def test_gradients_agree_with_finite_differences(spec):
    def check(spec: LayerSpec, case: LayerCase) -> None:
        layer = spec.build(case).double().train(spec.train)
        xs = leaves(case)
        layer(*xs)  # ActNorm looks at its first batch
        parameters = list(layer.parameters())
        check_grads(lambda *given: flat(layer(*given)), xs, parameters=parameters, order=1)

    draw_and_run(spec, check, examples=4)


@described()
def test_float32_stays_float32(spec):
    def check(spec: LayerSpec, case: LayerCase) -> None:
        layer = spec.build(case)
        results = run(layer, case, "float32")
        for name, value in results.items():
            assert value.dtype in (np.float32, np.int64, np.bool_), f"{name} is {value.dtype}"

    draw_and_run(spec, check, examples=2)


@described()
def test_the_strict_backend_gives_the_same(spec):
    def check(spec: LayerSpec, case: LayerCase) -> None:
        state = spec.build(case).state_dict()
        mg.manual_seed(3)
        layer = spec.build(case).train(spec.train)
        layer.load_state_dict(state)
        want = run(layer, case, "float32")
        with mg.use("strict"):
            arguments = tuple(_moved(a) for a in case.args)
            there = LayerCase(arguments, case.options, case.inputs)
            layer = spec.build(there).train(spec.train)
            layer.load_state_dict({k: v.numpy() for k, v in state.items()})
            got = run(layer, there, "float32")
        assert_same(got, want, 1e-6)

    draw_and_run(spec, check, examples=2)


def _moved(argument: Any) -> Any:
    """A module that was built under another backend, on this one."""
    if not isinstance(argument, nn.Module):
        return argument
    moved = copy.deepcopy(argument)
    for holder in (*moved.parameters(), *moved.buffers()):
        holder.data = mg.backends.active.backend.asarray(np.asarray(holder.data))
    return moved


@described(lambda spec: spec.batched)
def test_an_empty_batch_gives_empty_outputs_and_no_error(spec):
    def check(spec: LayerSpec, case: LayerCase) -> None:
        layer = spec.build(case)
        full = next(_outputs(spec, case, 1))
        for y, like in zip(flat(layer(*leaves(case))), full, strict=True):
            if like.numel():
                assert 0 in y.shape
                assert len(y.shape) == len(like.shape)
        run(layer, case)

    draw_and_run(spec, check, batch=0, examples=3)


def _outputs(spec: LayerSpec, case: LayerCase, n: int) -> Any:
    """Outputs of a fresh layer for a batch of ``n`` in place of an empty one."""
    grown = tuple(np.zeros([n if k == 0 else k for k in x.shape], x.dtype) for x in case.inputs)
    yield flat(spec.build(case)(*leaves(LayerCase((), {}, grown))))


@described(lambda spec: spec.wrong is not None)
def test_an_input_that_does_not_fit_is_named_in_one_line(spec):
    def check(spec: LayerSpec, case: LayerCase) -> None:
        layer = spec.build(case)
        named = "Linear" if spec.name == "Sequential" else spec.name
        named = "ActNorm" if spec.name == "Flow" else named
        with pytest.raises((ValueError, TypeError)) as error:
            layer(mg.ones(*spec.wrong))
        message = str(error.value)
        assert message.startswith(named)
        assert "\n" not in message
        assert "got" in message

    draw_and_run(spec, check, examples=2)


@described()
def test_a_deep_copy_computes_the_same_and_shares_nothing(spec):
    def check(spec: LayerSpec, case: LayerCase) -> None:
        layer = spec.build(case).double().eval()
        twin = copy.deepcopy(layer)
        assert_same(run(twin, case), run(layer, case), 0.0)
        for a, b in zip(layer.state_dict().values(), twin.state_dict().values(), strict=True):
            assert not np.shares_memory(a.data, b.data)
        assert repr(twin) == repr(layer)
        assert spec.name in repr(layer)

    draw_and_run(spec, check, examples=2)
