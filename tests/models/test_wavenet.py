"""WaveNet: what depends on what, exactly; and queues that equal the naive computation."""

import itertools

import numpy as np
import pytest

import minigen as mg
from minigen.models.wavenet import Queues, WaveNet

V, DILATIONS = 6, (1, 2, 4, 3)
R = 12  # 2 + 1 + 2 + 4 + 3


def tiny(labels: int = 3, dtype: str = "float64", dilations=DILATIONS) -> WaveNet:
    """Four layers, with weights large enough that every path matters."""
    mg.manual_seed(7)
    model = WaveNet(V, labels, channels=4, skip=5, dilations=dilations).to_dtype(dtype)
    draws = mg.Generator(1)
    for parameter in model.parameters():
        with mg.no_grad():
            parameter.copy_(parameter.detach() + 0.4 * draws.normal(parameter.shape, dtype=dtype))
    return model


def some_levels(n: int, length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, V, (n, length))


def some_labels(n: int):
    return mg.tensor(np.arange(n) % 3)


# ---------------------------------------------------------------- what depends on what


def test_a_prediction_is_made_from_exactly_the_last_r_samples():
    model, length = tiny(), R + 5
    rows = model.embed(mg.tensor(some_levels(1, length))).detach()  # (T, 1, 2C)
    rows.requires_grad = True
    conditions = model.conditions(some_labels(1), 1)
    logits = model.logits(model.transform(rows, conditions))  # (T - R + 1, 1, V)
    weights = mg.tensor(np.random.default_rng(2).normal(size=V))
    assert model.receptive_field == R
    assert logits.shape[0] == 6
    for j in range(6):
        (g,) = mg.grad((logits[j, 0] * weights).sum(), rows, retain_graph=True)
        reach = np.abs(g.numpy()[:, 0]).sum(axis=1)  # (T,)
        assert (reach[j : j + R] > 1e-7).all(), f"prediction {j} misses a sample of its field"
        assert (reach[:j] == 0).all(), f"prediction {j} sees behind its field"
        assert (reach[j + R :] == 0).all(), f"prediction {j} sees a later sample"


@pytest.mark.parametrize("doublings", [1, 3, 6])
def test_the_field_doubles_with_each_layer(doublings):
    model = WaveNet(V, 0, 2, 2, [2**i for i in range(doublings)])
    assert model.receptive_field == 2**doublings + 1
    twice = WaveNet(V, 0, 2, 2, [2**i for i in range(doublings)] * 2)
    assert twice.receptive_field == 2 ** (doublings + 1)


