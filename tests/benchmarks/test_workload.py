"""Specifications such as vae:batch=256."""

import re

import pytest

from benchmarks.workloads import BY_DEFAULT, WORKLOADS, workload_from


def test_sizes_after_the_colon_replace_the_usual_ones():
    workload = workload_from("vae:batch=256,latent=20")
    assert (workload.batch, workload.latent, workload.hidden) == (256, 20, 512)


@pytest.mark.parametrize("specification", BY_DEFAULT)
def test_every_default_is_a_workload(specification):
    assert workload_from(specification).name == specification.partition(":")[0]


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_has_a_small_variant_and_a_title(name):
    assert workload_from(f"{name}:{WORKLOADS[name].small}") != workload_from(name)
    assert WORKLOADS[name].title


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("vea", "workload must be one of ["),
        ("vae:bach=2", "size of workload vae must be one of ["),
        ("vae:batch", "with =NUMBER, got 'batch'"),
        ("vae:batch=-1", "size batch of workload vae must be a whole number >= 1, got '-1'"),
        ("vae:batch=0", "must be a whole number >= 1, got '0'"),
        ("vae:batch=two", "must be a whole number >= 1, got 'two'"),
    ],
)
def test_a_specification_that_makes_no_sense_is_one_line(specification, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        workload_from(specification)
    assert "\n" not in str(caught.value)
