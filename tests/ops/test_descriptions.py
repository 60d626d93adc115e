"""No op without a description, and no description that does not reach its op."""

from __future__ import annotations

import dataclasses
import importlib.util
import types

import numpy as np
import pytest
from op_specs import SPECS, checks

import minigen as mg
import minigen.nn  # registers the ops of its layers
from minigen.autograd.fused import Fused
from minigen.autograd.operation import registry
from minigen.autograd.primitive import Primitive

# Public names that are no op on tensors, and the test file that is about them.
ELSEWHERE = {
    "ops.test_creation": "arange empty eye full full_like linspace ones tensor zeros "
    "from_numpy from_dlpack",
    "ops.test_random": "bernoulli default_generator dropout manual_seed multinomial rand "
    "rand_like randint randn randn_like randperm",
    "autograd.test_custom_ops": "fused primitive",
    "autograd.test_gradients": "grad",
    "autograd.test_modes": "is_grad_enabled",
    "autograd.test_graph": "graph",
    "capture.test_capture": "capture",
    "test_serialization": "load save",
}


def test_every_op_in_the_registry_is_described():
    described = {op for spec in SPECS for op in spec.ops}
    assert set(registry) <= described, "describe these in tests/op_specs"


def test_every_description_has_a_truth_that_needs_nothing_but_numpy():
    assert [spec.name for spec in SPECS if spec.numpy is None] == []


def test_a_description_without_a_truth_in_numpy_fails_its_check():
    spec = dataclasses.replace(next(s for s in SPECS if s.name == "lstm_sequence"), numpy=None)
    with pytest.raises(AssertionError, match="lstm_sequence has no truth in NumPy"):
        checks.examples(spec, checks.check_value, 1)


def test_a_check_that_compares_nothing_fails():
    spec = next(s for s in SPECS if s.name == "isnan")  # which has no gradient
    with (
        pytest.raises(AssertionError, match="<spec of isnan>: nothing was compared"),
        checks.something_compared(spec),
    ):
        checks.examples(spec, checks.check_ownership, 3)


def test_every_public_function_is_described():
    described = {name for spec in SPECS for name in (spec.name, *spec.aliases)}
    described |= {name for names in ELSEWHERE.values() for name in names.split()}
    public = {
        name
        for name, value in vars(mg).items()
        if not name.startswith("_") and not isinstance(value, (types.ModuleType, type, np.dtype))
    }
    public |= {f"linalg.{name}" for name in mg.linalg.__all__}
    assert public <= described, "describe these in tests/op_specs"


def test_an_op_added_to_the_registry_without_a_description_is_noticed(monkeypatch):
    monkeypatch.setitem(registry, "brand_new", Primitive(lambda b, x: x, "brand_new"))
    with pytest.raises(AssertionError, match="describe these"):
        test_every_op_in_the_registry_is_described()


def test_a_function_added_to_the_namespace_without_a_description_is_noticed(monkeypatch):
    monkeypatch.setattr(mg, "brand_new", lambda x: x, raising=False)
    with pytest.raises(AssertionError, match="describe these"):
        test_every_public_function_is_described()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_description_reaches_the_ops_it_names(spec):
    called: set[str] = set()
    checks.examples(spec, lambda spec, case: called.update(checks.ops_called(spec, case)), 8)
    assert set(spec.ops) <= called


def test_every_fused_op_agrees_with_its_reference():
    met: set[str] = set()
    reaching = {name for name, op in registry.items() if isinstance(op, Fused)}
    for spec in SPECS:
        if spec.differentiable and reaching & _fused_below(spec):
            checks.examples(spec, lambda spec, case: met.update(checks.check_fused(spec, case)))
    assert met == reaching


def _fused_below(spec) -> set[str]:
    """The fused ops that a few draws of the spec reach."""
    called: set[str] = set()
    note = lambda op, inputs, options: called.add(op.name)
    with checks.watching(Fused, note):
        checks.examples(spec, lambda spec, case: checks.call(spec, checks.tensors(case), case), 6)
    return called


def test_the_files_that_are_said_to_test_the_other_names_exist():
    for module in ELSEWHERE:
        path = importlib.util.find_spec("op_specs").submodule_search_locations[0]
        with open(f"{path}/../{module.replace('.', '/')}.py") as source:
            assert "def test_" in source.read()
