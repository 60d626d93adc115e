"""Drawing, cached and naive in turn: that both draw the same, what is counted, table and chart."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

import minigen as mg
from benchmarks.__main__ import main
from benchmarks.sampling import chart, measure, report
from benchmarks.sampling.probe import NAMES, PROBES
from benchmarks.sampling.subjects import SUBJECTS, Gpt, Pixelcnn, Subject


class Fake(Subject):
    """Counts its calls; every step takes as long as a clock that is moved by hand says."""

    title, element, length, lengths, small = "a fake", "thing", 8, (4, 8), (4, 8)
    now = 0.0

    def __init__(self, length):
        self.count = length
        self.steps = []

    def cached(self):
        Fake.now += 0.001 * self.count

    def naive(self, step):
        self.steps.append(step)
        Fake.now += 0.01 * (step + 1)


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(measure.time, "perf_counter", lambda: Fake.now)


def test_the_probes_are_the_subjects():
    assert list(SUBJECTS) == list(NAMES)
    assert list(PROBES) == [f"sampling-{name}" for name in NAMES]


@pytest.mark.usefixtures("clock")
def test_all_steps_are_taken_where_there_is_time_and_a_part_stands_for_all_where_not():
    whole = measure.compare(Fake, 8, rounds=3, seconds=1e6)
    assert whole["naive_steps"] == 8
    assert whole["naive_seconds"]["median"] == pytest.approx(0.01 * 36)
    assert whole["cached_seconds"]["median"] == pytest.approx(0.008)
    assert whole["times_as_fast"]["median"] == pytest.approx(45)
    part = measure.compare(Fake, 1000, rounds=2, seconds=0.0)
    assert part["naive_steps"] == measure.LEAST_STEPS
    assert part["naive_seconds"]["median"] == pytest.approx(0.01 * 500_500, rel=0.01)


@pytest.mark.usefixtures("clock")
def test_the_exponents_are_the_slopes_of_the_growth(monkeypatch):
    monkeypatch.setitem(SUBJECTS, "fake", Fake)
    monkeypatch.setattr(Fake, "lengths", (64, 256, 1024))
    monkeypatch.setattr(Fake, "length", 1024)
    measured = measure.measure("fake", quick=False)
    assert measured["exponents"]["cached"] == pytest.approx(1.0)
    assert measured["exponents"]["naive"] == pytest.approx(2.0, abs=0.02)
    assert [one["length"] for one in measured["growth"]] == [64, 256, 1024]
    assert measured["headline"]["cached_per_second"] == pytest.approx(1000)


def test_the_naive_steps_of_the_gpt_are_passes_over_the_text_so_far(monkeypatch):
    seen = []
    subject = Gpt(8)
    real = subject.model.next_logits

    def watched(tokens):
        seen.append(tokens.shape)
        return real(tokens)

    monkeypatch.setattr(subject.model, "next_logits", watched, raising=False)
    with mg.no_grad():
        for step in (0, 3, 7):
            subject.naive(step)
    assert seen == [(1, 1), (1, 4), (1, 8)]


def test_the_cached_gpt_takes_one_pass_for_the_prompt_and_a_token_at_a_time():
    subject = Gpt(8)
    lengths = []
    real = subject.model.cached_logits
    subject.model.cached_logits = lambda tokens, cache: (
        lengths.append(tokens.shape[1]),
        real(tokens, cache),
    )[1]
    with mg.no_grad():
        subject.cached()
    assert lengths == [1] * 8


def test_the_naive_pixels_are_those_that_sample_draws_without_its_cache():
    subject = Pixelcnn(16)
    uniforms = mg.Generator(3).uniform((4, 4, 1, 1, 16), dtype=subject.model.dtype).data
    with mg.no_grad():
        for step in range(16):
            subject.uniforms = uniforms[step // 4, step % 4, 0]
            subject.naive(step)
        want = subject.model.sample(16, generator=mg.Generator(3), cached=False).numpy()
    np.testing.assert_array_equal(subject.painter.x.numpy(), want)


def test_a_number_of_pixels_that_is_no_square_is_refused():
    with pytest.raises(ValueError, match="length must be a square, got 15"):
        Pixelcnn(15)


def test_a_quick_run_prints_the_table_and_writes_json_and_chart(tmp_path, capsys):
    arguments = ["--quick", "--workloads", "sampling-gpt", "--out", str(tmp_path)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "tokens/s cached" in printed
    (measured,) = json.loads((tmp_path / "benchmark.json").read_text())["measured"]
    assert [one["length"] for one in measured["growth"]] == list(Gpt.small)
    assert measured["headline"]["length"] == Gpt.small[-1]
    assert measured["headline"]["cached_seconds"]["median"] > 0
    assert (tmp_path / "sampling.png").exists()


def one(length, cached, naive, steps):
    def spread(value):
        return {"median": value, "lower_quartile": value * 0.9, "upper_quartile": value * 1.1}

    return {
        "length": length,
        "naive_steps": steps,
        "cached_seconds": spread(cached),
        "naive_seconds": spread(naive),
        "times_as_fast": spread(naive / cached),
    }


MEASURED = {
    "specification": "sampling-toy",
    "title": "a toy",
    "element": "note",
    "batch": 2,
    "headline": {**one(64, 0.5, 10.0, 16), "cached_per_second": 256.0, "naive_per_second": 12.8},
    "growth": [one(32, 0.25, 2.5, 32), one(64, 0.5, 10.0, 16)],
    "exponents": {"cached": 1.0, "naive": 2.0},
}


def test_the_table_says_speed_ratio_growth_and_how_much_was_measured():
    text = "\n".join(report.lines(MEASURED))
    assert "64 notes: 256 notes/s cached, 12.8 naive, 20 times as fast (18..22)" in text
    assert "16 of 64, 25 %" in text
    assert "length^1.00 cached, length^2.00 naive" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("  32 notes")] == [
        "all"
    ]


def test_the_chart_has_a_panel_for_each_subject_and_none_without(tmp_path):
    machine = {"processor": "A processor"}
    path = tmp_path / "growth.png"
    assert not chart.draw({"machine": machine, "measured": [{"figures": []}]}, path)
    assert not path.exists()
    assert chart.draw({"machine": machine, "measured": [MEASURED]}, path)
    single = imread(path).shape
    assert chart.draw({"machine": machine, "measured": [MEASURED] * 4}, path)
    several = imread(path).shape
    assert several[1] == 3 * single[1]
    assert several[0] == 2 * single[0]
