"""What `mg.capture` promises beside equal numbers: when it records again, and what it refuses."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
from captured_steps import vae

import minigen as mg
from minigen.capture.program import pack


def square(x: mg.Tensor) -> mg.Tensor:
    return x * x + 1


def batch(*shape: int, value: float = 2.0) -> mg.Tensor:
    return mg.full(shape, value)


def test_the_first_call_runs_the_second_records_and_the_third_replays():
    captured = mg.capture(square)
    for value, replays in ((1.0, 0), (2.0, 0), (3.0, 1), (4.0, 2)):
        assert captured(batch(2, value=value)).tolist() == [value**2 + 1] * 2
        assert captured.replays == replays


def test_other_shapes_and_dtypes_are_recorded_anew_and_the_old_ones_kept():
    captured = mg.capture(square)
    for x in (batch(2), batch(3), batch(2).to(np.float64), batch(2)):
        for _ in range(3):
            y = captured(x)
            assert y.shape == x.shape
            assert y.dtype == x.dtype
            assert y.tolist() == [5.0] * x.numel()
    assert captured.replays == 3 + 3


def test_plain_values_belong_to_the_signature():
    captured = mg.capture(lambda x, power: x**power)
    for power in (1, 2, 1, 2, 1, 2):
        assert captured(batch(1), power).item() == 2.0**power
    assert captured.replays == 2


def test_results_keep_their_structure():
    captured = mg.capture(lambda xs: {"sum": xs[0] + xs[1], "rest": (xs[0], None, [3])})
    for _ in range(3):
        found = captured([batch(2), batch(2)])
        assert found["sum"].tolist() == [4.0, 4.0]
        assert found["rest"][0].tolist() == [2.0, 2.0]
        assert found["rest"][1:] == (None, [3])


def test_results_lie_where_the_next_call_writes():
    captured = mg.capture(square)
    results = [captured(batch(1, value=v)) for v in (1.0, 2.0, 3.0)]
    assert results[1].item() == results[2].item() == 10.0


@pytest.mark.parametrize(
    "read",
    [
        lambda y: y.sum().item(),
        lambda y: float(y.sum()),
        lambda y: y.numpy(),
        lambda y: y.tolist(),
        lambda y: 1 if y.sum() > 0 else 2,
        lambda y: int(y.data.sum()),
        lambda y: f"{y}",
        lambda y: y[y > 0],
    ],
    ids=["item", "float", "numpy", "tolist", "if", "int of data", "print", "mask"],
)
def test_a_value_read_on_the_host_is_an_error_that_names_the_line(read):
    captured = mg.capture(lambda x: read(x + 1))
    captured(batch(2))
    with pytest.raises(mg.CaptureError, match=r"cannot read .*capture\.py:\d+: ") as error:
        captured(batch(2))
    assert "\n" not in str(error.value)
    assert mg.tensor([1.0]).item() == 1.0  # nothing stays in force


def test_a_generator_made_inside_is_refused():
    captured = mg.capture(lambda: mg.Generator(0).normal(2))
    captured()
    with pytest.raises(mg.CaptureError, match="make a generator"):
        captured()


def test_what_was_computed_past_the_recorder_is_an_error():
    p = mg.ones(3)
    hidden = [p.data]

    captured = mg.capture(lambda x: x + mg.Tensor(hidden[0] * 2))
    captured(batch(3))
    with pytest.raises(mg.CaptureError, match="past the recorder"):
        captured(batch(3))


def test_a_raw_array_that_the_step_keeps_is_an_error():
    kept = []
    captured = mg.capture(lambda x: kept.append((x + 1).data))
    captured(batch(3))
    with pytest.raises(mg.CaptureError, match="keeps a raw array"):
        captured(batch(3))


def test_a_tensor_that_the_step_keeps_is_renewed_by_replays():
    kept = {}

    def step(x: mg.Tensor) -> None:
        kept["last"] = x * 2

    captured = mg.capture(step)
    for value in (1.0, 2.0, 3.0):
        captured(batch(1, value=value))
        assert kept["last"].item() == 2 * value


def test_state_that_is_given_another_array_is_carried_on():
    state = mg.zeros(2)

    def step(x: mg.Tensor) -> mg.Tensor:
        state.data = (state * 0.5 + x).data
        return state * 1

    captured, wanted = mg.capture(step), 0.0
    for _ in range(5):
        wanted = wanted * 0.5 + 2
        assert captured(batch(2)).tolist() == [wanted] * 2
    assert state.tolist() == [wanted] * 2


def test_constants_that_the_step_writes_into_are_fresh_each_time():
    def step(x: mg.Tensor) -> mg.Tensor:
        total, ramp = mg.zeros(2), mg.tensor([1.0, 2.0])
        total.data += x.data
        ramp.data *= x.data
        return total + ramp

    captured = mg.capture(step)
    for _ in range(4):
        assert captured(batch(2)).tolist() == [4.0, 6.0]


def test_gradients_add_up_over_calls_without_zero_grad():
    w = mg.ones(2, requires_grad=True)
    captured = mg.capture(lambda x: (w * x).sum().backward())
    for call in range(1, 6):
        captured(batch(2, value=call))
        assert w.grad.tolist() == [call * (call + 1) / 2] * 2
    w.grad = None
    for call in range(1, 6):
        captured(batch(2, value=call))
        assert w.grad is not None
        assert w.grad.tolist() == [call * (call + 1) / 2] * 2


def test_training_and_evaluation_are_two_recordings():
    dropout = mg.nn.Dropout(0.5)
    captured = mg.capture(dropout)
    x = batch(1000)
    for _ in range(3):
        assert 0.3 < (captured(x).numpy() == 0).mean() < 0.7
    dropout.eval()
    for _ in range(3):
        assert (captured(x).numpy() == 2).all()
    dropout.train()
    assert (captured(x).numpy() == 0).any()
    assert captured.replays == 3


def test_a_parameter_in_another_array_is_recorded_anew():
    layer = mg.nn.Linear(2, 1, bias=False)
    captured = mg.capture(layer)
    for value in (1.0, 2.0, 3.0, 4.0):
        layer.weight.data = np.full((1, 2), value, dtype=np.float32)
        assert captured(batch(1, 2)).item() == 4 * value


def test_a_new_learning_rate_takes_effect_and_counts_go_on():
    work = vae(mg.optim.SGD)
    captured = mg.capture(work.step)
    work.run(captured, 3)
    work.optimizers[0].param_groups[0]["lr"] = 0.0
    before = work.state()
    work.run(captured, 1)
    after = work.state()
    assert captured.replays == 2
    assert np.array_equal(before["model 0 mean.weight"], after["model 0 mean.weight"])
    assert after["optimizer 0 state.0.step"] == 4


def test_draws_are_fresh_and_from_the_same_stream():
    generator, twin = mg.Generator(3), mg.Generator(3)

    def draws(g: mg.Generator) -> list[mg.Tensor]:
        return [g.normal(2, 3), g.uniform(4), g.integers(0, 100, (5,)), g.permutation(6)]

    captured = mg.capture(lambda: draws(generator))
    for _ in range(4):
        for one, other in zip(captured(), draws(twin)):
            assert one.tolist() == other.tolist()
    generator.load_state(twin.state())
    assert captured()[0].tolist() == draws(twin)[0].tolist()


def test_a_write_of_a_replay_is_seen_by_graphs_that_still_need_the_memory():
    work = vae()
    captured = mg.capture(work.step)
    work.run(captured, 2)
    weight = work.models[0].mean.weight
    loss = (weight * weight).sum()
    work.run(captured, 1)
    with pytest.raises(RuntimeError, match="overwritten in place"):
        loss.backward()


def test_a_replay_allocates_next_to_nothing():
    work = vae(pixels=784, hidden=256)
    captured = mg.capture(work.step)
    x = mg.tensor(work.batch(0)[0])
    for _ in range(4):
        captured(x)
    gc.collect()
    of_numpy = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    tracemalloc.start()
    try:
        captured(x)
        arrays_before = tracemalloc.take_snapshot().filter_traces([of_numpy])
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(5):
            captured(x)
        peak = tracemalloc.get_traced_memory()[1]
        arrays = tracemalloc.take_snapshot().filter_traces([of_numpy])
    finally:
        tracemalloc.stop()
    assert captured.program.made_bytes > 150_000
    grown = arrays.compare_to(arrays_before, "filename")
    assert sum(entry.size_diff for entry in grown) < 500
    # NumPy buffers 8192 elements where it broadcasts, and in both types where it adds in float64.
    assert peak - before < 160_000


def test_the_arena_is_smaller_than_what_the_step_makes_and_the_table_shows_it_all():
    work = vae()
    captured = mg.capture(work.step)
    assert "not recorded yet" in str(captured)
    work.run(captured, 2)
    program = captured.program
    assert program.arena.nbytes < 0.7 * program.made_bytes
    table = str(captured).splitlines()
    assert len(table) == 1 + len(captured.instructions)
    assert any("matmul" in row and "captured_steps.py:" in row for row in table)


def test_packing_never_lets_two_living_pieces_overlap():
    rng = np.random.default_rng(0)
    for _ in range(20):
        count = int(rng.integers(1, 40))
        sizes = [int(n) for n in rng.integers(0, 1000, count)]
        lives = [tuple(sorted(int(t) for t in rng.integers(0, 30, 2))) for _ in range(count)]
        offsets, end = pack(sizes, lives)
        for i in range(count):
            assert offsets[i] % 64 == 0
            assert offsets[i] + sizes[i] <= end
            for j in range(i):
                apart = offsets[i] + sizes[i] <= offsets[j] or offsets[j] + sizes[j] <= offsets[i]
                meet = lives[i][0] <= lives[j][1] and lives[j][0] <= lives[i][1]
                assert apart or not meet


def test_packing_reuses_what_is_free():
    offsets, end = pack([640, 640, 640], [(0, 1), (2, 3), (1, 2)])
    assert end == 1280
    assert offsets[0] == offsets[1]


def test_a_change_of_backend_inside_is_refused():
    def step(x: mg.Tensor) -> mg.Tensor:
        with mg.use("numpy"):
            return x + 1

    captured = mg.capture(step)
    captured(batch(1))
    with pytest.raises(ValueError, match="cannot change the backend"):
        captured(batch(1))


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="step must be callable, got int"):
        mg.capture(3)
    with pytest.raises(ValueError, match="limit must be an integer"):
        mg.capture(square, limit=0)
    with pytest.raises(ValueError, match="hashable"):
        mg.capture(lambda x: x)({1, 2})
