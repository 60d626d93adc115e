"""The sides of a workload compute the same thing: only then may their times be compared."""

import numpy as np
import pytest

from benchmarks.sides.weights import initial_weight
from benchmarks.workloads import TARGETED, WORKLOADS, workload_from

TRAINING = [name for name, workload in WORKLOADS.items() if workload.trains]


def small(name):
    return workload_from(f"{name}:{WORKLOADS[name].small}")


def losses(step, steps=4):
    return [float(step.run().item()) for _ in range(steps)]


@pytest.mark.torch
@pytest.mark.parametrize("name", TRAINING)
def test_losses_agree_with_pytorch_before_and_after_three_steps(name):
    setting = {"threads": 1, "adam": "fused", "channels_last": False}
    ours = losses(small(name).minigen({}))
    theirs = losses(small(name).torch(setting))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.jax
@pytest.mark.parametrize("name", TARGETED)
@pytest.mark.parametrize("convolution", ["lax", "products"])
def test_losses_agree_with_jax_before_and_after_three_steps(name, convolution):
    if convolution == "lax" and not WORKLOADS[name].has_images:
        convolution = None  # one way to write it
    ours = losses(small(name).minigen({}))
    theirs = losses(small(name).jax({"convolution": convolution}))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.parametrize("name", TARGETED)
def test_a_captured_step_computes_the_same_losses_or_says_that_it_cannot_be_captured(name):
    import minigen as mg

    plain = losses(small(name).minigen({}))
    if hasattr(mg, "capture"):
        assert losses(small(name).minigen({"capture": True})) == plain
    else:
        with pytest.raises(RuntimeError, match=r"no mg\.capture"):
            small(name).minigen({"capture": True})


@pytest.mark.parametrize("name", TRAINING)
def test_a_step_changes_the_next_loss_of_the_same_batch(name):
    # The batches come round after four steps: the fifth loss is the first batch's again.
    values = losses(small(name).minigen({}), steps=5)
    assert np.isfinite(values).all()
    assert abs(values[4] - values[0]) > 1e-6


@pytest.mark.torch
@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize("adam", ["foreach", "for-loop"])
def test_pytorchs_settings_compute_the_same_losses(name, adam):
    plain = losses(small(name).torch({"threads": 1, "adam": "fused", "channels_last": False}))
    other = losses(small(name).torch({"threads": 2, "adam": adam, "channels_last": True}))
    np.testing.assert_allclose(other, plain, rtol=1e-4)


def assert_gradient_of_the_chain(library):
    workload = small("backward")
    values = np.linspace(0.5, 1.5, 4, dtype=np.float32)
    a, b = library.tensor(np.ones(4, np.float32)), library.tensor(values)
    a.requires_grad = True
    end = workload.chain(a, b)
    end.backward(library.tensor(np.ones(4, np.float32)))
    np.testing.assert_allclose(a.grad.numpy(), values**workload.length, rtol=1e-5)


def test_the_gradient_of_the_chain_is_a_power():
    import minigen as mg

    assert_gradient_of_the_chain(mg)


@pytest.mark.torch
def test_the_gradient_of_pytorchs_chain_is_the_same_power():
    import torch

    assert_gradient_of_the_chain(torch)


def test_the_scale_of_a_norm_starts_near_1():
    assert np.abs(initial_weight("norm.weight", (4,)) - 1).max() <= 0.05


def test_a_weight_depends_on_its_name_and_shape_alone():
    assert np.array_equal(initial_weight("a", (3, 4)), initial_weight("a", (3, 4)))
    assert not np.array_equal(initial_weight("a", (3, 4)), initial_weight("b", (3, 4)))
    assert np.abs(initial_weight("a", (30, 4))).max() <= 0.5
    assert initial_weight("a", (3, 4)).dtype == np.float32
