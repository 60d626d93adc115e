"""Curves of growth."""

import pytest

from benchmarks import chart, growth
from benchmarks.process import WorkerProcess
from benchmarks.workloads import WORKLOADS, workload_from


def test_the_exponent_is_the_slope_in_the_log_log_plane():
    assert growth.exponent([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2.0)


@pytest.mark.parametrize(("what", "name", "field", "sizes"), growth.CURVES)
def test_every_curve_names_a_size_of_its_workload(what, name, field, sizes):
    assert len(sizes) >= 3
    assert getattr(workload_from(f"{name}:{field}={sizes[0]}"), field) == sizes[0]


@pytest.mark.numba
def test_a_curve_has_a_point_for_each_size_and_a_slope(tmp_path):
    name = "realnvp"
    with WorkerProcess("minigen-numba") as ours, WorkerProcess("floor") as floor:
        workers = {"minigen-numba": ours, "floor": floor}
        curve = growth.curve("depth", name, "couplings", [2, 4], workers, rounds=1, turn=0.01)
    assert name in WORKLOADS
    assert [set(point) for point in curve["points"]] == [set(workers), set(workers)]
    assert set(curve["exponents"]) == set(workers)
    measured = {"specification": "growth", "title": "growth", "curves": [curve]}
    text = "\n".join(growth.lines(measured))
    assert "depth (realnvp)" in text
    assert "~ depth^" in text
    report = {"machine": {"processor": "A processor"}, "measured": [measured]}
    assert chart.draw(report, tmp_path / "chart.png")


@pytest.mark.numba
def test_a_contender_that_cannot_do_a_size_is_left_out_of_the_curve():
    with WorkerProcess("nobody") as worker:
        point = growth.point("operation:repeats=5", {"minigen-numba": worker}, 1, 0.01)
        assert set(point) == {"minigen-numba"}
        # JAX has no such workload: building it fails, in whichever process.
        assert growth.point("operation:repeats=5", {"jax": worker}, 1, 0.01) == {}
