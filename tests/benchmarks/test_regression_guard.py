"""REGRESSION GUARD: a training step may not drift away from the matrix products in it.

Both are timed in this process, in turns, and the fastest of each counts, so that a busy machine
slows both. The limits are about twice what was measured when they were set: they notice an op that
has become slow by accident, not a few per cent. What is fast enough is said by
``python -m benchmarks``, not here.
"""

import pytest

from benchmarks.worker import timed
from benchmarks.workloads import workload_from


def fastest_ratio(workload, rounds=12):
    ours, floor = workload.minigen({}), workload.floor({})
    ours_seconds, floor_seconds = [], []
    for _ in range(2):
        timed(ours), timed(floor)
    for _ in range(rounds):
        ours_seconds.append(timed(ours)[0])
        floor_seconds.append(timed(floor)[0])
    return min(ours_seconds) / min(floor_seconds)


@pytest.mark.parametrize(
    ("specification", "limit"),
    [
        ("vae", 4.0),
        ("pixelcnn:batch=8", 5.0),
        ("upsampling:batch=16", 5.0),
        ("operation", 20.0),
        ("backward", 20.0),
    ],
)
def test_a_step_stays_within_its_multiple_of_the_floor(specification, limit):
    workload = workload_from(specification)
    ratio = fastest_ratio(workload)
    if ratio >= limit:  # a second look before the alarm: a flicker does not come twice
        ratio = fastest_ratio(workload)
    assert ratio < limit
