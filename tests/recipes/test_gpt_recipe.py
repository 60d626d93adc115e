"""A run of the GPT from beginning to end, on a text of a few hundred characters."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_checks import assert_same_end, assert_steps_bring_nothing_to_the_host, stop_and_resume

import minigen as mg
from minigen.cli import main
from minigen.data import Dataset, load
from minigen.errors import UserError
from minigen.recipes.run import Run

SMALL = {"context": 8, "layers": 1, "heads": 2, "width": 8, "batch_size": 4, "warmup": 2,
         "evaluate_every": 4, "sample_length": 20}  # fmt: skip
TEXT = "the cat sat on the mat; the rat sat on the cat.\n" * 12


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rhyme.txt"
    path.write_text(TEXT)
    return path


def make(text: Path, out: Path, steps: int = 10, **changes: Any) -> Run:
    return Run.create(
        "gpt", data=str(text), out=out, steps=steps, seed=4, options={**SMALL, **changes}
    )


@pytest.fixture(scope="module")
def finished(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "gpt"
    make(text, folder, dropout=0.1).train()
    return folder


def test_a_run_leaves_its_numbers_its_ladder_and_its_pictures(finished: Path) -> None:
    assert {"loss.png", "attention.png", "samples.txt", "summary.json"} <= {
        path.name for path in finished.iterdir()
    }
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["headline"] == "nll_nats_per_char"
    assert [oracle["label"] for oracle in summary["oracles"]] == ["3-gram", "4-gram", "5-gram"]


def test_a_resumed_run_is_bit_equal_to_one_never_stopped(
    finished: Path, text: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    stop_and_resume(make(text, folder, dropout=0.1), 5)
    assert_same_end(finished, folder, "metrics.jsonl", "samples.txt")


def test_training_learns_a_rhyme_below_the_unigram(text: Path, tmp_path: Path) -> None:
    summary = make(text, tmp_path / "run", steps=150, width=16, learning_rate=1e-2).train()
    assert summary is not None
    counts = np.unique(list(TEXT), return_counts=True)[1] / len(TEXT)
    entropy = -(counts * np.log(counts)).sum()
    assert summary["metrics"]["nll_nats_per_char"] < 0.7 * entropy


# ---------------------------------------------------------------- the number


TOKENS = pytest.mark.parametrize(
    "tokens", ["characters", "bytes", pytest.param("bpe", marks=pytest.mark.tokenizers)]
)


@TOKENS
@pytest.mark.parametrize("context", [8, 7, 2, 100])
def test_the_headline_is_the_probability_with_which_generation_would_draw_the_text(
    tmp_path: Path, tokens: str, context: int
) -> None:
    (tmp_path / "own.txt").write_text("naïve words – sung by naïve birds; " * 12)
    options = {"tokens": tokens, "context": context, "vocabulary": 270}
    run = make(tmp_path / "own.txt", tmp_path / "run", steps=1, **options)
    recipe = run.recipe
    recipe.model.to_dtype("float64")
    val = load(tmp_path / "own.txt", "val")
    for length in (len(val), 18, 9, 8, 7, 2, 1):
        part = val.select(slice(0, length))
        ids = recipe._ids(part)
        nats = math.log(recipe.tokenizer.size)
        with mg.no_grad():
            for t in range(1, len(ids)):
                logits = recipe.model.next_logits(mg.tensor(ids[None, :t])).numpy()[0]
                nats += np.logaddexp.reduce(logits) - logits[ids[t]]
        got = recipe.evaluate(part, thorough=False)["nll_nats_per_char"]
        assert got == pytest.approx(nats / length, rel=1e-12)
        assert recipe.score(part).sum() == pytest.approx(-nats, rel=1e-12)


@TOKENS
def test_the_score_of_a_line_is_that_of_its_tokens_after_the_text_before_it(
    tmp_path: Path, tokens: str
) -> None:
    lines = ["naïve birds\n", "sing\n", "\n", "\n", "naïve words"]
    (tmp_path / "own.txt").write_text("".join(lines) * 9)
    run = make(tmp_path / "own.txt", tmp_path / "run", steps=1, tokens=tokens, vocabulary=266)
    recipe = run.recipe
    recipe.model.to_dtype("float64")
    text = Dataset("own", "val", np.array([ord(c) for c in "".join(lines)]), None, "text", None)
    scores = recipe.score(text)
    assert scores.shape == (5,)
    until, total = 0, 0.0
    for line, score in zip(lines, scores):
        until, total = until + len(line), total + score
        part = text.select(slice(0, until))
        if tokens != "bpe" or line != "\n":  # cut between two line breaks a text has other tokens
            whole = -recipe.evaluate(part, thorough=False)["nll_nats_per_char"] * until
            assert total == pytest.approx(whole, rel=1e-12)
    assert (scores <= 0).all()


def test_shakespeare_has_a_floor_and_other_texts_have_not(finished: Path, text: Path) -> None:
    recipe = Run.open(finished).recipe
    val = load(text, "val")
    assert recipe.oracles(val) == []
    named = Dataset("shakespeare", "val", val.data, None, "text", None)
    (floor,) = recipe.oracles(named)
    assert floor.objection({"nll_nats_per_char": 1.39}) is not None
    assert floor.objection({"nll_nats_per_char": 1.41}) is None


# ---------------------------------------------------------------- writing


def test_generate_gives_a_text_or_a_list_of_them(finished: Path) -> None:
    run = Run.open(finished)
    one = run.generate("the ", max_tokens=7, seed=1)
    assert isinstance(one, str)
    assert len(one) == 7
    assert set(one) <= set(TEXT)
    assert len(run.generate("the ", max_tokens=7, n=3, seed=1)) == 3
    assert run.generate("", temperature=0) == run.generate("\n", temperature=0)


def test_samples_are_texts_in_a_file(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.txt"
    assert main(["sample", str(finished), "--n", "3", "--out", str(out)]) == 0
    assert out.read_text().count("-" * 72) == 2
    run = Run.open(finished)
    assert [len(sample) for sample in run.sample(2, seed=1)] == [20, 20]
    with pytest.raises(UserError, match=r"--out must end in .txt for gpt"):
        run.write_samples(tmp_path / "x.png", 3)


def test_the_commands_work_without_naming_a_file(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(finished), "--n", "2"]) == 0
    assert (tmp_path / "samples.txt").exists()
    command = ["generate", str(finished), "--prompt", "the ", "--max-tokens", "9", "--seed", "1"]
    capsys.readouterr()
    assert main(command) == 0
    assert len(capsys.readouterr().out) == 10
    assert main([*command, "--n", "2", "--stop", "zzz", "--top-k", "3", "--top-p", "0.9"]) == 0
    assert capsys.readouterr().out.count("-" * 72) == 1
    assert main(["eval", str(finished)]) == 0
    assert json.loads(capsys.readouterr().out)["headline"] == "nll_nats_per_char"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prompt", "Ünknown"], "prompt must use the 14 characters"),
        (["--prompt", "the", "--max-tokens", "0"], "--max-tokens: must be a whole number >= 1"),
        (["--prompt", "the", "--stop", ""], "stop must be a text of at least one character"),
        (["--prompt", "the", "--temperature", "-1"], "temperature must be a number >= 0"),
        (["--prompt", "the", "--temperature", "hot"], "--temperature: must be a number"),
        (["--prompt", "the", "--top-p", "2"], "top_p must be a number > 0 and <= 1, got 2.0"),
    ],
)
def test_what_cannot_be_generated_is_one_line_and_status_2(
    finished: Path, capsys: Any, options: list[str], message: str
) -> None:
    capsys.readouterr()
    assert main(["generate", str(finished), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.tokenizers
def test_byte_pairs_are_learned_from_train_alone_and_kept_in_the_runs_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.txt").write_text("some words to learn from, and " * 30 + "zyzyzyzyzy" * 10)
    folder = tmp_path / "run"
    run = make(tmp_path / "own.txt", folder, steps=2, tokens="bpe", vocabulary=270)
    run.train()
    facts = json.loads((folder / "config.json").read_text())["facts"]["tokenizer"]
    assert facts["kind"] == "bpe"
    assert len(facts["merges"]) == 14
    assert "z y" not in facts["merges"]  # frequent, but in val
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.txt").unlink()  # a text is written without the data
    written = Run.open(folder).generate("Ünknown 𝄞", max_tokens=12, seed=1)
    assert isinstance(written, str)


def test_without_the_tokenizers_library_training_is_one_line_and_leaves_nothing(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    out = tmp_path / "run"
    command = ["train", "gpt", "--data", str(text), "--out", str(out), "--set", "tokens=bpe"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert 'pip install ".[bpe]"' in error
    assert error.count("\n") == 1
    assert not out.exists()


# ---------------------------------------------------------------- data that do not fit


def test_pictures_short_texts_and_strange_characters_are_refused_in_one_line(
    finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="gpt needs text, and digits has image"):
        Run.create("gpt", data="digits", out=tmp_path / "run")
    (tmp_path / "own.txt").write_text("plain words only, " * 20 + "naïve words at the end")
    with pytest.raises(UserError, match=r"own \(val\) must use the .*'ï'.*tokens=bytes"):
        make(tmp_path / "own.txt", tmp_path / "run")
    make(tmp_path / "own.txt", tmp_path / "bytes", steps=1, tokens="bytes").train()
    (tmp_path / "short.md").write_text("8 chars.")
    with pytest.raises(UserError, match="longer than the context of 8 tokens, got 7"):
        make(tmp_path / "short.md", tmp_path / "short", batch_size=1, context=8)
    assert not (tmp_path / "short").exists()
    with pytest.raises(UserError, match="must be an existing text file, got none"):
        make(tmp_path / "none.md", tmp_path / "run")


def test_the_strict_backend_trains_writes_and_brings_nothing_to_the_host_in_a_step(
    finished: Path, text: Path, tmp_path: Path
) -> None:
    with mg.use("strict"):
        run = make(text, tmp_path / "run", steps=2)
        assert_steps_bring_nothing_to_the_host(run)
        there = Run.open(finished).generate("the ", max_tokens=30, seed=3)
    assert there == Run.open(finished).generate("the ", max_tokens=30, seed=3)


def test_models_without_text_say_so(tmp_path: Path) -> None:
    run = Run.create("vae", out=tmp_path / "run", steps=1)
    with pytest.raises(UserError, match="vae makes no text"):
        run.generate("a")


def test_heads_that_do_not_divide_the_width_are_one_line(text: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot build gpt: heads must divide width 8, got 3"):
        make(text, tmp_path / "run", heads=3)
    assert not (tmp_path / "run").exists()