def test_the_default_model_sees_an_eighth_of_a_second_of_speech():
    assert WaveNet().receptive_field == 1025
    assert WaveNet().dilations == (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def test_a_cut_is_predicted_as_in_the_whole():
    model, levels = tiny(), some_levels(2, R + 20)
    whole = model(mg.tensor(levels), some_labels(2)).numpy()
    cut = model(mg.tensor(levels[:, 7 : 7 + R + 4]), some_labels(2)).numpy()
    np.testing.assert_allclose(cut, whole[:, 7:12], rtol=0, atol=1e-13)


def test_the_network_is_the_formula_of_the_paper_sample_by_sample():
    model, levels, label = tiny(), some_levels(1, R)[0], 2
    p = {name: parameter.numpy() for name, parameter in model.named_parameters()}
    table, c = p["front.weight"], 4
    x = [table[a, :c] + table[b, c:] for a, b in itertools.pairwise(levels)]
    s = p["skip.bias"]
    for i, d in enumerate(DILATIONS):
        w, bias = p[f"layers.{i}.dilated.weight"], p[f"layers.{i}.dilated.bias"]
        h = p["label.weight"][label, 2 * c * i : 2 * c * (i + 1)]
        z = []
        for t in range(d, len(x)):
            pre = w[:, :, 0] @ x[t - d] + w[:, :, 1] @ x[t] + bias + h
            z.append(np.tanh(pre[:c]) / (1 + np.exp(-pre[c:])))
        s = s + p["skip.weight"][:, c * i : c * (i + 1)] @ z[-1]
        if i < len(DILATIONS) - 1:
            a, shift = p[f"layers.{i}.residual.weight"], p[f"layers.{i}.residual.bias"]
            x = [x[t + d] + a @ z[t] + shift for t in range(len(z))]
    assert len(z) == 1
    y = np.maximum(p["hidden.weight"] @ np.maximum(s, 0) + p["hidden.bias"], 0)
    expected = p["out.weight"] @ y + p["out.bias"]
    got = model(mg.tensor(levels[None]), mg.tensor(np.array([label]))).numpy()
    np.testing.assert_allclose(got[0, 0], expected, rtol=0, atol=1e-12)


def test_another_label_is_another_prediction_at_every_layer():
    model, levels = tiny(), mg.tensor(some_levels(1, R))
    labels = [mg.tensor(np.array([k])) for k in range(3)]
    logits = [model(levels, label).numpy() for label in labels]
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    assert np.abs(logits[1] - logits[2]).max() > 1e-3
    model(levels, labels[1]).sum().backward()
    by_layer = np.abs(model.label.weight.grad.numpy()).reshape(3, len(DILATIONS), -1).sum(axis=2)
    assert (by_layer[1] > 1e-6).all()
    assert (by_layer[[0, 2]] == 0).all()


def test_rows_of_a_batch_do_not_touch_one_another():
    model, levels = tiny(), some_levels(3, R + 4)
    together = model(mg.tensor(levels), some_labels(3)).numpy()
    alone = model(mg.tensor(levels[1:2]), mg.tensor(np.array([1]))).numpy()
    np.testing.assert_allclose(together[1:2], alone, rtol=0, atol=1e-13)


def test_the_loss_is_the_cross_entropy_of_each_next_sample():
    model, levels = tiny(), some_levels(2, R + 4)
    targets = some_levels(2, 5, seed=1)
    logits = model(mg.tensor(levels), some_labels(2)).numpy()  # (2, 5, V)
    log_p = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
    expected = -np.take_along_axis(log_p, targets[:, :, None], axis=2)[:, :, 0]
    arguments = mg.tensor(levels), mg.tensor(targets), some_labels(2)
    each = model.loss(*arguments, reduction="none").numpy()
    np.testing.assert_allclose(each, expected, rtol=1e-12)
    assert model.loss(*arguments).item() == pytest.approx(expected.mean(), rel=1e-12)
    targets[1, 2:] = -100
    masked = model.loss(mg.tensor(levels), mg.tensor(targets), some_labels(2)).item()
    kept = np.concatenate([expected[0], expected[1, :2]])
    assert masked == pytest.approx(kept.mean(), rel=1e-12)


def test_the_first_table_is_smooth_and_of_unit_size():
    mg.manual_seed(0)
    table = WaveNet().front.weight.numpy()
    neighbours = np.abs(np.diff(table, axis=0)).mean()
    strangers = np.abs(table - table[::-1]).mean()
    assert neighbours < 0.1 * strangers
    assert 0.5 < table.std() < 1.5


# ---------------------------------------------------------------- the queues


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("labels", [3, 0])
@pytest.mark.parametrize("batch", [1, 3])
def test_queued_logits_equal_the_naive_ones_at_every_step(batch, labels):
    model, steps = tiny(labels), 3 * R
    levels = some_levels(batch, R + steps)
    told = some_labels(batch) if labels else None
    with mg.no_grad():
        queues = Queues(model, mg.tensor(levels[:, :R]), told)
        for t in range(steps):
            want = model.next_logits(mg.tensor(levels[:, : R + t]), told).numpy()
            got = mg.Tensor(queues.logits).numpy()
            assert got.shape == (batch, V)
            assert np.abs(got - want).max() < 1e-10, f"after {t} samples"
            queues.push(mg.tensor(levels[:, R + t]).data)


@pytest.mark.parametrize("dilations", [(1,), (5,), (4, 1, 4), (1, 2, 4, 8, 1, 2, 4, 8)])
def test_queues_of_any_length_stay_equal_past_many_turns(dilations):
    model = tiny(0, dilations=dilations)
    r = model.receptive_field
    levels = some_levels(2, 4 * r + 9)
    with mg.no_grad():
        naive = model(mg.tensor(levels)).numpy()  # (2, T - R + 1, V)
        queues = Queues(model, mg.tensor(levels[:, :r]))
        for t in range(naive.shape[1]):
            assert np.abs(queues.logits - naive[:, t]).max() < 1e-10, f"after {t} samples"
            if r + t < levels.shape[1]:
                queues.push(levels[:, r + t])


@pytest.mark.usefixtures("backend")
def test_sampling_draws_from_the_predicted_probabilities():
    """50 drawn steps, followed by the naive model: each is what its u says."""
    model, length = tiny(), 50
    past = some_levels(4, R)
    drawn = model.sample(mg.tensor(past), length, some_labels(4), generator=mg.Generator(5)).numpy()
    u = mg.Generator(5).uniform((length, 4, 1), dtype="float64").numpy()[:, :, 0]
    so_far = past
    for t in range(length):
        logits = model.next_logits(mg.tensor(so_far), some_labels(4)).numpy()
        p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        edges = np.concatenate([np.zeros((4, 1)), np.cumsum(p, axis=1)], axis=1)
        rows = np.arange(4)
        assert (edges[rows, drawn[:, t]] <= u[t] + 1e-9).all()
        assert (u[t] <= edges[rows, drawn[:, t] + 1] + 1e-9).all()
        so_far = np.concatenate([so_far, drawn[:, t : t + 1]], axis=1)


def test_temperature_zero_is_argmax_and_a_low_one_nearly():
    model, past = tiny(), mg.tensor(some_levels(2, R))
    cold = model.sample(past, 30, some_labels(2), temperature=0).numpy()
    so_far = some_levels(2, R)
    for t in range(30):
        best = model.next_logits(mg.tensor(so_far), some_labels(2)).numpy().argmax(axis=1)
        np.testing.assert_array_equal(cold[:, t], best)
        so_far = np.concatenate([so_far, best[:, None]], axis=1)
    nearly = model.sample(past, 30, some_labels(2), 1e-4, mg.Generator(0)).numpy()
    np.testing.assert_array_equal(nearly, cold)
    hot = model.sample(past, 30, some_labels(2), 1.0, mg.Generator(0)).numpy()
    assert (hot != cold).any()


def test_a_free_running_sine_stays_periodic_for_two_seconds():
    """Trained on a sine of 200 Hz at 8 kHz, 16,000 samples of its own argmax keep its period."""
    from minigen.data import mulaw

    rate, pitch = 8000, 200
    amplitudes = 20000 * np.sin(2 * np.pi * pitch / rate * np.arange(6000) + 0.3)
    levels = mulaw.encode(amplitudes.astype(np.int16)).astype(np.int64)
    mg.manual_seed(0)
    model = WaveNet(256, 0, 16, 32, (1, 2, 4, 8, 16, 32))
    r, window = model.receptive_field, 160
    optimizer = mg.optim.Adam(model.parameters(), lr=5e-3)
    schedule = mg.optim.CosineWithWarmup(optimizer, warmup_steps=0, total_steps=250)
    rng = np.random.default_rng(0)
    for _ in range(250):
        starts = rng.integers(0, len(levels) - r - window, 4)
        rows = levels[starts[:, None] + np.arange(r + window)]
        loss = model.loss(mg.tensor(rows[:, :-1]), mg.tensor(rows[:, r:]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    drawn = model.sample(mg.tensor(levels[None, :r]), 2 * rate, temperature=0).numpy()[0]
    sound = mulaw.decode(drawn).astype(float)
    period = rate // pitch
    for part in (sound[:rate], sound[rate:]):
        strength = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        assert strength.argmax() * rate / len(part) == pitch
        later = np.corrcoef(part[:-period], part[period:])[0, 1]
        assert later > 0.99
        assert np.abs(part).max() == pytest.approx(20000, rel=0.1)


# ---------------------------------------------------------------- float32, the device, arguments


def test_training_and_sampling_stay_in_float32_and_on_the_device():
    from minigen.backends.strict import count_transfers

    with mg.use("strict"):
        model = tiny(dtype="float32")
        levels, targets = mg.tensor(some_levels(2, R + 4)), mg.tensor(some_levels(2, 5))
        labels = some_labels(2)
        with count_transfers() as count:
            model.loss(levels, targets, labels).backward()
            drawn = model.sample(levels, 5, labels, generator=mg.Generator(0))
        assert count.total == 0, count
        assert drawn.shape == (2, 5)
        assert all(p.grad.dtype == np.float32 for p in model.parameters())
        assert Queues(model, levels, labels).logits.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": 1}, "levels must be a whole number >= 2, got 1"),
        ({"labels": -1}, "labels must be a whole number >= 0, got -1"),
        ({"channels": 0}, "channels must be"),
        ({"skip": 1.5}, "skip must be"),
        ({"dilations": ()}, r"dilations must be whole numbers >= 1, got \(\)"),
        ({"dilations": (1, 0)}, r"dilations must be whole numbers >= 1, got \(1, 0\)"),
    ],
)
def test_sizes_that_cannot_be_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        WaveNet(**arguments)


def test_levels_and_labels_that_do_not_fit_are_named():
    model = tiny()
    with pytest.raises(ValueError, match=r"levels must have at least 12 samples.*got 11"):
        model(mg.tensor(some_levels(1, R - 1)), some_labels(1))
    with pytest.raises(TypeError, match="levels must be integers"):
        model(mg.zeros(1, R), some_labels(1))
    with pytest.raises(ValueError, match=r"labels must be integers \(2,\).*got None"):
        model(mg.tensor(some_levels(2, R)))
    with pytest.raises(ValueError, match=r"labels must be integers \(2,\).*got int64 \(1,\)"):
        model(mg.tensor(some_levels(2, R)), some_labels(1))
    with pytest.raises(ValueError, match="labels must be None: the model was built without"):
        tiny(0)(mg.tensor(some_levels(1, R)), some_labels(1))
    with pytest.raises(IndexError, match="3"):
        model(mg.tensor(some_levels(1, R)), mg.tensor(np.array([3])))
