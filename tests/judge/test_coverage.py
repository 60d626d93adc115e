"""No public function with a PyTorch namesake goes unjudged."""

from __future__ import annotations

import pytest

from .deviations import DEVIATIONS
from .names import NOT_JUDGED, namesake, public_names
from .test_modules import LAYERS
from .test_ops import CANDIDATES
from .test_optimizers import ENTRIES

pytestmark = pytest.mark.torch


def test_every_function_that_has_a_namesake_is_judged() -> None:
    judged = {id(one.ours) for name in CANDIDATES for one in CANDIDATES[name] if one.function}
    missing = [
        name
        for name, function in public_names().items()
        if namesake(name) and id(function) not in judged and name not in NOT_JUDGED
    ]
    assert not missing, "no inputs: add an entry to OPS in samples.py"


def test_what_is_not_judged_exists() -> None:
    assert sorted(set(NOT_JUDGED) - set(public_names())) == []


def test_every_deviation_belongs_to_something_that_is_judged() -> None:
    known = {
        *CANDIDATES,
        *public_names(),
        *(f"nn.{n}" for n in LAYERS),
        *(f"optim.{n}" for n in ENTRIES),
    }
    known |= {f"{name}()" for name in known}
    assert sorted(set(DEVIATIONS) - known) == []
