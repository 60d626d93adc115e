"""The table and the chart, from figures made up for the purpose."""

from benchmarks.chart import bars, draw
from benchmarks.report import columns, number, setting_text, table


def one(value):
    return {"median": value, "lower_quartile": value * 0.9, "upper_quartile": value * 1.1}


REPORT = {
    "machine": {
        "processor": "A processor",
        "cores": 2,
        "threads": 2,
        "blas": "a BLAS",
        "python": "3.11",
        "versions": {"numpy": "2.0", "torch": None},
        "load_average": None,
    },
    "measured": [
        {
            "specification": "vae",
            "title": "dense VAE",
            "unit": "ms",
            "floor_name": "GEMM floor",
            "results": {
                "minigen": {
                    **one(6.0),
                    "setting": {},
                    "to_best_peer": one(1.2),
                    "to_eager": one(1.25),
                    "to_floor": one(1.5),
                    "above_floor": one(2.0),
                    "memory": {"step_mib": 33.25},
                },
                "torch": {
                    **one(5.0),
                    "setting": {"threads": 2, "channels_last": True, "compile": False},
                    "to_best_peer": one(1.0),
                    "to_floor": one(1.25),
                    "above_floor": one(1.0),
                },
                "jax": {"missing": "jax is not installed"},
                "floor": {**one(4.0), "setting": {}, "to_floor": one(1.0)},
            },
        },
        {
            "specification": "import",
            "title": "import time",
            "figures": [{"label": "minigen", "value": 0.1234, "unit": "s"}],
        },
    ],
}


def test_the_table_has_ratios_memory_settings_and_who_is_missing():
    text = table(REPORT)
    ours = next(line for line in text.splitlines() if line.startswith("  minigen  "))
    assert ours.split() == ["minigen", "6", "5.4..6.6", "1.20", "1.25", "1.50", "2", "33.2"]
    assert "threads 2, channels-last" in text
    assert "  jax: jax is not installed" in text
    assert "torch not installed" in text
    assert "minigen  0.123  s" in text


def test_columns_are_aligned():
    assert columns([["a", "1", "x"], ["bbb", "22", "yy"]]) == ["a     1  x", "bbb  22  yy"]


def test_numbers_have_three_digits():
    assert [number(x) for x in (0.12345, 1.2345, 123.45, 12345.6, None)] == [
        "0.123",
        "1.23",
        "123",
        "12346",
        "-",
    ]


def test_a_setting_that_is_off_is_left_out():
    assert setting_text({"threads": 1, "adam": None, "channels_last": False}) == "threads 1"


def test_the_chart_is_a_picture(tmp_path):
    path = tmp_path / "chart.png"
    assert draw(REPORT, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_a_peer_the_chart_compares_with_the_floor():
    alone = {"results": {"minigen": {**one(6.0), "to_floor": one(1.5)}}, "floor_name": "GEMM floor"}
    assert bars(alone) == ("GEMM floor", [("minigen", one(1.5), 6.0)])


def test_nothing_to_compare_draws_no_chart(tmp_path):
    path = tmp_path / "chart.png"
    assert not draw({**REPORT, "measured": REPORT["measured"][1:]}, path)
    assert not path.exists()
