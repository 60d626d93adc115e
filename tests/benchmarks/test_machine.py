"""What the report says about the machine."""

import json

import pytest

from benchmarks.machine import cores, describe, limit_threads, threads


def test_the_description_is_json_and_names_the_processor_and_the_blas():
    description = json.loads(json.dumps(describe()))
    assert description["processor"]
    assert description["blas"] != "unknown"
    assert description["versions"]["numpy"]


@pytest.mark.parametrize(("limit", "expected"), [("1", 1), ("0", None), ("", None), ("x", None)])
def test_the_environment_limits_threads(limit, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert threads() == (expected or cores())


def test_a_limit_above_the_cores_is_the_cores(monkeypatch):
    for name, value in limit_threads(10_000).items():
        monkeypatch.setenv(name, value)
    assert threads() == cores()
