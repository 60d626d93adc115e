"""Every entry of `minigen list`, by its description: values, gradients, sight, volume.

What is compared with what, for each draw of sizes and options:

* the value of every term of every loss with a formula in NumPy,
* its gradient by every parameter and input with finite differences, the same with `create_graph`,
  on the strict backend, and captured, bit for bit (`check_model`),
* for a flow: the log-determinant with that of the numeric Jacobian, both ways; the way back,
* for an autoregressive model: which outputs depend on which inputs, by the tape and by changing
  them, with what must not be seen and what must.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from model_specs import SPECS, Loss, ModelCase, ModelSpec, host, numeric_log_det

import minigen as mg
from minigen.ops.random import default_generator
from minigen.recipes import RECIPES
from minigen.testing import check_model

DEEP = 8  # times as many draws, where the suite runs its slow part

VARIANTS = [(spec, variant) for spec in SPECS for variant in spec.variants]
FLOWS = ("realnvp", "realnvp-images", "glow")
AUTOREGRESSIVE = ("gpt", "wavenet", "pixelcnn", "gated-pixelcnn", "row-lstm", "diagonal-bilstm")


def each(condition: Callable[[ModelSpec], bool] = lambda spec: True) -> Any:
    chosen = [(spec, variant) for spec, variant in VARIANTS if condition(spec)]
    names = [f"{spec.name}-{variant}" for spec, variant in chosen]
    return pytest.mark.parametrize(("spec", "variant"), chosen, ids=names)


def draw_and_run(
    spec: ModelSpec, variant: str, check: Callable[[ModelCase], int], times: float = 1
) -> tuple[int, int]:
    """How many cases were drawn, and how many comparisons were made with them."""
    drawn = compared = 0
    wanted = max(1, round(spec.examples * times))

    @settings(
        max_examples=wanted,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # a failure names its draw; a smaller one would take minutes
    )
    @given(spec.cases(variant))
    def body(case: ModelCase) -> None:
        nonlocal drawn, compared
        made = check(case)
        assert made > 0, "nothing was compared"
        drawn += 1
        compared += made

    body()
    assert drawn >= wanted, f"{drawn} cases were drawn, {wanted} were asked for"
    return drawn, compared


# ---------------------------------------------------------------- the checks


def values_are_those_of_the_formula(case: ModelCase) -> int:
    """Every term against its oracle; how many there were."""
    compared = 0
    for name, one in case.losses.items():
        found = from_the_start(one, one.loss)
        if isinstance(found, tuple):
            found = {"loss": found[0], **found[1]}
        found = found if isinstance(found, dict) else {"loss": found}
        wanted = from_the_start(one, one.oracle)
        same = {term for term, value in found.items() if value is found["loss"]} - {"loss"}
        assert found.keys() - same == wanted.keys() - same, f"{name}: terms without a formula"
        for term, value in wanted.items():
            got = host(found[term])
            assert got.shape == np.shape(value), f"{name}: {term}"
            np.testing.assert_allclose(
                got, value, rtol=1e-6, atol=1e-7, err_msg=f"{case.about}: {name}: {term}"
            )
            compared += got.size
    return compared


def gradients_are_right(case: ModelCase) -> int:
    """`check_model` of every loss; how many derivatives were compared."""
    compared = 0
    for name, one in case.losses.items():
        try:
            report = check_model(
                one.model,
                one.loss,
                *one.inputs,
                generator=one.generator,
                fixed=one.fixed,
                noise=0.0,
                each=one.each,
                captured=one.captured,
            )
        except AssertionError as error:
            raise AssertionError(f"{case.about}: {name}: {error}") from error
        assert report.unreached == (), f"{case.about}: {name}: nothing depends on these"
        assert report.undifferentiated == (), f"{case.about}: {name}: not on the tape"
        compared += report.compared
    return compared


def volume_and_way_back_are_right(case: ModelCase) -> int:
    """A flow's log-determinants against numeric Jacobians, and its inverse."""
    model, data = case.flow
    with mg.no_grad():
        z, log_det = model(mg.tensor(data))
        x, back = model.inverse(z)
        forward = lambda rows: host(model(mg.tensor(rows))[0])
        inverse = lambda rows: host(model.inverse(mg.tensor(rows))[0])
        for got, wanted in (
            (log_det, numeric_log_det(forward, data)),
            (back, numeric_log_det(lambda z: inverse(z.reshape(len(z), -1)), host(z))),
        ):
            np.testing.assert_allclose(host(got), wanted, rtol=1e-5, atol=1e-5, err_msg=case.about)
        np.testing.assert_allclose(host(x), data, atol=1e-8, err_msg=case.about)
        np.testing.assert_allclose(host(back), -host(log_det), atol=1e-7, err_msg=case.about)
    return 3 * len(data) + data.size


def sight_is_right(case: ModelCase) -> int:
    """Nothing is seen that must not be, and all that must be; pairs looked at."""
    sight = case.sight()
    for how, seen in (("the tape", sight.by_tape), ("changing it", sight.by_change)):
        assert seen.shape == sight.allowed.shape
        leaks = np.argwhere(seen & ~sight.allowed)
        assert not len(leaks), f"{case.about}: by {how}, output {leaks[0][0]} sees {leaks[0][1]}"
        blind = np.argwhere(~seen & sight.needed)
        assert not len(blind), f"{case.about}: by {how}, {blind[0][0]} does not see {blind[0][1]}"
    return 2 * sight.allowed.size


def from_the_start(one: Loss, function: Callable[..., Any]) -> Any:
    """``function`` of the inputs; generators at their seeds before, buffers as they were after."""
    for generator in (one.generator, default_generator()):
        if generator is not None:
            generator.load_state({"seed": generator.seed, "streams": {}})
    buffers = [buffer for module in (*one.model, *one.fixed) for buffer in module.buffers()]
    values = [host(buffer) for buffer in buffers]
    try:
        return function(*(mg.tensor(x) for x in one.inputs))
    finally:
        for buffer, before in zip(buffers, values):
            buffer.data[...] = before


# ---------------------------------------------------------------- the tests


def test_every_entry_of_minigen_list_is_described():
    assert {spec.name for spec in SPECS} == set(RECIPES)
    assert len(SPECS) == len(RECIPES)


@each()
def test_the_value_of_every_term_is_that_of_its_formula(spec, variant, record_property):
    record_property("drawn", draw_and_run(spec, variant, values_are_those_of_the_formula))


@each()
def test_every_gradient_agrees_with_differences_on_strict_and_captured(
    spec, variant, record_property
):
    record_property("drawn", draw_and_run(spec, variant, gradients_are_right))


@each(lambda spec: spec.name in FLOWS)
def test_a_flows_log_determinant_is_that_of_the_numeric_jacobian(spec, variant, record_property):
    record_property("drawn", draw_and_run(spec, variant, volume_and_way_back_are_right, 2))


@each(lambda spec: spec.name in AUTOREGRESSIVE)
def test_no_output_depends_on_what_it_must_not_see_and_each_on_what_it_must(
    spec, variant, record_property
):
    record_property("drawn", draw_and_run(spec, variant, sight_is_right, 2))


@pytest.mark.slow
@each()
def test_many_more_draws_hold_what_the_few_do(spec, variant):
    draw_and_run(spec, variant, values_are_those_of_the_formula, DEEP)
    draw_and_run(spec, variant, gradients_are_right, DEEP)
    if spec.name in FLOWS:
        draw_and_run(spec, variant, volume_and_way_back_are_right, 2 * DEEP)
    if spec.name in AUTOREGRESSIVE:
        draw_and_run(spec, variant, sight_is_right, 2 * DEEP)
