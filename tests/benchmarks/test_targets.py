"""Targets, evaluated on figures made up for the purpose, and the Markdown table of the six."""

import pytest

from benchmarks import markdown, targets
from benchmarks.workloads import TARGETED, workload_from


def ratio(value):
    return {"median": value, "lower_quartile": value, "upper_quartile": value}


def contender(median, peer, eager, floor, mib):
    return {
        "median": median,
        "to_best_peer": ratio(peer),
        "to_eager": ratio(eager),
        "to_floor": ratio(floor),
        "memory": {"step_mib": mib},
    }


def measured(name="gan", floor=10.0):
    return {
        "specification": name,
        "results": {
            "minigen": contender(24.0, 1.3, 1.2, 2.4, 30.0),
            "minigen-numba": contender(18.0, 1.0, 0.9, 1.8, 60.0),
            "minigen-captured": contender(17.0, 0.94, 0.85, 1.7, 50.0),
            "torch": contender(20.0, 1.1, 1.0, 2.0, 55.0),
            "jax": {"missing": "jax is not installed"},
            "floor": {"median": floor, "to_floor": ratio(1.0)},
        },
    }


def verdicts(rows, title):
    return {row["contender"]: row["met"] for row in rows if row["target"].startswith(title)}


def test_each_target_is_met_or_missed_by_its_limit():
    rows = targets.evaluate([measured()])
    assert verdicts(rows, "time ÷ best peer") == {"minigen-captured": True}
    assert verdicts(rows, "time ÷ GEMM floor") == {"minigen-captured": False}
    assert verdicts(rows, "time ÷ PyTorch") == {"minigen-numba": True, "minigen": True}
    assert verdicts(rows, "peak") == {
        "minigen-captured": True,
        "minigen-numba": False,
        "minigen": True,
    }


def test_a_low_floor_does_not_count():
    rows = targets.evaluate([measured(floor=0.2)])
    assert not any("floor" in row["target"] for row in rows)


def test_the_first_step_is_compared_with_pytorchs():
    figures = [
        {"label": f"{targets.FIRST_STEP}, {name}", "value": value}
        for name, value in [("minigen", 0.5), ("minigen-captured", 3.0), ("torch", 2.0)]
    ]
    rows = targets.evaluate([{"specification": "import", "figures": figures}])
    assert [(row["contender"], row["value"], row["met"]) for row in rows] == [
        ("minigen", 0.25, True),
        ("minigen-captured", 1.5, False),
    ]


def test_the_lines_say_by_how_much_a_target_is_missed():
    text = "\n".join(targets.lines(targets.evaluate([measured()])))
    assert text.startswith("targets: 5 of 7 met")
    assert "gan       1.70  missed by 6%" in text


def test_the_six_are_workloads_that_train():
    assert len(TARGETED) == 6
    assert all(workload_from(name).trains for name in TARGETED)


def test_the_markdown_table_has_a_row_for_each_workload_and_says_who_was_missing():
    text = markdown.table({"measured": [measured("vae"), measured("gan")]})
    assert [line.split(" | ")[0] for line in text[2:4]] == ["| gan", "| vae"]  # in their own order
    assert len({line.count("|") for line in text[:4]}) == 1
    assert "0.94 (0.94..0.94) | 1.70 (1.70..1.70) | 50 / 55 |" in text[2]
    assert "JAX jit (jax is not installed)" in text[-1]


@pytest.mark.parametrize("results", [[], [{"specification": "import", "figures": []}]])
def test_without_the_six_there_is_no_table(results):
    assert markdown.table({"measured": results}) == []
