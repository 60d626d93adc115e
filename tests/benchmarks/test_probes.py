"""What importing minigen loads, and memory that stays flat."""

import gc

import pytest

from benchmarks.probes.flat_memory import growth, small_step
from benchmarks.probes.import_time import import_seconds, imported_by


def test_importing_minigen_imports_numpy_and_nothing_else():
    assert imported_by("minigen") == ["minigen", "numpy"]


def test_importing_minigen_costs_little_beyond_numpy():
    # On a quiet machine it takes less than 0.3 s. Here the machine may be busy, and then NumPy
    # takes longer as well: the best of three against NumPy's best of three.
    ours, numpys = (min(import_seconds(name) for _ in range(3)) for name in ("minigen", "numpy"))
    assert ours < 0.3 + 3 * numpys


def test_training_steps_leave_nothing_behind():
    grown = growth(small_step(), steps=400, warm_up=50)
    assert grown.objects <= 20
    assert grown.traced_kib < 32
    assert grown.resident_mib is None or grown.resident_mib < 4


def test_a_step_that_keeps_something_is_noticed():
    kept = []
    grown = growth(lambda: kept.append([len(kept)] * 100), steps=100, warm_up=1)
    assert grown.objects >= 100
    assert grown.traced_kib > 50


def test_what_is_kept_once_is_not_growth():
    kept = []

    def once():
        if not kept:
            kept.extend([[] for _ in range(1000)])

    assert growth(once, steps=100, warm_up=0).objects < 1000


def test_a_reference_cycle_counts_as_growth():
    def cycle():
        loop = []
        loop.append(loop)

    grown = growth(cycle, steps=100, warm_up=1)
    assert grown.objects >= 100
    assert gc.isenabled()


def test_a_tape_of_100_000_nodes_goes_backward_without_recursion():
    from benchmarks.workloads.operations import Backward

    step = Backward(length=100_000).minigen({})
    assert step.prepare is not None
    end = step.prepare()
    step.run(end)  # a recursion would end in RecursionError at a thousandth of this length
    del end


@pytest.mark.parametrize("length", [10])
def test_the_gradient_through_the_chain_is_one(length):
    import numpy as np

    import minigen as mg
    from benchmarks.workloads.operations import Backward, operands

    a, b = (mg.tensor(array) for array in operands())
    a.requires_grad = True
    Backward(length=length).chain(a, b).backward(mg.ones((8, 8)))
    assert np.array_equal(a.grad.numpy(), np.ones((8, 8), np.float32))
