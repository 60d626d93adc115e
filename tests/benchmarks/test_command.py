"""python -m benchmarks, from the command line to the files."""

import json

import pytest

from benchmarks.__main__ import main


def test_a_quick_run_prints_a_table_and_writes_json_and_chart(tmp_path, capsys):
    arguments = "--quick --rounds 1 --workloads operation:repeats=50 --contenders minigen --out"
    assert main([*arguments.split(), str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "operation:repeats=50" in printed.out
    report = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert set(report["measured"][0]["results"]) == {"minigen", "floor"}
    assert report["effort"]["rounds"] == 1
    assert report["machine"]["cores"] >= 1
    assert (tmp_path / "benchmark.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workloads", "vea"], "workload must be one of"),
        (["--contenders", "tensorflow"], "invalid choice: 'tensorflow'"),
        (["--rounds", "0"], "--rounds must be a whole number >= 1, got 0"),
        (["--threads", "0"], "--threads must be a whole number >= 1, got 0"),
        (["--workloads", "vae", "--out", __file__], "--out must be a folder that can be written"),
    ],
)
def test_arguments_that_make_no_sense_end_in_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
