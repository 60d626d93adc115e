"""Mistakes of optimizers, their copies and their states: each is caught by a named check."""

from __future__ import annotations

import copy
from typing import Any

from suite import Plant, assert_caught, changed, each_of, replace, test_of

import minigen as mg
from minigen.backends import active
from minigen.nn import state as module_state
from minigen.ops.foreign import as_backend_array
from minigen.optim import adam, muon, radam
from minigen.optim import state as optimizer_state
from minigen.optim.flat import FlatParameters

FORMULAS, COPIES = "optim/test_formulas.py", "optim/test_copies.py"


def copied_piece_by_piece(flat: FlatParameters, memo: dict[int, Any]) -> FlatParameters:
    """What ``copy.deepcopy`` does by itself: every view becomes an array of its own."""
    twin = FlatParameters.__new__(FlatParameters)
    memo[id(flat)] = twin
    twin.__dict__.update(copy.deepcopy(vars(flat), memo))
    return twin


def followed_nothing(original: Any, optimizer: Any) -> bool:
    return bool(optimizer._flat)


def written_one_by_one(owner: str, own: Any, state: Any, strict: bool) -> Any:
    """Each value is checked just before it is written."""
    values = {}
    for key in own:
        values[key] = as_backend_array(key, state[key])
        own[key].data[...] = values[key]
    return values, [], []


PLANTS = [
    Plant(
        "a copied optimizer whose parameters are no views of its buffer",
        replace(FlatParameters, "__deepcopy__", copied_piece_by_piece),
        test_of(
            COPIES,
            "test_a_deep_copy_of_both_trains_like_the_original_and_leaves_it_alone",
            lambda: "Adam",
            lambda: (0, 1),
        ),
    ),
    Plant(
        "a parameter put into a group by hand that is never trained",
        changed(mg.optim.Optimizer, "_is_arranged", followed_nothing),
        test_of(COPIES, "test_a_parameter_appended_to_a_group_by_hand_is_trained"),
    ),
    Plant(
        "options of the wrong group after one was taken out",
        changed(mg.optim.Optimizer, "_is_arranged", followed_nothing),
        test_of(COPIES, "test_a_group_that_was_taken_out_takes_its_options_along"),
    ),
    Plant(
        "a gradient in the precision that the parameter had before",
        replace(
            mg.Tensor, "data", property(lambda x: x._data, lambda x, v: setattr(x, "_data", v))
        ),
        test_of(COPIES, "test_a_gradient_after_a_conversion_has_the_new_precision"),
    ),
    Plant(
        "a state of which the half was written before the other was refused",
        replace(mg.nn.module, "check_state", written_one_by_one),
        test_of(
            "nn/test_module.py",
            "test_a_bad_value_is_named_and_nothing_is_written",
            lambda: None,
            lambda: ".*bias must hold real numbers",
            lambda: True,
        ),
    ),
    Plant(
        "values read from memory that was overwritten a moment ago",
        changed(module_state, "_apart", lambda original, values, own: values),
        test_of(
            "nn/test_module.py",
            "test_values_that_lie_in_the_modules_own_memory_change_places",
        ),
    ),
    Plant(
        "a moment that is missing in a state and taken as zero",
        replace(
            optimizer_state, "_read_state", lambda *args: original_state(*args[:4], (), args[5])
        ),
        test_of(
            "optim/test_optimizer.py",
            "test_a_state_without_one_of_its_moments_is_refused",
            lambda: "square_sum",
        ),
    ),
    Plant(
        "momentum ten times as large after β was changed",
        replace(adam.Adam, "follow", lambda optimizer, flat, options: None),
        test_of(FORMULAS, "test_a_changed_beta_leaves_the_means_as_they_are"),
    ),
    Plant(
        "amsgrad with the present second moment",
        replace(adam.Adam, "needs", lambda optimizer, options: optimizer.moments[:2]),
        test_of(FORMULAS, "test_amsgrad_never_takes_a_longer_step_because_gradients_shrank"),
    ),
    Plant(
        "RAdam that divides by the second moment from the start",
        replace(radam, "rectification", lambda beta2, step: (1 - beta2**step) ** 0.5),
        test_of(FORMULAS, "test_radam_begins_with_momentum_alone"),
    ),
    Plant(
        "Muon whose gradient is only scaled to length 1",
        replace(
            muon,
            "orthogonalized",
            lambda b, x, *rest: x / b.xp.sqrt((x * x).sum()),
        ),
        test_of(FORMULAS, "test_muon_takes_steps_that_are_nearly_orthogonal"),
    ),
    Plant(
        "a group that came after the schedule and keeps its rate",
        replace(mg.optim.Schedule, "_look", lambda schedule: None),
        test_of(
            "optim/test_schedule.py", "test_a_group_that_comes_later_joins_in_with_its_own_rate"
        ),
    ),
]

original_state = optimizer_state._read_state


@each_of(PLANTS)
def test_a_planted_mistake_is_caught_by_a_named_check(plant: Plant) -> None:
    with mg.use(active.backend.name):
        assert_caught(plant, TypeError, KeyError, ValueError)
