"""REGRESSION GUARD: a training step may not drift away from the matrix products in it.

The limits are about twice what was measured when they were set: they notice an op that has become
slow by accident, not a few per cent. What is fast enough is said by ``python -m benchmarks``.
"""

import pytest

from benchmarks.guard import guarded_ratio, processor_seconds
from benchmarks.workload import Step


@pytest.mark.parametrize(
    ("specification", "limit"),
    [
        ("gan:hidden=256,batch=32", 6.5),
        ("vae", 3.0),
        ("realnvp", 20.0),
        ("gpt:layers=1,batch=4", 6.5),
        ("pixelcnn:batch=4", 5.0),
        ("dcgan:batch=8", 5.0),
        ("upsampling:batch=16", 5.0),
        ("operation", 18.0),
        ("backward", 12.0),
    ],
)
def test_a_step_stays_within_its_multiple_of_the_floor(specification, limit):
    ratio = guarded_ratio(specification)
    if ratio >= limit:  # a second look before the alarm: a flicker does not come twice
        ratio = guarded_ratio(specification)
    assert ratio < limit


def test_waiting_and_preparation_are_not_counted():
    import time

    def prepare():
        return sum(range(3_000_000))

    assert processor_seconds(Step(run=lambda total: time.sleep(0.05), prepare=prepare)) < 0.02
