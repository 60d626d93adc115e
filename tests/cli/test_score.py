"""`minigen score`: the summary, the three kinds of file, one's own data, and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest

from minigen.cli import main
from minigen.recipes.run import Run


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RealNVP on thirty rows of three columns, hardly trained."""
    folder = tmp_path_factory.mktemp("score")
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(5, 3, size=(30, 3)))
    options = ["couplings=2", "hidden=8", "batch_size=8", "evaluate_every=5"]
    command = ["train", "realnvp", "--data", str(folder / "rows.npy"), "--steps", "5"]
    assert main([*command, "--out", str(folder / "run"), "--set", *options]) == 0
    return folder / "run"


def summary_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert main(["score", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_summary_names_the_score_and_its_unit_and_says_what_the_scores_say(
    flow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    got = summary_of(capsys, str(flow), "--split", "train")
    scores = Run.open(flow).score(split="train")
    assert (got["model"], got["split"], got["score"]) == ("realnvp", "train", "log_likelihood_nats")
    assert got["unit"] == "nats per sample"
    assert (got["count"], got["infinite"]) == (24, 0)
    assert got["mean"] == pytest.approx(scores.mean())
    assert got["deviation"] == pytest.approx(scores.std())
    assert (got["lowest"], got["highest"]) == (scores.min(), scores.max())
    assert summary_of(capsys, str(flow))["split"] == "val"


def test_the_three_kinds_of_file_hold_the_same_scores(
    flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("npy", "csv", "jsonl"):
        got = summary_of(capsys, str(flow), "--out", str(tmp_path / f"s.{kind}"))
        assert got["out"] == str(tmp_path / f"s.{kind}")
    scores = np.load(tmp_path / "s.npy")
    np.testing.assert_array_equal(scores, Run.open(flow).score())
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == "index,log_likelihood_nats"
    assert [float(line.split(",")[1]) for line in lines[1:]] == scores.tolist()
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert [row["index"] for row in rows] == list(range(len(scores)))
    assert [row["log_likelihood_nats"] for row in rows] == scores.tolist()


def test_a_file_of_ones_own_is_scored_whole_and_in_its_order(
    flow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.full((4, 3), 5.0)  # fewer than three splits would need
    rows[2] = 1e4
    rows[3] = 1e30  # the logarithm of its density is beyond float32
    np.save(tmp_path / "own.npy", rows)
    out = tmp_path / "s.jsonl"
    got = summary_of(capsys, str(flow), "--data", str(tmp_path / "own.npy"), "--out", str(out))
    assert (got["split"], got["count"], got["infinite"]) == ("all", 4, 1)
    scores = [json.loads(line)["log_likelihood_nats"] for line in out.read_text().splitlines()]
    assert scores[0] == scores[1] > -100
    assert scores[2] < -1000
    assert scores[3] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "wine"], "the model was built for data with features 3, got 13"),
        (["--data", "digits"], "realnvp needs rows of 2 or more numbers"),
        (["--data", "none.npy"], "none.npy must be an existing"),
        (["--data", "wine", "--split", "all"], "split must be one of train, val, test, got 'all'"),
        (["--split", "tset"], "did you mean 'test'?"),
        (["--out", "scores.txt"], "--out must end in .npy, .csv, .jsonl, got 'scores.txt'"),
        (["--out", "no/such/folder.npy"], "cannot write"),
    ],
)
def test_what_cannot_be_scored_is_one_line_and_status_2(
    flow: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["score", str(flow), *arguments]) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


def test_lines_of_a_text_are_scored_with_a_language_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "own.txt"
    text.write_text("a line of words\n" * 20)
    options = ["context=8", "layers=1", "heads=1", "width=8", "evaluate_every=2"]
    run = str(tmp_path / "run")
    command = ["train", "gpt", "--data", str(text), "--out", run, "--steps", "2"]
    assert main([*command, "--set", *options]) == 0
    got = summary_of(capsys, run, "--data", str(text))
    assert (got["count"], got["unit"], got["split"]) == (20, "nats per line", "all")
