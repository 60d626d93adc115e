"""Every op, captured: values and gradients of both orders are the eager op's, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from op_specs import SPECS, Case, Spec, checks

import minigen as mg
from minigen.backends import active


def _step_of(spec: Spec, case: Case, dtype: str) -> Any:
    """A step: the op's outputs, its gradients, and the gradients of those."""
    outs = [y for y in checks.call(spec, checks.tensors(case, dtype), case) if y.requires_grad]
    seeds = [mg.tensor(v, dtype=y.dtype) for v, y in zip(checks.weights(outs), outs)]
    floats = [x for x in checks.tensors(case, dtype) if x.requires_grad]
    again = [mg.tensor(u, dtype=dtype) for u in checks.weights(floats, seed=1)]

    def step(*xs: mg.Tensor) -> Any:
        by = [x for x in xs if x.requires_grad]
        outs = checks.call(spec, list(xs), case)
        found = [y.detach() for y in outs]
        roots = [y for y in outs if y.requires_grad]
        if not roots or not spec.differentiable:
            return found
        first = mg.grad(roots, by, seeds, create_graph=spec.order > 1, allow_unused=True)
        found += [g for g in first if g is not None]
        pairs = [(g, u) for g, u in zip(first, again) if g is not None and g.requires_grad]
        if spec.order > 1 and pairs:
            more = mg.grad([g for g, _ in pairs], by, [u for _, u in pairs], allow_unused=True)
            found += [g for g in more if g is not None]
        return found

    return step


def _compare(spec: Spec, case: Case) -> None:
    for dtype in ("float64", "float32"):
        step = _step_of(spec, case, dtype)
        captured = mg.capture(step)
        captured(*checks.tensors(case, dtype))
        captured(*checks.tensors(case, dtype))
        if active.backend.name == "numpy":
            captured.program.arena[...] = 255  # what a replay does not write it must not read
        replayed = [y.numpy() for y in captured(*checks.tensors(case, dtype))]
        assert captured.replays == 1
        eager = [y.numpy() for y in step(*checks.tensors(case, dtype))]
        assert len(replayed) == len(eager)
        for one, other in zip(replayed, eager):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


ON_THE_HOST = {"allclose", "equal", "masked_select", "nonzero"}
"""Their result is a bool, or has a shape that depends on the values."""

CAPTURED = [spec for spec in SPECS if spec.name not in ON_THE_HOST]


NOT_IN_A_GRAPH = "argsort sort topk inv det slogdet logdet solve cholesky"
"""Ops for which CuPy calls a library that it refuses to capture."""


def _is_for_the_host(spec: Spec, case: Case) -> bool:
    """Whether the shape of the result depends on values: of the classes, of a tensor of repeats."""
    if spec.name == "one_hot":
        return "num_classes" not in case.options
    return spec.name == "repeat_interleave" and isinstance(case.options["repeats"], tuple)


def _check(spec: Spec) -> None:
    # no shrinking: a case is small as it is
    @settings(max_examples=2, phases=(Phase.generate,), derandomize=True, deadline=None)
    @given(spec.cases)
    def body(case: Case) -> None:
        if _is_for_the_host(spec, case):
            with pytest.raises(mg.CaptureError, match="read"):
                _compare(spec, case)
        else:
            _compare(spec, case)

    body()


@pytest.mark.parametrize("spec", CAPTURED, ids=lambda spec: spec.name)
def test_a_captured_op_equals_the_eager_one_bit_for_bit(spec):
    _check(spec)


@pytest.mark.parametrize("on", ["strict", pytest.param("cupy", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("spec", CAPTURED, ids=lambda spec: spec.name)
def test_an_op_in_a_graph_equals_the_eager_one_bit_for_bit_or_is_refused(spec, on):
    with mg.use(on):
        if spec.name.rpartition(".")[2] in NOT_IN_A_GRAPH.split():
            with pytest.raises(mg.CaptureError, match=f"cannot do this on {on}"):
                _check(spec)
        else:
            _check(spec)


@pytest.mark.parametrize("name", sorted(ON_THE_HOST))
def test_an_op_whose_result_is_for_the_host_is_refused(name):
    x, mask = mg.ones(3), mg.tensor([True, False, True])
    others = {"masked_select": (mask,), "nonzero": ()}.get(name, (x,))
    captured = mg.capture(lambda x: getattr(mg, name)(x, *others))
    captured(x)
    with pytest.raises(mg.CaptureError, match="cannot read") as error:
        captured(x)
    assert "\n" not in str(error.value)
