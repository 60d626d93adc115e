"""What the tests of several recipes do with a run: stop it, go on with it, compare two of them."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np

from minigen.backends.strict import count_transfers
from minigen.recipes.run import Run
from minigen.training import Observer, StopRequest, checkpoint


class StopAt(Observer):
    """Asks the loop to stop at a step, as Ctrl-C would."""

    def __init__(self, step: int, stop: StopRequest) -> None:
        self.at, self.stop = step, stop

    def stepped(self, step: int) -> None:
        if step == self.at:
            self.stop.signal = signal.SIGINT


def train_until(run: Run, step: int) -> None:
    """Train, and stop after that step: no result, a checkpoint."""
    stop = StopRequest()
    assert run.train(StopAt(step, stop), stop) is None


def stop_and_resume(run: Run, step: int) -> None:
    """Train, stop after that step, and let the run, opened anew, go on to the end."""
    train_until(run, step)
    Run.resume(run.folder).train()


def arrays_of(folder: Path) -> dict[str, np.ndarray]:
    """All arrays of a run's checkpoint: weights, moments, averages."""
    return checkpoint.separate(checkpoint.load(folder / "checkpoint.safetensors"))[0]


def assert_same_end(expected: Path, got: Path, *files: str) -> None:
    """Two runs ended bit for bit alike: the checkpoints' arrays, and the files named."""
    arrays, others = arrays_of(expected), arrays_of(got)
    assert set(arrays) == set(others)
    for name, array in arrays.items():
        assert array.tobytes() == others[name].tobytes(), name
    for name in files:
        assert (expected / name).read_bytes() == (got / name).read_bytes(), name


def assert_steps_bring_nothing_to_the_host(run: Run, steps: int = 1) -> None:
    """Steps of training under `mg.use("strict")`, which counts transfers."""
    batches = run.recipe.batches(run.data("train"))
    with count_transfers() as count:
        for _ in range(steps):
            run.recipe.step(next(batches))
    assert count.total == 0, count
