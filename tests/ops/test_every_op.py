"""Every op, by its description: value, gradients of both orders, dtypes, memory, backends.

The table is ``op_specs.SPECS``. An op that is added to the registry, or a public function
added to ``mg``, fails the first tests here until it is described there.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from op_specs import SPECS, Case, Spec, checks


def described(condition=lambda spec: True):
    """Parametrize by the specs for which ``condition`` holds."""
    chosen = [spec for spec in SPECS if condition(spec)]
    return pytest.mark.parametrize("spec", chosen, ids=[_label(spec) for spec in chosen])


def _label(spec: Spec) -> str:
    twins = [s for s in SPECS if s.name == spec.name]
    return spec.name if len(twins) == 1 else f"{spec.name} ({twins.index(spec) + 1})"


def draw_and_run(spec: Spec, check) -> None:
    """Run ``check(spec, case)`` for the cases that Hypothesis draws."""

    @given(spec.cases)
    def body(case: Case) -> None:
        check(spec, case)

    with checks.something_compared(spec):
        body()


@described()
def test_the_value_is_that_of_the_definition_in_numpy(spec):
    draw_and_run(spec, checks.check_value)


@described(lambda spec: spec.differentiable)
def test_gradients_of_both_orders_agree_with_finite_differences(spec):
    draw_and_run(spec, checks.check_differences)


@pytest.mark.torch
@described(lambda spec: spec.torch is not None)
def test_value_and_gradients_of_both_orders_are_those_of_pytorch(spec):
    draw_and_run(spec, checks.check_against_torch)


@described(lambda spec: spec.differentiable)
def test_gradients_own_their_memory_and_the_graph_is_freed(spec):
    draw_and_run(spec, checks.check_ownership)
    draw_and_run(spec, checks.check_second_order_is_freed)


@described(lambda spec: spec.differentiable)
def test_a_gradient_does_not_depend_on_which_others_are_wanted(spec):
    draw_and_run(spec, checks.check_alone)


@described()
def test_the_memory_layout_of_the_inputs_does_not_matter(spec):
    draw_and_run(spec, checks.check_layout)


@described(lambda spec: spec.integers)
def test_integers_and_booleans_are_accepted_and_never_give_float64(spec):
    draw_and_run(spec, checks.check_integers)


@described(lambda spec: spec.differentiable and spec.name != "cast")
def test_gradients_of_float32_inputs_are_float32(spec):
    draw_and_run(spec, checks.check_single_precision)


@described()
@pytest.mark.parametrize("backend", ["strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def test_other_backends_agree_with_numpy(spec, backend):
    draw_and_run(spec, lambda spec, case: checks.check_backends_agree(spec, case, backend))
