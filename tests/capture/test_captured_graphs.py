"""Steps recorded as device graphs, on the strict backend, which acts CUDA's stream capture out.

With ``-m gpu`` the same tests run on CuPy.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

import minigen as mg
from minigen.backends import active


@pytest.fixture(params=["strict", pytest.param("cupy", marks=pytest.mark.gpu)], autouse=True)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    with mg.use(request.param):
        yield request.param


def batch(seed: int, *shape: int) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(seed).normal(size=shape or (3, 4)).astype(np.float32))


def recorded(step, *args):
    """A step that has been run, recorded and replayed once."""
    captured = mg.capture(step)
    for _ in range(3):
        captured(*args)
    assert captured.replays == 1
    return captured


def test_a_replay_computes_with_other_inputs():
    captured = recorded(lambda x: (x @ x.T).sum(dim=1), batch(0))
    for seed in (1, 2):
        x = batch(seed)
        np.testing.assert_array_equal(captured(x).numpy(), (x @ x.T).sum(dim=1).numpy())


def test_results_lie_where_the_next_call_writes():
    captured = recorded(lambda x: x * 2, mg.ones(2))
    first = captured(mg.ones(2))
    captured(mg.full((2,), 5.0))
    assert first.tolist() == [10.0, 10.0]


def test_the_recording_call_computes_once():
    total = mg.zeros(3)

    def step(x: mg.Tensor) -> mg.Tensor:
        total.copy_(total + x)
        return total * 1

    captured = mg.capture(step)
    assert [captured(mg.ones(3)).tolist()[0] for _ in range(5)] == [1, 2, 3, 4, 5]
    assert total.tolist() == [5, 5, 5]


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: x.numpy(),
        lambda x: float(x.sum()),
        lambda x: x[x > 0],
        lambda x: x if x.sum() > 0 else -x,
        lambda x: bool(x.data.sum() > 0),
    ],
    ids=["item", "numpy", "float", "mask", "if", "raw"],
)
def test_a_value_read_on_the_host_is_an_error_that_names_the_line(read):
    captured = mg.capture(read)
    captured(batch(0))
    with pytest.raises(mg.CaptureError, match=r"test_captured_graphs.py:\d+: ") as caught:
        captured(batch(0))
    assert "\n" not in str(caught.value)


def test_after_a_refusal_everything_is_as_it_was_and_goes_on():
    model = mg.nn.Linear(4, 2)
    adam = mg.optim.Adam(model.parameters())

    def step(x: mg.Tensor, read: bool) -> mg.Tensor:
        adam.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        adam.step()
        if read:
            loss.item()
        return loss

    captured = mg.capture(step)
    captured(batch(0), True)
    weight, grad = model.weight.numpy().copy(), model.weight.grad
    with pytest.raises(mg.CaptureError):
        captured(batch(0), True)
    np.testing.assert_array_equal(model.weight.numpy(), weight)
    assert model.weight.grad is grad
    assert adam.state_dict()["state.0.step"] == 1
    for _ in range(3):
        captured(batch(0), False)
    assert captured.replays == 1
    assert adam.state_dict()["state.0.step"] == 4


def test_draws_are_the_streams_own_and_go_on():
    def step(noise: mg.Generator, x: mg.Tensor):
        return (
            x + noise.normal(3, 4),
            noise.uniform(5),
            noise.integers(-3, 9, (6,)),
            noise.permutation(7),
        )

    eager, replayed = mg.Generator(3), mg.Generator(3)
    captured = mg.capture(lambda x: step(replayed, x))
    for seed in range(5):
        wanted = [y.numpy() for y in step(eager, batch(seed))]
        for one, other in zip(captured(batch(seed)), wanted):
            np.testing.assert_array_equal(one.numpy(), other)
    assert captured.replays == 3
    assert eager.state() == replayed.state()


def test_values_from_the_host_are_constants_and_fresh_each_time():
    def step(x: mg.Tensor) -> mg.Tensor:
        mask = mg.tensor([1.0, 0.0, 2.0])
        mask[0] = mask[0] + x.sum()
        return mask + mg.tensor(np.float32(1))

    captured = recorded(step, mg.ones(2))
    assert captured(mg.ones(2)).tolist() == [4.0, 1.0, 3.0]
    assert captured(mg.full((2,), 3.0)).tolist() == [8.0, 1.0, 3.0]


def test_a_new_learning_rate_takes_effect_and_schedules_go_on():
    weight = mg.nn.Parameter(mg.zeros(2))
    sgd = mg.optim.SGD([weight], lr=1.0)
    schedule = mg.optim.StepLR(sgd, 2, gamma=0.1)

    def step() -> mg.Tensor:
        sgd.zero_grad()
        loss = weight.sum()
        loss.backward()
        sgd.step()
        schedule.step()
        return loss

    captured = mg.capture(step)
    values = []
    for _ in range(5):
        captured()
        values.append(-float(weight.numpy()[0]))
    np.testing.assert_allclose(np.diff([0, *values]), [1, 1, 0.1, 0.1, 0.01], rtol=1e-4)
    sgd.param_groups[0]["lr"] = 5.0
    captured()
    assert float(weight.numpy()[0]) == pytest.approx(-values[-1] - 5)


def test_gradients_add_up_over_calls_without_zero_grad():
    weight = mg.nn.Parameter(mg.ones(2))

    def step(x: mg.Tensor) -> mg.Tensor:
        loss = (weight * x).sum()
        loss.backward()
        return loss

    captured = mg.capture(step)
    for count in range(1, 7):
        captured(mg.ones(2))
        assert weight.grad.tolist() == [count, count]
    assert captured.replays > 0


def test_gradients_that_were_taken_away_start_anew_or_come_back():
    adding, fresh = mg.nn.Parameter(mg.ones(2)), mg.nn.Parameter(mg.ones(2))

    def gradient(leaf: mg.Tensor) -> list[float] | None:
        return None if leaf.grad is None else leaf.grad.tolist()

    def step(x: mg.Tensor) -> mg.Tensor:
        fresh.grad = None
        loss = (adding * x + fresh * x).sum()
        loss.backward()
        return loss

    captured = mg.capture(step)
    for x in range(1, 7):
        adding.grad = fresh.grad = None
        captured(mg.full((2,), float(x)))
        assert gradient(adding) == [x, x]
        assert gradient(fresh) == [x, x]
    captured(mg.ones(2))
    assert gradient(adding) == [7, 7]
    assert gradient(fresh) == [1, 1]


def test_state_that_is_given_another_array_is_carried_on():
    state = mg.zeros(2)

    def step(x: mg.Tensor) -> mg.Tensor:
        state.data = (state + x).data
        return state * 1

    captured = mg.capture(step)
    assert [captured(mg.ones(2)).tolist()[0] for _ in range(4)] == [1, 2, 3, 4]
    assert captured.replays > 0


def test_a_tensor_that_the_step_keeps_is_renewed_by_replays():
    kept = []

    def step(x: mg.Tensor) -> mg.Tensor:
        y = x + 1
        kept[:] = [y]
        return y * 2

    captured = recorded(step, mg.ones(2))
    captured(mg.full((2,), 6.0))
    assert kept[0].tolist() == [7.0, 7.0]


def test_a_leaf_in_another_array_and_another_mode_are_recorded_anew():
    model = mg.nn.Sequential(mg.nn.Linear(4, 4), mg.nn.Dropout(0.5))
    captured = recorded(lambda x: model(x), batch(0))
    first = model[0]
    first.weight.data = first.weight.data * 0
    first.bias.data = first.bias.data * 0 + 3
    captured(batch(0))
    assert set(captured(batch(0)).numpy().ravel().tolist()) <= {0.0, 6.0}
    model.eval()
    captured(batch(0))
    assert captured(batch(0)).numpy().tolist() == [[3.0] * 4] * 3


def test_arrays_that_the_step_used_live_as_long_as_the_recording():
    tables = [batch(5, 4)]
    captured = recorded(lambda x: x + tables[-1], mg.zeros(3, 4))
    array = weakref.ref(tables[0].data)
    wanted = tables[0].numpy().copy()
    tables.clear()  # the graph still reads that address
    np.testing.assert_array_equal(captured(mg.zeros(3, 4)).numpy()[0], wanted)
    assert array() is not None
    del captured
    gc.collect()
    assert array() is None


def test_host_arrays_as_arguments_are_refused():
    captured = mg.capture(lambda x: mg.tensor(x) + 1)
    captured(np.ones(3))
    with pytest.raises(mg.CaptureError, match=r"got a ndarray of shape \(3,\); make it a tensor"):
        captured(np.ones(3))


def test_it_prints_its_parts_and_has_no_program():
    weight, noise = mg.nn.Parameter(mg.zeros(2)), mg.Generator(0)
    adam = mg.optim.Adam([weight])

    def step() -> mg.Tensor:
        loss = (weight + noise.normal(2)).square().sum()
        loss.backward()
        adam.step()
        adam.zero_grad()
        return loss

    captured = mg.capture(step)
    captured()
    captured()
    lines = str(captured).splitlines()
    assert lines[0] == "<captured step step: 4 parts>"
    assert [line.split()[1] for line in lines[1:]] == [
        "Generator.fill",
        "graph",
        "Optimizer._step",
        "graph",
    ]
    with pytest.raises(ValueError, match=f"a step on {active.backend.name} is recorded as"):
        _ = captured.program


def test_one_captured_step_serves_several_backends(device):
    captured = mg.capture(lambda x: x * 2 + 1)
    for _ in range(3):
        captured(mg.ones(2))
    with mg.use("numpy"):
        for _ in range(3):
            assert captured(mg.ones(2)).tolist() == [3.0, 3.0]
    assert captured(mg.zeros(2)).tolist() == [1.0, 1.0]
    assert captured.replays == 3
